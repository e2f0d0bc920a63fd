"""The servers that P1 and P2 compare, all running at once, idle but for the one that is measured."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import emulators
from tests.bench import machine, signed_in, wire

PROXY, SQLITE, FIRESTORE = "bare proxy", "chat on SQLite", "chat on Firestore emulator"
SQLITE_SIGNED_IN, FIRESTORE_SIGNED_IN = f"{SQLITE}, signed in", f"{FIRESTORE}, signed in"
CALLERS = 500
TURNS_BEFORE = 10
"""Of each conversation, before anything is measured: 20 messages."""
AT_ONCE = 25
"""Callers before anything is measured: Firestore's emulator, just started, has Java to compile first, and the product gives up after 2 s."""


@dataclass(frozen=True)
class Contestant:
    """A server with the callers that are connected to it, one conversation each."""

    server: machine.Server
    callers: Sequence[wire.Caller]


@contextlib.asynccontextmanager
async def contestants(model: wire.Model) -> AsyncIterator[Mapping[str, Contestant]]:
    """All of them by name, warm, each conversation 20 messages long."""
    # 20 messages of 400 characters are more than the default 8,000 tokens by the product's cautious count.
    settings = {"CHAT_BUDGET_SECONDS": "40", "BUFFER_MESSAGES": "20", "BUFFER_TOKENS": "100000"}
    measured, model.delay = model.delay, lambda: 0.0
    with contextlib.ExitStack() as stack:

        async def warm(people: signed_in.People | None = None, **store: str) -> Contestant:
            known = people.environment if people else {}
            server = stack.enter_context(machine.product("chat", model.origin, **settings, **store, **known))
            return await _warm(server, lambda lane: wire.chat(lane, people.tokens[lane] if people else None))

        found = {PROXY: await _warm(stack.enter_context(machine.proxy(model.origin)), wire.completion), SQLITE: await warm()}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found[SQLITE_SIGNED_IN] = await warm(await signed_in.on_sqlite(folder, CALLERS))
        with contextlib.suppress(emulators.Missing):
            firestore = machine.firestore(stack.enter_context(emulators.firestore()))
            found[FIRESTORE] = await warm(**firestore)
            found[FIRESTORE_SIGNED_IN] = await warm(await signed_in.on_firestore(firestore, CALLERS), **firestore)
        for name in found.keys() - {PROXY}:
            _assert_fast_stack(found[name].server)
        model.delay = measured
        yield found


async def _warm(server: machine.Server, caller: Callable[[int], wire.Caller]) -> Contestant:
    callers = await wire.connected(server.port, [caller(lane) for lane in range(CALLERS)])
    for first in range(0, CALLERS, AT_ONCE):
        await asyncio.gather(*(_ask_often(caller) for caller in callers[first : first + AT_ONCE]))
    return Contestant(server, callers)


async def _ask_often(caller: wire.Caller) -> None:
    for _ in range(TURNS_BEFORE):
        await caller.ask()


def _assert_fast_stack(server: machine.Server) -> None:
    assert "/uvloop/" in server.libraries, "uvicorn runs without uvloop"
    assert "/httptools/" in server.libraries, "uvicorn runs without httptools"
