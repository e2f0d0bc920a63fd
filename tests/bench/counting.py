"""What a store is asked, counted: round trips, documents and bytes at the protocol, RPCs on the wire, statements in SQLite."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime

import grpc
import grpc.aio

from functions.adapters.sqlite import SqliteDocuments
from functions.core.deadline import Deadline
from functions.core.documents import Document, Documents, Key, Put, Snapshot, Write


class Counted:
    """`Documents` that counts what goes through it, and the time for which it is awaited."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0
        """Of calls that overlap, each counts."""

    async def get(self, keys: Sequence[Key], deadline: Deadline) -> Snapshot:
        with self._awaited():
            found = await self.documents.get(keys, deadline)
        read = sum(len(document.body.encode()) for document in found.documents.values())
        self.counts.update({"reads": 1, "documents read": len(found.documents), "bytes read": read})
        return found

    async def list(self, collection: str, parent: str, *, after: str = "", limit: int, deadline: Deadline) -> Sequence[Document]:
        self.counts["lists"] += 1
        with self._awaited():
            return await self.documents.list(collection, parent, after=after, limit=limit, deadline=deadline)

    async def expired(self, collection: str, before: datetime, *, limit: int, deadline: Deadline) -> Sequence[Document]:
        self.counts["lists"] += 1
        with self._awaited():
            return await self.documents.expired(collection, before, limit=limit, deadline=deadline)

    async def commit(self, writes: Sequence[Write], deadline: Deadline) -> None:
        written = sum(len(write.body.encode()) for write in writes if isinstance(write, Put))
        self.counts.update({"commits": 1, "writes": len(writes), "bytes written": written})
        with self._awaited():
            await self.documents.commit(writes, deadline)

    @contextlib.contextmanager
    def _awaited(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


@contextlib.asynccontextmanager
async def rpcs(emulator: str) -> AsyncIterator[tuple[str, Counter[str]]]:
    """A door in front of a Firestore emulator: its `host:port`, and how many RPCs of which name went through it, with their bytes."""
    counts: Counter[str] = Counter()

    class Door(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            forward = channel.unary_stream(details.method)

            async def answer(request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
                counts.update({details.method.rpartition("/")[2]: 1, "bytes sent": len(request)})
                async for message in forward(request, metadata=[item for item in context.invocation_metadata() if item[0] in PASSED]):
                    counts["bytes received"] += len(message)
                    yield message

            return grpc.unary_stream_rpc_method_handler(answer)

    async with grpc.aio.insecure_channel(emulator) as channel:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers([Door()])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}", counts
        finally:
            await server.stop(None)


PASSED = frozenset({"authorization", "google-cloud-resource-prefix", "x-goog-request-params"})
"""The headers that Firestore reads; those of the connection belong to each connection."""


async def statements(documents: SqliteDocuments) -> Counter[str]:
    """How many statements of which kind SQLite runs from now on, and the bytes of their text, values included."""
    counts: Counter[str] = Counter()

    def traced(statement: str) -> None:
        counts.update({statement.split(maxsplit=1)[0]: 1, "bytes of statements": len(statement.encode())})

    soon = Deadline.after(10, asyncio.get_running_loop().time)
    for lane in (documents._reads, documents._writes):
        await lane.ask(lambda connection: connection.set_trace_callback(traced), soon)
    await documents.get([Key("none", "none")], soon)  # Opens the connection that reads in the loop itself.
    assert documents._glance is not None
    documents._glance.set_trace_callback(traced)
    return counts
