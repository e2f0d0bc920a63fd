"""Who signed in, said in a JWT that Google signs: https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload"""

import base64
import functools
import hashlib
import secrets
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

ISSUER = "https://accounts.google.com"
"""The emulator's too, wherever it is served: who checks the issuer checks it against Google's."""


@functools.cache
def _first_key() -> RSAKey:
    """One for the whole process: making one takes a tenth of a second."""
    return _new_key()


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(20), "use": "sig", "alg": "RS256"})


class Keys:
    """The keys that Google shows; the last one signs."""

    def __init__(self) -> None:
        self._keys = [_first_key()]

    def rotate(self) -> None:
        """Sign with a new key from now on; the one before stays to be seen, older ones go."""
        self._keys = [self._keys[-1], _new_key()]

    def published(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517)."""
        return {"keys": [key.as_dict(private=False) for key in self._keys]}

    def signed(self, claims: dict[str, Any]) -> str:
        """A JWT of the claims."""
        key = self._keys[-1]
        return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "JWT"}, claims, key)


def at_hash(access_token: str) -> str:
    """What ties an ID token to the access token beside it (OpenID Connect Core §3.1.3.6)."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()
