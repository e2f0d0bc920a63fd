"""A mail as Gmail's API writes it: the tree of its parts, headers decoded, every text in UTF-8.

Gmail turns the text of a body into UTF-8 and leaves the part's Content-Type header as it was, so the charset that the header names is
that of the mail as it was sent, and not that of `body.data` (github.com/openclaw/gogcli/issues/446).
"""

import base64
import hashlib
import html
import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import default
from functools import lru_cache
from typing import Any

from infra.local.google_emulator.people import Person
from infra.local.google_emulator.sample_mail import Mail

SNIPPET = 200  # characters, about


@dataclass(frozen=True)
class Part:
    """A part of a mail."""

    id: str
    type: str
    filename: str
    headers: tuple[tuple[str, str], ...]
    content: bytes
    """Its transfer encoding is taken off; a text is in UTF-8."""
    parts: tuple["Part", ...] = ()

    @property
    def attached(self) -> bool:
        """Whether Gmail gives its content in a request of its own."""
        return bool(self.filename) or not self.type.startswith(("text/", "multipart/"))

    def walk(self) -> list["Part"]:
        """The part, and all parts below it."""
        return [self, *(below for part in self.parts for below in part.walk())]


def identity(person: Person, key: str) -> str:
    """A message's id: 16 hexadecimal digits."""
    return "19" + hashlib.sha256(f"{person.sub}/{key}".encode()).hexdigest()[:14]


@lru_cache(maxsize=256)
def parsed(raw: bytes) -> Part:
    """A mail's octets as the tree of its parts."""
    return _part(message_from_bytes(raw, policy=default), "")


def _part(message: Message, name: str) -> Part:
    inner = message.get_payload() if message.is_multipart() else []
    prefix = f"{name}." if name else ""
    parts = tuple(_part(below, f"{prefix}{number}") for number, below in enumerate(inner) if isinstance(below, Message))
    kind = message.get_content_type()
    if message.is_multipart():
        content = b"" if kind.startswith("multipart/") else b"\r\n".join(bytes(below) for below in inner if isinstance(below, Message))
    else:
        payload = message.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        if kind.startswith("text/"):
            content = _utf8(content, message.get_content_charset())
    headers = tuple((header, str(value)) for header, value in message.items())
    return Part(name, kind, message.get_filename() or "", headers, content, parts)


def _utf8(content: bytes, charset: str | None) -> bytes:
    for guess in (charset, "utf-8", "windows-1252"):
        try:
            return content.decode(guess or "utf-8").encode()
        except (LookupError, UnicodeDecodeError):
            continue
    return content.decode("utf-8", "replace").encode()


def resource(mail: Mail, person: Person, form: str, wanted_headers: list[str] | None = None) -> dict[str, Any]:
    """A message in one of the formats `minimal`, `metadata`, `full` and `raw`."""
    root = parsed(mail.raw)
    shown: dict[str, Any] = {
        "id": identity(person, mail.key),
        "threadId": identity(person, mail.thread or mail.key),
        "labelIds": list(mail.labels),
        "snippet": snippet(root),
        "sizeEstimate": len(mail.raw),
        "historyId": str(100_000 + int(identity(person, mail.key)[-4:], 16)),
        "internalDate": str(int(mail.received.timestamp() * 1000)),
    }
    if form == "raw":
        return shown | {"raw": base64.urlsafe_b64encode(mail.raw).decode()}
    if form == "metadata":
        wanted = {name.lower() for name in wanted_headers or ()}
        headers = [{"name": name, "value": value} for name, value in root.headers if not wanted or name.lower() in wanted]
        return shown | {"payload": {"mimeType": root.type, "headers": headers}}
    return shown | ({"payload": _payload(root, mail)} if form == "full" else {})


def _payload(part: Part, mail: Mail) -> dict[str, Any]:
    body: dict[str, Any] = {"size": len(part.content)}
    if part.attached:
        body["attachmentId"] = attachment_id(mail, part)
    elif part.content:
        body["data"] = base64.urlsafe_b64encode(part.content).decode()
    shown: dict[str, Any] = {
        "partId": part.id,
        "mimeType": part.type,
        "filename": part.filename,
        "headers": [{"name": name, "value": value} for name, value in part.headers],
        "body": body,
    }
    return shown | ({"parts": [_payload(below, mail) for below in part.parts]} if part.parts else {})


def attachment_id(mail: Mail, part: Part) -> str:
    """What asks for a part's content."""
    return "ANGjdJ" + base64.urlsafe_b64encode(hashlib.sha512(f"{mail.key}/{part.id}".encode()).digest()).decode().rstrip("=")


@lru_cache(maxsize=256)
def text(part: Part) -> str:
    """All of a mail that a person reads, as one line: for the snippet and the search, and for nothing finer."""
    texts = [one for one in part.walk() if one.type == "text/plain" and not one.filename]
    if texts:
        return " ".join(" ".join(one.content.decode() for one in texts).split())
    pages = " ".join(one.content.decode() for one in part.walk() if one.type == "text/html" and not one.filename)
    bare = re.sub(r"(?s)<(style|script|title)\b.*?</\1>|<!--.*?-->|<[^>]*>", " ", pages)
    return " ".join(html.unescape(bare).split())


def snippet(part: Part) -> str:
    """The beginning of the text, as HTML: Gmail escapes it."""
    return html.escape(text(part)[:SNIPPET]).replace("&#x27;", "&#39;")
