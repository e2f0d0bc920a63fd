"""An upstream that is out for a while: what it is asked meanwhile, what callers are told, and how soon it is found again.

`make outage OUTAGE=60` prints a line for each fault (reliability.md F4, A16) and ends with 1 where a promise was broken. The upstream is
a process of its own, this one is the instance: twenty requests a second through `Outgoing`, each within a chat's 3.8 s. Where the
machine is busy with other things, gaps and answers are longer and say less.
"""

import asyncio
import bisect
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from aiohttp import web

from functions.adapters.outgoing import Answer, LeftAlone, Outgoing, Request
from functions.core.errors import DeadlinePassed, Upstream
from tests import upstream
from tests.deadlines import soon
from tests.upstream import answer, serving

RATE = 20  # requests a second
BUDGET = 3.8  # seconds for each, as the model has in a chat

FAULTS = {
    "500": answer({}, status=500),
    "503, Retry-After: 1": answer({}, status=503, headers={"Retry-After": "1"}),
    "429, Retry-After: 1": answer({}, status=429, headers={"Retry-After": "1"}),
    "reset": upstream.reset,
}


@dataclass(frozen=True)
class Told:
    """How a request ended."""

    began: float
    ended: float
    how: str


@dataclass(frozen=True)
class Outage:
    """What was seen of an outage. Moments are the machine's monotonic clock, which all its processes share."""

    fault: str
    began: float
    healed: float
    settled: float
    """From this moment of the outage on it is judged: the breaker has had its time to open."""
    told: list[Told]
    calls: dict[str, list[float]]
    """When the upstream was asked, for each request."""

    @property
    def requests(self) -> list[Told]:
        """Those that are judged."""
        return [told for told in self.told if self.settled <= told.began < self.healed]

    @property
    def asked(self) -> list[float]:
        """The judged moments at which the upstream was asked."""
        return sorted(moment for moments in self.calls.values() for moment in moments if self.settled <= moment < self.healed)

    @property
    def busiest_second(self) -> int:
        """The most calls that arrive within a second, or rather 0.95 s: they need not all be as long on their way."""
        return max((bisect.bisect_left(self.asked, moment + 0.95) - n for n, moment in enumerate(self.asked)), default=0)

    @property
    def slowest(self) -> float:
        """The 99th percentile of the answers, in milliseconds."""
        return statistics.quantiles((told.ended - told.began for told in self.requests), n=100)[98] * 1000

    @property
    def recovery(self) -> float:
        """Seconds from the end of the outage until all that begin are answered."""
        later = [told for told in self.told if told.began >= self.healed]
        failed = [told.began for told in later if told.how != "answered"]
        answered = [told.ended for told in later if told.how == "answered" and told.began > max(failed, default=0)]
        return min(answered, default=float("inf")) - self.healed

    @property
    def gaps(self) -> list[float]:
        """The waits before attempts that were not the first."""
        return [second - first for moments in self.calls.values() for first, second in pairwise(moments)]

    @property
    def variation(self) -> float:
        """The coefficient of variation of the gaps; not a number where there are too few."""
        if len(self.gaps) < 2:
            return float("nan")
        return statistics.stdev(self.gaps) / statistics.mean(self.gaps)

    def broken(self) -> list[str]:
        """The promises that were not kept."""
        waits = "Retry-After" in self.fault
        is_left_alone = not self.fault.startswith("429")
        promises = {
            "at most 1.1 calls for each request": len(self.asked) <= 1.1 * len(self.requests),
            "a probe a second": not is_left_alone or self.busiest_second <= 1,
            "answers within 300 ms": self.slowest <= 300,
            "found again within 5 s": self.recovery <= 5,
            "no two gaps alike": waits or self.variation >= 0.3,
            "nothing before Retry-After": not waits or min(self.gaps, default=1) >= 1,
        }
        return [f"{self.fault}: not kept: {promise}" for promise, is_kept in promises.items() if not is_kept]

    def row(self) -> str:
        """A line of the table."""
        return (
            f"| {self.fault} | {self.healed - self.began:.0f} | {len(self.requests):,} | {len(self.asked):,} "
            f"| {len(self.asked) / len(self.requests):.3f} | {self.busiest_second} | {self.slowest:.0f} | {self.recovery:.2f} "
            f"| {len(self.gaps)} | {min(self.gaps, default=float('nan')):.3f} | {self.variation:.2f} |"
        )


HEADING = """| fault | seconds | requests | calls | calls per request | busiest second | p99 ms | recovery s | retries | least gap s | variation of gaps |
|---|---|---|---|---|---|---|---|---|---|---|"""


async def outage(fault: str, seconds: float, settling: float, after: float) -> Outage:
    """Ask through an outage of so many seconds, judged after `settling`, and for `after` seconds more."""
    loop, outgoing = asyncio.get_running_loop(), Outgoing()
    began = loop.time() + 1.5
    healed = began + seconds
    async with _failing(fault, healed) as (url, calls):
        asking = []
        for number in range(round((seconds + after) * RATE)):
            await asyncio.sleep(began + number / RATE - loop.time())
            asking.append(asyncio.create_task(_ask(outgoing, url, number)))
        told = await asyncio.gather(*asking)
    await outgoing.close()
    return Outage(fault, began, healed, began + settling, told, calls)


async def _ask(outgoing: Outgoing, url: str, number: int) -> Told:
    """Ask once, as an adapter does."""
    clock = asyncio.get_running_loop().time
    began, how = clock(), "answered"
    try:
        await outgoing.send(Request("The upstream", "POST", url, 10, headers={"X-Number": str(number)}), _read, soon(BUDGET))
    except LeftAlone:
        how = "left alone"
    except Upstream:
        how = "failed"
    except DeadlinePassed:
        how = "out of time"
    return Told(began, clock(), how)


def _read(answer: Answer) -> Any:
    answer.require_served()
    return answer.json


@asynccontextmanager
async def _failing(fault: str, until: float) -> AsyncIterator[tuple[str, dict[str, list[float]]]]:
    """The upstream's address, and the calls that it has seen, which are there once the block has ended."""
    calls: dict[str, list[float]] = defaultdict(list)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.reliability.outage", fault, str(until)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    try:
        yield url, calls
    finally:
        told, _ = await process.communicate(b"")  # The end of its input ends it.
    for number, moment in json.loads(told):
        calls[number].append(moment)


async def _fail(fault: str, until: float) -> None:
    """Be the upstream: fail until a moment, then answer; tell the address first, and the calls once the input ends."""
    clock = asyncio.get_running_loop().time

    async def step(request: web.Request) -> web.StreamResponse:
        return await (FAULTS[fault] if clock() < until else answer({}))(request)

    async with serving(step) as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps([(received.headers["X-Number"], received.at) for received in server.received]))


async def measured(seconds: float) -> list[str]:
    """Print the table; the promises that were broken."""
    outages = await asyncio.gather(*(outage(fault, seconds, settling=min(10, seconds / 2), after=10) for fault in FAULTS))
    print(HEADING, *(outage.row() for outage in outages), sep="\n")
    return [promise for outage in outages for promise in outage.broken()]


def main(arguments: list[str]) -> int:
    """Measure, or be the upstream of whoever does."""
    if len(arguments) == 2:
        asyncio.run(_fail(arguments[0], float(arguments[1])))
        return 0
    broken = asyncio.run(measured(float(arguments[0]) if arguments else 60))
    print(*broken, sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
