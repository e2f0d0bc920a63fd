"""Turns that are asked at once, of two processes, on one conversation; and what came of it."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from tests import upstream
from tests.history import Asked, Heard, Kept, faults
from tests.world import started

THINKING = 0.01
"""Seconds that the model takes: enough for two turns to meet in the middle."""

AT_A_TIME = 4  # conversations; more only wait for two processors
GROUPS_OF_A_SHARED_SESSION = 10

WHOLE_PREFIX = {"BUFFER_MESSAGES": "200", "BUFFER_TOKENS": "140000"}
"""Settings with which the model sees up to 100 turns."""


@dataclass(frozen=True)
class Outcome:
    """What came of many groups of simultaneous turns."""

    groups: int
    turns: int
    errors: list[str]
    """Answers other than 200."""
    faults: list[str]
    """Broken promises (tests/history.py)."""
    model_calls: int
    seconds: float

    def broken(self, name: str) -> int:
        """How often the promise of this name was broken."""
        return sum(fault.startswith(name) for fault in self.faults)


class Echo:
    """A model whose replies are different each time, and that remembers what it was shown."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    async def reply(self, request: web.Request) -> web.Response:
        prompt = tuple(message["content"] for message in (await request.json())["messages"] if message["role"] != "system")
        reply = f"Reply {len(self.heard)} to {prompt[-1]}"
        self.heard.append(Heard(prompt, reply))
        await asyncio.sleep(THINKING)
        choice = {"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})


async def simultaneous(store: Mapping[str, str], groups: int, size: int = 2) -> Outcome:
    """Ask `groups` times `size` questions at once, in turn of two processes on `store`; half of the groups share conversations."""
    model = Echo()
    async with upstream.serving(model.reply) as server, aiohttp.ClientSession() as client:
        settings = {**store, **WHOLE_PREFIX, "OPENAI_BASE_URL": f"{server.url}/v1"}
        with started(**settings) as one, started(**settings) as other:
            clients = Clients(client, one.url, other.url)
            began = time.monotonic()
            waiting = _sessions(groups)

            async def talk() -> None:
                for session, times in waiting:
                    await clients.talk(session, times, size)

            await asyncio.gather(*(talk() for _ in range(AT_A_TIME)))
            seconds = time.monotonic() - began
            transcripts = await clients.transcripts()
    found = faults(clients.asked, transcripts, model.heard)
    return Outcome(groups, len(clients.asked), clients.errors, found, len(model.heard), seconds)


def _sessions(groups: int) -> Iterator[tuple[str, int]]:
    """Conversations, each with the number of groups that meet in it."""
    yield from ((f"own-{number}", 1) for number in range(groups // 2))
    shared = groups - groups // 2
    for number, first in enumerate(range(0, shared, GROUPS_OF_A_SHARED_SESSION)):
        yield f"shared-{number}", min(GROUPS_OF_A_SHARED_SESSION, shared - first)


class Clients:
    """Clients that ask, in turn, of each of `origins`, never ask again, and remember it all."""

    def __init__(self, client: aiohttp.ClientSession, *origins: str) -> None:
        self._client = client
        self._origins = origins
        self.asked: list[Asked] = []
        self.errors: list[str] = []

    async def talk(self, session: str, groups: int, size: int) -> None:
        """Ask groups of `size` questions at once, one group after the other."""
        for group in range(groups):
            await asyncio.gather(*(self.ask(session, f"{session}, {group}.{number}", number) for number in range(size)))

    async def ask(self, session: str, query: str, turn: int = 0) -> bool:
        """Ask one question, of the origin whose turn it is; whether it was answered."""
        sent = time.monotonic()
        origin = self._origins[turn % len(self._origins)]
        try:
            async with self._client.post(f"{origin}/chat", json={"query": query, "session_id": session}) as response:
                answer = json.loads(await response.read())
            if response.status == 200:
                self.asked.append(Asked(session, query, sent, time.monotonic(), answer["turn_id"], answer["answer"]))
                return True
            self.errors.append(f"{response.status} {answer['error']['code'] if 'error' in answer else answer['status']}")
        except aiohttp.ClientError as error:
            self.errors.append(type(error).__name__)
        self.asked.append(Asked(session, query, sent))
        return False

    async def transcripts(self) -> dict[str, list[Kept]]:
        """The transcripts of all conversations that were asked about."""
        return {session: await self._transcript(session) for session in {question.session for question in self.asked}}

    async def _transcript(self, session: str) -> list[Kept]:
        turns: list[Kept] = []
        page = {"next": ""}
        while "next" in page:
            query = {"limit": "100", "after": page["next"]}
            async with self._client.get(f"{self._origins[0]}/chat/{session}", params=query) as response:
                if response.status == 404:
                    return turns  # Nothing that was asked in it was ever kept.
                page = await response.json()
            turns += (Kept(turn["turn_id"], turn["query"], turn.get("answer")) for turn in page["turns"])
        return turns
