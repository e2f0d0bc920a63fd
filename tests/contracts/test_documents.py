"""One contract, held by both stores (functions/core/documents.py); the double keeps it too, or what is tried on it would prove nothing."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.adapters.firestore import FirestoreDocuments
from functions.adapters.sqlite import SqliteDocuments
from functions.core.documents import (
    ABSENT,
    ANY,
    MAX_BODY_BYTES,
    Conflict,
    Delete,
    Document,
    Documents,
    Expected,
    Key,
    Place,
    Put,
    Require,
    Version,
)
from functions.core.errors import StoreUnavailable
from tests.deadlines import soon
from tests.firestore_double import FirestoreDouble

Another = Callable[[], Documents]


@pytest.fixture(params=["sqlite", "firestore", "double"])
async def another(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Another]:
    """Makes instances of one store, which know of one another only through it."""
    project = f"demo-{secrets.token_hex(8)}"
    async with contextlib.AsyncExitStack() as opened:
        double_at = await opened.enter_async_context(FirestoreDouble().serve())

        def sqlite() -> Documents:
            store = SqliteDocuments(tmp_path / "documents.db")
            opened.push_async_callback(store.close)
            return store

        def firestore() -> Documents:
            store = FirestoreDocuments(project, emulator_host=request.getfixturevalue("firestore_emulator"))
            opened.push_async_callback(store.close)
            return store

        def double() -> Documents:
            store = FirestoreDocuments(project, emulator_host=double_at)
            opened.push_async_callback(store.close)
            return store

        yield {"sqlite": sqlite, "firestore": firestore, "double": double}[request.param]


@pytest.fixture
def documents(another: Another) -> Documents:
    return another()


def key(name: str) -> Key:
    return Key("things", name)


def put(name: str, body: str = "{}", expected: Expected = ANY, place: Place | None = None) -> Put:
    return Put(key(name), body, expected, place)


async def read(documents: Documents, name: str) -> Document | None:
    return (await documents.get([key(name)], soon())).documents.get(key(name))


async def version(documents: Documents, name: str) -> Version:
    found = await read(documents, name)
    assert found is not None
    return found.version


async def body(documents: Documents, name: str) -> str | None:
    found = await read(documents, name)
    return found.body if found else None


async def positions(documents: Documents, parent: str, *, after: str = "", limit: int = 100) -> list[str]:
    listed = await documents.list("things", parent, after=after, limit=limit, deadline=soon())
    return [document.place.position for document in listed if document.place]


async def test_documents_are_read_together_and_a_missing_one_is_missing(documents: Documents) -> None:
    await documents.commit([put("one", "1"), Put(Key("others", "one"), "2", ANY)], soon())

    snapshot = await documents.get([key("one"), Key("others", "one"), key("none")], soon())

    assert {found: document.body for found, document in snapshot.documents.items()} == {key("one"): "1", Key("others", "one"): "2"}


async def test_a_document_is_read_as_it_was_written(documents: Documents) -> None:
    begun = datetime.now(UTC)
    await documents.commit([put("one", "1", place=Place("parent", "0001"))], soon())

    found = await read(documents, "one")

    assert found is not None
    assert (found.key, found.body, found.place) == (key("one"), "1", Place("parent", "0001"))
    assert begun - timedelta(seconds=1) < found.updated_at < datetime.now(UTC) + timedelta(seconds=1)


async def test_the_same_key_asked_for_twice_is_read_once(documents: Documents) -> None:
    await documents.commit([put("one", "1")], soon())

    snapshot = await documents.get([key("one"), key("one")], soon())

    assert [document.body for document in snapshot.documents.values()] == ["1"]


async def test_a_hundred_documents_are_written_and_read_at_once(documents: Documents) -> None:
    await documents.commit([put(f"n{number}", str(number), ABSENT) for number in range(100)], soon())

    snapshot = await documents.get([key(f"n{number}") for number in range(100)], soon())

    assert sorted(int(document.body) for document in snapshot.documents.values()) == list(range(100))


async def test_what_must_be_absent_is_created_once(documents: Documents) -> None:
    await documents.commit([put("one", "first", ABSENT)], soon())

    with pytest.raises(Conflict):
        await documents.commit([put("one", "second", ABSENT)], soon())

    assert await body(documents, "one") == "first"


async def test_any_version_is_replaced_and_the_version_changes(documents: Documents) -> None:
    await documents.commit([put("one", "first")], soon())
    first = await version(documents, "one")

    await documents.commit([put("one", "second", ANY)], soon())

    assert await body(documents, "one") == "second"
    assert await version(documents, "one") != first


async def test_the_version_that_was_read_is_replaced(documents: Documents) -> None:
    await documents.commit([put("one", "first")], soon())

    await documents.commit([put("one", "second", await version(documents, "one"))], soon())

    assert await body(documents, "one") == "second"


async def test_an_older_version_is_a_conflict(documents: Documents) -> None:
    await documents.commit([put("one", "first")], soon())
    old = await version(documents, "one")
    await documents.commit([put("one", "second")], soon())

    with pytest.raises(Conflict):
        await documents.commit([put("one", "third", old)], soon())

    assert await body(documents, "one") == "second"


async def test_a_version_of_what_is_gone_is_a_conflict(documents: Documents) -> None:
    await documents.commit([put("one", "first")], soon())
    old = await version(documents, "one")
    await documents.commit([Delete(key("one"), ANY)], soon())

    with pytest.raises(Conflict):
        await documents.commit([put("one", "second", old)], soon())

    assert await read(documents, "one") is None


async def test_writing_the_same_again_gives_a_new_version(documents: Documents) -> None:
    await documents.commit([put("one", "same")], soon())
    old = await version(documents, "one")
    await documents.commit([put("one", "same", old)], soon())

    with pytest.raises(Conflict):
        await documents.commit([put("one", "same", old)], soon())


async def test_a_version_is_not_reused_after_a_delete(documents: Documents) -> None:
    seen = set()
    for _ in range(20):
        await documents.commit([put("one", "same", ABSENT)], soon())
        seen.add(await version(documents, "one"))
        await documents.commit([Delete(key("one"), ANY)], soon())

    assert len(seen) == 20


async def test_a_delete_removes_the_version_that_was_read(documents: Documents) -> None:
    await documents.commit([put("one")], soon())

    await documents.commit([Delete(key("one"), await version(documents, "one"))], soon())

    assert await read(documents, "one") is None


async def test_a_delete_of_an_older_version_is_a_conflict(documents: Documents) -> None:
    await documents.commit([put("one", "first")], soon())
    old = await version(documents, "one")
    await documents.commit([put("one", "second")], soon())

    with pytest.raises(Conflict):
        await documents.commit([Delete(key("one"), old)], soon())

    assert await body(documents, "one") == "second"


async def test_a_delete_of_a_version_that_is_gone_is_a_conflict(documents: Documents) -> None:
    await documents.commit([put("one", "first")], soon())
    old = await version(documents, "one")
    await documents.commit([Delete(key("one"), ANY)], soon())

    with pytest.raises(Conflict):
        await documents.commit([Delete(key("one"), old)], soon())


async def test_deleting_what_does_not_exist_is_no_fault(documents: Documents) -> None:
    await documents.commit([Delete(key("none"), ANY), Delete(key("none either"), ABSENT)], soon())

    assert await read(documents, "none") is None


async def test_a_delete_that_requires_absence_spares_what_exists(documents: Documents) -> None:
    await documents.commit([put("one", "1")], soon())

    with pytest.raises(Conflict):
        await documents.commit([Delete(key("one"), ABSENT)], soon())

    assert await body(documents, "one") == "1"


async def test_what_is_required_stays_as_it_is(documents: Documents) -> None:
    await documents.commit([put("head", "kept")], soon())
    before = await version(documents, "head")

    await documents.commit([Require(key("head"), before), put("turn", "written")], soon())

    assert await version(documents, "head") == before
    assert [await body(documents, name) for name in ("head", "turn")] == ["kept", "written"]


@pytest.mark.parametrize("change", [put("head", "changed"), Delete(key("head"), ANY)], ids=["written", "deleted"])
async def test_a_commit_that_requires_what_changed_is_a_conflict(documents: Documents, change: Put | Delete) -> None:
    await documents.commit([put("head", "kept")], soon())
    before = await version(documents, "head")
    await documents.commit([change], soon())

    with pytest.raises(Conflict):
        await documents.commit([put("turn", "written"), Require(key("head"), before)], soon())

    assert await body(documents, "turn") is None


async def test_a_conflict_writes_nothing_of_its_commit(documents: Documents) -> None:
    await documents.commit([put("kept", "kept"), put("taken", "first")], soon())

    with pytest.raises(Conflict):
        await documents.commit([put("new", "new"), Delete(key("kept"), ANY), put("taken", "second", ABSENT), put("late", "late")], soon())

    assert [await body(documents, name) for name in ("new", "kept", "taken", "late")] == [None, "kept", "first", None]


async def test_a_conflict_does_not_touch_commits_made_at_the_same_time(documents: Documents) -> None:
    await documents.commit([put("taken", "first")], soon())

    outcomes = await asyncio.gather(
        *(documents.commit([put(f"n{n}", ABSENT), put("taken" if n % 2 else f"m{n}", "", ABSENT)], soon()) for n in range(10)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict] * 5
    written = (await documents.get([key(f"n{n}") for n in range(10)], soon())).documents
    assert written.keys() == {key(f"n{n}") for n in (0, 2, 4, 6, 8)}


async def test_of_twenty_racers_for_one_name_one_wins(another: Another) -> None:
    racers = [another() for _ in range(4)] * 5

    outcomes = await asyncio.gather(
        *(store.commit([put("one", str(number), ABSENT)], soon()) for number, store in enumerate(racers)), return_exceptions=True
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict"] * 19 + ["NoneType"]
    assert await body(racers[0], "one") == str(outcomes.index(None))


async def test_of_twenty_racers_from_one_version_one_wins(another: Another) -> None:
    racers = [another() for _ in range(4)] * 5
    await racers[0].commit([put("one", "before")], soon())
    read_by_all = await version(racers[0], "one")

    outcomes = await asyncio.gather(*(store.commit([put("one", "after", read_by_all)], soon()) for store in racers), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict"] * 19 + ["NoneType"]


async def test_a_list_is_in_the_order_of_positions_by_code_point(documents: Documents) -> None:
    places = ["b", "a", "é", "日", "😀", "B", "10", "9", "\uffee"]
    await documents.commit([put(f"n{n}", place=Place("p", position)) for n, position in enumerate(places)], soon())

    listed = await positions(documents, "p")

    assert listed == ["10", "9", "B", "a", "b", "é", "日", "\uffee", "😀"]


async def test_a_list_begins_behind_a_position_and_ends_at_its_limit(documents: Documents) -> None:
    await documents.commit([put(f"n{n}", place=Place("p", f"{n:04}")) for n in range(10)], soon())

    assert await positions(documents, "p", limit=3) == ["0000", "0001", "0002"]
    assert await positions(documents, "p", after="0002", limit=3) == ["0003", "0004", "0005"]
    assert await positions(documents, "p", after="00025", limit=1) == ["0003"]
    assert await positions(documents, "p", after="0009") == []


async def test_a_list_is_of_one_parent_and_one_collection(documents: Documents) -> None:
    parents = ["a", "ab", "a0", "a ", "A", "a.", "a-", "á", "日", "日本"]
    await documents.commit([put(f"n{n}", place=Place(parent, f"of {parent}")) for n, parent in enumerate(parents)], soon())
    await documents.commit([Put(Key("others", "one"), "{}", ANY, Place("a", "elsewhere")), put("unplaced")], soon())

    listed = {parent: await positions(documents, parent) for parent in [*parents, "none"]}

    assert listed == {**{parent: [f"of {parent}"] for parent in parents}, "none": []}


async def test_a_listed_document_is_the_document(documents: Documents) -> None:
    await documents.commit([put("one", "1", place=Place("p", "0001"))], soon())

    listed = await documents.list("things", "p", limit=1, deadline=soon())

    assert listed == [await read(documents, "one")]


async def test_a_later_put_moves_a_document_or_takes_it_from_its_place(documents: Documents) -> None:
    await documents.commit([put("moved", place=Place("p", "1")), put("taken", place=Place("p", "2"))], soon())

    await documents.commit([put("moved", place=Place("q", "1")), put("taken")], soon())

    assert (await positions(documents, "p"), await positions(documents, "q")) == ([], ["1"])
    taken = await read(documents, "taken")
    assert taken is not None
    assert taken.place is None


async def test_a_deleted_document_is_not_listed(documents: Documents) -> None:
    await documents.commit([put("one", place=Place("p", "1"))], soon())

    await documents.commit([Delete(key("one"), ANY)], soon())

    assert await positions(documents, "p") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"a": "b"}',
        "'\";DROP TABLE documents;--\\",
        "北京明天天气怎么样",
        "👩‍👩‍👧‍👦 e\u0301 \u202e",
        "\n\r\t \x01\x7f",
        "\\u0000 %s {} ?",
    ],
)
async def test_a_body_comes_back_byte_for_byte(documents: Documents, text: str) -> None:
    await documents.commit([put("one", text)], soon())

    assert await body(documents, "one") == text


async def test_the_largest_body_is_kept(documents: Documents) -> None:
    largest = "日" * (MAX_BODY_BYTES // 3)
    await documents.commit([put("one", largest, place=Place("p", "1"))], soon())

    assert await body(documents, "one") == largest
    assert [document.body for document in await documents.list("things", "p", limit=1, deadline=soon())] == [largest]


async def test_read_at_is_the_time_of_the_store(documents: Documents) -> None:
    before = await documents.get([key("none")], soon())
    await documents.commit([put("one")], soon())
    after = await documents.get([key("one")], soon())

    assert abs(before.read_at - datetime.now(UTC)) < timedelta(seconds=5)
    assert before.read_at <= after.documents[key("one")].updated_at <= after.read_at


async def test_another_instance_sees_what_was_committed_at_once(another: Another) -> None:
    here, there = another(), another()
    assert await read(there, "one") is None

    for number in range(20):
        await here.commit([put("one", str(number))], soon())
        assert await body(there, "one") == str(number)


async def test_an_expired_document_is_still_read_until_it_is_cleaned_up(documents: Documents) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=1)

    await documents.commit([Put(key("one"), "1", ANY, expires_at=long_ago)], soon())

    assert await body(documents, "one") == "1"


async def test_what_expired_is_found_the_oldest_first(documents: Documents) -> None:
    now = datetime.now(UTC)
    ages = {"old": -3, "older": -5, "oldest": -7, "young": 3}
    writes = [Put(key(name), name, ANY, expires_at=now + timedelta(minutes=minutes)) for name, minutes in ages.items()]
    await documents.commit(
        [*writes, put("timeless", "1"), Put(Key("others", "old"), "1", ANY, expires_at=now - timedelta(minutes=9))], soon()
    )

    found = await documents.expired("things", now, limit=2, deadline=soon())
    all_found = await documents.expired("things", now, limit=100, deadline=soon())

    assert [document.body for document in found] == ["oldest", "older"]
    assert [document.body for document in all_found] == ["oldest", "older", "old"]
    await documents.commit([Delete(found[0].key, found[0].version)], soon())
    assert [document.body for document in await documents.expired("things", now, limit=1, deadline=soon())] == ["older"]


async def test_nothing_is_done_for_a_caller_whose_deadline_has_passed(documents: Documents) -> None:
    await documents.commit([put("one", "before")], soon())

    with pytest.raises(StoreUnavailable):
        await documents.commit([put("one", "after")], soon(0))
    with pytest.raises(StoreUnavailable):
        await documents.get([key("one")], soon(0))
    with pytest.raises(StoreUnavailable):
        await documents.list("things", "p", limit=1, deadline=soon(0))
    with pytest.raises(StoreUnavailable):
        await documents.expired("things", datetime.now(UTC), limit=1, deadline=soon(0))

    assert await body(documents, "one") == "before"
