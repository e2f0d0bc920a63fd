"""P2: what we add to the model's own time: `python -m tests.bench P2`."""

import asyncio
import math
import random
import time
from collections.abc import Mapping, Sequence

from tests.bench import wire
from tests.bench.contestants import SQLITE, contestants
from tests.bench.report import Section, Verdict, percentile

OPEN = {500: 1.5, 64: 1.5, 1: 0.1}
"""Open turns -> the model's median in seconds; a short one where a single caller has to give enough samples.
The most open turns come first: a connection may not be idle for 75 s."""
SIGMA, SECONDS = 0.35, 6.0
FLOOR = "callers to model, nothing between"

METHOD = f"""Each caller asks again as soon as it has its answer; they begin at random. The model waits log-normally (sigma {SIGMA}; median 1.5 s, at one
open turn 0.1 s), and tells in its answer how long it did wait; what is left of the caller's time is ours. Nothing is subtracted for the
callers' own share (the first rows) or for the store: on SQLite and on the emulator alike, its round trips are in. {SECONDS:g} s each, one run."""


async def measure() -> Section:
    """Run every contestant at every number of open turns."""
    dice, median = random.Random(20261122), 0.0
    found: dict[tuple[str, int], list[float]] = {}
    async with wire.Model(lambda: median * math.exp(SIGMA * dice.gauss(0, 1))).serving() as model, contestants(model) as servers:
        direct = await wire.connected(int(model.origin.rpartition(":")[2]), [wire.completion(lane) for lane in range(max(OPEN))])
        callers = {FLOOR: direct} | {name: contestant.callers for name, contestant in servers.items()}
        for in_flight, median in OPEN.items():
            for name, all_of_them in callers.items():
                found[name, in_flight] = await added(all_of_them[:in_flight], median)
    return _section(found)


async def added(callers: Sequence[wire.Caller], spread: float) -> list[float]:
    """Milliseconds that were added to each answer."""
    late = time.monotonic() + spread + SECONDS
    samples: list[float] = []

    async def ask(caller: wire.Caller) -> None:
        await asyncio.sleep(random.uniform(0, spread))
        while time.monotonic() < late:
            began = time.perf_counter()
            answer = await caller.ask()
            samples.append((time.perf_counter() - began) * 1000 - wire.waited(answer))

    await asyncio.gather(*(ask(caller) for caller in callers))
    return samples


def _section(found: Mapping[tuple[str, int], Sequence[float]]) -> Section:
    rows = [
        (name, str(in_flight), f"{percentile(added, 0.5):.1f}", f"{percentile(added, 0.99):.1f}", f"{max(added):.1f}", str(len(added)))
        for (name, in_flight), added in sorted(found.items(), key=lambda item: item[0][1])
    ]
    verdicts = [_verdict(found[SQLITE, in_flight], in_flight, 0.5, 5.0) for in_flight in OPEN]
    verdicts.append(_verdict(found[SQLITE, 64], 64, 0.99, 10.0))
    columns = ("between caller and model", "open turns", "added p50 ms", "p99 ms", "max ms", "turns")
    return Section("P2: latency added to the model's own", METHOD, columns, rows, verdicts)


def _verdict(added: Sequence[float], in_flight: int, share: float, goal: float) -> Verdict:
    measured = percentile(added, share)
    asked = f"{SQLITE}, {in_flight} open: added p{share * 100:.0f} <= {goal:g} ms"
    return Verdict("P2", asked, f"{measured:.1f} ms", measured <= goal)
