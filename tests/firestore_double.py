"""A small Firestore over real gRPC that can be told to fail as the real one does, and counts what it is asked.

It knows three RPCs, documents with strings, and the preconditions; its clock moves a microsecond with every commit, so that update times
differ. What it does right, Google's emulator does too (tests/contracts); this one exists for what goes wrong.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.firestore_v1 import types

SERVICE = "google.firestore.v1.Firestore"
EPOCH = 1_700_000_000_000_000_000  # nanoseconds


@dataclass
class FirestoreDouble:
    """The switches, and what was received. A switch that is a number counts down."""

    status: grpc.StatusCode | None = None
    """Every RPC ends with this."""
    hang: bool = False
    """No RPC is answered."""
    aborts: int = 0
    """So many commits are ABORTED."""
    lose_acknowledgements: int = 0
    """So many commits are applied and then answered with UNAVAILABLE."""
    calls: list[str] = field(default_factory=list)
    """The names of the RPCs that arrived."""
    headers: dict[str, str] = field(default_factory=dict)
    """The metadata of the last RPC."""
    documents: dict[str, Any] = field(default_factory=dict)
    commits: int = 0

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """The `host:port` it listens on while the block runs."""
        server = grpc.aio.server()
        handlers = {
            "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(
                self._batch_get, types.BatchGetDocumentsRequest.pb().FromString, types.BatchGetDocumentsResponse.pb().SerializeToString
            ),
            "RunQuery": grpc.unary_stream_rpc_method_handler(
                self._run_query, types.RunQueryRequest.pb().FromString, types.RunQueryResponse.pb().SerializeToString
            ),
            "Commit": grpc.unary_unary_rpc_method_handler(
                self._commit, types.CommitRequest.pb().FromString, types.CommitResponse.pb().SerializeToString
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(grace=None)

    async def _arrive(self, name: str, context: Any) -> None:
        self.calls.append(name)
        self.headers = dict(context.invocation_metadata())
        if self.hang:
            await asyncio.Event().wait()
        if self.status:
            await context.abort(self.status, "as the test wants it")

    async def _batch_get(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._arrive("BatchGetDocuments", context)
        for name in request.documents:
            answer = types.BatchGetDocumentsResponse.pb()()
            answer.read_time.FromNanoseconds(self._now())
            if name in self.documents:
                answer.found.CopyFrom(self.documents[name])
            else:
                answer.missing = name
            yield answer

    async def _run_query(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._arrive("RunQuery", context)
        query = request.structured_query
        above, below = (part.field_filter.value.string_value for part in query.where.composite_filter.filters)
        prefix = f"{request.parent}/{query.from_[0].collection_id}/"
        placed = [
            (document.fields["place"].string_value, document)
            for name, document in self.documents.items()
            if name.startswith(prefix) and "place" in document.fields
        ]
        for _, document in sorted((found for found in placed if above < found[0] < below), key=lambda found: found[0])[: query.limit.value]:
            yield types.RunQueryResponse.pb()(document=document)

    async def _commit(self, request: Any, context: Any) -> Any:
        await self._arrive("Commit", context)
        if self.aborts:
            self.aborts -= 1
            await context.abort(grpc.StatusCode.ABORTED, "as the test wants it")
        for write in request.writes:
            if broken := self._broken(write):
                await context.abort(broken, "as the test wants it")
        self.commits += 1
        for write in request.writes:
            self._apply(write)
        if self.lose_acknowledgements:
            self.lose_acknowledgements -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as the test wants it")
        return types.CommitResponse.pb()()

    def _broken(self, write: Any) -> grpc.StatusCode | None:
        """How Firestore names the precondition that does not hold."""
        stored = self.documents.get(write.update.name or write.delete)
        condition = write.current_document.WhichOneof("condition_type")
        if condition == "exists" and not write.current_document.exists and stored is not None:
            return grpc.StatusCode.ALREADY_EXISTS
        if condition == "update_time" and stored is None:
            return grpc.StatusCode.NOT_FOUND
        if condition == "update_time" and stored.update_time != write.current_document.update_time:
            return grpc.StatusCode.FAILED_PRECONDITION
        return None

    def _apply(self, write: Any) -> None:
        if write.delete:
            self.documents.pop(write.delete, None)
            return
        if write.HasField("update_mask") and not write.update_mask.field_paths:
            return
        document = type(write.update)()
        document.CopyFrom(write.update)
        document.update_time.FromNanoseconds(self._now())
        self.documents[document.name] = document

    def _now(self) -> int:
        return EPOCH + self.commits * 1_000
