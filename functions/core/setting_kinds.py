"""The kinds of values that a setting may have, each refused with words for whoever wrote it."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of this machine for itself."""

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def _url(value: str) -> str:
    parts = urlsplit(value)
    plain = re.fullmatch(r"[!#-;=?-~]+", value)  # Visible ASCII without quotes and angle brackets: it goes into pages and headers.
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be an absolute http(s) URL without user, query or fragment")
    if parts.port == 0:  # Reading it refuses what is no port at all.
        raise ValueError("must have a port from 1 to 65535, or none")
    return value.rstrip("/")


def _origin(value: str) -> str:
    """The origin as browsers spell it (RFC 6454 §6.2): in small letters, without the port that follows from the scheme."""
    if urlsplit(value).path.strip("/"):
        raise ValueError("must be an origin, without a path: /.well-known lies at its root")
    parts = urlsplit(_url(value).lower())
    return f"{parts.scheme}://{parts.netloc.removesuffix(DEFAULT_PORTS[parts.scheme])}"


def _switch(value: object) -> object:
    if value not in ("on", "off"):
        raise ValueError("must be `on` or `off`")
    return value == "on"


def _store(value: str) -> str:
    if value != "firestore" and not (value.startswith("sqlite:") and len(value) > len("sqlite:")):
        raise ValueError("must be `firestore` or `sqlite:PATH`")
    return value


def _listed(value: object) -> object:
    return tuple(filter(None, (item.strip() for item in value.split(",")))) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_switch)]
Url = Annotated[str, AfterValidator(_url)]
Origin = Annotated[str, AfterValidator(_origin)]
Email = Annotated[str, Field(pattern=r"^[^@\s<>\"']+@[^@\s<>\"']+\.[^@\s<>\"']+$", max_length=254)]
Topic = Annotated[str, Field(pattern=r"^projects/[a-z][a-z0-9:.-]{4,62}/topics/[A-Za-z][A-Za-z0-9._~+-]{2,254}$")]
Audience = Annotated[str, Field(pattern=r"^https://[!-~]+$", max_length=1024)]
"""Compared with a token to the letter: a slash at its end belongs to it."""
Line = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_listed)]
Names = Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")], ...], BeforeValidator(_listed)]
Store = Annotated[str, AfterValidator(_store)]
Category = Literal[
    "BUSINESS", "COLLABORATION", "DESIGN", "DEVELOPER_TOOLS", "EDUCATION", "ENTERTAINMENT", "FINANCE", "FOOD", "LIFESTYLE", "NEWS",
    "PRODUCTIVITY", "SHOPPING", "TRAVEL",
]  # fmt: skip
"""What https://developers.openai.com/apps-sdk/schemas/chatgpt-app-submission.v1.json knows."""
