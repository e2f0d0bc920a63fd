"""What README.md repeats from the code, written by the code: `python -m infra.readme`, or with `--check` only compared.

A block stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`, each on a line of its own.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from functions.capabilities import CATALOGUE
from functions.core.settings import Settings
from infra import deploy_lines

README = Path(__file__).parent.parent / "README.md"


def settings() -> str:
    """Every setting as a table, those that the capabilities' APIs bring included."""
    rows = [
        f"| `{field.alias}` | {default(field)} | {field.description} |"
        for field in Settings.model_fields.values()
        if field.alias and field.description
    ]
    return "\n".join(["| Variable | Default | Meaning |", "| --- | --- | --- |", *rows, *api_settings()]) + "\n"


def default(field: FieldInfo) -> str:
    """A setting's default as it would be written in the environment; nothing where it has none."""
    match field.default:
        case None | ():
            return ""
        case bool(on):
            return "`on`" if on else "`off`"
        case float(number):
            return f"`{number:g}`"
        case other:
            return f"`{other}`"


def api_settings() -> Iterator[str]:
    """A row for the address of each API, and one for each key."""
    keys: dict[str, list[str]] = {}
    for api in CATALOGUE.apis:
        yield f"| `{api.url_setting}` | `{api.base_url}` | Where the API `{api.name}` is. |"
        if api.key_setting:
            keys.setdefault(api.key_setting, []).append(f"`{api.name}`")
    for variable, names in keys.items():
        yield f"| `{variable}` |  | The key of {' and '.join(names)}. |"


BLOCKS: Mapping[str, Callable[[], str]] = {"settings": settings, "deploy": deploy_lines.markdown}


def filled(text: str) -> str:
    """`text` with every block as the code has it now.

    Raises:
        ValueError: a block is missing, stands there twice, or is one that nothing writes.
    """
    found = re.findall(r"(?m)^<!-- begin: (.*) -->$", text)
    if sorted(found) != sorted(BLOCKS):
        raise ValueError(f"README.md needs the blocks {', '.join(sorted(BLOCKS))}, each once; it has {', '.join(sorted(found)) or 'none'}.")
    for name, write in BLOCKS.items():
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->\n"
        before, _, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not closed:
            raise ValueError(f"README.md: the block {name} has no line <!-- end: {name} --> behind its beginning.")
        text = f"{before}{begin}{write()}{end}{after}"
    return text


def main(arguments: list[str]) -> str | None:
    """Fill README.md, or compare it; the return value is what is wrong."""
    if arguments not in ([], ["--check"]):
        return "Usage: python -m infra.readme [--check]"
    if not README.exists():
        return "There is no README.md."
    text = README.read_text("utf-8")
    try:
        current = filled(text)
    except ValueError as error:
        return str(error)
    if not arguments:
        README.write_text(current, "utf-8")
        return None
    return None if text == current else "README.md is not what the code says: run `python -m infra.readme`."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
