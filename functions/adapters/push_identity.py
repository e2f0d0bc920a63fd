"""Who pushes: the identity token that Pub/Sub shows, signed by Google for the subscription's service account.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

import re

from functions.adapters.google_signed import MAX_TOKEN, Claims, GoogleSigned
from functions.core.deadline import Deadline
from functions.core.errors import Forbidden, Unauthenticated


class _Claims(Claims):
    email: str = ""
    email_verified: bool = False


class PushIdentity:
    """`Identity` (core/push.py): the tokens that Google signs for `account` and for `audience`, both to the letter."""

    def __init__(self, signed: GoogleSigned, audience: str, account: str) -> None:
        self._signed = signed
        self._audience = audience
        self._account = account

    async def require(self, authorization: str | None, deadline: Deadline) -> None:
        """`Identity.require`. What a message says never comes from the token."""
        claims = await self._signed.claims(_Claims, _bearer(authorization), deadline)
        if claims.aud != self._audience:
            raise Unauthenticated("The token is meant for another service: PUSH_AUDIENCE is what the subscription must name.")
        if claims.email != self._account or not claims.email_verified:
            raise Forbidden("This account may not push here: PUSH_ACCOUNT names the one that may.")


class Anybody:
    """`Identity` for Google's emulator, which shows no token. Never where deployed."""

    async def require(self, authorization: str | None, deadline: Deadline) -> None:
        """Everybody may."""


def _bearer(authorization: str | None) -> str:
    """The token (RFC 6750 §2.1: the scheme's case does not matter)."""
    shown = (authorization or "")[: MAX_TOKEN + 1]
    found = re.fullmatch(r"(?i:bearer) +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", shown)
    if len(shown) > MAX_TOKEN or not found:
        raise Unauthenticated("This needs the token that Pub/Sub shows for the subscription's service account.")
    return found[1]
