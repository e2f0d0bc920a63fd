"""How much may be open, and how much may be spent: beyond it a fast refusal that says which limit it was."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.adapters.sqlite import SqliteDocuments
from functions.core.admission import Admission
from functions.core.documents import ABSENT, Document, Documents, Key, Put, Snapshot, Version
from functions.core.errors import DeploymentSpent, Overloaded, OwnerSpent, StoreUnavailable, TooManyTurns
from functions.core.model import Call, Reply, Usage
from functions.core.oauth.records import Family, family_key
from functions.core.question import Done, Pending, Question
from functions.core.records import Records
from functions.core.spend import DEPLOYMENT, MAX_AT_ONCE, SPEND, Ledger
from functions.core.stored import Bearer, Tokens, Turn, digest
from tests import conversations
from tests.deadlines import soon
from tests.fakes import Meddling, Published, ScriptedModel

NOW = datetime(2026, 11, 25, 18, tzinfo=UTC)
SAID = Reply("ok", "stop", usage=Usage(60, 40))


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[Documents]:
    store = SqliteDocuments(tmp_path / "turns.db")
    yield store
    await store.close()


def asked(session: str, owner: str = "", *, signed_in: bool = False) -> Question:
    bearer = Bearer(user=owner, client_id="c-1", family=owner) if signed_in else None
    return Question(owner, session, f"question in {session}", "any", bearer=bearer)


# What is open


async def test_an_instance_that_is_full_says_so_at_once(documents: Documents) -> None:
    running = conversations.turns(documents, ScriptedModel(0.3, SAID, SAID), admission=Admission(most=1, most_per_owner=9))
    first = asyncio.create_task(running.run(asked("one"), soon()))
    await asyncio.sleep(0.05)

    with pytest.raises(Overloaded, match="This instance answers as many") as refused:
        await running.run(asked("two"), soon())

    assert refused.value.retry_after == timedelta(seconds=1)
    assert isinstance(await first, Done)
    assert isinstance(await running.run(asked("two"), soon()), Done)


async def test_one_owner_does_not_fill_the_instance(documents: Documents) -> None:
    for owner in ("ada", "bob"):
        family = Family(user=owner, client_id="c-1", capabilities=(), resource="", created_at=NOW, expires_at=NOW + timedelta(days=3650))
        await documents.commit([Put(family_key(owner), family.model_dump_json(), ABSENT)], soon())
    running = conversations.turns(documents, ScriptedModel(0.3, 0.3, SAID, SAID, SAID), admission=Admission(most=9, most_per_owner=2))
    mine = [asyncio.create_task(running.run(asked(f"{number}", "ada", signed_in=True), soon())) for number in range(2)]
    await asyncio.sleep(0.05)

    with pytest.raises(TooManyTurns, match="2 of your questions"):
        await running.run(asked("3", "ada", signed_in=True), soon())

    assert isinstance(await running.run(asked("3", "bob", signed_in=True), soon()), Done)
    assert {type(outcome) for outcome in await asyncio.gather(*mine)} == {Done}


async def test_a_strangers_owner_is_the_session(documents: Documents) -> None:
    running = conversations.turns(documents, ScriptedModel(0.3, SAID, SAID), admission=Admission(most=9, most_per_owner=1))
    first = asyncio.create_task(running.run(asked("one"), soon()))
    await asyncio.sleep(0.05)

    assert isinstance(await running.run(asked("two"), soon()), Done)

    await first


async def test_a_turn_that_goes_on_behind_its_request_still_counts(documents: Documents) -> None:
    running = conversations.turns(documents, ScriptedModel(1.0, SAID, SAID), admission=Admission(most=1, most_per_owner=1))
    pending = await running.run(asked("one"), soon(0.6))
    assert isinstance(pending, Pending)

    with pytest.raises(Overloaded):
        await running.run(asked("two"), soon())
    await running.poll("", "one", pending.turn_id, soon())
    await asyncio.sleep(0.05)

    assert isinstance(await running.run(asked("two"), soon()), Done)


# What is spent


def ledger(documents: Documents, per_owner: int | None = None, together: int | None = None) -> Ledger:
    return Ledger(Records(documents, below=lambda most: most), per_owner, together)


def spent(owner: str, tokens: int, at: datetime = NOW) -> tuple[Turn, Usage]:
    turn = Turn(turn_id="t", status="pending", query="q", usage=Tokens(), asked_at=at, milliseconds=0, spender=owner)
    return turn, Usage(input_tokens=tokens)


def stored(key: Key, tokens: int, day: str = "2026-11-25") -> Snapshot:
    document = Document(key, f'{{"day": "{day}", "tokens": {tokens}}}', Version("1"), NOW, None)
    return Snapshot(NOW, {key: document})


async def test_beyond_the_days_tokens_it_says_whose_and_until_when(documents: Documents) -> None:
    found = ledger(documents, per_owner=100, together=1000)

    with pytest.raises(OwnerSpent, match="You have used up the day's 100 tokens") as mine:
        found.require("ada", stored(Key(SPEND, digest("owner", "ada")), 100))
    with pytest.raises(DeploymentSpent, match="All users of this deployment together have used up the day's 1,000 tokens"):
        found.require("ada", stored(DEPLOYMENT, 1000))

    assert mine.value.retry_after == timedelta(hours=6)


async def test_below_it_and_on_another_day_it_passes(documents: Documents) -> None:
    found = ledger(documents, per_owner=100, together=1000)

    found.require("ada", stored(DEPLOYMENT, 999))
    found.require("ada", stored(DEPLOYMENT, 5000, day="2026-11-24"))
    found.require("ada", Snapshot(NOW, {}))


async def test_what_this_process_has_not_told_the_store_counts_too(documents: Documents) -> None:
    found = ledger(documents, per_owner=100)

    found.add(*spent("ada", 60))
    found.add(*spent("ada", 40))

    with pytest.raises(OwnerSpent):
        found.require("ada", Snapshot(NOW, {}))
    found.require("bob", Snapshot(NOW, {}))


async def test_many_processes_add_up(documents: Documents) -> None:
    now = datetime.now(UTC)
    ledgers = [ledger(documents, per_owner=1000, together=1000) for _ in range(8)]
    for one in ledgers:
        one.add(*spent("ada", 10, now))

    await asyncio.gather(*(one.settle(soon(), now=True) for one in ledgers))

    keys = ledgers[0].keys("ada")
    found = await documents.get(keys, soon())
    assert [f'"tokens": {80}' in found.documents[key].body for key in keys] == [True, True]


async def test_what_two_days_cost_is_settled_at_once_and_the_new_day_counts(documents: Documents) -> None:
    now = datetime.now(UTC)
    meddling = Meddling(documents)
    found = ledger(meddling, together=1000)
    found.add(*spent("ada", 900, now - timedelta(days=1)))
    found.add(*spent("ada", 10, now))

    await found.settle(soon(), now=True)

    kept = (await documents.get([DEPLOYMENT], soon())).documents[DEPLOYMENT]
    assert kept.body == f'{{"day": "{now.date()}", "tokens": 10}}'
    assert len(meddling.commits) == 1


async def test_what_yesterday_cost_does_not_replace_todays_sum(documents: Documents) -> None:
    now = datetime.now(UTC)
    today, late = ledger(documents, together=1000), ledger(documents, together=1000)
    today.add(*spent("ada", 1000, now))
    await today.settle(soon(), now=True)
    late.add(*spent("bob", 5, now - timedelta(days=1)))

    await late.settle(soon(), now=True)

    with pytest.raises(DeploymentSpent):
        today.require("ada", await documents.get([DEPLOYMENT], soon()))


async def test_a_process_that_stops_settles_for_all_owners(documents: Documents) -> None:
    found, now = ledger(documents, per_owner=1000), datetime.now(UTC)
    owners = [f"owner-{number}" for number in range(2 * MAX_AT_ONCE + 1)]
    for owner in owners:
        found.add(*spent(owner, 10, now))

    await found.settle(soon(), now=True)

    keys = [key for owner in owners[:100] for key in found.keys(owner)]
    assert len((await documents.get(keys, soon())).documents) == len(keys)


async def test_what_the_store_does_not_take_is_offered_again(documents: Documents) -> None:
    now = datetime.now(UTC)
    meddling = Meddling(documents, refuse_writes=True)
    found = ledger(meddling, together=1000)
    found.add(*spent("ada", 10, now))

    await found.settle(soon(1), now=True)
    meddling.refuse_writes = False
    await found.settle(soon(), now=True)

    kept = (await documents.get([DEPLOYMENT], soon())).documents[DEPLOYMENT]
    assert '"tokens": 10' in kept.body


async def test_a_turn_beyond_the_cap_asks_nothing_and_keeps_nothing(documents: Documents) -> None:
    model = ScriptedModel(SAID, SAID)
    running = conversations.turns(documents, model, tokens_per_owner=100)
    await running.run(asked("one"), soon())

    with pytest.raises(OwnerSpent):
        await running.run(asked("one"), soon())

    assert isinstance(await running.run(asked("two"), soon()), Done)
    assert len(model.asked) == 2


async def test_a_failed_turn_and_one_that_goes_on_count_as_well(documents: Documents) -> None:
    running = conversations.turns(documents, ScriptedModel(1.0, SAID), tokens=100)
    pending = await running.run(asked("one"), soon(0.6))
    assert isinstance(pending, Pending)
    await running.poll("", "one", pending.turn_id, soon())

    with pytest.raises(DeploymentSpent):
        await running.run(asked("two"), soon())


async def test_what_was_asked_in_vain_counts_where_another_goes_on(documents: Documents) -> None:
    called = Reply("", "calls", (Call("c1", "launch_rocket", "{}"),), Usage(60, 40))
    running = conversations.turns(documents, ScriptedModel(called, 30.0), tokens=100, topic=Published(), background=False)
    assert isinstance(await running.run(asked("one"), soon(0.6)), Pending)

    with pytest.raises(DeploymentSpent):
        await running.run(asked("two"), soon())


async def test_what_was_asked_in_vain_counts_where_the_process_stops(documents: Documents) -> None:
    called = Reply("", "calls", (Call("c1", "launch_rocket", "{}"),), Usage(60, 40))
    stopped = conversations.turns(documents, ScriptedModel(called, 30.0), tokens=100, topic=Published())
    assert isinstance(await stopped.run(asked("one"), soon(0.6)), Pending)

    await stopped.backlog.stop(1)

    other = conversations.turns(documents, ScriptedModel(), tokens=100)
    with pytest.raises(DeploymentSpent):
        await other.run(asked("two"), soon())


async def test_an_answer_that_the_store_does_not_take_counts(documents: Documents) -> None:
    meddling = Meddling(documents, refuse_writes=True)
    running = conversations.turns(meddling, ScriptedModel(SAID), tokens=100)
    with pytest.raises(StoreUnavailable):
        await running.run(asked("one"), soon(1))

    with pytest.raises(DeploymentSpent):
        await running.run(asked("two"), soon())


async def test_without_caps_nothing_is_read_or_written_for_them(documents: Documents) -> None:
    meddling = Meddling(documents)
    running = conversations.turns(meddling, ScriptedModel(SAID))

    await running.run(asked("one"), soon())

    assert running.backlog.ledger.keys("ada") == []
    assert len(meddling.commits) == 1
