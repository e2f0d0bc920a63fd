"""What only the Firestore store has to promise: how often it asks, and what it does when Firestore fails."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from functions.adapters.firestore import FirestoreDocuments
from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, ANY, Conflict, Delete, Documents, Expected, Key, Place, Put, Version
from functions.core.errors import Refused, StoreUnavailable
from tests.deadlines import soon
from tests.firestore_double import FirestoreDouble

ROOT = Path(__file__).parents[2]
Operation = Callable[[Documents, Deadline], Coroutine[Any, Any, object]]

OPERATIONS: dict[str, Operation] = {
    "get": lambda documents, deadline: documents.get([key("one")], deadline),
    "list": lambda documents, deadline: documents.list("things", "p", limit=1, deadline=deadline),
    "commit": lambda documents, deadline: documents.commit([put("one")], deadline),
}
EVERY_OPERATION = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


@pytest.fixture
def firestore() -> FirestoreDouble:
    return FirestoreDouble()


@pytest.fixture
async def documents(firestore: FirestoreDouble) -> AsyncIterator[FirestoreDocuments]:
    async with firestore.serve() as address:
        store = FirestoreDocuments("demo-double", "other", emulator_host=address)
        yield store
        await store.close()


def key(name: str) -> Key:
    return Key("things", name)


def put(name: str, body: str = "{}", expected: Expected = ANY, place: Place | None = None) -> Put:
    return Put(key(name), body, expected, place)


async def test_three_documents_are_read_with_one_rpc(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    await documents.get([key("one"), Key("others", "two"), key("three")], soon())

    assert firestore.calls == ["BatchGetDocuments"]


async def test_two_writes_are_committed_with_one_rpc(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    await documents.commit([put("one", expected=ABSENT), put("two", place=Place("p", "1"))], soon())

    assert firestore.calls == ["Commit"]


async def test_a_list_is_one_rpc_however_long(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    await documents.commit([put(f"n{n:03}", place=Place("p", f"{n:03}")) for n in range(100)], soon())

    listed = await documents.list("things", "p", after="009", limit=50, deadline=soon())

    assert [document.key.id for document in listed] == [f"n{n:03}" for n in range(10, 60)]
    assert firestore.calls == ["Commit", "RunQuery"]


async def test_a_named_database_is_told_in_the_headers(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    await documents.get([key("one")], soon())

    assert firestore.headers["google-cloud-resource-prefix"] == "projects/demo-double/databases/other"
    assert firestore.headers["x-goog-request-params"] == "database=projects/demo-double/databases/other"


async def test_the_nanoseconds_of_an_update_time_are_kept(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    await documents.commit([put("one")], soon())
    stored = firestore.documents["projects/demo-double/databases/other/documents/things/one"]
    stored.update_time.FromNanoseconds(1_700_000_000_123_456_789)

    found = (await documents.get([key("one")], soon())).documents[key("one")]
    await documents.commit([put("one", "2", found.version)], soon())

    assert found.version == "1700000000123456789"
    assert found.updated_at == datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)


async def test_an_expiry_is_a_timestamp_for_the_ttl_policy(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    await documents.commit([Put(key("one"), "{}", ANY, expires_at=datetime(2026, 11, 22, 12, tzinfo=UTC))], soon())

    stored = firestore.documents["projects/demo-double/databases/other/documents/things/one"]

    assert stored.fields["expires_at"].timestamp_value.ToJsonString() == "2026-11-22T12:00:00Z"


async def test_an_aborted_commit_is_sent_again_until_it_is_taken(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    firestore.aborts = 5

    await documents.commit([put("one", expected=ABSENT)], soon())

    assert firestore.calls == ["Commit"] * 6
    assert (firestore.commits, len(firestore.documents)) == (1, 1)


async def test_a_commit_that_is_always_aborted_ends_at_the_deadline(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    firestore.aborts = 1_000_000
    begun = time.monotonic()

    with pytest.raises(StoreUnavailable):
        await documents.commit([put("one")], soon(1))

    assert 0.9 < time.monotonic() - begun < 1.3
    assert 4 < len(firestore.calls) < 40


async def test_a_commit_whose_acknowledgement_was_lost_is_not_sent_again(firestore: FirestoreDouble, documents: FirestoreDocuments) -> None:
    firestore.lose_acknowledgements = 1

    with pytest.raises(StoreUnavailable):
        await documents.commit([put("one", "written", ABSENT)], soon())

    assert firestore.calls == ["Commit"]
    assert (await documents.get([key("one")], soon())).documents[key("one")].body == "written"


@EVERY_OPERATION
@pytest.mark.parametrize("status", ["DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "CANCELLED", "DATA_LOSS"])
async def test_a_failing_store_is_asked_once_and_told_as_unavailable(
    firestore: FirestoreDouble, documents: FirestoreDocuments, operation: Operation, status: str
) -> None:
    firestore.status = grpc.StatusCode[status]

    with pytest.raises(StoreUnavailable) as failure:
        await operation(documents, soon())

    assert len(firestore.calls) == 1
    assert "127.0.0.1" not in str(failure.value)


@pytest.mark.parametrize(("name", "calls"), [("get", 2), ("list", 2), ("commit", 1)])
async def test_only_reads_ask_a_store_that_is_away_once_more(
    firestore: FirestoreDouble, documents: FirestoreDocuments, name: str, calls: int
) -> None:
    firestore.status = grpc.StatusCode.UNAVAILABLE

    with pytest.raises(StoreUnavailable):
        await OPERATIONS[name](documents, soon())

    assert len(firestore.calls) == calls


@EVERY_OPERATION
@pytest.mark.parametrize(
    "status", ["PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "UNIMPLEMENTED"]
)
async def test_a_store_that_refuses_us_is_asked_once_and_is_for_the_operator(
    firestore: FirestoreDouble, documents: FirestoreDocuments, operation: Operation, status: str
) -> None:
    firestore.status = grpc.StatusCode[status]

    with pytest.raises(Refused):
        await operation(documents, soon())

    assert len(firestore.calls) == 1


@pytest.mark.parametrize("write", [put("one", expected=ABSENT), put("one", expected=Version("1")), Delete(key("one"), Version("1"))])
@pytest.mark.parametrize("status", ["ALREADY_EXISTS", "FAILED_PRECONDITION", "NOT_FOUND"])
async def test_an_expectation_that_does_not_hold_is_a_conflict(
    firestore: FirestoreDouble, documents: FirestoreDocuments, write: Put | Delete, status: str
) -> None:
    firestore.status = grpc.StatusCode[status]

    with pytest.raises(Conflict):
        await documents.commit([write, put("two")], soon())


@EVERY_OPERATION
async def test_a_store_that_hangs_is_given_up_at_the_deadline(
    firestore: FirestoreDouble, documents: FirestoreDocuments, operation: Operation
) -> None:
    firestore.hang = True
    begun = time.monotonic()

    with pytest.raises(StoreUnavailable):
        await operation(documents, soon(0.5))

    assert 0.4 < time.monotonic() - begun < 0.8


@EVERY_OPERATION
async def test_a_store_that_hangs_is_given_up_after_a_second_and_a_half_however_far_the_deadline(
    firestore: FirestoreDouble, documents: FirestoreDocuments, operation: Operation
) -> None:
    firestore.hang = True
    begun = time.monotonic()

    with pytest.raises(StoreUnavailable):
        await operation(documents, soon(30))

    assert 1.4 < time.monotonic() - begun < 1.9


@EVERY_OPERATION
@pytest.mark.parametrize("listening", [True, False], ids=["silent", "closed"])
async def test_a_dead_store_is_given_up_by_the_deadline(operation: Operation, listening: bool) -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # Nobody else gets the port, also while nobody listens on it.
        if listening:
            dead.listen()
        documents = FirestoreDocuments("demo-dead", emulator_host=f"127.0.0.1:{dead.getsockname()[1]}")
        begun = time.monotonic()

        with pytest.raises(StoreUnavailable):
            await operation(documents, soon(1))

        assert time.monotonic() - begun < 1.3
        await documents.close()


async def fail_for(seconds: float, documents: Documents) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with pytest.raises(StoreUnavailable):
            await documents.get([key("one")], soon(0.2))
        await asyncio.sleep(0.1)


async def test_a_store_that_was_restarted_is_found_soon(firestore: FirestoreDouble) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        documents = FirestoreDocuments("demo-back", emulator_host=f"127.0.0.1:{port}")
        await fail_for(3, documents)

    async with firestore.serve(port):
        await asyncio.sleep(1.4)
        await documents.get([key("one")], soon(0.2))

    await documents.close()


async def test_a_store_behind_a_network_that_was_silent_is_found_soon(firestore: FirestoreDouble) -> None:
    silent = True

    async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while octets := await source.read(65_536):
            target.write(octets)
        target.close()

    async def relay(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        if silent:
            await source.read()  # Heard, and never answered.
        else:
            behind_source, behind_target = await asyncio.open_connection(*address.split(":"))
            await asyncio.gather(forward(source, behind_target), forward(behind_source, target))
        target.close()

    async with firestore.serve() as address, await asyncio.start_server(relay, "127.0.0.1", 0) as network:
        documents = FirestoreDocuments("demo-back", emulator_host=f"127.0.0.1:{network.sockets[0].getsockname()[1]}")
        await fail_for(2.5, documents)
        silent = False
        await asyncio.sleep(3.5)
        await documents.get([key("one")], soon(0.2))
        await documents.close()


def test_every_event_loop_gets_its_own_connection(firestore_emulator: str) -> None:
    documents = FirestoreDocuments("demo-loops", emulator_host=firestore_emulator)

    async def commit_and_read(body: str) -> str:
        await documents.commit([put("one", body)], soon())
        return (await documents.get([key("one")], soon())).documents[key("one")].body

    assert [asyncio.run(commit_and_read(body)) for body in ("first", "second")] == ["first", "second"]


def test_credentials_that_cannot_be_read_are_for_the_operator(tmp_path: Path) -> None:
    script = """
import asyncio
from functions.adapters.firestore import FirestoreDocuments
from functions.core.deadline import Deadline
from functions.core.documents import Key
from functions.core.errors import Refused

async def main():
    documents = FirestoreDocuments("demo-none")
    for _ in range(2):
        try:
            await documents.get([Key("things", "one")], Deadline.after(5, asyncio.get_running_loop().time))
        except Refused as error:
            print(error)
    await documents.close()

asyncio.run(main())
"""
    environment = {"PYTHONPATH": str(ROOT), "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "missing.json")}

    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert ended.stdout == "No Google credentials here: run as a service account, or log in with gcloud auth application-default.\n" * 2
    assert ended.stderr == ""
