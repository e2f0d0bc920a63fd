"""Everything that leaves over HTTP: one shared session, bounded in time and size, tried again only where that can help."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential
from yarl import URL

from functions.adapters.breaker import PROBE_SECONDS, Breaker, Restraint
from functions.core import strict_json
from functions.core.deadline import Deadline
from functions.core.errors import DeadlinePassed, Malformed, Upstream

MAX_BODY_BYTES = 2 * 1024 * 1024
"""A long reply of a model is 0.1 MB, a page of a calendar 0.5 MB. What is larger is a fault, and memory is shared by all requests."""

MAX_CONNECTIONS = 1000
"""The most requests that Cloud Run sends one instance at a time (https://cloud.google.com/run/docs/about-concurrency): none of them
waits for another's connection, as it would behind aiohttp's own 100, and a leak still ends somewhere."""

KEEPALIVE_SECONDS = 60.0
"""How long a connection waits for its next request: the one that is opened at the start must last until the first turn. One that the
other side closes sooner is not used again."""

MAX_ATTEMPTS = 3  # OpenAI's SDK retries twice
RETRYABLE = frozenset({408, 409, 429})  # and 5xx, as OpenAI's SDK does (wire.md 5.3)

_backoff = wait_random_exponential(multiplier=0.5, max=8)
"""Full jitter below 0.5 s, 1 s, … 8 s: instances that failed together must not return together."""

SERVER_FAILS = 500
"""From this status on a server says that it fails. Below, it is up, whatever it makes of the request: a 429 is the server speaking."""

T = TypeVar("T")


class Hopeless(Upstream):
    """An upstream failure that no further attempt would mend."""


class LeftAlone(Hopeless):
    """The upstream has failed too often, and nothing was sent."""


class TooMuch(Hopeless):
    """The upstream is up, and sent more than we read."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that does no harm when it is sent twice. `to` is what messages call the other side."""

    to: str
    method: str
    url: str | URL
    attempt_seconds: float
    """The longest that one attempt may take; the deadline may end it sooner."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str | Sequence[str]] = field(default_factory=dict, repr=False)
    """A parameter with several values is repeated."""
    json: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    """Sent as `application/x-www-form-urlencoded`, in place of `json`."""
    upstream: str = ""
    """What fails as one, and so shares a breaker and a retry budget; empty: the origin of `url`. A name from the settings or the code,
    never from a caller: each is remembered for ever."""
    status_suffices: bool = False
    """Whether the answer's body is not looked at, whatever it is."""
    patience_seconds: float = math.inf
    """How long after the first attempt began another may begin; a wait that leads beyond it ends the request at once."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. `json` is an object or an array; None where `status` is no success and the body is something else, or suffices."""

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
        failed = self.status in RETRYABLE or self.status >= SERVER_FAILS or (self.status >= 400 and opinion == "true")
        if failed:
            raise self.busy(Hopeless if opinion == "false" else Upstream)

    def busy(self, kind: type[Upstream] = Upstream) -> Upstream:
        """What to raise where the other side is busy or fails, with the wait that it asked for."""
        return kind(f"{self.sender} is busy or failing (status {self.status}); try again later.", retry_after=_told_wait(self.headers))


class Outgoing:
    """HTTP requests over one shared session per event loop, opened when the first is sent."""

    def __init__(self) -> None:
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._restraints: defaultdict[str, Restraint] = defaultdict(Restraint)

    async def send(self, request: Request, read: Callable[[Answer], T], deadline: Deadline) -> T:
        """What `read` makes of the answer, after up to three attempts. `read` raises Upstream for an answer that is worth another.

        Raises:
            Upstream: every attempt failed, another is not worth it (breaker.py) or would not fit the deadline, or none was made at all.
            DeadlinePassed: the deadline passed.
            CantileverError: whatever else `read` raises, at once.
        """
        restraint = self._restraints[request.upstream or _origin(request.url)]
        last = Deadline(min(deadline.at, deadline.clock() + request.patience_seconds), deadline.clock)

        async def attempt(failed: list[Upstream]) -> T:
            if failed:
                raise failed.pop()
            try:
                value = read(await self._attempt(request, restraint.breaker))
            except LeftAlone:
                raise
            except Upstream:
                restraint.budget.failed()
                raise
            restraint.budget.succeeded()
            return value

        try:
            async with deadline.limit():
                await asyncio.sleep(0)  # A deadline that has passed ends the request here, before anything is sent.
                try:
                    return await attempt([])
                except Hopeless:
                    raise
                except Upstream as error:
                    # Only now: tenacity's own time for each request is a quarter of a turn with tools (tests/bench/RESULTS.md).
                    return await _retrying(last, restraint)(attempt, [error])
        except TimeoutError as error:
            raise DeadlinePassed(f"{request.to} did not answer before the deadline.") from error

    async def open(self, to: str, url: str | URL, deadline: Deadline) -> None:
        """Open a connection to the origin of `url` for the request to come. What is asked for, and how it is answered, does not matter.

        It is tried once; no breaker hinders it, and none learns from it.

        Raises:
            Upstream: there is no answer.
            DeadlinePassed: the deadline passed.
        """
        try:
            async with deadline.limit():
                with _translated(to):
                    async with self._session().head(URL(url).origin(), allow_redirects=False):
                        return
        except TimeoutError as error:
            raise DeadlinePassed(f"{to} did not answer before the deadline.") from error

    async def close(self) -> None:
        """Close the running loop's session; a request after this opens a new one."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    async def _attempt(self, request: Request, breaker: Breaker) -> Answer:
        """One attempt, if the upstream is not left alone, and what it tells of the upstream. Cancelled, it tells nothing."""
        clock = asyncio.get_running_loop().time
        began = clock()
        if not breaker.admit(began):
            raise LeftAlone(
                f"{request.to} has failed again and again and is asked only once a second until it answers; try again later.",
                retry_after=timedelta(seconds=PROBE_SECONDS),
            )
        try:
            answer = await self._answer(request)
        except TooMuch:
            breaker.succeeded(began, clock())  # Who asks for too much must not close the upstream to all others.
            raise
        except Upstream:
            breaker.failed(began, clock())
            raise
        tell = breaker.failed if answer.status >= SERVER_FAILS else breaker.succeeded
        tell(began, clock())
        return answer

    async def _answer(self, request: Request) -> Answer:
        """What is answered to the request, sent once."""
        given = {"headers": request.headers, "params": request.params, "json": request.json, "data": request.form}
        with _translated(request.to):
            async with (
                asyncio.timeout(request.attempt_seconds),
                self._session().request(request.method, request.url, allow_redirects=False, **given) as response,
            ):
                body = None if request.status_suffices else await _json(request.to, response)
                return Answer(request.to, response.status, response.headers, body)

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._sessions[loop] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),  # One user's cookie must not travel with another's request.
                headers={"Accept-Encoding": "identity"},  # 200 KB of gzip may hold 200 MB.
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),  # `_answer` bounds each attempt.
                trust_env=False,
            )
        return self._sessions[loop]


def _origin(url: str | URL) -> str:
    try:
        return str(URL(url).origin())
    except ValueError:
        return str(url)  # It is no address, and aiohttp will say so.


@contextmanager
def _translated(to: str) -> Iterator[None]:
    """Foreign exceptions end here; those whose text holds the address, and so perhaps a key, are not chained."""
    try:
        yield
    except TimeoutError as error:  # A builtin, no ClientError: aiohttp raises it too.
        raise Upstream(f"{to} did not answer in time.") from error
    except aiohttp.ClientSSLError as error:
        raise Hopeless(f"{to} cannot be trusted: its TLS handshake or certificate is wrong.") from error
    except (aiohttp.ClientResponseError, aiohttp.InvalidURL):
        raise Upstream(f"{to} did not answer with HTTP that we understand.") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Upstream(f"{to} could not be reached, or broke off.") from error


async def _json(sender: str, response: aiohttp.ClientResponse) -> Any:
    """The body, read to its end or to the cap."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Hopeless(f"{sender} sent a compressed body, which we did not accept.")
    parts, size = [], 0  # Not one growing array: it would be copied again and again, and memory is shared by all requests.
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_BODY_BYTES:
            response.close()
            raise TooMuch(f"{sender} sent more than {MAX_BODY_BYTES} bytes.")
    try:
        value = strict_json.loads(b"".join(parts))
    except Malformed as error:
        if response.status >= 300:
            return None
        if isinstance(error, strict_json.TooRich):
            raise TooMuch(f"{sender} sent more than we read.") from error
        raise Upstream(f"{sender} did not answer with JSON.") from error
    if response.status < 300 and not isinstance(value, (dict, list)):
        raise Upstream(f"{sender} did not answer with a JSON object or array.")
    return value if isinstance(value, (dict, list)) else None


def _retrying(last: Deadline, restraint: Restraint) -> AsyncRetrying:
    """What tries again, until `last`; it bounds neither a running attempt nor its waits: the timeout around it and `stop` do."""
    return AsyncRetrying(
        sleep=asyncio.sleep,
        retry=retry_if_exception(lambda error: isinstance(error, Upstream) and not isinstance(error, Hopeless)),
        wait=_wait,
        stop=lambda state: state.attempt_number >= MAX_ATTEMPTS or state.upcoming_sleep >= last.left() or restraint.forbids_retry,
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
