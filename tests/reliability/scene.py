"""What every experiment plays in: product processes on one store, a model that remembers, clients that keep on."""

import asyncio
import itertools
import random
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests import upstream
from tests.firestore_double import FirestoreDouble
from tests.history import asked_in_vain, faults
from tests.reliability.clients import RETRIES, Clients, talking
from tests.reliability.echo import Echo
from tests.world import World, running

WHOLE_PREFIX = {"BUFFER_MESSAGES": "200", "BUFFER_TOKENS": "140000"}
"""Settings with which the model sees up to 100 turns, so that a whole transcript can be compared."""

TURNS_OF_A_SESSION = 50
"""Fewer than those."""


@dataclass
class Scene:
    """Everything that runs."""

    worlds: Sequence[World]
    model: Echo
    ports: Sequence[int]
    """Where each process asks the model."""
    addresses: Sequence[str]
    """Where each process finds the double of Firestore; empty on another store."""
    clients: Clients

    async def broken(self, within: float = 60.0, *, errors: bool = True, in_vain: bool = True) -> list[str]:
        """Broken promises, once nothing is pending or `within` seconds have passed: by the history, and by the shape of each answer.

        `errors`: a question without an answer in the end is one too; `in_vain`: so is a model that is asked after the answer.
        """
        transcripts = await self.clients.transcripts(within)
        asked, heard = self.clients.asked, self.model.heard
        found = faults(asked, transcripts, heard) + [f"misshapen: {told}" for told in self.clients.misshapen]
        found += [f"error: {error}" for error in self.clients.errors] if errors else []
        return found + (asked_in_vain(asked, heard) if in_vain else [])


async def until(true: Callable[[], bool], within: float = 60.0) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: it is not, after so many seconds.
    """
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def writing(clients: Clients, writers: int, enough: Callable[[], bool], *, meeting: bool = False) -> None:
    """Writers that ask one question after the other until there are enough; `meeting`: two of them in each conversation."""
    length = TURNS_OF_A_SESSION // (2 if meeting else 1)

    async def write(name: int) -> None:
        pen = name // 2 if meeting else name
        for number in itertools.count():
            if enough():
                return
            await clients.ask(f"pen-{pen}-{number // length}", f"question {number} of {name}", random.randrange(100))

    await asyncio.gather(*(write(name) for name in range(writers)))


async def arriving(clients: Clients, per_second: float, ended: Callable[[int], bool], sessions: int = 200) -> None:
    """Questions that arrive steadily, whatever becomes of the others, until `ended` says so of their number; all are answered on return.

    They go round so many sessions, and on to others before one is longer than the model sees.
    """
    asking = set()
    for number in itertools.takewhile(lambda number: not ended(number), itertools.count()):
        asking.add(asyncio.create_task(clients.ask(f"session-{_session(number, sessions)}", f"question {number}", number)))
        await asyncio.sleep(1 / per_second)
    await asyncio.gather(*asking)


def _session(number: int, sessions: int) -> int:
    return number % sessions + sessions * (number // (sessions * TURNS_OF_A_SESSION))


@asynccontextmanager
async def scene(
    processes: int = 2,
    *,
    model: Echo | None = None,
    firestore: FirestoreDouble | None = None,
    retries: int = RETRIES,
    patience: float = 30.0,
    **environment: str,
) -> AsyncIterator[Scene]:
    """Processes on `firestore`, or else on the store that `environment` names, or else on a SQLite file of their own.

    Clients wait `patience` seconds for each answer.
    """
    echo = model or Echo()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = {"STORE": f"sqlite:{folder}/shared.db", **WHOLE_PREFIX, **environment}
        worlds, ports, addresses, project = [], [], [], f"demo-{secrets.token_hex(8)}"
        for _ in range(processes):
            server = await stack.enter_async_context(upstream.serving(echo.reply))
            ports.append(int(server.url.rpartition(":")[2]))
            if firestore is not None:
                addresses.append(await stack.enter_async_context(firestore.serve()))
                settings |= {"STORE": "firestore", "FIRESTORE_EMULATOR_HOST": addresses[-1], "GOOGLE_CLOUD_PROJECT": project}
            settings |= {"OPENAI_BASE_URL": f"{server.url}/v1"} if "OPENAI_BASE_URL" not in environment else {}
            worlds.append(await stack.enter_async_context(running(**settings)))
        clients = await stack.enter_async_context(talking(*(world.url for world in worlds), retries=retries, timeout=patience))
        yield Scene(worlds, echo, ports, addresses, clients)
