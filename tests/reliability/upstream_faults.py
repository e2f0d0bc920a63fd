"""A4: everything that a model's server can do to a turn (F1 to F10, F12, F15): answers come within the budget, and nothing is kept by half."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from infra.local.model_faults import FAULTS
from tests import upstream
from tests.reliability.clients import Clients, talking
from tests.reliability.echo import FAILURES, Echo
from tests.reliability.report import Row, Section
from tests.world import World, running

AT_ONCE = 8
"""Clients of one mode."""
MODES_AT_ONCE = 4

TURN_SECONDS = "6"
"""So that a server that hangs costs a turn and not two minutes."""

LONGEST_ANSWER = 5.5
MOST_GROWTH = 32 * 1024 * 1024

HEALTHY = frozenset({"length", "refusal", "content_filter", "bad_arguments", "unknown_tool", "endless_calls"})
"""The server answers, and the model says something that no product can help."""

SWITCHES: Mapping[str, str] = {"429": "&retry_after=3600", "503": "&retry_after=date:3600"}


class Recovering(Echo):
    """A model that fails in the first call for each question, and replies in the second."""

    def __init__(self, failure: str) -> None:
        super().__init__()
        self._failure = failure
        self._seen: set[str] = set()

    async def reply(self, request: web.Request) -> web.StreamResponse:
        question = (await request.json())["messages"][-1]["content"]
        if question in self._seen:
            return await super().reply(request)
        self._seen.add(question)
        return await FAILURES[self._failure]()


async def measure(turns: int) -> Section:
    """So many turns in each mode."""
    lasting = [mode for mode in FAULTS if mode not in HEALTHY]
    places = asyncio.Semaphore(MODES_AT_ONCE)
    found = await asyncio.gather(
        *(_lasting(mode, turns, places) for mode in lasting), *(_once(failure, turns, places) for failure in ("500", "429"))
    )
    return Section(
        "A4: faults of the model's server",
        f"make reliability-model SIZE={turns}",
        f"{turns} turns in each mode, {AT_ONCE} at a time, each mode with a process of its own; TURN_SECONDS is {TURN_SECONDS}. Clients do not\n"
        "repeat a question, and poll what is pending. A mode lasts, but for the last two.",
        [row for row, _ in found],
        [detail for _, details in found for detail in details],
    )


async def _lasting(mode: str, turns: int, places: asyncio.Semaphore) -> tuple[Row, list[str]]:
    switches = f"{mode}{SWITCHES.get(mode, '')}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(places)
        world = await stack.enter_async_context(running(OPENAI_MODEL=f"emulator?fail={switches}", TURN_SECONDS=TURN_SECONDS))
        clients = await stack.enter_async_context(talking(world.url, retries=0))
        before = _memory(world)
        await _asked(clients, turns)
        growth = _memory(world) - before
        kept = await clients.transcripts(within=30)
    done = [turn for transcript in kept.values() for turn in transcript if turn.status != "failed"]
    seen = (
        f"{_codes(clients)}; slowest {clients.slowest:.1f} s, {len(clients.misshapen)} misshapen, {len(done)} turns not failed, "
        f"memory +{max(0, growth) / 1048576:.0f} MiB"
    )
    answered = len(clients.exchanges) >= turns and all(exchange.status for exchange in clients.exchanges)
    fine = answered and clients.slowest <= LONGEST_ANSWER and not clients.misshapen and not done and growth <= MOST_GROWTH
    return Row(switches, seen, fine), clients.misshapen[:3]


async def _once(failure: str, turns: int, places: asyncio.Semaphore) -> tuple[Row, list[str]]:
    model = Recovering(failure)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(places)
        server = await stack.enter_async_context(upstream.serving(model.reply))
        world = await stack.enter_async_context(running(OPENAI_BASE_URL=f"{server.url}/v1"))
        clients = await stack.enter_async_context(talking(world.url, retries=0))
        await _asked(clients, turns)
    calls = len([received for received in server.received if received.method == "POST"])
    seen = f"{_codes(clients)}; {calls} calls of the model, slowest {clients.slowest:.1f} s"
    fine = clients.answered == turns and calls == 2 * turns and clients.slowest <= LONGEST_ANSWER and not clients.misshapen
    return Row(f"{failure} in the first call of each turn", seen, fine), clients.errors[:3]


async def _asked(clients: Clients, turns: int) -> None:
    numbers = itertools.count()

    async def one_after_the_other() -> None:
        while (number := next(numbers)) < turns:
            await clients.ask(f"session-{number}", f"question {number}")

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


def _codes(clients: Clients) -> str:
    return ", ".join(f"{times} x {code}" for code, times in sorted(clients.codes().items()))


def _memory(world: World) -> int:
    """Bytes that the worker holds."""
    lines: Sequence[str] = Path(f"/proc/{world.worker}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024
