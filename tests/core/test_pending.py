"""Turns that were not done in time: who finishes them, in which order, and what happens when somebody dies, stops or comes too late."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from functions.adapters.sqlite import SqliteDocuments
from functions.core.backlog import MAX_BEGUN, Backlog
from functions.core.conversation import opened
from functions.core.documents import Delete, Documents, Put
from functions.core.errors import Abandoned, KeyReused, NotFound, Overloaded, SessionBusy, StoreUnavailable, Upstream
from functions.core.model import Reply, Usage, User
from functions.core.question import Done, Outcome, Pending, Question
from functions.core.stored import SCHEMA, Head, conversation_key, turn_key
from functions.core.sweep import Sweep
from functions.core.transcript import page, remove
from functions.core.turn import Turns
from tests import conversations
from tests.deadlines import soon
from tests.fakes import Meddling, Published, Scripted, ScriptedModel

KEY = conversation_key("", "s")

BUDGET = 0.6  # seconds, of which a quarter is kept for the commit: enough for it on a busy machine
SLOW = 1.0  # seconds that a model takes which is not done in the budget


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[Documents]:
    store = SqliteDocuments(tmp_path / "turns.db")
    yield store
    await store.close()


def said(text: str) -> Reply:
    return Reply(text, "stop", usage=Usage(10, 2))


def asked(query: str, key: str | None = None, session: str = "s") -> Question:
    return Question("", session, query, "any", key)


def turns(documents: Documents, *script: Scripted, **chosen: object) -> tuple[Turns, ScriptedModel]:
    model = ScriptedModel(*script)
    return conversations.turns(documents, model, **chosen), model  # type: ignore[arg-type]


async def head(documents: Documents) -> Head:
    conversation = opened(KEY, (found := await documents.get([KEY], soon())).documents.get(KEY), found.read_at)
    assert conversation
    return conversation.head


async def transcript(documents: Documents) -> list[tuple[str, str, str | None]]:
    return [
        (entry.turn.status, entry.turn.query, entry.turn.answer)
        for entry in await page(documents, "", "s", after="", limit=100, deadline=soon())
    ]


async def answered(running: Turns, turn_id: str, seconds: float = 5.0) -> Outcome:
    return await running.poll("", "s", turn_id, soon(seconds))


async def lapse(documents: Documents) -> None:
    """Let the lease be over, as if its holder had said nothing for long."""
    found = await documents.get([KEY], soon())
    document = found.documents[KEY]
    stored = Head.model_validate_json(document.body)
    assert stored.lease
    past = stored.lease.model_copy(update={"until": found.read_at - timedelta(seconds=1)})
    await documents.commit(
        [Put(KEY, stored.model_copy(update={"lease": past}).model_dump_json(), document.version, document.place)], soon()
    )


# Behind the request


async def test_a_slow_turn_is_pending_within_the_budget_and_done_later_by_the_same_call_of_the_model(documents: Documents) -> None:
    running, model = turns(documents, SLOW, said("late"))
    began = asyncio.get_running_loop().time()

    outcome = await running.run(asked("slow"), soon(BUDGET))

    taken = asyncio.get_running_loop().time() - began
    assert isinstance(outcome, Pending)
    assert taken < BUDGET
    assert await transcript(documents) == [("pending", "slow", None)]
    done = await answered(running, outcome.turn_id)
    assert isinstance(done, Done)
    assert done.turn.answer == "late"
    assert await transcript(documents) == [("done", "slow", "late")]
    assert len(model.asked) == 1
    assert (await head(documents)).queue == ()


async def test_a_fast_turn_reads_once_and_writes_twice_in_one_commit_and_a_slow_one_once_more(documents: Documents) -> None:
    meddling = Meddling(documents)
    running, _ = turns(meddling, said("fast"), SLOW, said("slow"))

    await running.run(asked("one"), soon())
    slow = await running.run(asked("two"), soon(BUDGET))
    assert isinstance(slow, Pending)
    await answered(running, slow.turn_id)

    assert [len(writes) for writes in meddling.commits] == [2, 2, 2]


async def test_a_turn_behind_a_pending_one_is_pending_and_hears_its_answer(documents: Documents) -> None:
    running, model = turns(documents, SLOW, said("first"), said("second"), said("third"))
    first = await running.run(asked("one"), soon(BUDGET))

    second, third = await asyncio.gather(running.run(asked("two"), soon(BUDGET)), running.run(asked("three"), soon(3)))

    assert isinstance(first, Pending)
    assert isinstance(second, Pending)
    assert isinstance(third, Done), "it waited, and was told when the others had ended"
    assert [query for _, query, _ in await transcript(documents)] == ["one", "two", "three"]
    heard = [[message.text for message in asking if isinstance(message, User)] for asking in model.asked]
    assert heard == [["one"], ["one", "two"], ["one", "two", "three"]]


async def test_more_than_three_do_not_wait_behind_a_pending_turn(documents: Documents) -> None:
    running, _ = turns(documents, 9.0)
    for number in range(4):
        assert isinstance(await running.run(asked(f"{number}"), soon(BUDGET)), Pending)

    with pytest.raises(SessionBusy):
        await running.run(asked("one too many"), soon(BUDGET))

    assert len((await head(documents)).queue) == 4
    await running.backlog.stop(1)


async def test_a_pending_turn_may_fail_and_is_told_so_whenever_it_is_asked_for(documents: Documents) -> None:
    running, _ = turns(documents, SLOW, Upstream("The model's server is busy."))
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)

    for _ in range(2):
        with pytest.raises(Upstream, match="is busy"):
            await answered(running, outcome.turn_id)

    assert await transcript(documents) == [("failed", "slow", None)]


async def test_a_turn_that_is_never_done_fails_in_the_end(documents: Documents) -> None:
    running, _ = turns(documents, 60.0, turn_seconds=0.8)
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)

    with pytest.raises(Exception, match="was not ready in time"):
        await answered(running, outcome.turn_id)


async def test_nobody_finds_a_turn_under_another_session_or_owner(documents: Documents) -> None:
    running, _ = turns(documents, said("mine"))
    done = await running.run(asked("secret"), soon())
    assert isinstance(done, Done)

    for owner, session, turn_id in (("", "other", done.turn.turn_id), ("eve", "s", done.turn.turn_id), ("", "s", "unknown")):
        with pytest.raises(NotFound, match="There is no such turn"):
            await running.poll(owner, session, turn_id, soon())


# Keys and repetitions


async def test_the_same_key_is_the_same_turn_and_does_not_ask_again(documents: Documents) -> None:
    running, model = turns(documents, said("once"))
    elsewhere, other = turns(documents)

    first = await running.run(asked("pay", "k"), soon())
    again = await elsewhere.run(asked("pay", "k"), soon())

    assert first == again
    assert (len(model.asked), len(other.asked)) == (1, 0)
    assert await transcript(documents) == [("done", "pay", "once")]


async def test_the_same_key_with_another_question_is_refused(documents: Documents) -> None:
    running, _ = turns(documents, said("once"), 1.0, said("twice"))
    await running.run(asked("pay", "k"), soon())

    with pytest.raises(KeyReused):
        await running.run(asked("pay more", "k"), soon())
    both = await asyncio.gather(running.run(asked("one", "m"), soon()), running.run(asked("two", "m"), soon()), return_exceptions=True)

    assert [type(outcome).__name__ for outcome in both] == ["Done", "KeyReused"]
    assert len(await transcript(documents)) == 2


async def test_the_same_key_in_another_session_is_another_turn(documents: Documents) -> None:
    running, model = turns(documents, said("here"), said("there"))

    await running.run(asked("pay", "k"), soon())
    await running.run(asked("pay", "k", session="t"), soon())

    assert len(model.asked) == 2


async def test_two_processes_with_one_key_keep_one_turn(documents: Documents) -> None:
    other, _ = turns(documents, said("theirs"))
    meddling = Meddling(documents, before=[lambda: other.run(asked("pay", "k"), soon())])
    running, _ = turns(meddling, said("ours"))

    outcome = await running.run(asked("pay", "k"), soon())

    assert isinstance(outcome, Done)
    assert outcome.turn.answer == "theirs"
    assert await transcript(documents) == [("done", "pay", "theirs")]


async def test_a_key_is_never_taken_for_a_question_without_one(documents: Documents) -> None:
    running, _ = turns(documents, 0.3, said("without"), said("with"), said("again"))

    without, under = await asyncio.gather(running.run(asked("yes"), soon()), running.run(asked("yes", "query"), soon()))
    again = await running.run(asked("yes", "query"), soon())

    assert without != under
    assert under == again


async def test_a_failure_that_may_pass_is_asked_again_under_its_key_and_another_is_not(documents: Documents) -> None:
    running, model = turns(documents, Upstream("The model's server is busy."), said("now"), Reply("", "content_filter"))

    with pytest.raises(Upstream):
        await running.run(asked("one", "k"), soon())
    assert isinstance(await running.run(asked("one", "k"), soon()), Done)
    for _ in range(2):
        with pytest.raises(Exception, match="withholds an answer"):
            await running.run(asked("two", "m"), soon())

    assert [(status, query) for status, query, _ in await transcript(documents)] == [("done", "one"), ("failed", "two")]
    assert len(model.asked) == 3


async def test_without_a_key_the_same_question_joins_its_twin_while_that_runs(documents: Documents) -> None:
    running, model = turns(documents, 0.3, said("once"), said("later"))

    both = await asyncio.gather(running.run(asked("yes"), soon()), running.run(asked("yes"), soon()))
    later = await running.run(asked("yes"), soon())

    assert both[0] == both[1]
    assert isinstance(later, Done)
    assert later.turn.answer == "later", "a person may say the same twice"
    assert len(model.asked) == 2


async def test_without_a_key_the_same_question_joins_its_twin_while_that_is_pending(documents: Documents) -> None:
    running, model = turns(documents, SLOW, said("once"))
    elsewhere, other = turns(documents)
    first = await running.run(asked("yes"), soon(BUDGET))

    again = await elsewhere.run(asked("yes"), soon(BUDGET))

    assert isinstance(first, Pending)
    assert again == first
    assert isinstance(await answered(elsewhere, first.turn_id), Done)
    assert (len(model.asked), len(other.asked)) == (1, 0)


async def test_without_a_key_the_same_question_joins_its_twin_in_another_process(documents: Documents) -> None:
    other, _ = turns(documents, said("theirs"))
    meddling = Meddling(documents, before=[lambda: other.run(asked("yes"), soon())])
    running, _ = turns(meddling, said("ours"))

    outcome = await running.run(asked("yes"), soon())

    assert isinstance(outcome, Done)
    assert outcome.turn.answer == "theirs"
    assert await transcript(documents) == [("done", "yes", "theirs")]


# Death, and being told to stop


async def test_a_lapsed_lease_is_taken_over_by_whoever_asks_and_the_zombie_changes_nothing(documents: Documents) -> None:
    zombie, _ = turns(documents, SLOW, said("too late"))
    outcome = await zombie.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)
    await lapse(documents)
    heir, model = turns(documents, said("taken over"))

    done = await answered(heir, outcome.turn_id)
    await asyncio.sleep(SLOW)

    assert isinstance(done, Done)
    assert done.turn.answer == "taken over"
    assert await transcript(documents) == [("done", "slow", "taken over")]
    assert len(model.asked) == 1


async def test_a_live_lease_is_not_taken(documents: Documents) -> None:
    running, _ = turns(documents, SLOW, said("in time"))
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)
    eager, model = turns(documents, said("stolen"))

    await eager.backlog.take_over(KEY, asyncio.get_running_loop().time)
    done = await answered(eager, outcome.turn_id)

    assert isinstance(done, Done)
    assert done.turn.answer == "in time"
    assert model.asked == []


async def test_who_is_told_to_stop_gives_back_its_turns_and_announces_them(documents: Documents) -> None:
    topic = Published()
    running, _ = turns(documents, 30.0, topic=topic)
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)

    began = asyncio.get_running_loop().time()
    await running.backlog.stop(2)

    assert asyncio.get_running_loop().time() - began < 0.5
    assert (await head(documents)).lease is None
    assert topic.texts == [f'{{"type":"turns","conversation":"{KEY.id}"}}']
    heir, _ = turns(documents, said("by another"))
    assert isinstance(await answered(heir, outcome.turn_id), Done)


async def test_a_turn_that_is_given_back_again_and_again_is_not_given_up(documents: Documents) -> None:
    running, _ = turns(documents, 30.0, topic=Published(), background=False)
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)
    for _ in range(MAX_BEGUN + 2):
        stopped, _ = turns(documents, 30.0)
        taking = asyncio.create_task(stopped.backlog.take_over(KEY, asyncio.get_running_loop().time))
        await asyncio.sleep(0.05)
        await stopped.backlog.stop(1)
        await taking

    last, _ = turns(documents, said("at last"))

    assert isinstance(await answered(last, outcome.turn_id), Done)


async def test_a_message_that_comes_to_a_process_that_stops_is_not_done_with(documents: Documents) -> None:
    running, _ = turns(documents, 30.0, topic=Published(), background=False)
    assert isinstance(await running.run(asked("slow"), soon(BUDGET)), Pending)
    stopped, _ = turns(documents, topic=Published())
    await stopped.backlog.stop(1)

    with pytest.raises(Overloaded):
        await stopped.backlog.take_over(KEY, asyncio.get_running_loop().time)


async def test_who_waits_for_an_answer_is_not_kept_when_the_process_stops(documents: Documents) -> None:
    running, _ = turns(documents, 30.0)
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)
    waiting = asyncio.create_task(answered(running, outcome.turn_id, 30))
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()

    await running.backlog.stop(1)

    assert await waiting == outcome
    assert asyncio.get_running_loop().time() - began < 1


async def test_a_turn_that_becomes_pending_while_stopping_is_handed_over_at_once(documents: Documents) -> None:
    topic = Published()
    running, _ = turns(documents, 30.0, topic=topic)
    asking = asyncio.create_task(running.run(asked("slow"), soon(BUDGET)))
    await asyncio.sleep(0.1)

    await running.backlog.stop(2)
    outcome = await asking

    assert isinstance(outcome, Pending)
    assert (await head(documents)).lease is None
    assert len(topic.texts) == 1


async def test_without_a_processor_between_requests_a_slow_turn_is_handed_over_at_once(documents: Documents) -> None:
    topic = Published()
    running, _ = turns(documents, 30.0, topic=topic, background=False)

    outcome = await running.run(asked("slow"), soon(BUDGET))

    assert isinstance(outcome, Pending)
    assert (await head(documents)).lease is None
    assert len(topic.texts) == 1
    worker, _ = turns(documents, said("by the worker"))
    await worker.backlog.take_over(KEY, asyncio.get_running_loop().time)
    assert await transcript(documents) == [("done", "slow", "by the worker")]


async def test_where_publishing_fails_the_turn_is_pending_all_the_same_and_the_sweep_announces_it(documents: Documents) -> None:
    topic = Published(Upstream("Pub/Sub is away."))
    running, _ = turns(documents, 30.0, topic=topic, background=False)
    outcome = await running.run(asked("slow"), soon(BUDGET))

    swept = await Sweep(running.backlog.records, running.backlog).run(soon())

    assert isinstance(outcome, Pending)
    assert swept == {"announced": 1, "removed": 0}
    assert len(topic.texts) == 1


@pytest.mark.parametrize("background", [True, False])
async def test_a_turn_is_announced_also_where_acknowledgements_are_lost(documents: Documents, *, background: bool) -> None:
    meddling, topic = Meddling(documents, lose_acknowledgements=100), Published()
    running, _ = turns(meddling, 30.0, topic=topic, background=background)
    assert isinstance(await running.run(asked("slow"), soon(BUDGET)), Pending)

    await running.backlog.stop(2)

    assert len(topic.texts) == 1


async def test_a_worker_announces_what_is_left_also_where_acknowledgements_are_lost(documents: Documents) -> None:
    running, _ = turns(documents, 30.0, topic=Published(), background=False)
    for query in ("one", "two"):
        assert isinstance(await running.run(asked(query), soon(BUDGET)), Pending)
    topic = Published()
    worker, _ = turns(Meddling(documents, lose_acknowledgements=100), said("first"), topic=topic)

    await worker.backlog.take_over(KEY, asyncio.get_running_loop().time)

    assert [status for status, _, _ in await transcript(documents)] == ["done", "pending"]
    assert len(topic.texts) == 1


async def test_a_message_that_comes_twice_asks_once(documents: Documents) -> None:
    running, _ = turns(documents, 30.0, topic=Published(), background=False)
    await running.run(asked("slow"), soon(BUDGET))
    worker, model = turns(documents, 0.2, said("once"))
    other, unused = turns(documents)
    clock = asyncio.get_running_loop().time

    await asyncio.gather(*(backlog.take_over(KEY, clock) for backlog in (worker.backlog, other.backlog, worker.backlog)))
    await worker.backlog.take_over(KEY, clock)

    assert len(model.asked) + len(unused.asked) == 1
    assert await transcript(documents) == [("done", "slow", "once")]


async def test_a_turn_that_ends_whoever_begins_it_is_given_up(documents: Documents) -> None:
    running, _ = turns(documents, 30.0, topic=Published(), background=False)
    outcome = await running.run(asked("poison"), soon(BUDGET))
    assert isinstance(outcome, Pending)
    for _ in range(MAX_BEGUN):
        killed, _ = turns(documents, 30.0)
        killing = asyncio.create_task(killed.backlog.take_over(KEY, asyncio.get_running_loop().time))
        await asyncio.sleep(0.05)
        killing.cancel()
        await dead(killed.backlog)
        await lapse(documents)
    last, model = turns(documents)

    with pytest.raises(Abandoned):
        await answered(last, outcome.turn_id)

    assert model.asked == []
    assert await transcript(documents) == [("failed", "poison", None)]


async def dead(backlog: Backlog) -> None:
    """End a backlog's work as a kill does: nothing is given back."""
    for task in [*backlog._driving.values()]:
        task.cancel()
    await asyncio.sleep(0)


async def test_a_store_that_is_away_for_a_while_costs_no_answer(documents: Documents) -> None:
    meddling = Meddling(documents)
    running, model = turns(meddling, SLOW, said("kept"))
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)

    meddling.refuse_writes = True
    await asyncio.sleep(1.0)
    meddling.refuse_writes = False

    done = await answered(running, outcome.turn_id)
    assert isinstance(done, Done)
    assert len(model.asked) == 1


async def test_lost_acknowledgements_neither_double_nor_lose_a_pending_turn(documents: Documents) -> None:
    meddling = Meddling(documents, lose_acknowledgements=100)
    running, model = turns(meddling, SLOW, said("once"), said("twice"))

    first = await running.run(asked("one"), soon(BUDGET))
    second = await running.run(asked("two"), soon(BUDGET))
    assert isinstance(first, Pending)
    assert isinstance(second, Pending)
    await answered(running, second.turn_id)

    assert await transcript(documents) == [("done", "one", "once"), ("done", "two", "twice")]
    assert len(model.asked) == 2


async def test_a_removal_ends_what_is_pending(documents: Documents) -> None:
    running, _ = turns(documents, SLOW, said("to nobody"))
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)

    await remove(documents, "", "s", soon())
    await asyncio.sleep(SLOW)

    with pytest.raises(NotFound):
        await answered(running, outcome.turn_id)
    assert dict((await documents.get([KEY, turn_key(KEY, outcome.turn_id)], soon())).documents) == {}


async def test_what_an_interrupted_removal_left_in_the_queue_holds_nobody_up(documents: Documents) -> None:
    running, _ = turns(documents, 30.0, topic=Published(), background=False)
    first = await running.run(asked("gone"), soon(BUDGET))
    assert isinstance(first, Pending)
    await documents.commit([Delete(turn_key(KEY, first.turn_id), "any")], soon())
    second = await running.run(asked("left"), soon(BUDGET))
    assert isinstance(second, Pending)
    heir, _ = turns(documents, said("answered"))

    done = await answered(heir, second.turn_id)

    assert isinstance(done, Done)
    assert done.turn.answer == "answered"
    assert (await head(documents)).queue == ()


async def test_a_turn_that_a_newer_revision_wrote_is_left_to_it(documents: Documents) -> None:
    running, _ = turns(documents, 30.0, topic=Published(), background=False)
    outcome = await running.run(asked("slow"), soon(BUDGET))
    assert isinstance(outcome, Pending)
    name = turn_key(KEY, outcome.turn_id)
    place = (await documents.get([name], soon())).documents[name].place
    await documents.commit([Put(name, f'{{"schema_number": {SCHEMA + 1}, "state": "pending"}}', "any", place)], soon())
    older, model = turns(documents)

    await older.backlog.take_over(KEY, asyncio.get_running_loop().time)

    assert model.asked == []
    assert (await head(documents)).lease is None
    assert [waiting.begun for waiting in (await head(documents)).queue] == [0]
    with pytest.raises(StoreUnavailable, match="A newer revision"):
        await answered(older, outcome.turn_id)


async def test_a_dead_store_is_told_and_not_waited_for(documents: Documents) -> None:
    meddling = Meddling(documents, refuse_writes=True)
    running, _ = turns(meddling, 9.0)
    began = asyncio.get_running_loop().time()

    with pytest.raises(StoreUnavailable):
        await running.run(asked("slow"), soon(BUDGET))

    assert asyncio.get_running_loop().time() - began < BUDGET
