"""The outside world as a capability names it, and as it gets it: scopes, APIs, and the Web that carries a token to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from functions.core.errors import CapabilityFault

ENGLISH = "en"
"""What everything here is written in; words in other languages may be missing."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One of Google's scopes, and what it allows in plain words, for the consent page."""

    name: str
    """As Google's own screen takes it: https://developers.google.com/identity/protocols/oauth2/scopes"""
    words: Mapping[str, str] = field(hash=False)
    """Language -> "See the events on your calendars". English is always there."""

    def __post_init__(self) -> None:
        if not self.words.get(ENGLISH):
            raise CapabilityFault(f"The scope {self.name} has no words in English: the consent page would say nothing of it.")

    def text(self, language: str) -> str:
        """The words in a language, or else in English."""
        return self.words.get(language, self.words[ENGLISH])


@dataclass(frozen=True, slots=True)
class Api:
    """A foreign HTTP API by name. Settings named after it (`weather` -> WEATHER_URL) replace its address and, where it takes one, give a key."""

    name: str
    base_url: str
    key_parameter: str | None = None
    """The query parameter that carries a key, where the API takes one."""
    key_setting: str | None = None
    """The environment variable that holds the key; several APIs of one provider may share it."""
    attribution: str | None = None
    """What its owner wants to be credited with, on the legal page."""
    reusable: timedelta = timedelta(0)
    """How long an answer may be given again, to anybody: only for an API that gives everybody the same."""
    google: bool = False
    """Whether it is Google's and takes the user's token. No other API is ever sent it."""
    links: tuple[str, ...] = ()
    """How addresses begin to which an answer may link because of it (core/links.py); with a query only where it begins in here."""

    @property
    def url_setting(self) -> str:
        """The environment variable that replaces `base_url`."""
        return f"{self.name.upper().replace('-', '_')}_URL"


Query = str | int | float | Sequence[str]


class Web(Protocol):
    """The outside world as one call of one operation may see it: only the APIs that the operation names, until the request's deadline.

    Where the operation names scopes, what it asks of Google carries the user's token, which the operation never sees.
    """

    async def get(self, api: Api, path: str, **query: Query) -> Any:
        """The JSON at `path` below the API's address. A sequence is sent comma-separated, to Google as a parameter that is repeated.

        Raises:
            Upstream: it failed, was busy, or did not answer JSON, also after retries.
            Refused: it refuses the request itself.
            NotFound: Google has no such thing, or the user may not see it.
            Invalid: Google has it, and cannot do this with it.
            Disconnected: Google takes neither the user's token nor a new one.
            InsufficientScope: the user's token does not reach so far.
            DeadlinePassed: the request's deadline passed.
            CapabilityFault: the operation does not name this API, or the path leaves its address.
        """

    async def post(self, api: Api, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that answers a question which the API takes as a body (free/busy, a search); it raises what `get` raises.

        Only for what changes nothing: it is sent again where it failed, as a `get` is.
        """

    def text(self, html: str) -> str:
        """HTML as its reader sees it: lines of text, without markup, without what is hidden."""

    def now(self) -> datetime:
        """The moment, in UTC."""
