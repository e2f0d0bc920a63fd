"""P1: how many turns a second of processor time carries, beside a bare proxy: `python -m tests.bench P1`."""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench import wire
from tests.bench.contestants import FIRESTORE, PROXY, SQLITE, Contestant, contestants
from tests.bench.report import Section, Verdict

MODEL_SECONDS = 0.3
ROUNDS, WINDOW_SECONDS = 3, 4.0
GOALS = {SQLITE: 0.30, FIRESTORE: 0.15}

METHOD = f"""500 callers on kept connections, each in a conversation of its own whose last 20 messages of 400 characters the model is sent; each asks
as soon as it has its answer. Where they are signed in each shows a token of their own.
The model answers after {MODEL_SECONDS:g} s. The proxy forwards the same 21 messages. The server is pinned to one core;
callers, model and emulator share the rest. Processor time is that of the server's process tree by /proc. {ROUNDS} windows of {WINDOW_SECONDS:g} s,
interleaved, medians; the ratio is taken round by round."""


@dataclass(frozen=True)
class Window:
    """What happened in one window."""

    turns: int
    wall: float
    cpu: float

    @property
    def per_cpu_second(self) -> float:
        return self.turns / self.cpu


async def measure() -> Section:
    """Run the contestants in turns."""
    windows: dict[str, list[Window]] = defaultdict(list)
    async with wire.Model(lambda: MODEL_SECONDS).serving() as model, contestants(model) as servers:
        for _ in range(ROUNDS):
            for name, contestant in servers.items():
                windows[name].append(await window(contestant))
    return _section(windows)


async def window(contestant: Contestant, seconds: float = WINDOW_SECONDS) -> Window:
    """Keep all callers asking, and look at the middle of it."""
    turns, going = 0, True

    async def ask(caller: wire.Caller, first: float) -> None:
        nonlocal turns
        await asyncio.sleep(first)
        while going:
            await caller.ask()
            turns += 1

    spread = MODEL_SECONDS / len(contestant.callers)
    asking = asyncio.gather(*(ask(caller, lane * spread) for lane, caller in enumerate(contestant.callers)))
    await asyncio.sleep(1.0)
    began, cpu, before = time.perf_counter(), contestant.server.cpu_seconds, turns
    await asyncio.sleep(seconds)
    measured = Window(turns - before, time.perf_counter() - began, contestant.server.cpu_seconds - cpu)
    going = False
    await asking
    return measured


def _section(windows: Mapping[str, Sequence[Window]]) -> Section:
    ratios = {
        name: [ours.per_cpu_second / bare.per_cpu_second for ours, bare in zip(found, windows[PROXY], strict=True)]
        for name, found in windows.items()
    }
    ratio = {name: statistics.median(found) for name, found in ratios.items()}
    rows = [
        (
            name,
            f"{ratio[name]:.0%} ({min(ratios[name]):.0%} to {max(ratios[name]):.0%})",
            f"{statistics.median(window.per_cpu_second for window in found):.0f}",
            f"{statistics.median(1000 / window.per_cpu_second for window in found):.2f}",
            f"{statistics.median(window.turns / window.wall for window in found):.0f}",
            f"{statistics.median(window.cpu / window.wall for window in found):.0%}",
        )
        for name, found in windows.items()
    ]
    verdicts = [
        Verdict("P1", f"{name}: turns per CPU second >= {goal:.0%} of a bare proxy's", f"{ratio[name]:.0%}", ratio[name] >= goal)
        for name, goal in GOALS.items()
        if name in ratio
    ]
    columns = ("server", "of the proxy", "turns per CPU second", "CPU ms per turn", "turns/s", "core busy")
    return Section("P1: turns per CPU second", METHOD, columns, rows, verdicts)
