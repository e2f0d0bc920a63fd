"""Which language a browser asks for."""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from starlette.requests import Request

Language = Literal["en", "zh"]

LANGUAGES: Sequence[Language] = get_args(Language)
"""The first is for those who ask for none of them."""

_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,60})?\s*(?:;\s*[qQ]\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?")
"""A language with its weight (RFC 9110 §12.5.4); zh-TW asks for zh."""


def language_of(request: Request) -> Language:
    """The language that the browser likes best of those we have; of two that it likes alike, the first."""
    header = ",".join(request.headers.getlist("accept-language"))[:1000]
    liked: dict[str, float] = {}
    for part in header.split(","):
        if match := _RANGE.fullmatch(part):
            liked.setdefault(match[1].lower(), float(match[2] or 1))
    known: list[Language] = [name for asked in liked for name in LANGUAGES if name == asked and liked[asked] > 0]
    return max(known, key=lambda name: liked[name], default=LANGUAGES[0])
