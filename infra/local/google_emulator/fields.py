"""Partial replies: the parameter `fields` (https://developers.google.com/workspace/calendar/api/guides/performance#partial-response)."""

import re
from collections.abc import Iterator
from typing import Any

Mask = dict[str, "Mask"]
"""Name -> what is kept below it; empty: everything."""


def mask(text: str) -> Mask:
    """What `fields` asks for: names, `/` between levels, lists in parentheses, `*` for all names.

    Raises:
        ValueError: it is not written so.
    """
    tokens = re.findall(r"[\w@$.-]+|[*/(),]", text)
    if "".join(tokens) != text:
        raise ValueError(f"Invalid field selection {text}")
    rest = iter([*tokens, ""])
    read, ended = _list(rest)
    if ended or next(rest, None) is not None:
        raise ValueError(f"Invalid field selection {text}")
    return read


def _list(tokens: Iterator[str]) -> tuple[Mask, str]:
    """A list of selections, and the token that ended it."""
    read: Mask = {}
    while True:
        ended = _selection(tokens, read)
        if ended != ",":
            return read, ended


def _selection(tokens: Iterator[str], into: Mask) -> str:
    name = next(tokens)
    if not re.fullmatch(r"[\w@$.-]+|\*", name):
        raise ValueError(f"Invalid field selection {name}")
    below = into.setdefault(name, {})
    after = next(tokens)
    if after == "/":
        return _selection(tokens, below)
    if after == "(":
        inner, ended = _list(tokens)
        if ended != ")":
            raise ValueError("Invalid field selection: no closing parenthesis")
        below |= inner
        after = next(tokens)
    if after not in (",", ")", ""):
        raise ValueError(f"Invalid field selection {after}")
    return after


def kept(reply: Any, mask: Mask) -> Any:
    """What the mask keeps of a reply; it goes through lists to their items."""
    if not mask:
        return reply
    if isinstance(reply, list):
        return [kept(item, mask) for item in reply]
    if not isinstance(reply, dict):
        return reply
    return {name: kept(value, mask.get(name, mask.get("*", {}))) for name, value in reply.items() if name in mask or "*" in mask}
