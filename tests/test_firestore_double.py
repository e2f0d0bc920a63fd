"""The double of Firestore fails as it is told; that it is right where it is told nothing is in tests/contracts and tests/adapters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.cloud.firestore_v1 import types

from functions.adapters.firestore import FirestoreDocuments
from functions.core.documents import ABSENT, ANY, Conflict, Delete, Key, Put
from functions.core.errors import StoreUnavailable
from tests.deadlines import soon
from tests.emulators import DurableFirestore
from tests.firestore_double import Failing, FirestoreDouble, Rpc

ONE = Key("things", "one")


@asynccontextmanager
async def store_at(address: str) -> AsyncIterator[FirestoreDocuments]:
    store = FirestoreDocuments("demo-double", emulator_host=address)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def served(double: FirestoreDouble) -> AsyncIterator[FirestoreDocuments]:
    async with double.serve() as address, store_at(address) as store:
        yield store


async def body(store: FirestoreDocuments, key: Key = ONE) -> str | None:
    found = (await store.get([key], soon())).documents.get(key)
    return found.body if found else None


async def test_a_share_of_commits_is_aborted() -> None:
    double = FirestoreDouble(abort_share=0.3)
    async with served(double) as store:
        for number in range(200):
            await store.commit([Put(Key("things", str(number)), "{}", ABSENT)], soon())

    assert double.commits == len(double.documents) == 200
    assert 250 < len(double.calls) < 330  # 200 / 0.7 = 286


async def test_a_share_of_commits_is_applied_and_not_acknowledged() -> None:
    double, lost = FirestoreDouble(lose_share=0.1), 0
    async with served(double) as store:
        for number in range(200):
            try:
                await store.commit([Put(Key("things", str(number)), "{}", ABSENT)], soon())
            except StoreUnavailable:
                lost += 1

    assert double.commits == len(double.documents) == len(double.calls) == 200
    assert 8 < lost < 35


async def test_writes_alone_may_be_refused() -> None:
    double = FirestoreDouble()
    async with served(double) as store:
        await store.commit([Put(ONE, "1", ABSENT)], soon())
        double.refuse_writes = grpc.StatusCode.RESOURCE_EXHAUSTED

        with pytest.raises(StoreUnavailable):
            await store.commit([Put(ONE, "2", ANY)], soon())

        assert await body(store) == "1"


async def test_reads_may_lag() -> None:
    double = FirestoreDouble(lag=0.2)
    async with served(double) as store:
        await store.commit([Put(ONE, "1", ABSENT)], soon())
        await asyncio.sleep(0.1)
        await store.commit([Put(ONE, "2", ANY)], soon())
        seen = [await body(store)]
        await asyncio.sleep(0.12)
        seen.append(await body(store))
        await store.commit([Delete(ONE, ANY)], soon())
        seen.append(await body(store))
        await asyncio.sleep(0.12)
        seen.append(await body(store))
        await asyncio.sleep(0.12)
        seen.append(await body(store))

        read_at = (await store.get([ONE], soon())).read_at

    assert seen == [None, "1", "1", "2", None]
    assert datetime.now(UTC) - read_at >= timedelta(seconds=0.2)


async def test_a_hook_acts_before_and_after_a_write_of_its_choice() -> None:
    seen: list[object] = []

    async def before(rpc: Rpc) -> None:
        if ("things", {"status": "pending"}) in rpc.writes:
            seen.append(("before", len(double.documents)))

    async def after(rpc: Rpc) -> None:
        if ("things", {"status": "pending"}) in rpc.writes:
            seen.append(("after", len(double.documents)))

    double = FirestoreDouble(before=before, after=after)
    async with served(double) as store:
        await store.commit([Put(Key("things", "other"), '{"status": "done"}', ABSENT)], soon())
        await store.commit([Put(ONE, '{"status": "pending"}', ABSENT), Delete(Key("things", "none"), ANY)], soon())

    assert seen == [("before", 1), ("after", 2)]


@pytest.mark.parametrize(("moment", "kept"), [("before", None), ("after", "{}")])
async def test_a_hook_may_end_an_rpc_before_or_after_it_is_done(moment: str, kept: str | None) -> None:
    async def fail(rpc: Rpc) -> None:
        if rpc.kind == "Commit":
            raise Failing(grpc.StatusCode.UNAVAILABLE)

    double = FirestoreDouble(**{moment: fail})  # type: ignore[arg-type]
    async with served(double) as store:
        with pytest.raises(StoreUnavailable):
            await store.commit([Put(ONE, "{}", ABSENT)], soon())

        assert await body(store) == kept


async def test_an_rpc_tells_where_it_was_sent() -> None:
    seen: list[str] = []

    async def before(rpc: Rpc) -> None:
        seen.append(rpc.address)

    double = FirestoreDouble(before=before)
    async with double.serve() as one, double.serve() as other, store_at(one) as first, store_at(other) as second:
        await first.commit([Put(ONE, "1", ABSENT)], soon())
        assert await body(second) == "1"

    assert seen == [one, other]


async def test_what_expired_is_found_in_order() -> None:
    noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    double = FirestoreDouble()
    async with served(double) as store:
        for minute in (3, 1, 2, 9):
            expires_at = noon + timedelta(minutes=minute)
            await store.commit([Put(Key("things", f"m{minute}"), "{}", ABSENT, expires_at=expires_at)], soon())
        await store.commit([Put(Key("things", "never"), "{}", ABSENT), Put(Key("others", "m0"), "{}", ABSENT, expires_at=noon)], soon())
        before = {"timestamp_value": noon + timedelta(minutes=9)}
        query = {
            "from_": [{"collection_id": "things"}],
            "where": {"field_filter": {"field": {"field_path": "expires_at"}, "op": "LESS_THAN", "value": before}},
            "order_by": [{"field": {"field_path": "expires_at"}, "direction": "ASCENDING"}],
            "limit": 2,
        }
        request = types.RunQueryRequest(parent="projects/demo-double/databases/(default)/documents", structured_query=query)
        connection = await store._connection()
        call = connection.list(types.RunQueryRequest.pb(request), timeout=5, metadata=connection.metadata)
        found = [answer.document.name.rpartition("/")[2] async for answer in call]

    assert found == ["m1", "m2"]


async def test_documents_survive_the_death_of_a_double_with_a_log(tmp_path: Path) -> None:
    firestore, two = DurableFirestore(tmp_path / "log"), Key("things", "two")
    await asyncio.to_thread(firestore.start)
    try:
        async with store_at(firestore.address) as store:
            await store.commit([Put(ONE, "1", ABSENT), Put(two, "2", ABSENT)], soon())
            await store.commit([Put(ONE, "changed", ANY), Delete(two, ANY)], soon())
            version = (await store.get([ONE], soon())).documents[ONE].version
        firestore.kill()
        with (tmp_path / "log").open("ab") as log:
            log.write(b"\0\0\1\0half of a commit")

        before = firestore.address
        await asyncio.to_thread(firestore.start)
        async with store_at(firestore.address) as store:
            found = (await store.get([ONE, two], soon())).documents

            assert {key.id: document.body for key, document in found.items()} == {"one": "changed"}
            assert firestore.address == before
            await store.commit([Put(ONE, "once more", version)], soon())
            with pytest.raises(Conflict):
                await store.commit([Put(ONE, "twice", version)], soon())
    finally:
        firestore.kill()
