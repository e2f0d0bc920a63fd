"""Documents in Firestore, in production, and in Google's emulator.

Three RPCs with the library's own channel and generated messages, without the wrapping of `AsyncClient`: with 64 in flight it costs
twice the processor time (tests/bench/stores.py), and it repeats a commit by itself whose acknowledgement was lost.
Here a commit is repeated only if it was ABORTED, of which Firestore says that nothing was written, and a read once.

A document has the fields `body`, `place` ("parent/position", so that one single-field index serves `list`), `expires_at` (for a TTL policy)
and `stamp`. Exempt `body` and `stamp` from indexing.
"""

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

from functions.adapters.google_account import account
from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, ANY, Conflict, Delete, Document, Key, Place, Require, Snapshot, Version, Write
from functions.core.errors import Refused, StoreExhausted, StoreUnavailable, Upstream

CAP = 1.5
"""Seconds one RPC may take, however far the deadline is: a dead store is told from a slow one while there is time left to say so."""

EXHAUSTED = timedelta(seconds=2)  # quotas are counted by the minute or the day; a client that comes back at once makes it worse

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5
"""Seconds before an ABORTED commit is sent again, at most: the pause is random below this, which doubles."""

READS = {
    "name": [{"service": "google.firestore.v1.Firestore", "method": method} for method in ("BatchGetDocuments", "RunQuery")],
    "retryPolicy": {
        "maxAttempts": 2,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    },
}
"""A read that found the store away is asked once more, by gRPC itself (https://grpc.io/docs/guides/retry/)."""

CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),  # as AsyncClient has it
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default an attempt to connect may last 20 s and the next may be two minutes away: a store that came back would not be noticed.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.service_config", json.dumps({"methodConfig": [READS]})),
]

CONFIGURATION = frozenset(
    {
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.NOT_FOUND,  # the database; of a document only where a write expected one
        grpc.StatusCode.FAILED_PRECONDITION,  # a database in Datastore mode, a missing index
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
CONFLICT = frozenset({grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND})

# The messages as protobuf knows them: the library's classes of the same names wrap each field they touch.
_BatchGet, _BatchGot = types.BatchGetDocumentsRequest.pb(), types.BatchGetDocumentsResponse.pb()
_RunQuery, _QueryRan = types.RunQueryRequest.pb(), types.RunQueryResponse.pb()
_Commit, _Committed = types.CommitRequest.pb(), types.CommitResponse.pb()
_ABOVE, _BELOW = types.StructuredQuery.FieldFilter.Operator.GREATER_THAN, types.StructuredQuery.FieldFilter.Operator.LESS_THAN
_PLACE, _EXPIRY = {"field_path": "place"}, {"field_path": "expires_at"}


class FirestoreDocuments:
    """`Documents` in one Firestore database. Connects on first use, and anew for another event loop: gRPC's channels belong to one."""

    def __init__(self, project: str | None, database: str = "(default)", *, emulator_host: str | None = None) -> None:
        self._project = project
        self._database = database
        self._emulator_host = emulator_host
        self._connecting: asyncio.Task[_Connection] | None = None

    async def get(self, keys: Sequence[Key], deadline: Deadline) -> Snapshot:
        """See `Documents.get`."""
        async with self._connected(deadline) as store:
            names = {store.name(key): key for key in keys}
            call = store.get(_BatchGet(database=store.database, documents=names), timeout=_timeout(deadline), metadata=store.metadata)
            read = [answer async for answer in call]
            # What was read earlier is unchanged until the last read_time (documentation of BatchGetDocumentsResponse.read_time).
            read_at = read[-1].read_time.ToDatetime(tzinfo=UTC)
            documents = (_document(answer.found, names[answer.found.name]) for answer in read if answer.HasField("found"))
            return Snapshot(read_at, {document.key: document for document in documents})

    async def list(self, collection: str, parent: str, *, after: str = "", limit: int, deadline: Deadline) -> Sequence[Document]:
        """See `Documents.list`."""
        # "0" is the character behind "/".
        above = {"field_filter": {"field": _PLACE, "op": _ABOVE, "value": {"string_value": f"{parent}/{after}"}}}
        below = {"field_filter": {"field": _PLACE, "op": _BELOW, "value": {"string_value": f"{parent}0"}}}
        between = {"composite_filter": {"op": "AND", "filters": [above, below]}}
        return await self._query(collection, between, _PLACE, limit, deadline)

    async def expired(self, collection: str, before: datetime, *, limit: int, deadline: Deadline) -> Sequence[Document]:
        """See `Documents.expired`."""
        earlier = {"field_filter": {"field": _EXPIRY, "op": _BELOW, "value": {"timestamp_value": before}}}
        return await self._query(collection, earlier, _EXPIRY, limit, deadline)

    async def _query(self, collection: str, where: Any, order: Any, limit: int, deadline: Deadline) -> Sequence[Document]:
        query = {
            "from_": [{"collection_id": collection}],
            "where": where,
            "order_by": [{"field": order}],
            "limit": {"value": limit},
        }
        async with self._connected(deadline) as store:
            request = _RunQuery(parent=f"{store.database}/documents", structured_query=query)
            call = store.list(request, timeout=_timeout(deadline), metadata=store.metadata)
            found = [answer.document async for answer in call if answer.HasField("document")]
            return [_document(document, Key(collection, document.name.rpartition("/")[2])) for document in found]

    async def commit(self, writes: Sequence[Write], deadline: Deadline) -> None:
        """See `Documents.commit`."""
        async with self._connected(deadline) as store:
            request = _Commit(database=store.database)
            for write in writes:
                _add(request.writes.add(), write, store.name(write.key))
            pause = FIRST_PAUSE
            while True:
                try:
                    await store.commit(request, timeout=_timeout(deadline), metadata=store.metadata)
                    return
                except grpc.aio.AioRpcError as error:
                    if error.code() in CONFLICT and any(write.expected != ANY for write in writes):
                        raise Conflict("A document was not as the commit expected it; nothing was written.") from error
                    if error.code() is not grpc.StatusCode.ABORTED:
                        raise
                await asyncio.sleep(random.uniform(0, pause))
                pause = min(2 * pause, LONGEST_PAUSE)

    async def close(self) -> None:
        """Close the channel of this event loop; a later use opens another."""
        task, self._connecting = self._connecting, None
        if task is not None and _usable(task):
            await (await task).channel.close()

    @asynccontextmanager
    async def _connected(self, deadline: Deadline) -> "AsyncIterator[_Connection]":
        """The store, until the deadline; its errors become ours."""
        try:
            async with deadline.limit():
                yield await asyncio.shield(self._connection())
        except TimeoutError as error:
            raise StoreUnavailable("The document store did not answer in time.") from error
        except grpc.aio.AioRpcError as error:
            if error.code() in CONFIGURATION:
                raise Refused("The document store refuses us: check the project, the database and the service account's role.") from error
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise StoreExhausted("The document store is over its quota; try again in a moment.", retry_after=EXHAUSTED) from error
            raise StoreUnavailable("The document store failed or did not answer.") from error

    def _connection(self) -> "asyncio.Task[_Connection]":
        """The connection of this event loop, begun by whoever comes first; one that failed is begun anew."""
        if self._connecting is None or not _usable(self._connecting):
            self._connecting = asyncio.create_task(self._connect())
        return self._connecting

    async def _connect(self) -> "_Connection":
        if self._emulator_host is not None:
            channel = grpc.aio.insecure_channel(self._emulator_host, options=CHANNEL_OPTIONS)
            return _Connection.over(channel, self._project or "demo-cantilever", self._database, ("authorization", "Bearer owner"))
        try:
            credentials, found = await account(FirestoreGrpcAsyncIOTransport.AUTH_SCOPES)
        except Upstream as error:
            raise StoreUnavailable("The document store's credentials could not be had; try again later.") from error
        project = self._project or found
        if not project:
            raise Refused("The document store's project is not known: set GOOGLE_CLOUD_PROJECT.")
        channel = FirestoreGrpcAsyncIOTransport.create_channel(credentials=credentials, options=CHANNEL_OPTIONS)
        return _Connection.over(channel, project, self._database)


@dataclass(frozen=True, slots=True)
class _Connection:
    """The three RPCs over one channel, and what each of them carries."""

    channel: grpc.aio.Channel
    database: str
    metadata: Sequence[tuple[str, str]]
    get: Any
    list: Any
    commit: Any

    @classmethod
    def over(cls, channel: grpc.aio.Channel, project: str, database: str, *metadata: tuple[str, str]) -> "_Connection":
        """The RPCs of `database`; a database that is not the default one is found by these headers only."""
        rpc, root = "/google.firestore.v1.Firestore/", f"projects/{project}/databases/{database}"
        return cls(
            channel,
            root,
            (("google-cloud-resource-prefix", root), ("x-goog-request-params", f"database={root}"), *metadata),
            channel.unary_stream(f"{rpc}BatchGetDocuments", _BatchGet.SerializeToString, _BatchGot.FromString),
            channel.unary_stream(f"{rpc}RunQuery", _RunQuery.SerializeToString, _QueryRan.FromString),
            channel.unary_unary(f"{rpc}Commit", _Commit.SerializeToString, _Committed.FromString),
        )

    def name(self, key: Key) -> str:
        """The document's full name."""
        return f"{self.database}/documents/{key.collection}/{key.id}"


def _usable(task: asyncio.Task[_Connection]) -> bool:
    """Whether a connection is of this event loop, and has not failed."""
    failed = task.done() and (task.cancelled() or task.exception() is not None)
    return task.get_loop() is asyncio.get_running_loop() and not failed


def _timeout(deadline: Deadline) -> float:
    return min(CAP, deadline.left())


def _add(message: Any, write: Write, name: str) -> None:
    """Fill a protobuf `Write`."""
    if write.expected == ABSENT:
        message.current_document.exists = False
    elif write.expected != ANY:
        message.current_document.update_time.FromNanoseconds(int(write.expected))
    if isinstance(write, Delete):
        message.delete = name
        return
    message.update.name = name
    if isinstance(write, Require):
        message.update_mask.SetInParent()  # An update of no field: the document and its update time stay as they are.
        return
    fields = message.update.fields
    fields["body"].string_value = write.body
    # Firestore keeps the update time, which is our version, of a document whose fields do not change.
    fields["stamp"].bytes_value = secrets.token_bytes(8)
    if write.place:
        fields["place"].string_value = f"{write.place.parent}/{write.place.position}"
    if write.expires_at:
        fields["expires_at"].timestamp_value.FromDatetime(write.expires_at)


def _document(message: Any, key: Key) -> Document:
    fields, updated = message.fields, message.update_time
    place = Place(*fields["place"].string_value.split("/")) if "place" in fields else None
    return Document(key, fields["body"].string_value, Version(str(updated.ToNanoseconds())), updated.ToDatetime(tzinfo=UTC), place)
