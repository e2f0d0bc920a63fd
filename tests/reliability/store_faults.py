"""A13: what the store can do to turns (F16 to F22, and a store that hangs in everything)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from tests.bench.report import percentile
from tests.emulators import DurableFirestore
from tests.faultproxy import FaultProxy
from tests.firestore_double import FirestoreDouble
from tests.reliability.clients import Exchange
from tests.reliability.report import Row, Section
from tests.reliability.scene import Scene, arriving, scene, until, writing

WRITERS = 8
ARRIVALS = 20.0
"""Questions per second, while the store is out."""
REPEATS = 3
"""How often one is sent again then: up to four times as many requests arrive. Who has been refused so often has lost nothing, and was told so."""
BEFORE, RECOVERY = 2.0, 5.0
"""Seconds before it is out, and until all is well again."""


@dataclass(frozen=True)
class Sizes:
    """How much of each."""

    aborted: int
    """Turns with 30 % of commits ABORTED; half as many with the reads lagging."""
    lost: int
    """Turns with 5 % of acknowledgements lost."""
    restarted: int
    """Turns among which the store is killed three times."""
    outages: tuple[float, ...]
    """Seconds."""


async def measure(percent: int) -> Section:
    """Everything at so many percent of the full size; below a hundred the longest outages are left out."""
    outages = (1.0, 30.0, 600.0) if percent >= 100 else (2.0,)
    sizes = Sizes(2000 * percent // 100, 5000 * percent // 100, 3000 * percent // 100, outages)
    found: list[tuple[Row, list[str]]] = []
    for seconds in sizes.outages:
        # One after the other: four at a time would measure this machine's processors.
        found += [await _outage(way, seconds) for way in (WAYS if seconds <= 30 else ("its port is closed",))]
    found += [await _shares("F17: 30 % of commits are ABORTED", sizes.aborted, FirestoreDouble(abort_share=0.3), visible=0)]
    found += [await _shares("F18: 5 % of commits are applied and not acknowledged", sizes.lost, FirestoreDouble(lose_share=0.05))]
    found += [await _refused("F19", grpc.StatusCode.RESOURCE_EXHAUSTED, "503 store_unavailable")]
    found += [await _refused("F20", grpc.StatusCode.PERMISSION_DENIED, "502 upstream_refused")]
    found += [await _restarted(sizes.restarted)]
    found += [await _shares("F22: reads lag by 2 s", sizes.aborted // 2, FirestoreDouble(lag=2.0))]
    return Section(
        "A13: faults of the store",
        f"make reliability-store SIZE={percent}",
        f"Two processes on a double of Firestore. Outages: {ARRIVALS:g} questions a second; else {WRITERS} clients, each in conversations of its own.\n"
        f"Clients repeat what was refused, with the same key; in an outage {REPEATS} times.",
        [row for row, _ in found],
        [detail for _, details in found for detail in details],
    )


Way = Callable[[FirestoreDouble, FaultProxy, bool], Awaitable[None]]


async def _unavailable(firestore: FirestoreDouble, proxy: FaultProxy, out: bool) -> None:
    firestore.status = grpc.StatusCode.UNAVAILABLE if out else None


async def _hanging(firestore: FirestoreDouble, proxy: FaultProxy, out: bool) -> None:
    firestore.hang = out


async def _closed(firestore: FirestoreDouble, proxy: FaultProxy, out: bool) -> None:
    await (proxy.down() if out else proxy.up())


async def _silent(firestore: FirestoreDouble, proxy: FaultProxy, out: bool) -> None:
    proxy.blackhole = out
    if not out:
        proxy.end_all("reset")  # What was swallowed never comes: TCP would repeat it.


WAYS: Mapping[str, Way] = {
    "every RPC is UNAVAILABLE": _unavailable,
    "no RPC is answered": _hanging,
    "its port is closed": _closed,
    "its network is silent": _silent,
}


async def _outage(way: str, seconds: float) -> tuple[Row, list[str]]:
    """The store is out for a while, behind a proxy on which it can be cut off."""
    firestore = FirestoreDouble()
    async with AsyncExitStack() as stack:
        proxy = FaultProxy(await stack.enter_async_context(firestore.serve()))
        address = await stack.enter_async_context(proxy.serve())
        settings = {"STORE": "firestore", "FIRESTORE_EMULATOR_HOST": address, "GOOGLE_CLOUD_PROJECT": "demo-outage"}
        on_stage = await stack.enter_async_context(scene(retries=REPEATS, **settings))
        started, length = time.monotonic(), BEFORE + seconds + RECOVERY + 3
        asking = asyncio.create_task(arriving(on_stage.clients, ARRIVALS, lambda _: time.monotonic() > started + length))
        await asyncio.sleep(BEFORE)
        began = time.monotonic()
        await WAYS[way](firestore, proxy, True)
        await asyncio.sleep(seconds)
        await WAYS[way](firestore, proxy, False)
        ended = time.monotonic()
        await asking
        broken = await on_stage.broken(errors=False)
    during = [exchange for exchange in on_stage.clients.exchanges if began <= exchange.at < ended]
    late = [exchange for exchange in on_stage.clients.exchanges if exchange.at > ended + RECOVERY and exchange.status != 200]
    p99, slowest = percentile([exchange.seconds for exchange in during], 0.99), on_stage.clients.slowest
    silent = [exchange for exchange in during if exchange.status == 503 and not exchange.wait]
    seen = (
        f"{len(during):,} requests meanwhile, answered in p99 {p99:.1f} s, at most {slowest:.1f} s; {_codes(during)}; "
        f"{len(late)} not answered with 200 later than {RECOVERY:g} s after its return; "
        f"{on_stage.clients.answered:,} of {len(on_stage.clients.asked):,} questions answered, the others refused; {len(broken)} broken promises"
    )
    return Row(f"F16: {way}, {seconds:g} s", seen, not (broken or late or silent) and p99 <= 2.0 and slowest <= 5.5), broken[:5]


async def _shares(name: str, turns: int, firestore: FirestoreDouble, *, visible: int | None = None) -> tuple[Row, list[str]]:
    """A share of the store's work goes wrong, all the time; `visible`: so many refusals may be seen by clients at all."""
    async with scene(firestore=firestore) as on_stage:
        await _written(on_stage, turns)
        firestore.lag = 0.0  # The transcripts are read as they are.
        broken = await on_stage.broken()
    repeats, slowest = sum(on_stage.clients.repeats), on_stage.clients.slowest
    seen = (
        f"{on_stage.clients.answered:,} of {len(on_stage.clients.asked):,} turns answered, {repeats} repeats by clients, "
        f"{firestore.calls.count('Commit') / len(on_stage.clients.asked):.2f} commits per turn, slowest answer {slowest:.1f} s; "
        f"{len(broken)} broken promises"
    )
    return Row(name, seen, not broken and slowest <= 5.5 and (visible is None or repeats <= visible)), broken[:5]


async def _refused(number: str, status: grpc.StatusCode, code: str) -> tuple[Row, list[str]]:
    """Every RPC is refused for 5 s: nobody may storm, and the refusal has a stable name."""
    firestore = FirestoreDouble()
    async with scene(firestore=firestore, retries=0) as on_stage:
        firestore.status, before = status, len(firestore.calls)
        stop = time.monotonic() + 5
        await arriving(on_stage.clients, ARRIVALS, lambda _: time.monotonic() > stop)
        calls, refused = len(firestore.calls) - before, list(on_stage.clients.exchanges)
        firestore.status = None
        broken = await on_stage.broken(errors=False)
    codes = {f"{exchange.status} {exchange.code}" for exchange in refused}
    waits = {bool(exchange.wait) for exchange in refused if exchange.status == 503}
    seen = f"{len(refused)} questions, {_codes(refused)}; {calls / len(refused):.2f} RPCs per question; {len(broken)} broken promises"
    kept = not broken and codes == {code} and waits <= {True} and calls <= 1.1 * len(refused)
    return Row(f"{number}: every RPC is {status.name}", seen, kept), broken[:5]


async def _restarted(turns: int) -> tuple[Row, list[str]]:
    """The store is killed three times, and comes back with what it acknowledged."""
    with TemporaryDirectory() as folder:
        durable = DurableFirestore(Path(folder) / "log")
        await asyncio.to_thread(durable.start)
        try:
            settings = {"STORE": "firestore", "FIRESTORE_EMULATOR_HOST": durable.address, "GOOGLE_CLOUD_PROJECT": "demo-restarted"}
            async with scene(retries=40, **settings) as on_stage:
                asking = asyncio.create_task(_written(on_stage, turns))
                for part in (1, 2, 3):
                    await until(lambda share=part: on_stage.clients.answered >= turns * share // 4 or asking.done(), 600)
                    durable.kill()
                    await asyncio.sleep(1.0)
                    await asyncio.to_thread(durable.start)
                await asking
                broken = await on_stage.broken()
        finally:
            durable.kill()
    clients = on_stage.clients
    seen = (
        f"{clients.answered:,} of {len(clients.asked):,} turns answered, {_codes(clients.exchanges)}; slowest answer {clients.slowest:.1f} s; "
        f"{len(broken)} broken promises"
    )
    return Row("F21: the store is killed three times", seen, not broken and clients.slowest <= 5.5), broken[:5]


async def _written(on_stage: Scene, turns: int) -> None:
    await writing(on_stage.clients, WRITERS, lambda: len(on_stage.clients.asked) + WRITERS > turns)


def _codes(exchanges: list[Exchange]) -> str:
    """How many answers there were of each kind."""
    told = [f"{exchange.status or ''} {exchange.code}".strip() for exchange in exchanges]
    return ", ".join(f"{told.count(code)} x {code}" for code in sorted(set(told)))
