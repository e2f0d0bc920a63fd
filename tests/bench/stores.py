"""What a store costs: `python -m tests.bench.stores`. CPU milliseconds of this process per operation, then wall milliseconds.

A turn's read is three keys of which two exist (the larger of 9 kB); its commit is two writes, one of them with an expectation. Firestore
is Google's emulator, so its wall times say nothing about production. "wrapped" is google.cloud.firestore.AsyncClient doing the same.
"""

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from google.cloud import firestore

from functions.adapters.firestore import FirestoreDocuments
from functions.adapters.sqlite import SqliteDocuments
from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, ANY, Documents, Key, Place, Put
from tests import emulators

IN_FLIGHT = (1, 64)
HEAD, TURN = '{"text": "' + "x" * 9_000 + '"}', '{"text": "' + "x" * 800 + '"}'
Operation = Callable[[int], Awaitable[object]]


async def cost(operation: Operation, in_flight: int, operations: int) -> tuple[float, float]:
    """CPU and wall milliseconds per operation."""

    async def loop(lane: int) -> None:
        for _ in range(operations // in_flight):
            await operation(lane)

    await asyncio.gather(*(operation(lane) for lane in range(in_flight)))
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(loop(lane) for lane in range(in_flight)))
    return (time.process_time() - cpu) * 1e3 / operations, (time.perf_counter() - wall) * 1e3 / operations


def ours(documents: Documents) -> dict[str, Operation]:
    """A turn's two operations through `Documents`."""

    def soon() -> Deadline:
        return Deadline.after(10, asyncio.get_running_loop().time)

    async def get(lane: int) -> object:
        return await documents.get([Key("heads", str(lane)), Key("turns", f"{lane}-first"), Key("grants", str(lane))], soon())

    async def commit(lane: int) -> object:
        turn = Put(Key("turns", secrets.token_hex(8)), TURN, ABSENT, Place(str(lane), secrets.token_hex(4)))
        return await documents.commit([Put(Key("heads", str(lane)), HEAD, ANY), turn], soon())

    return {"get": get, "commit": commit}


def wrapped(client: firestore.AsyncClient) -> dict[str, Operation]:
    """The same through the library's own client."""

    def named(collection: str, name: str) -> firestore.AsyncDocumentReference:
        return client.collection(collection).document(name)

    async def get(lane: int) -> object:
        keys = [named("heads", str(lane)), named("turns", f"{lane}-first"), named("grants", str(lane))]
        return [(found.id, found.get("body")) async for found in client.get_all(keys, retry=None, timeout=2) if found.exists]

    async def commit(lane: int) -> object:
        batch = client.batch()
        batch.set(named("heads", str(lane)), {"body": HEAD, "stamp": secrets.token_bytes(8)})
        batch.create(
            named("turns", secrets.token_hex(8)), {"body": TURN, "stamp": secrets.token_bytes(8), "place": f"{lane}/{secrets.token_hex(4)}"}
        )
        return await batch.commit(retry=None, timeout=2)

    return {"get": get, "commit": commit}


async def prepare(documents: Documents) -> None:
    """A head of 9 kB and a turn for every lane."""
    for lane in range(max(IN_FLIGHT)):
        writes = [Put(Key("heads", str(lane)), HEAD, ANY), Put(Key("turns", f"{lane}-first"), TURN, ANY)]
        await documents.commit(writes, Deadline.after(10, asyncio.get_running_loop().time))


@asynccontextmanager
async def stores(folder: str, emulator: str, project: str) -> AsyncIterator[dict[str, dict[str, Operation]]]:
    """Every store's operations, by the store's name."""
    sqlite, ours_there = SqliteDocuments(Path(folder) / "bench.db"), FirestoreDocuments(project, emulator_host=emulator)
    for store in (sqlite, ours_there):
        await prepare(store)
    yield {"sqlite": ours(sqlite), "firestore": ours(ours_there), "firestore, wrapped": wrapped(firestore.AsyncClient(project=project))}
    await sqlite.close()
    await ours_there.close()


async def main(folder: str, emulator: str, rounds: int = 3, operations: int = 1024) -> None:
    async with stores(folder, emulator, f"demo-{secrets.token_hex(4)}") as measured:
        for in_flight in IN_FLIGHT:
            for what in ("get", "commit"):
                # Interleaved, and the best of the rounds: what else the machine does only adds.
                costs = [[await cost(measured[store][what], in_flight, operations) for store in measured] for _ in range(rounds)]
                for store, of_store in zip(measured, zip(*costs, strict=True), strict=True):
                    cpu, wall = (min(figures) for figures in zip(*of_store, strict=True))
                    print(f"{store:20} {what:7} {in_flight:3} in flight   CPU {cpu:6.3f} ms   wall {wall:6.3f} ms")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, emulators.firestore() as emulator:
        os.environ["FIRESTORE_EMULATOR_HOST"] = emulator  # for the wrapped client, which has no other way
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(folder, emulator))
