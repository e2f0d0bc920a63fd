"""Tokens that Google signs: an id_token of somebody who signed in, the identity token of a service account.

https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken
"""

import time
from base64 import b64decode
from collections.abc import Callable
from typing import Literal, TypeVar

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from functions.adapters.google_keys import GoogleKeys, Key
from functions.core import strict_json
from functions.core.deadline import Deadline
from functions.core.errors import ChangeRequest, Unauthenticated
from functions.core.shape import Shape

MAX_TOKEN = 8 * 1024
"""Characters. Google's identity tokens have about 1,000; what is longer is not even taken apart (reliability.md B22)."""

LEEWAY_SECONDS = 60.0
"""By how much our clock may run ahead of Google's."""


class _Header(Shape):
    """RS256 is what Google signs with. A token does not choose how it is verified (RFC 8725 §3.1)."""

    alg: Literal["RS256"]
    kid: str


class Claims(Shape):
    """What every token of Google's says. Whom it is meant for, whoever reads it compares to the letter."""

    iss: Literal["https://accounts.google.com", "accounts.google.com"]
    aud: str
    exp: float


C = TypeVar("C", bound=Claims)


class GoogleSigned:
    """Reads what Google signed."""

    def __init__(self, keys: GoogleKeys, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now
        """Seconds since 1970, as `exp` counts them."""

    async def claims(self, kind: type[C], token: str, deadline: Deadline) -> C:
        """What a token says, once it is known to be Google's and of now. For whom it is, is still to be looked at.

        Raises:
            Unauthenticated: it is not Google's, or has expired.
            Upstream, Refused, DeadlinePassed: Google's keys could not be fetched.
        """
        if len(token) > MAX_TOKEN:
            raise Unauthenticated("The token is not one that Google signs.")
        key = await self._keys.find(_kid(token), deadline)
        if key is None:
            raise Unauthenticated("The token is not signed by Google.")
        claims = _verified(kind, token, key)
        if claims.exp + LEEWAY_SECONDS <= self._now():
            raise Unauthenticated("The token has expired.")
        return claims


def _kid(token: str) -> str:
    """The name of the key, once the header says nothing that we refuse."""
    encoded = token.partition(".")[0]
    try:
        return strict_json.read(_Header, b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)).kid
    except (ValueError, ChangeRequest):  # Not chained: what they say comes from the token.
        raise Unauthenticated("The token is not one that Google signs.") from None


def _verified(kind: type[C], token: str, key: Key) -> C:
    """The claims, once the signature is known to be Google's."""
    try:
        public = RSAKey.import_key({"kty": "RSA", "n": key.n, "e": key.e})
        signed = jws.deserialize_compact(token, public, algorithms=["RS256"])
        return strict_json.read(kind, signed.payload or b"")
    except (JoseError, ValueError, ChangeRequest):  # Not chained, as above.
        raise Unauthenticated("The token is not one that Google signs.") from None
