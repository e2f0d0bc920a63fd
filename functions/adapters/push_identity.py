"""Who pushes: the identity token that Pub/Sub shows, signed by Google for the subscription's service account.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

import re
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Literal

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from pydantic import BaseModel

from functions.adapters.google_keys import GoogleKeys, Key
from functions.core import strict_json
from functions.core.deadline import Deadline
from functions.core.errors import ChangeRequest, Forbidden, Unauthenticated

MAX_HEADER = 8 * 1024
"""Characters. Google's identity tokens have about 1,000; what is longer is not even taken apart (reliability.md B22)."""

LEEWAY_SECONDS = 60.0
"""By how much our clock may run ahead of Google's."""


class _Header(BaseModel):
    """RS256 is what Google signs with. A token does not choose how it is verified (RFC 8725 §3.1)."""

    alg: Literal["RS256"]
    kid: str


class _Claims(BaseModel):
    iss: Literal["https://accounts.google.com", "accounts.google.com"]
    aud: str
    exp: float
    email: str = ""
    email_verified: bool = False


class PushIdentity:
    """`Identity` (core/push.py): the tokens that Google signs for `account` and for `audience`, both to the letter."""

    def __init__(self, keys: GoogleKeys, audience: str, account: str, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._audience = audience
        self._account = account
        self._now = now
        """Seconds since 1970, as `exp` counts them."""

    async def require(self, authorization: str | None, deadline: Deadline) -> None:
        """`Identity.require`. What a message says never comes from the token."""
        token = _bearer(authorization)
        key = await self._keys.find(_kid(token), deadline)
        if key is None:
            raise Unauthenticated("The token is not signed by Google.")
        claims = _verified(token, key)
        if claims.aud != self._audience:
            raise Unauthenticated("The token is meant for another service: PUSH_AUDIENCE is what the subscription must name.")
        if claims.exp + LEEWAY_SECONDS <= self._now():
            raise Unauthenticated("The token has expired.")
        if claims.email != self._account or not claims.email_verified:
            raise Forbidden("This account may not push here: PUSH_ACCOUNT names the one that may.")


class Anybody:
    """`Identity` for Google's emulator, which shows no token. Never where deployed."""

    async def require(self, authorization: str | None, deadline: Deadline) -> None:
        """Everybody may."""


def _bearer(authorization: str | None) -> str:
    """The token (RFC 6750 §2.1: the scheme's case does not matter)."""
    shown = (authorization or "")[: MAX_HEADER + 1]
    found = re.fullmatch(r"(?i:bearer) +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", shown)
    if len(shown) > MAX_HEADER or not found:
        raise Unauthenticated("This needs the token that Pub/Sub shows for the subscription's service account.")
    return found[1]


def _kid(token: str) -> str:
    """The name of the key, once the header says nothing that we refuse."""
    encoded = token.partition(".")[0]
    try:
        return strict_json.read(_Header, b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)).kid
    except (ValueError, ChangeRequest):  # Not chained: what they say comes from the token.
        raise Unauthenticated("The token is not one that Google signs.") from None


def _verified(token: str, key: Key) -> _Claims:
    """The claims, once the signature is known to be Google's."""
    try:
        public = RSAKey.import_key({"kty": "RSA", "n": key.n, "e": key.e})
        signed = jws.deserialize_compact(token, public, algorithms=["RS256"])
        return strict_json.read(_Claims, signed.payload or b"")
    except (JoseError, ValueError, ChangeRequest):  # Not chained, as above.
        raise Unauthenticated("The token is not one that Google signs.") from None
