"""What of a mail a person reads, out of Gmail's parts: https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import Any

HTML = "text/html"

MAX_PARTS = 200  # of one mail; within each other they are bounded by strict_json.MAX_DEPTH


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that came with a mail."""

    name: str
    kind: str
    """Its media type."""
    size: int
    """Bytes."""


def header(payload: Mapping[str, Any], name: str) -> str | None:
    """The first header of this name, decoded; None where there is none, or an empty one."""
    for item in payload.get("headers", ()):
        if item["name"].lower() == name:
            return " ".join(_decoded(item["value"]).split()) or None
    return None


def body(payload: Mapping[str, Any], text_of: Callable[[str], str]) -> str:
    """The text of a mail: of its HTML, which is what its reader saw, where it has some, else its plain text.

    The two may differ, and what stands only in the one that nobody saw is not for us. `text_of` reads HTML.
    """
    shown = [part for part in _parts(payload) if not part.get("filename") and part.get("body", {}).get("data")]
    pages = [text_of(_content(part)) for part in shown if part.get("mimeType") == HTML]
    if any(page.strip() for page in pages):
        return "\n\n".join(pages).strip()
    plain = (_content(part) for part in shown if part.get("mimeType", "").startswith("text/") and part["mimeType"] != HTML)
    return "\n\n".join(plain).replace("\r\n", "\n").strip()


def attachments(payload: Mapping[str, Any]) -> Sequence[Attached]:
    """The files of a mail, images within its text included."""
    named = (part for part in _parts(payload) if part.get("filename"))
    return [Attached(_decoded(part["filename"]), part.get("mimeType", ""), int(part.get("body", {}).get("size", 0))) for part in named]


def _parts(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The part and all within it, in order; a mail that is attached is a part by itself."""
    waiting = [payload]
    for _ in range(MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        yield part
        waiting[:0] = part.get("parts", ())


def _content(part: Mapping[str, Any]) -> str:
    """Gmail mostly turns text into UTF-8 whatever its Content-Type says; where it did not, that says what it is."""
    octets = urlsafe_b64decode(part["body"]["data"] + "==")
    charset = re.search(r"charset=[\"']?([\w.:-]+)", header(part, "content-type") or "", re.I)
    for encoding in ("utf-8", charset[1] if charset else "windows-1252"):
        try:
            return _whole(octets.decode(encoding))
        except (UnicodeError, LookupError):
            continue
    return octets.decode("utf-8", "replace")


def _decoded(value: str) -> str:
    """A header's value, encoded words decoded (RFC 2047); one that is broken stays as it is: anybody may send one."""
    if "=?" not in value:
        return value
    try:
        return _whole(str(make_header(decode_header(value)))) or value
    except (LookupError, ValueError, MessageError):
        return value


def _whole(text: str) -> str:
    """Text without lone surrogates, which some encodings spell, and which no JSON may hold."""
    return text.encode("utf-8", "replace").decode()
