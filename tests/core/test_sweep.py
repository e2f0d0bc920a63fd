"""What is done once a minute: turns that nobody works on are announced, and conversations that have ended are removed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.adapters.sqlite import SqliteDocuments
from functions.core.conversation import WAITING, Limits, position_at
from functions.core.documents import Documents, Place, Put
from functions.core.errors import StoreUnavailable
from functions.core.model import Reply
from functions.core.question import Done, Pending, Question
from functions.core.stored import SCHEMA, conversation_key, turn_key
from functions.core.sweep import AT_ONCE, Sweep
from tests import conversations
from tests.deadlines import soon
from tests.fakes import Meddling, Published, ScriptedModel, SilentModel

BRIEF = Limits(messages=40, tokens=8000, lifetime=timedelta(milliseconds=50))


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[Documents]:
    store = SqliteDocuments(tmp_path / "turns.db")
    yield store
    await store.close()


async def test_turns_that_nobody_works_on_are_announced_and_others_are_not(documents: Documents) -> None:
    topic = Published()
    running = conversations.turns(documents, SilentModel(), topic=topic, background=False)
    waiting = [f"waiting-{number}" for number in range(AT_ONCE + 5)]
    await asyncio.gather(*(running.run(Question("", session, "slow", "any"), soon(1.5)) for session in waiting))
    topic.texts.clear()
    worked_on = conversations.turns(documents, SilentModel())
    await worked_on.run(Question("", "worked on", "slow", "any"), soon(1.5))
    await conversations.turns(documents, ScriptedModel(Reply("ok", "stop"))).run(Question("", "done", "fast", "any"), soon())

    swept = await Sweep(running.backlog.records, running.backlog).run(soon())

    assert swept == {"announced": len(waiting), "removed": 0}
    assert len(set(topic.texts)) == len(waiting)
    assert all(conversation_key("", session).id in "".join(topic.texts) for session in waiting)
    await worked_on.backlog.stop(1)


async def test_what_an_ended_conversation_left_behind_is_removed_and_a_living_one_stays(documents: Documents) -> None:
    meddling = Meddling(documents)
    brief = conversations.turns(meddling, ScriptedModel(*[Reply("ok", "stop")] * 3), limits=BRIEF)
    for number in range(3):
        await brief.run(Question("", "ended", f"question {number}", "any"), soon())
    living = conversations.turns(documents, ScriptedModel(Reply("ok", "stop")))
    done = await living.run(Question("", "living", "question", "any"), soon())
    await asyncio.sleep(0.1)

    swept = await Sweep(living.backlog.records, living.backlog).run(soon())

    assert swept == {"announced": 0, "removed": 1}
    written = [write.key for writes in meddling.commits for write in writes]
    assert dict((await documents.get(written, soon())).documents) == {}
    assert isinstance(done, Done)
    kept = [conversation_key("", "living"), turn_key(conversation_key("", "living"), done.turn.turn_id)]
    assert set((await documents.get(kept, soon())).documents) == set(kept)


async def test_a_conversation_that_a_newer_revision_wrote_keeps_no_other_from_being_swept(documents: Documents) -> None:
    topic = Published()
    running = conversations.turns(documents, ScriptedModel(30.0), topic=topic, background=False)
    assert isinstance(await running.run(Question("", "s", "slow", "any"), soon(1)), Pending)
    brief = conversations.turns(documents, ScriptedModel(Reply("ok", "stop")), limits=BRIEF)
    await brief.run(Question("", "ended", "question", "any"), soon())
    newer, moment = f'{{"schema_number": {SCHEMA + 1}, "said": []}}', datetime(2026, 1, 1, tzinfo=UTC)
    key = conversation_key("", "newer")
    await documents.commit([Put(key, newer, "absent", Place(WAITING, f"{position_at(0)}.0"), moment)], soon())
    topic.texts.clear()
    await asyncio.sleep(0.1)

    swept = await Sweep(running.backlog.records, running.backlog).run(soon())

    assert swept == {"announced": 1, "removed": 1}
    assert key in (await documents.get([key], soon())).documents
    with pytest.raises(StoreUnavailable, match="A newer revision"):
        await running.run(Question("", "newer", "question", "any"), soon())


async def test_sweeping_twice_at_once_harms_nothing(documents: Documents) -> None:
    running = conversations.turns(documents, SilentModel(), background=False, topic=Published())
    pending = await running.run(Question("", "s", "slow", "any"), soon(1.5))
    local = conversations.turns(documents, ScriptedModel(Reply("once", "stop")))
    sweep = Sweep(local.backlog.records, local.backlog)

    await asyncio.gather(*(sweep.run(soon()) for _ in range(3)))

    assert isinstance(pending, Pending)
    assert isinstance(await local.poll("", "s", pending.turn_id, soon()), Done)
