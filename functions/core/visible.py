"""What a model is shown of foreign text: the words, without what no reader sees.

Hidden characters carry instructions past the person who pasted them (bidirectional overrides, zero-width text, the tags block).
The transcript keeps the original; only the model's view is cleaned.
"""

import json
import re
from typing import Any

_FORMAT = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's category Cf (a test compares), the default ignorables around it, and all of the tags block and variation supplement."""

_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""Category Cc but tab and line feed; carriage returns go too, a line feed stands beside them."""

_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0d\uffa0"
"""Letters, marks and selectors of variants that Unicode calls default ignorable: drawn as nothing, or as the letter before them."""

_HIDDEN = re.compile(f"[{_FORMAT}{_CONTROL}{_BLANK}]+")

_JOINING = "\u0600-\u08ff\u0900-\u0fff\u1000-\u109f\u1780-\u18af"
_PICTURE = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"

_STRAY = re.compile(
    f"(?<![{_JOINING}{_PICTURE}\ufe0f])[\u200c\u200d]+|[\u200c\u200d]{{2,}}|[\u200c\u200d]+(?![{_JOINING}{_PICTURE}])"
    f"|(?<![0-9#*{_PICTURE}])[\ufe0e\ufe0f]+|(?<=[\ufe0e\ufe0f])[\ufe0e\ufe0f]+"
)
"""Joiners shape Arabic and Indic scripts and emoji families, and a selector chooses a picture's style: one stays where it does so."""

_ESCAPED = re.compile(r"\\(?:u00|[bfr])")
"""How JSON spells control characters but tab and line feed."""


def visible(text: str) -> str:
    """`text` without its hidden characters."""
    # Every message of a conversation comes by here in every turn: the expressions are for text that may need them (tests/bench/RESULTS.md).
    if text.isascii() and text.isprintable():
        return text
    shown = _HIDDEN.sub("", text)
    return _STRAY.sub("", shown) if any(character in shown for character in "\u200c\u200d\ufe0e\ufe0f") else shown


def visible_json(text: str) -> str:
    """JSON text without the hidden characters of its strings, those that it spells as escapes among them."""
    if not _ESCAPED.search(text):
        return visible(text)
    return json.dumps(_shown(json.loads(text)), ensure_ascii=False, separators=(",", ":"))


def _shown(value: Any) -> Any:
    match value:
        case str():
            return visible(value)
        case dict():
            return {visible(name): _shown(inner) for name, inner in value.items()}
        case list():
            return [_shown(inner) for inner in value]
        case _:
            return value
