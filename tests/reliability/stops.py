"""A15 and F28: SIGTERM under load; F32: clients that leave; F35: a process that is stopped and wakes up."""

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import Sequence

from tests.firestore_double import FirestoreDouble
from tests.reliability.clients import Clients
from tests.reliability.echo import Echo
from tests.reliability.report import Row, Section
from tests.reliability.scene import Scene, arriving, scene

ARRIVALS = 10.0
"""Questions per second."""
AWAY = 7.0
"""Seconds for which a process may be away: until it has ended, and answers again."""
LONGEST_EXIT = 10.0
"""Seconds that Cloud Run leaves after SIGTERM (platform.md section 10)."""
FROZEN = 20.0
"""Seconds: longer than a lease."""
FROZEN_AT_ONCE = 3
UNSEEN = 5.0
"""Seconds in which a turn whose client left may not be in the transcript yet: the budget."""
PAUSE = (3.0, 5.0)
"""Seconds between two restarts, at least and at most."""
PATIENCE = 6.0
"""Seconds that a client waits for a process that may be frozen."""


async def measure(restarts: int) -> Section:
    """Restart two processes in turn, so many times."""
    exits: list[float] = []
    stopped: list[float] = []
    model = Echo(lambda: random.uniform(0.2, 8.0))
    async with scene(model=model, firestore=FirestoreDouble()) as on_stage:
        asking = asyncio.create_task(arriving(on_stage.clients, ARRIVALS, lambda _: len(exits) >= restarts))
        for number in range(restarts):
            await asyncio.sleep(random.uniform(*PAUSE))
            stopped.append(time.monotonic())
            exits.append(await _restarted(on_stage, number % 2))
        await asking
        broken = await on_stage.broken()
    clients = on_stage.clients
    seen = (
        f"{restarts} restarts, exits after {min(exits):.1f} to {max(exits):.1f} s; {len(clients.asked):,} turns, {clients.answered:,} answered, "
        f"at most {max(clients.repeats)} repeats, {_unasked(clients, stopped)} more than one for each restart; {len(model.heard) - len(clients.asked)} calls of the model more than turns; "
        f"slowest answer {clients.slowest:.1f} s; {len(broken)} broken promises"
    )
    kept = not broken and clients.answered == len(clients.asked) and max(exits) <= LONGEST_EXIT and not _unasked(clients, stopped)
    return Section(
        "A15, F28: SIGTERM under load",
        f"make reliability-stop SIZE={restarts}",
        f"{ARRIVALS:g} questions a second, in turn of two processes; the model takes 0.2 to 8 s. One process after the other is sent SIGTERM and\n"
        "started again. A client whose request was refused or cut sends it to the other process, with the same key.",
        [Row("SIGTERM in mid-turn", seen, kept and clients.slowest <= 5.5)],
        broken[:5],
    )


def _unasked(clients: Clients, stopped: Sequence[float]) -> int:
    """How many questions had to be sent again more often than a process went away while they were open."""
    return sum(
        repeats > sum(asked.sent - AWAY <= at <= max((told.at for told in asked.told), default=asked.sent) for at in stopped)
        for asked, repeats in zip(clients.asked, clients.repeats, strict=True)
    )


async def _restarted(on_stage: Scene, number: int) -> float:
    """Restart a process; the seconds until it had ended."""
    began = time.monotonic()
    await asyncio.to_thread(on_stage.worlds[number].stop)
    took = time.monotonic() - began
    await asyncio.to_thread(on_stage.worlds[number].start)
    return took


async def measure_frozen(times: int) -> Section:
    """Stop and wake processes so many times, three side by side; a fourth is left alone."""
    model = Echo(lambda: random.uniform(0.2, 6.0))
    woken, at_risk = 0, 0
    async with scene(FROZEN_AT_ONCE + 1, model=model, firestore=FirestoreDouble(), patience=PATIENCE) as on_stage:

        async def freeze(number: int, again: int) -> None:
            nonlocal woken, at_risk
            world = on_stage.worlds[number]
            for _ in range(again):
                await asyncio.sleep(random.uniform(1, 4))
                at_risk += on_stage.clients.open[world.url]
                world.send(signal.SIGSTOP)
                await asyncio.sleep(FROZEN)
                world.send(signal.SIGCONT)
                woken += 1

        asking = asyncio.create_task(arriving(on_stage.clients, ARRIVALS, lambda _: woken >= times))
        shares = [len(range(number, times, FROZEN_AT_ONCE)) for number in range(FROZEN_AT_ONCE)]
        await asyncio.gather(*(freeze(number, again) for number, again in enumerate(shares)))
        await asking
        broken = await on_stage.broken(in_vain=False)
    clients = on_stage.clients
    extra = len(model.heard) - len(clients.asked)
    seen = (
        f"{woken} times {FROZEN:g} s; {len(clients.asked):,} turns, {clients.answered:,} answered, {extra} calls of the model more than turns, "
        f"with {at_risk} in flight when a process was stopped; {len(broken)} broken promises"
    )
    return Section(
        "F35: a process that is stopped, and wakes up",
        f"make reliability-freeze SIZE={times}",
        f"SIGSTOP for {FROZEN:g} s, longer than a lease, and SIGCONT; three of four processes in turn, {ARRIVALS:g} questions a second, which the\n"
        f"model answers after 0.2 to 6 s. Clients give up on an answer after {PATIENCE:g} s and go to the next process, with the same key.",
        [Row("SIGSTOP, then SIGCONT", seen, not broken and clients.answered == len(clients.asked))],
        broken[:5],
    )


async def measure_leaving(times: int) -> Section:
    """Let so many clients leave while their question is being answered."""
    reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def hear(question: str, port: int) -> None:
        reached[question].set()

    async with scene(model=Echo(lambda: random.uniform(0.1, 6.0), hear), firestore=FirestoreDouble()) as on_stage:

        async def leave(number: int) -> None:
            query = f"question {number}"
            asking = asyncio.create_task(on_stage.clients.ask(f"session-{number % 50}-{number // 500}", query, number))
            await asyncio.wait_for(reached[query].wait(), 60)
            await asyncio.sleep(random.uniform(0, 4))
            asking.cancel()

        leaving = set()
        for number in range(times):
            leaving.add(asyncio.create_task(leave(number)))
            await asyncio.sleep(1 / ARRIVALS)
        await asyncio.gather(*leaving)
        await asyncio.sleep(UNSEEN)
        transcripts = await on_stage.clients.transcripts(within=60)
        broken = await on_stage.broken()
    asked = {question.query for question in on_stage.clients.asked}
    done = {turn.query for turns in transcripts.values() for turn in turns if turn.status == "done"}
    left = sum(not question.done for question in on_stage.clients.asked)
    seen = f"{left} of {len(asked)} clients left before their answer; {len(done)} turns are done; {len(broken)} broken promises"
    return Section(
        "F32: clients that leave",
        f"make reliability-leave SIZE={times}",
        f"{ARRIVALS:g} questions a second; the model takes 0.1 to 6 s, and the connection is closed up to 4 s after the model was asked.",
        [Row("the client closes its connection", seen, not broken and done == asked)],
        broken[:5],
    )
