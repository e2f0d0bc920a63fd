"""The service account's own token; test_chat_completions.py has it with Google's metadata server."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError, TransportError

from functions.adapters.google_token import GoogleToken
from functions.core.errors import CantileverError, DeadlinePassed, Refused, Upstream
from tests.deadlines import soon


class Numbered(Credentials):
    """Credentials whose every refresh gives the next token, for `lifetime`; a refresh takes `seconds` and blocks."""

    def __init__(self, lifetime: timedelta, seconds: float = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lifetime = lifetime
        self.seconds = seconds
        self.refreshed = 0

    def refresh(self, request: Any) -> None:
        time.sleep(self.seconds)
        self.refreshed += 1
        self.token = f"ya29.{self.refreshed}"
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + self.lifetime


class Failing(Credentials):
    """Credentials whose refresh fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.error = error

    def refresh(self, request: Any) -> None:
        raise self.error


def token_of(credentials: Credentials) -> GoogleToken:
    async def find() -> Credentials:
        return credentials

    return GoogleToken(find)


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    ending, lasting = Numbered(timedelta(minutes=3)), Numbered(timedelta(minutes=60))
    short, long = token_of(ending), token_of(lasting)

    assert [await short.token(soon(5)) for _ in range(2)] == ["ya29.1", "ya29.2"]
    assert [await long.token(soon(5)) for _ in range(2)] == ["ya29.1", "ya29.1"]


async def test_a_refused_token_is_renewed() -> None:
    credentials = Numbered(timedelta(minutes=60))
    token = token_of(credentials)
    await token.token(soon(5))

    assert await token.token(soon(5), refused="ya29.1") == "ya29.2"


async def test_fifty_callers_cause_one_refresh_and_block_nobody() -> None:
    credentials = Numbered(timedelta(minutes=60), seconds=0.8)
    token = token_of(credentials)
    callers = asyncio.gather(*(token.token(soon(5)) for _ in range(50)))
    longest = 0.0
    while not callers.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)

    assert set(await callers) == {"ya29.1"}
    assert credentials.refreshed == 1
    assert longest < 0.6


async def test_a_refresh_that_blocks_does_not_hold_the_deadline() -> None:
    credentials = Numbered(timedelta(minutes=60), seconds=0.5)
    deadline = soon(0.1)

    with pytest.raises(DeadlinePassed):
        await token_of(credentials).token(deadline)

    assert deadline.clock() - deadline.at <= 0.3


def raised(kind: Any, message: str = "ya29.secret", cause: Exception | None = None, **more: Any) -> Exception:
    """An exception of google-auth, which is typed in part only."""
    error: Exception = kind(message, **more)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (raised(RefreshError, "invalid_grant ya29.secret"), Refused),
        (raised(RefreshError, retryable=True), Upstream),
        (raised(TransportError), Upstream),
        (raised(RefreshError, cause=raised(TransportError)), Upstream),
    ],
    ids=["grant withdrawn", "busy", "unreachable", "metadata server unreachable"],
)
async def test_each_failure_says_who_can_mend_it_and_shows_no_token(error: Exception, kind: type[CantileverError]) -> None:
    with pytest.raises(kind) as caught:
        await token_of(Failing(error)).token(soon(5))

    assert "ya29.secret" not in caught.value.message
