"""As much of a long text, or of a long list, as fits into an answer."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from functions.core.errors import Invalid

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

Start = Annotated[
    int, Field(ge=0, le=10_000_000, description="Where in the text to begin: next_start of the answer before; 0 is the beginning.")
]
"""The parameter that reads on."""

MOST = 18_000
"""Bytes of a result: with their names they stay below MAX_TOOL_RESULT (core/mcp_tools.py), the narrowest limit they pass."""


def excerpt(text: str, start: int = 0, most: int = MOST) -> tuple[str, int | None]:
    """Of `text` from character `start` on as much as takes `most` bytes in JSON, and where it goes on; None: that is all.

    It ends behind a line, or else a word, where one ends within the last tenth.

    Raises:
        Invalid: there is nothing at `start`.
    """
    if start and start >= len(text):
        raise Invalid(f"start is beyond the end of the text, which has {len(text)} characters.")
    if size(rest := text[start : start + most]) <= most and start + len(rest) >= len(text):
        return rest, None
    fits, beyond = 0, len(rest) + 1
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        fits, beyond = (middle, beyond) if size(rest[:middle]) <= most else (fits, middle)
    ends = (rest.rfind(mark, fits * 9 // 10, fits) + 1 for mark in ("\n", " "))
    length = next(filter(None, ends), max(1, fits))
    return rest[:length], start + length


def as_many_as_fit(items: Iterable[M], most: int = MOST) -> Sequence[M]:
    """The first of the items, as many as take `most` bytes in JSON; the first in any case."""
    found: list[M] = []
    for item in items:
        most -= len(item.model_dump_json().encode())
        if most < 0 and found:
            break
        found.append(item)
    return found


def by_turns(groups: Iterable[Sequence[T]]) -> Sequence[T]:
    """The items of all groups: the first of each, then the second of each."""
    return [item for item in chain.from_iterable(zip_longest(*groups)) if item is not None]


def cut(text: str, most: int) -> str:
    """The text, or its beginning with a mark behind it."""
    return text if len(text) <= most else f"{text[:most].rstrip()}…"


def size(text: str) -> int:
    """Bytes that a text takes in JSON, without its quotation marks."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
