"""Google's public keys, which verify the tokens that Google signs: a JSON Web Key Set (RFC 7517).

https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken
"""

import asyncio
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from functions.adapters.outgoing import Answer, Outgoing, Request
from functions.adapters.single_flight import SingleFlight
from functions.core.deadline import Deadline
from functions.core.errors import Refused, Upstream
from functions.core.shape import Shape

CERTS = "https://www.googleapis.com/oauth2/v3/certs"

SERVER = "Google's key server"

ATTEMPT_SECONDS = 1.0
FETCH_SECONDS = 3.0
"""For all attempts together; a push that waits for them is repeated by Pub/Sub, and no person waits for it."""

UNKNOWN_SECONDS = 60.0
"""How long after one fetch an unknown key causes another: Google shows a new key days before it signs with it, and a stranger can name
a new key in every request."""

FAILED_SECONDS = 1.0
"""How long after a failed fetch there is no other, for the same reason."""

MIN_FRESH_SECONDS, MAX_FRESH_SECONDS = 60.0, 24 * 3600.0
"""Google's answers say 5 to 7 hours. A key that Google withdraws is trusted for a day at most, whatever a proxy says."""


class Key(Shape):
    """A public RSA key as RFC 7518 §6.3.1 writes it."""

    kid: str
    n: str
    e: str


class GoogleKeys:
    """Google's keys of the moment, fetched when they are first wanted and again when the answer's Cache-Control says so."""

    def __init__(self, outgoing: Outgoing, url: str = CERTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._outgoing = outgoing
        self._url = url
        self._clock = clock
        self._keys: Mapping[str, Key] = {}
        self._fresh_until = self._fetched_at = -math.inf
        self._fetching = SingleFlight(self._fetch, "Google's keys")

    async def find(self, kid: str, deadline: Deadline) -> Key | None:
        """The key that is called `kid`; None: Google has none.

        Raises:
            Upstream, Refused: the keys could not be fetched.
            DeadlinePassed: the deadline passed.
        """
        now = self._clock()
        stale = now >= self._fresh_until
        if stale or kid not in self._keys:
            if now - self._fetched_at >= (FAILED_SECONDS if stale else UNKNOWN_SECONDS):
                await self._fetching.result(deadline)
            elif stale:
                raise Upstream(f"{SERVER} failed a moment ago; try again later.")
        return self._keys.get(kid)

    async def _fetch(self) -> None:
        request = Request(SERVER, "GET", self._url, ATTEMPT_SECONDS)
        within = Deadline.after(FETCH_SECONDS, asyncio.get_running_loop().time)
        try:
            self._keys, fresh_seconds = await self._outgoing.send(request, _read, within)
            self._fresh_until = self._clock() + fresh_seconds
        finally:
            self._fetched_at = self._clock()  # Whatever came of it. Only now: until then, whoever asks shares this fetch.


def _read(answer: Answer) -> tuple[Mapping[str, Key], float]:
    """The keys by their names, and for how many seconds they are fresh."""
    answer.require_served()
    if answer.status >= 300:
        raise Refused(f"{SERVER} does not show its keys (status {answer.status}).")
    found = answer.json.get("keys") if isinstance(answer.json, dict) else None
    # RFC 7517 §5: keys that we do not understand are passed over.
    keys = [key for value in found if (key := _key(value))] if isinstance(found, list) else []
    if not keys:
        raise Upstream(f"{SERVER} answered without keys.")
    return {key.kid: key for key in keys}, _fresh_seconds(answer.headers)


def _key(value: Any) -> Key | None:
    if not isinstance(value, dict) or value.get("kty") != "RSA":
        return None
    try:
        return Key.model_validate(value, strict=True)
    except ValidationError:
        return None


def _fresh_seconds(headers: Mapping[str, str]) -> float:
    """RFC 9111 §4.2: what Cache-Control allows, less the time that the answer lay in caches before."""
    allowed = re.search(r"(?i)max-age=(\d{1,9})", headers.get("Cache-Control", ""))
    age = re.fullmatch(r"\d{1,9}", headers.get("Age", ""))
    fresh = (float(allowed[1]) if allowed else 0.0) - (float(age[0]) if age else 0.0)
    return min(max(fresh, MIN_FRESH_SECONDS), MAX_FRESH_SECONDS)
