"""What a program on a person's machine is told: the environment, over the lines of a file `.env`."""

from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / ".env"


class Unreadable(Exception):
    """A line of the file is none; the message says which."""


def environment(file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` over the KEY=VALUE lines of `file`; an empty variable counts as unset, as it does for the product.

    Raises:
        Unreadable: a line is something else.
    """
    values = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if file.exists() else [], start=1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals or not name.strip().isidentifier():
            raise Unreadable(f"{file.name}, line {number}: expected NAME=value")
        values[name.strip()] = _unquoted(value.strip())
    return {name: value for name, value in {**values, **environ}.items() if value}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
