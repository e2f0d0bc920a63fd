"""Our access tokens: what they say, who signs them, who verifies them. Neither the store nor anybody else is asked for that.

They are JWTs after RFC 9068. What they do not say is whether the grant still lives: core/access.py reads that with what a request reads anyway.
"""

from collections.abc import Collection
from typing import Protocol

from pydantic import ConfigDict, Field

from functions.core.shape import Shape


class AccessClaims(Shape):
    """What an access token says."""

    model_config = ConfigDict(frozen=True)

    iss: str
    aud: str
    """The one resource that it is for."""
    sub: str = Field(min_length=1)
    """Our name for the user."""
    client_id: str
    scope: str
    """The capabilities that were allowed when it was signed. It decides nothing: the stored consent does."""
    exp: int
    iat: int
    """Seconds since 1970."""
    jti: str
    grant: str = Field(min_length=1)
    """The family that it belongs to (core/oauth/records.py)."""


class Signer(Protocol):
    """Signs access tokens; the auth function alone has one."""

    def sign(self, claims: AccessClaims) -> str:
        """The token, compact."""


class Verifier(Protocol):
    """Verifies access tokens with public keys."""

    def verify(self, token: str, audiences: Collection[str], now: float) -> AccessClaims:
        """What a token says, once it is known to be ours, of now (`now` is in seconds since 1970), and for one of `audiences`.

        Raises:
            Unauthenticated: it is not; the message repeats nothing of it.
        """
