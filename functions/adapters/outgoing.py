"""Everything that leaves over HTTP: one shared session, bounded in time and size, tried again only where that can help."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential
from yarl import URL

from functions.core import strict_json
from functions.core.deadline import Deadline
from functions.core.errors import DeadlinePassed, Malformed, Upstream

MAX_BODY_BYTES = 2 * 1024 * 1024
"""A long reply of a model is 0.1 MB, a page of a calendar 0.5 MB. What is larger is a fault, and memory is shared by all requests."""

MAX_CONNECTIONS = 1000
"""The most requests that Cloud Run sends one instance at a time (https://cloud.google.com/run/docs/about-concurrency): none of them
waits for another's connection, as it would behind aiohttp's own 100, and a leak still ends somewhere."""

MAX_ATTEMPTS = 3  # OpenAI's SDK retries twice
RETRYABLE = frozenset({408, 409, 429})  # and 5xx, as OpenAI's SDK does (wire.md 5.3)

_backoff = wait_random_exponential(multiplier=0.5, max=8)
"""Full jitter below 0.5 s, 1 s, … 8 s: instances that failed together must not return together."""

T = TypeVar("T")


class Hopeless(Upstream):
    """An upstream failure that no further attempt would mend."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that does no harm when it is sent twice. `to` is what messages call the other side."""

    to: str
    method: str
    url: str | URL
    attempt_seconds: float
    """The longest that one attempt may take; the deadline may end it sooner."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. `json` is an object or an array; None only where `status` is no success and the body is something else."""

    sender: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    json: Any = field(repr=False)

    def require_served(self) -> None:
        """Pass unless the other side failed or is busy, in its own opinion (`x-should-retry`) or by its status.

        Raises:
            Upstream: with the wait that it asked for.
        """
        opinion = self.headers.get("x-should-retry")
        failed = self.status in RETRYABLE or self.status >= 500 or (self.status >= 400 and opinion == "true")
        if failed:
            kind = Hopeless if opinion == "false" else Upstream
            raise kind(f"{self.sender} is busy or failing (status {self.status}); try again later.", retry_after=_told_wait(self.headers))


class Outgoing:
    """HTTP requests over one shared session per event loop, opened when the first is sent."""

    def __init__(self) -> None:
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    async def send(self, request: Request, read: Callable[[Answer], T], deadline: Deadline) -> T:
        """What `read` makes of the answer, after up to three attempts. `read` raises Upstream for an answer that is worth another.

        Raises:
            Upstream: every attempt failed, or the wait before the next would not fit the deadline.
            DeadlinePassed: the deadline passed.
            CantileverError: whatever else `read` raises, at once.
        """

        async def attempt(failed: list[Upstream]) -> T:
            if failed:
                raise failed.pop()
            return read(await self._answer(request))

        try:
            async with deadline.limit():
                await asyncio.sleep(0)  # A deadline that has passed ends the request here, before anything is sent.
                try:
                    return await attempt([])
                except Hopeless:
                    raise
                except Upstream as error:
                    # Only now: tenacity's own time for each request is a quarter of a turn with tools (tests/bench/RESULTS.md).
                    return await _retrying(deadline)(attempt, [error])
        except TimeoutError as error:
            raise DeadlinePassed(f"{request.to} did not answer before the deadline.") from error

    async def close(self) -> None:
        """Close the running loop's session; a request after this opens a new one."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    async def _answer(self, request: Request) -> Answer:
        """One attempt. Foreign exceptions end here; those whose text holds the address, and so perhaps a key, are not chained."""
        given = {"headers": request.headers, "params": request.params, "json": request.json}
        try:
            async with (
                asyncio.timeout(request.attempt_seconds),
                self._session().request(request.method, request.url, allow_redirects=False, **given) as response,
            ):
                return Answer(request.to, response.status, response.headers, await _json(request.to, response))
        except TimeoutError as error:  # A builtin, no ClientError: aiohttp raises it too.
            raise Upstream(f"{request.to} did not answer in time.") from error
        except aiohttp.ClientSSLError as error:
            raise Hopeless(f"{request.to} cannot be trusted: its TLS handshake or certificate is wrong.") from error
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL):
            raise Upstream(f"{request.to} did not answer with HTTP that we understand.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Upstream(f"{request.to} could not be reached, or broke off.") from error

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._sessions[loop] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),  # One user's cookie must not travel with another's request.
                headers={"Accept-Encoding": "identity"},  # 200 KB of gzip may hold 200 MB.
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),  # `_answer` bounds each attempt.
                trust_env=False,
            )
        return self._sessions[loop]


async def _json(sender: str, response: aiohttp.ClientResponse) -> Any:
    """The body, read to its end or to the cap."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Hopeless(f"{sender} sent a compressed body, which we did not accept.")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            response.close()
            raise Hopeless(f"{sender} sent more than {MAX_BODY_BYTES} bytes.")
    try:
        value = strict_json.loads(bytes(body))
    except Malformed as error:
        if response.status < 300:
            raise Upstream(f"{sender} did not answer with JSON.") from error
        return None
    if response.status < 300 and not isinstance(value, (dict, list)):
        raise Upstream(f"{sender} did not answer with a JSON object or array.")
    return value if isinstance(value, (dict, list)) else None


def _retrying(deadline: Deadline) -> AsyncRetrying:
    """What tries again; it bounds neither a running attempt nor its waits: the timeout around it and `stop` do."""
    return AsyncRetrying(
        sleep=asyncio.sleep,
        retry=retry_if_exception(lambda error: isinstance(error, Upstream) and not isinstance(error, Hopeless)),
        wait=_wait,
        stop=lambda state: state.attempt_number >= MAX_ATTEMPTS or state.upcoming_sleep >= deadline.left(),
        reraise=True,
    )


def _wait(state: RetryCallState) -> float:
    """Seconds to the next attempt: as told, or else as `_backoff` says."""
    error = state.outcome.exception() if state.outcome else None
    told = error.retry_after if isinstance(error, Upstream) else None
    return told.total_seconds() if told else _backoff(state)


def _told_wait(headers: Mapping[str, str]) -> timedelta | None:
    """The wait that an answer asks for: `retry-after-ms` (OpenAI, Azure), or `Retry-After` in seconds or as a date (RFC 9110 §10.2.3)."""
    for name, unit in (("retry-after-ms", timedelta(milliseconds=1)), ("Retry-After", timedelta(seconds=1))):
        try:
            wait = unit * float(headers.get(name, ""))
        except (ValueError, OverflowError):
            continue
        if wait > timedelta(0):
            return wait
    try:
        # Against the answer's own Date: then neither clock has to be right.
        wait = parsedate_to_datetime(headers["Retry-After"]) - parsedate_to_datetime(headers["Date"])
    except (LookupError, ValueError, TypeError):
        return None
    return wait if wait > timedelta(0) else None
