"""A turn: what the model is asked, what is kept, and what happens when two meet or something fails."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from functions.adapters.sqlite import SqliteDocuments
from functions.capabilities import CATALOGUE
from functions.core.asking import Toolbox
from functions.core.conversation import Limits
from functions.core.documents import Document, Documents, Key
from functions.core.errors import Filtered, NotFound, Refused, SessionBusy, StoreUnavailable, Upstream
from functions.core.model import Assistant, Call, Message, Reply, Result, System, Usage, User
from functions.core.question import Done, Question
from functions.core.stored import conversation_key
from functions.core.transcript import Entry, page, remove
from functions.core.turn import Turns
from tests import conversations
from tests.deadlines import soon
from tests.fakes import CannedWeb, Meddling, Scripted, ScriptedModel

BEIJING = {
    "search": {"results": [{"name": "北京", "latitude": 39.9, "longitude": 116.4, "timezone": "Asia/Shanghai", "country": "中国"}]},
    "forecast": {
        "timezone": "Asia/Shanghai",
        "daily": {
            "time": ["2026-11-22", "2026-11-23"],
            "weather_code": [0, 3],
            "temperature_2m_min": [-3.1, -1.0],
            "temperature_2m_max": [8.2, 9.5],
            "precipitation_probability_max": [0, 10],
            "wind_speed_10m_max": [12.0, None],
        },
    },
}


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[Documents]:
    store = SqliteDocuments(tmp_path / "turns.db")
    yield store
    await store.close()


def turns(
    documents: Documents, *script: Scripted, web: CannedWeb | None = None, limits: Limits = conversations.DAY, ids: str = "id"
) -> tuple[Turns, ScriptedModel]:
    model = ScriptedModel(*script)
    numbered = (f"{ids}-{number}" for number in itertools.count(1))
    toolbox = Toolbox(CATALOGUE.operations, lambda operation, deadline: web or CannedWeb(BEIJING))
    return conversations.turns(documents, model, toolbox=toolbox, limits=limits, new_id=lambda: next(numbered)), model


def said(text: str) -> Reply:
    return Reply(text, "stop", usage=Usage(10, 2))


def called(arguments: str, name: str = "get_weather_forecast", call_id: str = "c1") -> Reply:
    return Reply("", "calls", (Call(call_id, name, arguments),), Usage(5, 1))


def question(query: str, session_id: str = "s", session: Literal["new", "known", "any"] = "any") -> Question:
    return Question("", session_id, query, session)


async def transcript(documents: Documents, session: str = "s") -> list[tuple[str, str, str | None]]:
    return [(entry.turn.status, entry.turn.query, entry.turn.answer) for entry in await entries(documents, session)]


async def entries(documents: Documents, session: str = "s") -> list[Entry]:
    return list(await page(documents, "", session, after="", limit=100, deadline=soon()))


def shown(messages: list[Message]) -> list[tuple[str, str]]:
    return [(type(message).__name__, message.text) for message in messages]  # type: ignore[union-attr]


async def test_a_conversation_goes_on_where_it_was(documents: Documents) -> None:
    running, model = turns(documents, said("Hello Ada."), said("Your name is Ada."))

    await running.run(question("I am Ada."), soon())
    outcome = await running.run(question("Who am I?"), soon())

    assert isinstance(outcome, Done)
    assert outcome.turn.answer == "Your name is Ada."
    assert model.asked[1] == [System("Be brief."), User("I am Ada."), Assistant("Hello Ada."), User("Who am I?")]
    assert await transcript(documents) == [("done", "I am Ada.", "Hello Ada."), ("done", "Who am I?", "Your name is Ada.")]


async def test_an_operation_is_called_and_its_result_given_back(documents: Documents) -> None:
    running, model = turns(documents, called('{"place": "北京", "days": 2}'), said("明天阴,-1 到 9.5 °C。"))

    outcome = await running.run(question("北京明天天气怎么样"), soon())

    assert isinstance(outcome, Done)
    assert [(step.name, step.ok) for step in outcome.turn.operations] == [("get_weather_forecast", True)]
    assert outcome.turn.usage.model_dump() == {"input_tokens": 15, "output_tokens": 3}
    result = model.asked[1][-1]
    assert isinstance(result, Result)
    assert result.call_id == "c1"
    assert '"date":"2026-11-23","weather":"overcast","low":-1.0,"high":9.5' in result.text


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (called("{not json"), "Not JSON"),
        (called('{"place": "北京", "days": 17}'), "less than or equal to 16"),
        (called('{"days": 2}'), "place: Field required"),
        (called('{"place": "北京", "when": "soon"}'), "when: Extra inputs are not permitted"),
        (called("{}", name="launch_rocket"), "There is no operation of that name; there are: list_calendar_events, find_free_time"),
    ],
)
async def test_a_wrong_call_is_told_to_the_model_which_goes_on(documents: Documents, call: Reply, told: str) -> None:
    running, model = turns(documents, call, said("I could not look that up."))

    outcome = await running.run(question("weather?"), soon())

    assert isinstance(outcome, Done)
    assert [step.ok for step in outcome.turn.operations] == [False]
    assert told in model.asked[1][-1].text  # type: ignore[union-attr]


async def test_an_unknown_place_is_told_with_what_to_do(documents: Documents) -> None:
    running, model = turns(documents, called('{"place": "Xyzzy"}'), said("Which town is near?"), web=CannedWeb({"search": {}}))

    await running.run(question("weather in Xyzzy?"), soon())

    assert "No place of that name was found. Ask for a larger town nearby" in model.asked[1][-1].text  # type: ignore[union-attr]


async def test_a_model_that_calls_on_and_on_is_stopped(documents: Documents) -> None:
    endless = [called('{"place": "北京"}', call_id=f"c{number}") for number in range(5)]
    running, model = turns(documents, *endless)

    with pytest.raises(Upstream, match="kept calling"):
        await running.run(question("loop"), soon())

    assert model.might_call == [True, True, True, True, False]
    assert await transcript(documents) == [("failed", "loop", None)]
    assert [len(entry.turn.operations) for entry in await entries(documents)] == [4]


async def test_no_more_than_eight_calls_are_run_and_every_call_is_answered(documents: Documents) -> None:
    many = Reply("", "calls", tuple(Call(f"c{number}", "get_weather_forecast", '{"place": "北京"}') for number in range(10)))
    running, model = turns(documents, many, said("Enough."))

    outcome = await running.run(question("everywhere"), soon())

    results = [message for message in model.asked[1] if isinstance(message, Result)]
    assert isinstance(outcome, Done)
    assert len(outcome.turn.operations) == 8
    assert [result.call_id for result in results] == [f"c{number}" for number in range(10)]
    assert ["No more calls" in result.text for result in results] == [False] * 8 + [True] * 2


@pytest.mark.parametrize(
    ("reply", "finish"),
    [
        (Reply("It begins", "length"), "length"),
        (Reply("I will not.", "refusal"), "refusal"),
        (Reply("Some of it", "content_filter"), "content_filter"),
        (Reply("x" * 20_001, "stop"), "length"),
    ],
)
async def test_why_an_answer_ends_is_kept(documents: Documents, reply: Reply, finish: str) -> None:
    running, _ = turns(documents, reply)

    outcome = await running.run(question("tell"), soon())

    assert isinstance(outcome, Done)
    assert (outcome.turn.finish_reason, outcome.turn.answer) == (finish, reply.text[:20_000])


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (Upstream("The model's server is busy."), Upstream),
        (Refused("The key is wrong."), Refused),
        (Reply("", "content_filter"), Filtered),
        (Reply("", "length"), Upstream),
    ],
)
async def test_a_failed_turn_is_shown_and_not_remembered(documents: Documents, failure: Scripted, raised: type[Exception]) -> None:
    running, model = turns(documents, said("Hello."), failure, said("Yes."))
    await running.run(question("one"), soon())

    with pytest.raises(raised):
        await running.run(question("two"), soon())

    await running.run(question("three"), soon())
    assert [(status, query) for status, query, _ in await transcript(documents)] == [("done", "one"), ("failed", "two"), ("done", "three")]
    assert shown(list(model.asked[2])) == [("System", "Be brief."), ("User", "one"), ("Assistant", "Hello."), ("User", "three")]


async def test_the_second_of_two_turns_reads_again_and_asks_again(documents: Documents) -> None:
    other, _ = turns(documents, said("first"), ids="other")
    meddling = Meddling(documents, before=[lambda: other.run(question("from elsewhere"), soon())])
    running, model = turns(meddling, said("wrong: it did not know"), said("right"))

    outcome = await running.run(question("from here"), soon())

    assert isinstance(outcome, Done)
    assert outcome.turn.answer == "right"
    assert shown(list(model.asked[1]))[1:] == [("User", "from elsewhere"), ("Assistant", "first"), ("User", "from here")]
    assert await transcript(documents) == [("done", "from elsewhere", "first"), ("done", "from here", "right")]
    assert outcome.turn.usage.input_tokens == 20, "both askings were paid for"


async def test_turns_of_one_process_stand_in_line_and_ask_once_each(documents: Documents) -> None:
    running, model = turns(documents, *(said(f"answer {number}") for number in range(4)))

    await asyncio.gather(*(running.run(question(f"question {number}"), soon()) for number in range(4)))

    assert len(model.asked) == 4
    assert len(await transcript(documents)) == 4


async def test_more_than_three_do_not_wait(documents: Documents) -> None:
    running, model = turns(documents, 0.2, *(said(f"answer {number}") for number in range(5)))
    begun = [asyncio.create_task(running.run(question(f"question {number}"), soon())) for number in range(4)]
    await asyncio.sleep(0.1)

    with pytest.raises(SessionBusy) as refused:
        await running.run(question("one too many"), soon())

    await asyncio.gather(*begun)
    await running.run(question("later"), soon())
    assert refused.value.retry_after == timedelta(seconds=1)
    assert [query for _, query, _ in await transcript(documents)] == [*(f"question {number}" for number in range(4)), "later"]
    assert len(model.asked) == 5


async def test_a_lost_acknowledgement_neither_doubles_nor_loses_a_turn(documents: Documents) -> None:
    meddling = Meddling(documents, lose_acknowledgements=1)
    running, model = turns(meddling, said("once"))

    outcome = await running.run(question("only once"), soon())

    assert isinstance(outcome, Done)
    assert len(model.asked) == len(meddling.commits) == 1
    assert await transcript(documents) == [("done", "only once", "once")]


async def test_a_store_that_does_not_write_is_asked_twice_and_no_more(documents: Documents) -> None:
    meddling = Meddling(documents, refuse_writes=True)
    running, model = turns(meddling, said("never kept"))

    with pytest.raises(StoreUnavailable):
        await running.run(question("hello"), soon())

    assert (len(meddling.commits), len(model.asked)) == (2, 1)


async def test_a_failure_of_a_session_that_nobody_knows_is_not_kept(documents: Documents) -> None:
    meddling = Meddling(documents)
    running, _ = turns(meddling, Upstream("The model's server is busy."))

    with pytest.raises(Upstream):
        await running.run(question("hello", "minted", "new"), soon())

    assert meddling.commits == []


async def test_what_is_asked_in_vain_is_told_too(documents: Documents) -> None:
    other, _ = turns(documents, said("first"), ids="other")
    meddling = Meddling(documents, before=[lambda: other.run(question("from elsewhere"), soon())])
    running, _ = turns(meddling, called('{"place": "北京"}'), said("in vain"), said("right"))

    outcome = await running.run(question("from here"), soon())

    assert isinstance(outcome, Done)
    assert [step.name for step in outcome.turn.operations] == ["get_weather_forecast"]
    assert outcome.turn.usage.model_dump() == {"input_tokens": 25, "output_tokens": 5}


async def test_a_dead_store_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    running, model = turns(SqliteDocuments(tmp_path / "folder"), said("never"))

    with pytest.raises(StoreUnavailable):
        await running.run(question("hello"), soon(1.0))

    assert model.asked == []


async def test_a_token_that_was_not_minted_opens_nothing(documents: Documents) -> None:
    running, model = turns(documents, said("never"))

    with pytest.raises(NotFound):
        await running.run(question("hello", "AAAA", "known"), soon())

    found = await documents.get([conversation_key("", "AAAA")], soon())
    assert (model.asked, dict(found.documents)) == ([], {})


async def test_an_ended_conversation_begins_anew_and_its_old_turns_stay_hidden(documents: Documents) -> None:
    brief, _ = turns(documents, said("old"), limits=Limits(messages=40, tokens=8000, lifetime=timedelta(milliseconds=50)), ids="brief")
    running, model = turns(documents, said("new"))
    await brief.run(question("before"), soon())
    await asyncio.sleep(0.1)

    with pytest.raises(NotFound):
        await transcript(documents)
    await running.run(question("after"), soon())

    assert shown(list(model.asked[0]))[1:] == [("User", "after")]
    assert await transcript(documents) == [("done", "after", "new")]


async def test_hidden_characters_reach_the_transcript_and_not_the_model(documents: Documents) -> None:
    running, model = turns(documents, said("ok"), said("ok"))
    query = "a\u202eb \U000e0041 <b>\"quoted\" \\ 'text'</b>"

    await running.run(question(query), soon())
    await running.run(question("again"), soon())

    assert shown(list(model.asked[0]))[1] == ("User", "ab  <b>\"quoted\" \\ 'text'</b>")
    assert shown(list(model.asked[1]))[1] == ("User", "ab  <b>\"quoted\" \\ 'text'</b>")
    assert (await transcript(documents))[0][1] == query


async def test_a_turn_is_two_writes_however_long_the_conversation_is(documents: Documents) -> None:
    meddling = Meddling(documents)
    running, _ = turns(meddling, *(said(f"answer {number} " + "天" * 50) for number in range(60)))

    for number in range(60):
        await running.run(question(f"question {number}"), soon())

    sizes = [sum(len(put.body) for put in writes) for writes in meddling.commits]  # type: ignore[union-attr]
    assert {len(writes) for writes in meddling.commits} == {2}
    assert max(sizes[45:]) <= min(sizes[45:]) + 16, "once the buffer is full, a turn writes as much as the one before"


async def test_removal_leaves_nothing(documents: Documents) -> None:
    meddling = Meddling(documents)
    running, _ = turns(meddling, *(said("ok") for _ in range(205)))
    for number in range(205):
        await running.run(question(f"{number}"), soon())
    written = [write.key for writes in meddling.commits for write in writes]

    await remove(documents, "", "s", soon())

    assert await left(documents, written) == {}
    with pytest.raises(NotFound):
        await entries(documents)
    with pytest.raises(NotFound):
        await remove(documents, "", "s", soon())


async def test_a_conversation_that_ended_can_still_be_removed(documents: Documents) -> None:
    meddling = Meddling(documents)
    running, _ = turns(meddling, said("old"), limits=Limits(messages=40, tokens=8000, lifetime=timedelta(0)))
    await running.run(question("before"), soon())

    await remove(documents, "", "s", soon())

    assert await left(documents, [write.key for writes in meddling.commits for write in writes]) == {}


async def test_a_failed_turn_leaves_no_word_behind_a_removal(documents: Documents) -> None:
    running, _ = turns(documents, said("ok"))
    await running.run(question("hello"), soon())
    meddling = Meddling(documents, before=[lambda: remove(documents, "", "s", soon())])
    late, _ = turns(meddling, Upstream("The model's server is busy."), ids="late")

    with pytest.raises(Upstream):
        await late.run(question("my words"), soon())

    first_try, second_try = meddling.commits
    assert type(first_try[0]).__name__ == "Require"
    assert type(second_try[0]).__name__ == "Put"
    assert await transcript(documents) == [("failed", "my words", None)], "in a conversation that can be read, and removed again"


async def left(documents: Documents, keys: list[Key]) -> Mapping[Key, Document]:
    """What the store still holds of these documents."""
    found = [await documents.get(keys[start : start + 100], soon()) for start in range(0, len(keys), 100)]
    return {key: document for snapshot in found for key, document in snapshot.documents.items()}
