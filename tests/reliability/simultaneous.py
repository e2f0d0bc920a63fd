"""A2 and F30: turns that are asked at once, of two processes, on one conversation."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.reliability.report import Row, Section
from tests.reliability.scene import scene
from tests.reliability.stores import stores

AT_A_TIME = 4  # conversations; more only wait for two processors
GROUPS_OF_A_SHARED_SESSION = 10


@dataclass(frozen=True)
class Outcome:
    """What came of many groups of simultaneous turns."""

    turns: int
    broken: list[str]
    """Broken promises, and questions that nobody answered."""
    model_calls: int
    seconds: float


async def measure(pairs: int) -> Section:
    """Pairs, and a tenth as many groups of eight, on SQLite and on Google's emulator of Firestore where that is."""
    rows: list[Row] = []
    details: list[str] = []
    with stores(details) as found:
        for name, empty in found.items():
            for groups, size in ((pairs, 2), (max(1, pairs // 10), 8)):
                outcome = await simultaneous(empty(), groups, size)
                seen = (
                    f"{outcome.turns:,} turns in {outcome.seconds:.0f} s, {outcome.model_calls / outcome.turns:.2f} model calls per turn, "
                    f"{len(outcome.broken)} broken promises"
                )
                rows.append(Row(f"{groups:,} groups of {size} at once, {name}", seen, not outcome.broken))
                details += outcome.broken[:5]
    return Section(
        "A2, F30: simultaneous turns on one conversation",
        f"make reliability-pairs SIZE={pairs}",
        "Groups of questions, asked at the same moment of two processes that share a store; half of the groups have a conversation of their\n"
        "own, the others share one with nine more. Clients repeat a question that was refused, with the same key.",
        rows,
        details,
    )


async def simultaneous(store: Mapping[str, str], groups: int, size: int = 2) -> Outcome:
    """Ask `groups` times `size` questions at once, in turn of two processes on `store`; half of the groups share conversations."""
    async with scene(**store) as played:
        began = time.monotonic()
        waiting = _sessions(groups)

        async def talk() -> None:
            for session, times in waiting:
                await played.clients.talk(session, times, size)

        await asyncio.gather(*(talk() for _ in range(AT_A_TIME)))
        seconds = time.monotonic() - began
        return Outcome(len(played.clients.asked), await played.broken(in_vain=False), len(played.model.heard), seconds)


def _sessions(groups: int) -> Iterator[tuple[str, int]]:
    """Conversations, each with the number of groups that meet in it."""
    yield from ((f"own-{number}", 1) for number in range(groups // 2))
    shared = groups - groups // 2
    for number, first in enumerate(range(0, shared, GROUPS_OF_A_SHARED_SESSION)):
        yield f"shared-{number}", min(GROUPS_OF_A_SHARED_SESSION, shared - first)
