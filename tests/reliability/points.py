"""F29: SIGKILL at an exact point of a turn. The double of Firestore and the model know which point that is; the product knows nothing of it."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.firestore_double import FirestoreDouble, Rpc
from tests.reliability.echo import Echo
from tests.reliability.report import Row, Section
from tests.reliability.scene import Scene, arriving, scene

SESSIONS = 60
"""In turn, so that a question seldom meets the one before it."""

QUICK, SLOW = 0.2, 2.5
"""Seconds of the model: within the budget, and beyond that of CHAT_BUDGET_SECONDS=1.5."""

LONGEST = 60.0
"""Seconds; if no turn comes to the point within them, it is not where it is thought to be."""


@dataclass(frozen=True)
class Point:
    """A moment of a turn."""

    name: str
    moment: str
    """`before` or `after` the store's work, or `model`."""
    matches: Callable[[Rpc], bool] = lambda rpc: True
    slow: bool = False
    """Whether only a turn that becomes pending comes to it."""
    wait: float = 0.0
    """Seconds between the point and the death: enough for an acknowledgement to leave."""


def _reads(rpc: Rpc) -> bool:
    return rpc.kind == "BatchGetDocuments"


def _writes_turn(status: str) -> Callable[[Rpc], bool]:
    return lambda rpc: any(collection == "turns" and body and body["status"] == status for collection, body in rpc.writes)


def _renews(rpc: Rpc) -> bool:
    """The head alone, with a queue: the lease is renewed."""
    return [collection for collection, _ in rpc.writes] == ["conversations"] and bool((rpc.writes[0][1] or {}).get("queue"))


POINTS = (
    Point("before its first read", "before", _reads),
    Point("while the model thinks", "model"),
    Point("before its commit is applied", "before", _writes_turn("done")),
    Point("after its commit is applied, before it is acknowledged", "after", _writes_turn("done")),
    Point("after its commit is acknowledged, before the answer", "after", _writes_turn("done"), wait=0.0005),
    Point("before it is written as pending", "before", _writes_turn("pending"), slow=True),
    Point("after it is written as pending, before that is acknowledged", "after", _writes_turn("pending"), slow=True),
    Point("at a renewal of its lease", "before", _renews, slow=True),
    Point("before the commit of a pending turn is applied", "before", _writes_turn("done"), slow=True),
    Point("after the commit of a pending turn is applied, before it is acknowledged", "after", _writes_turn("done"), slow=True),
)


async def measure(times: int) -> Section:
    """Kill so many times at each point of a turn that is done in time, and a quarter as often at those of a pending one, which take 5 s each."""
    found = [await _at(point, max(1, times // 4) if point.slow else times) for point in POINTS]
    return Section(
        "F29: SIGKILL at every point of a turn",
        f"make reliability-points SIZE={times}",
        "Questions arrive at one of two processes. When one of them comes to the point, the worker is killed; clients go on with the other\n"
        "process, with the same key. For the pending turns the model takes 2.5 s and CHAT_BUDGET_SECONDS is 1.5.",
        [row for row, _ in found],
        [detail for _, details in found for detail in details],
    )


async def _at(point: Point, times: int) -> tuple[Row, list[str]]:
    killing = _Killing(point, times)
    model = Echo(lambda: _seconds(point), killing.by_model if point.moment == "model" else None)
    hooks: Mapping[str, Callable[[Rpc], object]] = {point.moment: killing.by_store} if point.moment != "model" else {}
    budget = {"CHAT_BUDGET_SECONDS": "1.5"} if point.slow else {}
    async with scene(model=model, firestore=FirestoreDouble(**hooks), **budget) as on_stage:  # type: ignore[arg-type]
        await killing.run(on_stage)
        broken = await on_stage.broken()
    asked = len(on_stage.clients.asked)
    seen = (
        f"{killing.kills} kills among {asked:,} turns; {on_stage.clients.answered:,} answered, "
        f"{len(model.heard) - asked} calls of the model more than turns, of at most {killing.at_risk} in flight; {len(broken)} broken promises"
    )
    kept = not broken and on_stage.clients.answered == asked and len(model.heard) <= asked + killing.at_risk
    return Row(f"SIGKILL {point.name}", seen, kept and killing.kills == times), broken[:3]


def _seconds(point: Point) -> float:
    """Most renewals are of turns that take longer than one period of 5 s."""
    return random.uniform(6, 8) if point.matches is _renews else SLOW if point.slow else QUICK


@dataclass
class _Killing:
    """One run: questions arrive until there were enough kills."""

    point: Point
    wanted: int
    kills: int = 0
    at_risk: int = 0
    on_stage: Scene | None = None
    armed: bool = False
    fired: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, on_stage: Scene) -> None:
        self.on_stage = on_stage
        # In turn at both, so that the process that lives has work of its own.
        rate = 5 if self.point.slow else 25
        asking = asyncio.create_task(arriving(on_stage.clients, rate, lambda _: self.kills >= self.wanted, SESSIONS))
        while self.kills < self.wanted and not asking.done():
            self.fired.clear()
            self.armed = True
            await asyncio.wait_for(self.fired.wait(), LONGEST)
            await asyncio.to_thread(lambda: on_stage.worlds[0].worker)  # There is a new one.
            await asyncio.sleep(random.uniform(0, 0.3))  # So that others are at other points when it dies.
        await asking

    async def by_store(self, rpc: Rpc) -> None:
        """A hook of the double."""
        assert self.on_stage is not None
        if self.armed and rpc.address == self.on_stage.addresses[0] and self.point.matches(rpc):
            await self._kill(self.on_stage)

    async def by_model(self, question: str, port: int) -> None:
        """A hook of the model."""
        assert self.on_stage is not None
        if self.armed and port == self.on_stage.ports[0]:
            await self._kill(self.on_stage)

    async def _kill(self, on_stage: Scene) -> None:
        self.armed = False
        world = on_stage.worlds[0]
        if self.point.wait:
            asyncio.get_running_loop().call_later(self.point.wait, self._end, on_stage, world.worker)
            return
        self._end(on_stage, world.worker)
        # What was on its way from a dead process does not arrive: nothing that the hook stands before may happen.
        await asyncio.Event().wait()

    def _end(self, on_stage: Scene, worker: int) -> None:
        self.at_risk += on_stage.clients.open[on_stage.worlds[0].url]
        os.kill(worker, signal.SIGKILL)
        self.kills += 1
        self.fired.set()
