"""The service account's own access token, for Vertex AI."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request

from functions.adapters.credentials import Fetched, Token
from functions.adapters.google_account import CLOUD_PLATFORM, account
from functions.core.errors import Refused, Upstream

EARLY = timedelta(minutes=3, seconds=45)
"""How long before its end a token is renewed: google-auth's own figure, just inside the 4 minutes in which Google hands out a new one."""

SECONDS = 10.0
"""The metadata server answers in milliseconds once it is there; right after a cold start google-auth asks it up to three times."""


async def find() -> Credentials:
    """The credentials of this place."""
    found, _ = await account(CLOUD_PLATFORM)
    return found


class GoogleToken(Fetched):
    """The access token of `credentials`, renewed before it ends. google-auth blocks, so it works in a thread."""

    def __init__(self, credentials: Callable[[], Awaitable[Credentials]] = find) -> None:
        super().__init__(self._renewed)
        self._find = credentials
        self._credentials: Credentials | None = None

    async def _renewed(self) -> Token:
        try:
            async with asyncio.timeout(SECONDS):
                found = self._credentials = self._credentials or await self._find()
                await asyncio.to_thread(found.refresh, Request())
        except (GoogleAuthError, TimeoutError) as error:
            # google-auth wraps a metadata server that is away in a RefreshError too.
            if isinstance(error, RefreshError) and not error.retryable and not isinstance(error.__cause__, TransportError):
                raise Refused("Google refuses this account an access token: check the service account, or set OPENAI_AUTH.") from error
            raise Upstream("Google gave no access token in time; try again later.") from error
        # google-auth's expiry is UTC without saying so.
        left = found.expiry.replace(tzinfo=UTC) - datetime.now(UTC) - EARLY if found.expiry else timedelta.max
        return Token(str(found.token), asyncio.get_running_loop().time() + left.total_seconds())
