"""One run: questions of one session, asked of all processes of a contestant at once, and what came of it."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp

from tests import upstream
from tests.history import Asked, Told, faults_of_messages
from tests.reliability import persistent
from tests.reliability.echo import Echo
from tests.reliability.peers.contestants import Contestant

SESSION = "shared"
AT_ONCE = (1, 8)
"""Questions that each process has open: alone in its process, and in numbers."""
ATTEMPTS = (1, 10)
"""How often a client asks at most."""
PROMISES = ("half", "interleaved", "stale", "lost", "doubled")


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    turns: int
    errors: list[str]
    """What the questions that were not answered in the end were told."""
    faults: list[str]
    """Broken promises (tests/history.py)."""
    model_calls: int
    seconds: float

    def broken(self, name: str) -> int:
        """How often the promise of this name was broken."""
        return sum(fault.startswith(name) for fault in self.faults)

    def examples(self) -> Iterator[str]:
        """Up to three of each kind, to be looked at."""
        yield from sorted(set(self.errors))[:3]
        for name in (*PROMISES, "foreign"):
            yield from [fault for fault in self.faults if fault.startswith(name)][:3]


async def together(contestant: Contestant, turns: int, *, processes: int = 2, at_once: int = 1, attempts: int = 1) -> Outcome:
    """Ask `turns` questions of one session, the same number of each process, `at_once` open at each."""
    model, asked, errors = Echo(), list[Asked](), list[str]()

    async def talk(origin: str, waiting: Iterator[str]) -> None:
        for query in waiting:
            sent = time.monotonic()
            told = await persistent.ask(client, origin, SESSION, query, attempts)
            answers = () if told.failure else (Told(time.monotonic(), told.body.get("turn_id", ""), "done", told.body["answer"]),)
            asked.append(Asked(SESSION, query, sent, answers))
            errors.extend([f"{told.status} {told.failure}"] if told.failure else ())

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        upstream.serving(model.reply) as server,
        aiohttp.ClientSession(connector=connector) as client,
        contestant.serving(f"{server.url}/v1", processes) as origins,
    ):
        await contestant.begin(client, origins[0], SESSION)
        began = time.monotonic()
        lines = [iter([f"Question {number} of process {place}" for number in range(turns // processes)]) for place in range(processes)]
        await asyncio.gather(*(talk(origin, line) for origin, line in zip(origins, lines, strict=True) for _ in range(at_once)))
        seconds = time.monotonic() - began
        messages = await contestant.messages(client, origins[0], SESSION)
    found = faults_of_messages(asked, messages, model.heard, contestant.shown)
    return Outcome(len(asked), errors, found, len(model.heard), seconds)
