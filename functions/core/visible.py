"""What a model is shown of foreign text: the words, without what no reader sees.

Hidden characters carry instructions past the person who pasted them (bidirectional overrides, zero-width text, the tags block).
The transcript keeps the original; only the model's view is cleaned.
"""

import re

_FORMAT = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's category Cf (a test compares), the default ignorables around it, and all of the tags block and variation supplement."""

_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""Category Cc but tab and line feed; carriage returns go too, a line feed stands beside them."""

_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\uffa0"
"""Letters and marks that Unicode calls default ignorable: drawn as nothing."""

_HIDDEN = re.compile(f"[{_FORMAT}{_CONTROL}{_BLANK}]+")

_STRAY_JOINER = re.compile(
    "(?<![^\\W\\d_]|[\u0300-\u036f\u0900-\u0dff\ufe0f\u2190-\u2bff\U0001f000-\U0001faff])[\u200c\u200d]+|[\u200c\u200d]{2,}|[\u200c\u200d]+(?![^\\W\\d_]|[\u2190-\u2bff\U0001f000-\U0001faff])"
)
"""Joiners shape Persian, Indic scripts and emoji families, so a single one stays between letters or pictures, and only there."""


def visible(text: str) -> str:
    """`text` without its hidden characters."""
    # Every message of a conversation comes by here in every turn: the expressions are for text that may need them (tests/bench/RESULTS.md).
    if text.isascii() and text.isprintable():
        return text
    shown = _HIDDEN.sub("", text)
    return _STRAY_JOINER.sub("", shown) if "\u200c" in shown or "\u200d" in shown else shown
