"""Clients as they should be: each question has a key, is sent again until it is answered, and polled while it is pending.

Everything they were told is remembered for tests/history.py, and every answer is held against the published document.
"""

import asyncio
import itertools
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jsonschema

from tests.history import Asked, Kept, Told

RETRIES = 10
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds before a question is sent again, at most: the pause is random below this, which doubles."""

LONGEST_WAIT = 30.0
"""Seconds; who is told to wait longer gives up."""

PATIENCE = 180.0
"""Seconds for which a question is polled and asked again: longer than any pending turn may take."""

PASSING = frozenset({"store_unavailable", "overloaded", "too_many_turns", "daily_limit_of_caller", "daily_limit_of_deployment"})
"""Failures of a request; every other one that a poll tells is the turn's own."""

POLLED_AT = ("/answer", "/chat")
"""Both are the same; taken in turn."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and what came of it."""

    at: float
    seconds: float
    origin: str
    poll: bool
    status: int
    """0: nothing came."""
    code: str
    """Of an error, or the name of what broke."""
    wait: float = 0.0
    """Seconds after which we may come back; 0: nothing was said of it."""


@dataclass
class _Question:
    """A question on its way."""

    session: str
    query: str
    key: str
    turn: int
    """The number of the origin that is asked first."""
    sent: float = field(default_factory=time.monotonic)
    told: list[Told] = field(default_factory=list)
    failures: int = 0
    polls: int = 0
    turn_id: str = ""
    """Of a pending turn, which is polled."""
    origin: str = ""
    """Where it was sent last."""
    error: str = ""
    """What stands in its way."""
    ended: bool = False


class Clients:
    """Clients that ask, in turn, of each of `origins`, and of the next one after a failure."""

    def __init__(self, client: aiohttp.ClientSession, *origins: str, retries: int = RETRIES, keyed: bool = True) -> None:
        self._client = client
        self._origins = origins
        self._retries = retries
        self._keyed = keyed
        self._shapes: Mapping[tuple[str, int], jsonschema.Draft202012Validator] = {}
        self._open: dict[int, _Question] = {}
        self._numbers = itertools.count()
        self.asked: list[Asked] = []
        self.errors: list[str] = []
        """How questions ended that have no answer, the retries included."""
        self.repeats: list[int] = []
        """How often each question, or a poll for it, had to be sent again."""
        self.exchanges: list[Exchange] = []
        self.misshapen: list[str] = []
        """Answers that are not as the published document says."""

    async def read_document(self) -> None:
        """Learn the shapes of answers; before this none is checked."""
        async with self._client.get(f"{self._origins[0]}/openapi.json") as response:
            document = await response.json()
        common = document["components"].get("responses", {})
        self._shapes = {
            (path, int(status)): jsonschema.Draft202012Validator({**_schema(told, common), "components": document["components"]})
            for path, methods in document["paths"].items()
            for status, told in methods.get("post", {}).get("responses", {}).items()
        }

    @property
    def open(self) -> Counter[str]:
        """How many questions have no answer yet, by the origin where each was sent last."""
        return Counter(question.origin for question in self._open.values())

    @property
    def answered(self) -> int:
        """How many questions have been answered."""
        return sum(question.done is not None for question in self.asked)

    @property
    def slowest(self) -> float:
        """Seconds of the exchange that took longest, of those that had an answer."""
        return max((exchange.seconds for exchange in self.exchanges if exchange.status), default=0.0)

    def codes(self) -> Counter[str]:
        """How often each status, with its code, was the answer."""
        return Counter(f"{exchange.status or ''} {exchange.code}".strip() for exchange in self.exchanges)

    async def talk(self, session: str, groups: int, size: int) -> None:
        """Ask groups of `size` questions at once, one group after the other."""
        for group in range(groups):
            await asyncio.gather(*(self.ask(session, f"{session}, {group}.{number}", number) for number in range(size)))

    async def ask(self, session: str, query: str, turn: int = 0) -> bool:
        """Ask one question until it is answered, has failed for good, or was tried too often; whether it was answered."""
        question = _Question(session, query, secrets.token_urlsafe(12), turn)
        number = next(self._numbers)
        self._open[number] = question
        try:
            while not question.ended:
                await self._once(question)
        finally:
            del self._open[number]
            self.asked.append(Asked(session, query, question.sent, tuple(question.told)))
            self.repeats.append(question.failures)
        if question.error:
            self.errors.append(question.error)
        return not question.error

    async def _once(self, question: _Question) -> None:
        """Send a question, or poll it, and wait as told."""
        question.origin = self._origins[(question.turn + question.failures) % len(self._origins)]
        exchange, body = await self._exchanged(question)
        now = exchange.at + exchange.seconds
        if exchange.status == 200:
            question.told.append(Told(now, body["turn_id"], "done", body["answer"]))
            question.ended, question.error = True, ""
        elif exchange.status == 202:
            question.turn_id, question.polls = body["turn_id"], question.polls + 1
            question.told.append(Told(now, question.turn_id, "pending"))
            question.error = "still pending"
            question.ended = now > question.sent + PATIENCE
            await asyncio.sleep(body["poll_after_ms"] / 1000)
        else:
            retryable = not exchange.status or bool(body["error"]["retryable"])
            if question.turn_id and exchange.status and exchange.code not in PASSING:
                question.told.append(Told(now, question.turn_id, "failed", retryable=retryable))
                question.turn_id = ""  # The same key begins it anew.
            question.error = f"{exchange.status or ''} {exchange.code}".strip()
            question.failures += 1
            question.ended = not retryable or question.failures > self._retries or exchange.wait > LONGEST_WAIT
            if not question.ended:
                await asyncio.sleep(max(exchange.wait, random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**question.failures))))

    async def _exchanged(self, question: _Question) -> tuple[Exchange, Any]:
        """One exchange, and the body of its answer."""
        poll = bool(question.turn_id)
        path = POLLED_AT[question.polls % 2] if poll else "/chat"
        body = {"session_id": question.session} | ({"turn_id": question.turn_id} if poll else {"query": question.query})
        headers = {"Idempotency-Key": question.key} if self._keyed and not poll else {}
        status, code, answer, wait, at = 0, "", None, 0.0, time.monotonic()
        try:
            async with self._client.post(question.origin + path, json=body, headers=headers) as response:
                answer = json.loads(await response.read())
                status, wait = response.status, float(response.headers.get("Retry-After") or 0)
            code = answer["error"]["code"] if status >= 400 else ""
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            code = type(error).__name__
        exchange = Exchange(at, time.monotonic() - at, question.origin, poll, status, code, wait)
        self.exchanges.append(exchange)
        if status and self._shapes:
            self._check(path, status, answer)
        return exchange, answer

    def _check(self, path: str, status: int, answer: Any) -> None:
        shape = self._shapes.get((path, status))
        if shape is None:
            self.misshapen.append(f"{path} {status}: not in the document")
            return
        self.misshapen += (f"{path} {status}: {error.message}" for error in shape.iter_errors(answer))

    async def transcripts(self, within: float = 0.0) -> dict[str, list[Kept]]:
        """The transcripts of all conversations that were asked about, read again until none has a pending turn or `within` passed."""
        late = time.monotonic() + within
        read: dict[str, list[Kept]] = {}
        unread = {question.session for question in self.asked}
        while unread:
            for session in unread:
                read[session] = await self._transcript(session)
            unread = {session for session in unread if any(turn.status == "pending" for turn in read[session])}
            if time.monotonic() >= late:
                break
            await asyncio.sleep(0.2 if unread else 0)
        return read

    async def _transcript(self, session: str) -> list[Kept]:
        turns: list[Kept] = []
        after: str | None = ""
        while after is not None:
            page = await self._page(session, after)
            turns += (Kept(turn["turn_id"], turn["query"], turn["status"], turn.get("answer")) for turn in page["turns"])
            after = page.get("next")
        return turns

    async def _page(self, session: str, after: str) -> Any:
        """A page of a transcript; the first may be missing, where nothing that was asked was ever kept."""
        for attempt in range(RETRIES):
            origin = self._origins[attempt % len(self._origins)]
            try:
                async with self._client.get(f"{origin}/chat/{session}", params={"limit": "100", "after": after}) as response:
                    if response.status == 404:
                        return {"turns": []}
                    if response.status == 200:
                        return await response.json()
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(0.1 * 2**attempt)
        raise RuntimeError(f"The transcript of {session} cannot be read.")


def _schema(told: Any, common: Mapping[str, Any]) -> Any:
    """The schema of a published response, which may be one that all operations have."""
    return (common[told["$ref"].rpartition("/")[2]] if "$ref" in told else told)["content"]["application/json"]["schema"]


@asynccontextmanager
async def talking(*origins: str, retries: int = RETRIES, timeout: float = 30.0) -> AsyncIterator[Clients]:  # noqa: ASYNC109 - of each exchange
    """Clients of `origins` that know the published document and wait so many seconds for an answer."""
    # No limit of their own: what waits, waits at the product.
    connector, limit = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=timeout)
    async with aiohttp.ClientSession(connector=connector, timeout=limit, trust_env=False) as session:
        clients = Clients(session, *origins, retries=retries)
        await clients.read_document()
        yield clients
