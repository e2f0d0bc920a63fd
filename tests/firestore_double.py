"""A small Firestore over real gRPC that can be told to fail as the real one does, counts what it is asked, and lets a test act in between.

    python -m tests.firestore_double --port 9000 --log FILE     a process of its own, which can be killed; its documents survive in FILE

It knows three RPCs, documents with strings, numbers and times, and the preconditions; its clock is this machine's, and moves with every
commit, so that update times differ. What it does right, Google's emulator does too (tests/contracts); this one exists for what goes wrong.
"""

import argparse
import asyncio
import json
import random
import signal
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
from google.cloud.firestore_v1 import types

from tests import firestore_query

SERVICE = "google.firestore.v1.Firestore"
MICROSECOND = 1_000  # nanoseconds

Found = types.BatchGetDocumentsResponse.pb()
Ran = types.RunQueryResponse.pb()
Written = types.CommitRequest.pb()


class Failing(Exception):
    """What a hook raises to end its RPC with a status."""

    def __init__(self, status: grpc.StatusCode) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Rpc:
    """An RPC that arrived: `kind` is BatchGetDocuments, RunQuery or Commit, `address` the one it was sent to."""

    kind: str
    request: Any
    address: str

    @cached_property
    def writes(self) -> list[tuple[str, Any]]:
        """What a commit writes, by collection: the JSON of each document's body; None for a deletion or a mere precondition."""
        if self.kind != "Commit":
            return []
        return [(_collection(write.update.name or write.delete), _body(write)) for write in self.request.writes]


Hook = Callable[[Rpc], Awaitable[None]]


@dataclass
class FirestoreDouble:
    """The switches, and what was received. A switch that is a number counts down; a share is of all commits, at random."""

    status: grpc.StatusCode | None = None
    """Every RPC ends with this."""
    hang: bool = False
    """No RPC is answered."""
    aborts: int = 0
    """So many commits are ABORTED."""
    abort_share: float = 0.0
    lose_acknowledgements: int = 0
    """So many commits are applied and then answered with UNAVAILABLE."""
    lose_share: float = 0.0
    refuse_writes: grpc.StatusCode | None = None
    """Every commit ends with this."""
    lag: float = 0.0
    """Reads show what was so many seconds ago."""
    before: Hook | None = None
    """Called when an RPC arrived, before anything is read or written."""
    after: Hook | None = None
    """Called when an RPC's work is done, before it is answered."""
    log: Path | None = None
    """Every write is appended here, and read when the double starts."""
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    calls: list[str] = field(default_factory=list)
    """The names of the RPCs that arrived."""
    headers: dict[str, str] = field(default_factory=dict)
    """The metadata of the last RPC."""
    documents: dict[str, Any] = field(default_factory=dict)
    commits: int = 0
    _written: dict[str, list[Any]] = field(default_factory=dict)
    """What each document was before its writes, oldest first, with the time of each; only while reads lag."""
    _last: int = 0

    def __post_init__(self) -> None:
        for commit in _logged(self.log) if self.log and self.log.exists() else ():
            for write in commit.writes:
                self._put(write)

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """The `host:port` it listens on while the block runs. It may be served on several: an RPC tells where it was sent."""
        server = grpc.aio.server()
        address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
        handlers = {
            "BatchGetDocuments": _streaming(types.BatchGetDocumentsRequest, types.BatchGetDocumentsResponse, self._batch_get, address),
            "RunQuery": _streaming(types.RunQueryRequest, types.RunQueryResponse, self._run_query, address),
            "Commit": _single(types.CommitRequest, types.CommitResponse, self._commit, address),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        await server.start()
        try:
            yield address
        finally:
            await server.stop(grace=None)

    async def _arrive(self, rpc: Rpc, context: Any) -> None:
        self.calls.append(rpc.kind)
        self.headers = dict(context.invocation_metadata())
        await _called(self.before, rpc, context)
        if self.hang:
            await asyncio.Event().wait()
        if self.status:
            await context.abort(self.status, "as the test wants it")

    async def _batch_get(self, rpc: Rpc, context: Any) -> AsyncIterator[Any]:
        await self._arrive(rpc, context)
        at = self._now()
        answers = []
        for name in rpc.request.documents:
            answer = Found()
            answer.read_time.FromNanoseconds(at)
            document = self._as_of(at).get(name)
            if document is None:
                answer.missing = name
            else:
                answer.found.CopyFrom(document)
            answers.append(answer)
        await _called(self.after, rpc, context)
        for answer in answers:
            yield answer

    async def _run_query(self, rpc: Rpc, context: Any) -> AsyncIterator[Any]:
        await self._arrive(rpc, context)
        at = self._now()
        answers = [Ran(document=found) for found in firestore_query.run(rpc.request, self._as_of(at))] or [Ran()]
        await _called(self.after, rpc, context)
        for answer in answers:
            answer.read_time.FromNanoseconds(at)
            yield answer

    async def _commit(self, rpc: Rpc, context: Any) -> Any:
        await self._arrive(rpc, context)
        if self.aborts or self.chance.random() < self.abort_share:
            self.aborts = max(0, self.aborts - 1)
            await context.abort(grpc.StatusCode.ABORTED, "as the test wants it")
        if self.refuse_writes:
            await context.abort(self.refuse_writes, "as the test wants it")
        for write in rpc.request.writes:
            if broken := self._broken(write):
                await context.abort(broken, "a precondition does not hold")
        at = self._apply(rpc.request.writes)
        await _called(self.after, rpc, context)
        if self.lose_acknowledgements or self.chance.random() < self.lose_share:
            self.lose_acknowledgements = max(0, self.lose_acknowledgements - 1)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as the test wants it")
        committed = types.CommitResponse.pb()()
        committed.commit_time.FromNanoseconds(at)
        for write in rpc.request.writes:
            result = committed.write_results.add()
            if not write.delete:
                result.update_time.CopyFrom(self.documents[write.update.name].update_time)
        return committed

    def _broken(self, write: Any) -> grpc.StatusCode | None:
        """How Firestore names the precondition that does not hold."""
        stored = self.documents.get(write.update.name or write.delete)
        condition = write.current_document.WhichOneof("condition_type")
        if condition == "exists" and write.current_document.exists is (stored is None):
            return grpc.StatusCode.NOT_FOUND if stored is None else grpc.StatusCode.ALREADY_EXISTS
        if condition == "update_time" and stored is None:
            return grpc.StatusCode.NOT_FOUND
        if condition == "update_time" and stored.update_time != write.current_document.update_time:
            return grpc.StatusCode.FAILED_PRECONDITION
        return None

    def _apply(self, writes: Any) -> int:
        """Write all; the time of it, after which nothing that was read before is told as of then."""
        self.commits += 1
        self._last = at = max(self._last + MICROSECOND, _clock())
        # An update of no field changes nothing, the update time included.
        applied = Written(writes=[one for one in writes if one.delete or one.update_mask.field_paths or not one.HasField("update_mask")])
        for write in applied.writes:
            if not write.delete:
                write.update.update_time.FromNanoseconds(at)
            self._put(write, at)
        if self.log:
            octets = applied.SerializeToString()
            with self.log.open("ab") as log:
                log.write(struct.pack(">I", len(octets)) + octets)
        return at

    def _put(self, write: Any, at: int = 0) -> None:
        name = write.update.name or write.delete
        if self.lag:
            self._written.setdefault(name, []).append((at, self.documents.get(name)))
        if write.delete:
            self.documents.pop(name, None)
        else:
            self.documents[name] = write.update

    def _as_of(self, at: int) -> dict[str, Any]:
        """The documents as they were then."""
        if not self.lag:
            return self.documents
        then = dict(self.documents)
        for name, were in self._written.items():
            was = next((document for until, document in were if until > at), then.get(name))
            then[name] = was
        return {name: document for name, document in then.items() if document is not None}

    def _now(self) -> int:
        """The time of a read."""
        return max(self._last, _clock()) - round(self.lag * 1e9)


def _clock() -> int:
    return time.time_ns() // MICROSECOND * MICROSECOND


def _collection(name: str) -> str:
    return name.rsplit("/", 2)[-2]


def _body(write: Any) -> Any:
    text = write.update.fields["body"].string_value if "body" in write.update.fields else ""
    return json.loads(text) if text else None


async def _called(hook: Hook | None, rpc: Rpc, context: Any) -> None:
    if hook is None:
        return
    try:
        await hook(rpc)
    except Failing as failing:
        await context.abort(failing.status, "as the test wants it")


def _streaming(request: Any, response: Any, method: Callable[[Rpc, Any], AsyncIterator[Any]], address: str) -> Any:
    kind = request.__name__.removesuffix("Request")

    async def handler(asked: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in method(Rpc(kind, asked, address), context):
            yield answer

    return grpc.unary_stream_rpc_method_handler(handler, request.pb().FromString, response.pb().SerializeToString)


def _single(request: Any, response: Any, method: Callable[[Rpc, Any], Awaitable[Any]], address: str) -> Any:
    kind = request.__name__.removesuffix("Request")

    async def handler(asked: Any, context: Any) -> Any:
        return await method(Rpc(kind, asked, address), context)

    return grpc.unary_unary_rpc_method_handler(handler, request.pb().FromString, response.pb().SerializeToString)


def _logged(log: Path) -> Iterator[Any]:
    """The commits of a log; the last may have been cut by the death of its writer."""
    octets = log.read_bytes()
    place = 0
    while place + 4 <= len(octets):
        (length,) = struct.unpack_from(">I", octets, place)
        if place + 4 + length > len(octets):
            return
        yield Written.FromString(octets[place + 4 : place + 4 + length])
        place += 4 + length


async def _until_stopped(port: int, log: Path) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with FirestoreDouble(log=log).serve(port) as address:
        print(address, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(_until_stopped(given.port, given.log))
