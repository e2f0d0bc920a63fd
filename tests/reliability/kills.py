"""A1: turns survive SIGKILL of the processes that work on them."""

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass

from tests.firestore_double import FirestoreDouble
from tests.reliability.clients import RETRIES
from tests.reliability.echo import Echo
from tests.reliability.report import Row, Section
from tests.reliability.scene import Scene, scene, writing

TURNS_PER_KILL = 50
WRITERS = 16
PAUSE = (1.0, 3.0)
"""Seconds between two kills, at least and at most."""
WHOLE_SERVICE = 10
"""Every so many kills it is the whole service and not its worker."""
SLOW_SHARE = 0.05
"""Of the turns, those that become pending."""


def thinking() -> float:
    """Seconds of a model that is now and then slow."""
    return random.uniform(4.5, 7.0) if random.random() < SLOW_SHARE else random.uniform(0.1, 0.8)


async def measure(kills: int, pause: tuple[float, float] = PAUSE) -> Section:
    """Kill so many times, on each store; half as often where writers meet in their conversations."""
    rows, details = [], []
    for name, times, meeting in (
        ("Firestore", kills, False),
        ("Firestore, two writers in each", kills // 2, True),
        ("SQLite", kills // 2, False),
    ):
        played = _Killing(times, meeting, pause)
        firestore = None if name == "SQLite" else FirestoreDouble()
        async with scene(model=Echo(thinking), firestore=firestore, retries=(2 if meeting else 1) * RETRIES) as on_stage:
            await played.run(on_stage)
            broken = await on_stage.broken(in_vain=not meeting)
        calls, asked = len(on_stage.model.heard), len(on_stage.clients.asked)
        seen = (
            f"{asked:,} turns in {played.sessions} conversations, {played.kills} kills in {played.seconds:.0f} s; "
            f"{on_stage.clients.answered:,} answered, {calls - asked} calls of the model more than turns, of at most {played.at_risk} in flight; "
            f"slowest answer {on_stage.clients.slowest:.1f} s; {len(broken)} broken promises"
        )
        # Where writers meet, the second of two is asked again, and that is no loss.
        kept = not broken and on_stage.clients.answered == asked and (meeting or calls <= asked + played.at_risk)
        rows.append(Row(f"SIGKILL, {name}", seen, kept and on_stage.clients.slowest <= 5.5))
        details += broken[:5]
    return Section(
        "A1: turns survive SIGKILL",
        f"make reliability-kill SIZE={kills}",
        f"{WRITERS} clients on two processes; every {PAUSE[0]:g} to {PAUSE[1]:g} s the worker of one is killed, and every {WHOLE_SERVICE}th time\n"
        f"the whole service. {SLOW_SHARE:.0%} of the replies take 4.5 to 7 s, so that their turns are pending; the others take up to 0.8 s.\n"
        f"Clients send a question again up to {RETRIES} times, and twice as often where two write in each conversation: one waits for the other.",
        rows,
        details,
    )


@dataclass
class _Killing:
    """One run."""

    wanted: int
    meeting: bool
    """Whether two writers share each conversation."""
    pause: tuple[float, float]
    kills: int = 0
    at_risk: int = 0
    """Questions without an answer, over all kills, whose latest request was to the process that was killed."""
    sessions: int = 0
    seconds: float = 0.0

    async def run(self, on_stage: Scene) -> None:
        """Write and kill until there was enough of both."""
        began = time.monotonic()
        turns = self.wanted * TURNS_PER_KILL

        def enough() -> bool:
            return len(on_stage.clients.asked) >= turns and self.kills >= self.wanted

        asking = asyncio.create_task(writing(on_stage.clients, WRITERS, enough, meeting=self.meeting))
        while not asking.done():
            await asyncio.sleep(random.uniform(*self.pause))
            await self._kill(on_stage)
        await asking
        self.seconds = time.monotonic() - began
        self.sessions = len({question.session for question in on_stage.clients.asked})

    async def _kill(self, on_stage: Scene) -> None:
        world = random.choice(on_stage.worlds)
        if self.kills % WHOLE_SERVICE == WHOLE_SERVICE - 1:
            self.at_risk += on_stage.clients.open[world.url]
            await asyncio.to_thread(world.restart, signal.SIGKILL)
        else:
            worker = await asyncio.to_thread(lambda: world.worker)
            self.at_risk += on_stage.clients.open[world.url]
            os.kill(worker, signal.SIGKILL)
        self.kills += 1
