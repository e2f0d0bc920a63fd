"""A16 and F4 for the whole product: a minute in which the model fails, at a steady rate of questions, and its return."""

import asyncio
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.report import percentile
from tests.firestore_double import FirestoreDouble
from tests.reliability.clients import Exchange
from tests.reliability.echo import Echo
from tests.reliability.report import Row, Section
from tests.reliability.scene import Scene, arriving, scene

ARRIVALS = 20.0
"""Questions per second."""
BEFORE, LEARNING, AFTER = 5.0, 10.0, 10.0
"""Seconds before the outage; of it, until the product must have learnt; and after it."""
MODES = {"500": "every reply is 500", "429": "every reply is 429 with Retry-After: 1", "hang": "no reply comes"}
RECOVERY = 5.0
"""Seconds after its return, until every question is answered again."""


async def measure(seconds: int) -> Section:
    """An outage of so many seconds, in each of the ways."""
    found = [await _outage(mode, float(seconds)) for mode in MODES]
    return Section(
        "A16, F4: the model is out",
        f"make reliability-outage SIZE={seconds}",
        f"{ARRIVALS:g} questions a second, in turn of two processes, each in a conversation of its own; clients do not repeat them. After\n"
        f"{BEFORE:g} s the model is out. What is told is from {LEARNING:g} s of the outage on, but for the calls per turn of all of it.",
        [row for row, _ in found],
        [detail for _, details in found for detail in details],
    )


@dataclass(frozen=True)
class _Outage:
    """When it was, and what was seen of it; moments on the monotonic clock."""

    began: float
    ended: float
    calls: Sequence[float]
    """When the model was asked."""
    exchanges: Sequence[Exchange]

    def calls_per_turn(self, since: float) -> float:
        """How often the model was asked for each question that arrived in the outage, from `since` on."""
        calls = sum(since <= at < self.ended for at in self.calls)
        return calls / max(1, len(self.turns(since, self.ended)))

    def turns(self, since: float, until: float) -> list[Exchange]:
        """The questions that arrived then."""
        return [exchange for exchange in self.exchanges if not exchange.poll and since <= exchange.at < until]

    @property
    def recovery(self) -> float:
        """Seconds from the end of the outage to the first question from which on all were answered at once."""
        late = [exchange.at for exchange in self.turns(self.ended, float("inf")) if exchange.status != 200]
        return max(late, default=self.ended) - self.ended


async def _outage(mode: str, seconds: float) -> tuple[Row, list[str]]:
    model = Echo(lambda: 0.3)
    async with scene(model=model, firestore=FirestoreDouble(), retries=0) as on_stage:
        outage = await _played(on_stage, mode, seconds)
        broken = await on_stage.broken(within=150, errors=False)
    learnt = outage.began + LEARNING
    times = [exchange.seconds for exchange in outage.turns(learnt, outage.ended)]
    p99, calls = percentile(times, 0.99), outage.calls_per_turn(learnt)
    most = _most_in_a_second([at for at in outage.calls if learnt <= at < outage.ended])
    gaps = _gaps(on_stage, outage)
    jitter = statistics.pstdev(gaps) / statistics.mean(gaps) if len(gaps) > 1 else 0.0
    seen = (
        f"{calls:.2f} calls per turn once learnt ({outage.calls_per_turn(outage.began):.2f} in all), at most {most} in a second of two instances; "
        f"answers p99 {p99 * 1000:.0f} ms; {len(gaps)} repeats after {min(gaps, default=0):.2f} s or more, variation {jitter:.2f}; "
        f"all answered {outage.recovery:.1f} s after its return; slowest answer {on_stage.clients.slowest:.1f} s; {len(broken)} broken promises"
    )
    # Who hangs does not fail for 30 s: until then its turns are pending when their time is up.
    quickly = p99 <= (5.5 if mode == "hang" else 0.3)
    kept = not broken and calls <= 1.1 and quickly and outage.recovery <= RECOVERY and on_stage.clients.slowest <= 5.5
    manners = min(gaps, default=1.0) >= 1.0 if mode == "429" else len(gaps) < 2 or jitter >= 0.3
    return Row(MODES[mode], seen, kept and manners), broken[:5]


async def _played(on_stage: Scene, mode: str, seconds: float) -> _Outage:
    """Let questions arrive before, in and after the outage."""
    started = time.monotonic()
    length = BEFORE + seconds + AFTER
    asking = asyncio.create_task(arriving(on_stage.clients, ARRIVALS, lambda _: time.monotonic() > started + length, sessions=1_000_000))
    await asyncio.sleep(BEFORE)
    began, on_stage.model.fail = time.monotonic(), mode
    await asyncio.sleep(seconds)
    ended, on_stage.model.fail = time.monotonic(), ""
    await asking
    return _Outage(began, ended, [heard.at for heard in on_stage.model.heard], on_stage.clients.exchanges)


def _gaps(on_stage: Scene, outage: _Outage) -> list[float]:
    """Seconds between two calls for the same question, in the outage."""
    calls: dict[str, list[float]] = defaultdict(list)
    for heard in on_stage.model.heard:
        if outage.began <= heard.at < outage.ended:
            calls[heard.prompt[-1]].append(heard.at)
    return [later - earlier for times in calls.values() for earlier, later in itertools.pairwise(times)]


def _most_in_a_second(moments: Sequence[float]) -> int:
    return max((sum(at <= other < at + 1 for other in moments) for at in moments), default=0)
