"""Slow turns over HTTP: who gets which answer, by a turn's name, by a key or by asking again, and from which process."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions.core.model import Reply, Usage
from tests import deployed, held
from tests.deployed import RANDOM, Opened, chat
from tests.held import Both
from tests.mcp import ERAS, called
from tests.world import World, on_firestore, seen, started

FAILING = {"CHAT_BUDGET_SECONDS": "1.5", "OPENAI_MODEL": "emulator?latency=3s&fail=content_filter"}
"""A model that takes longer than a request, and then says nothing."""

NO_KEYS: Mapping[str, Sequence[bytes]] = {
    "empty": [b""],
    "empty in quotes": [b'""'],
    "half of the quotes": [b'"a'],
    "a quote": [b'"'],
    "too long": [b"x" * 256],
    "too long in quotes": [b'"' + b"x" * 256 + b'"'],
    "far too long": [b"x" * 60_000],
    "UTF-8": ["schlüssel".encode()],
    "Latin-1": ["schlüssel".encode("latin-1")],
    "a space of Latin-1": [b"\xa0a"],
    "a tab": [b"a\tb"],
    "twice": [b"a", b"b"],
    "twice the same": [b"a", b"a"],
}


@pytest.fixture(scope="module", params=["sqlite", "firestore"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    on_sqlite = request.param == "sqlite"
    store = {} if on_sqlite else on_firestore(request.getfixturevalue("firestore_emulator"))
    with held.both(1.5 if on_sqlite else 4, store) as found:  # Of which a quarter is kept for the commit, on a busy machine too.
        yield found


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    """A deployment for anonymous callers."""
    edges = deployed.opened(
        tmp_path, lambda settings, turns, toolbox: {"/{path:path}": chat(settings, turns, toolbox)}, CHAT_BUDGET_SECONDS="1"
    )
    async with edges as found:
        yield found


def asked(world: World, query: str, session_id: str | None, *keys: str | bytes) -> httpx.Response:
    body = {"query": query} | ({"session_id": session_id} if session_id else {})
    return world.http.post("/chat", json=body, headers=[(b"Idempotency-Key", _octets(key)) for key in keys])


def _octets(key: str | bytes) -> bytes:
    return key if isinstance(key, bytes) else key.encode()


def polled(world: World, session_id: str, turn_id: str, path: str = "/answer") -> httpx.Response:
    return world.http.post(path, json={"session_id": session_id, "turn_id": turn_id})


def finished(world: World, session_id: str, turn_id: str) -> httpx.Response:
    """What a pending turn came to."""
    for _ in range(30):
        if (answer := polled(world, session_id, turn_id)).status_code != 202:
            return answer
    raise AssertionError("The turn is pending for ever.")


def at_once(*requests: tuple[World, str, str, str]) -> list[httpx.Response]:
    """The answers to polls that are sent together: where, session, turn, path."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda request: polled(*request), requests))


def at_the_same_time(both: Both, late: str, first: str, session_id: str, *keys: str) -> tuple[httpx.Response, httpx.Response]:
    """The answers to two questions of which the second is asked, and answered, while the slow model thinks about the first."""
    before = both.model.calls
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(asked, both.slow, late, session_id, *keys)
        while both.model.calls == before and not answer.done():
            time.sleep(0.01)
        fast = asked(both.fast, first, session_id, *keys)
        result = answer.result()
    both.model.go_on()
    return result, fast


def turns(world: World, session_id: str) -> list[dict[str, Any]]:
    """The transcript."""
    found: list[dict[str, Any]] = world.http.get(f"/chat/{session_id}").json()["turns"]
    return found


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which has the published shape."""
    told = answer.json()["error"]
    assert set(told) == {"code", "message", "retryable"}
    return answer.status_code, told["code"]


# A key


def test_a_key_is_answered_once_whichever_process_is_asked(both: Both) -> None:
    before = both.model.calls

    first = asked(both.fast, "pay", "paid", "order-1")
    again = [asked(world, "pay", "paid", "order-1") for world in (both.fast, both.slow, both.fast)]

    assert first.status_code == 200
    assert [seen(answer) for answer in again] == [seen(first)] * 3
    assert both.model.calls - before == 1
    assert [turn["turn_id"] for turn in turns(both.slow, "paid")] == [first.json()["turn_id"]]


def test_a_key_joins_its_turn_while_that_is_pending(both: Both) -> None:
    before = both.model.calls

    first = asked(both.slow, "pay", "joined", "order-1")
    again = asked(both.slow, "pay", "joined", '"order-1"')
    elsewhere = asked(both.fast, "pay", "joined", "order-1")
    both.model.go_on()
    done = finished(both.fast, "joined", first.json()["turn_id"])
    later = [asked(world, "pay", "joined", "order-1") for world in (both.slow, both.fast)]

    assert first.status_code == 202
    assert [seen(answer) for answer in (again, elsewhere)] == [seen(first)] * 2
    assert [seen(answer) for answer in later] == [seen(done)] * 2
    assert both.model.calls - before == 1
    assert [(turn["turn_id"], turn["answer"]) for turn in turns(both.fast, "joined")] == [(first.json()["turn_id"], done.json()["answer"])]


def test_a_key_that_belongs_to_another_question_is_refused_and_nothing_is_stored(both: Both) -> None:
    before = both.model.calls
    first = asked(both.slow, "pay", "reused", "order-1").json()

    refused = [asked(world, "pay more", "reused", key) for world in (both.slow, both.fast) for key in ("order-1", '"order-1"')]
    pending = turns(both.fast, "reused")
    both.model.go_on()
    done = finished(both.slow, "reused", first["turn_id"])
    refused_later = [asked(world, "pay more", "reused", "order-1") for world in (both.slow, both.fast)]

    assert {error(answer) for answer in [*refused, *refused_later]} == {(422, "idempotency_key_reused")}
    assert {answer.json()["error"]["retryable"] for answer in refused} == {False}
    assert [(turn["turn_id"], turn["query"], turn["status"]) for turn in pending] == [(first["turn_id"], "pay", "pending")]
    assert (done.status_code, done.json()["turn_id"]) == (200, first["turn_id"])
    assert [(turn["query"], turn["status"]) for turn in turns(both.slow, "reused")] == [("pay", "done")]
    assert both.model.calls - before == 1


def test_a_key_names_another_turn_in_another_session(both: Both) -> None:
    before = both.model.calls

    here, there = asked(both.fast, "hello", "here", "order-1").json(), asked(both.fast, "hello", "there", "order-1").json()

    assert here["answer"] != there["answer"]
    assert polled(both.slow, "here", here["turn_id"]).json() == here
    assert polled(both.slow, "there", there["turn_id"]).json() == there
    assert both.model.calls - before == 2


def test_a_key_leads_to_nothing_of_a_conversation_that_has_ended(both: Both) -> None:
    with started(**both.store, CONVERSATION_HOURS="0.0005") as world:
        first = asked(world, "hello", "ended", "order-1")
        while world.http.get("/chat/ended").status_code == 200:
            time.sleep(0.05)
        other = asked(world, "good night", "ended", "order-1")
        kept = turns(world, "ended")

    assert (first.status_code, other.status_code) == (200, 200)
    assert [turn["query"] for turn in kept] == ["good night"]


@pytest.mark.parametrize("key", ["order-1", "a", "x" * 255, 'a"', "a, b", "~ !"])
def test_a_key_is_the_same_bare_and_in_quotes(world: World, key: str) -> None:
    session = f"quoted-{len(key)}"

    first, quoted = asked(world, key, session, key), asked(world, key, session, f'"{key}"')

    assert first.status_code == 200
    assert seen(quoted) == seen(first)
    assert len(turns(world, session)) == 1


@pytest.mark.parametrize("name", NO_KEYS)
def test_what_is_no_key_is_refused_and_not_asked(world: World, name: str) -> None:
    before, session = len(world.model_requests), name.replace(" ", "-")

    refused = asked(world, "pay", session, *NO_KEYS[name])

    assert error(refused) == (422, "invalid")
    assert "Idempotency-Key" in refused.json()["error"]["message"]
    assert len(world.model_requests) == before
    assert world.http.get(f"/chat/{session}").status_code == 404


def test_a_conversation_that_begins_with_a_key_begins_once(world: World) -> None:
    first, again = asked(world, "hello", None, "first"), asked(world, "hello", None, "first")
    refused, other = asked(world, "hello!", None, "first"), asked(world, "hello", None, "second")

    assert seen(again) == seen(first)
    assert error(refused) == (422, "idempotency_key_reused")
    assert other.json()["session_id"] != first.json()["session_id"]
    assert len(turns(world, first.json()["session_id"])) == 1


def test_a_key_of_two_questions_at_once_belongs_to_the_one_that_is_kept_first(both: Both) -> None:
    late, first = at_the_same_time(both, "pay", "pay more", "raced", "order-1")

    assert first.status_code == 200
    assert error(late) == (422, "idempotency_key_reused")
    assert [turn["query"] for turn in turns(both.slow, "raced")] == ["pay more"]


# A repetition


@pytest.mark.parametrize("keys", [["order-1"], []], ids=["key", "no-key"])
def test_a_question_that_comes_to_two_processes_at_once_is_one_turn(both: Both, keys: Sequence[str]) -> None:
    session = f"raced-with-{len(keys)}"

    late, first = at_the_same_time(both, "pay", "pay", session, *keys)

    assert first.status_code == 200
    assert seen(late) == seen(first)
    assert [turn["turn_id"] for turn in turns(both.slow, session)] == [first.json()["turn_id"]]


def test_a_question_without_a_key_joins_its_twin_while_that_is_pending(both: Both) -> None:
    before = both.model.calls

    with ThreadPoolExecutor() as threads:
        first, beside = threads.map(lambda query: asked(both.slow, query, "twins"), ["yes", "yes"])
    again, elsewhere = [asked(world, "yes", "twins") for world in (both.slow, both.fast)]
    waiting = turns(both.fast, "twins")
    both.model.go_on()
    finished(both.fast, "twins", first.json()["turn_id"])
    later = asked(both.fast, "yes", "twins")

    assert first.status_code == 202
    assert [seen(answer) for answer in (beside, again, elsewhere)] == [seen(first)] * 3
    assert [turn["turn_id"] for turn in waiting] == [first.json()["turn_id"]]
    assert later.status_code == 200
    assert later.json()["turn_id"] != first.json()["turn_id"], "a person may say the same twice"
    assert both.model.calls - before == 2


# The answer


def test_a_turn_is_asked_for_in_two_ways_that_are_one(both: Both) -> None:
    pending = asked(both.slow, "hello", "polled")
    names = ("polled", pending.json()["turn_id"])

    requests = [(world, *names, path) for world in (both.slow, both.fast) for path in ("/answer", "/chat")]
    early = at_once(*requests)
    both.model.go_on()
    finished(both.slow, *names)
    late = at_once(*requests)

    (done,) = turns(both.fast, "polled")
    assert pending.status_code == 202
    assert [seen(answer) for answer in early] == [seen(pending)] * 4
    assert min(answer.elapsed.total_seconds() for answer in early) > both.budget_seconds / 2, "each waits,"
    assert max(answer.elapsed.total_seconds() for answer in early) < both.budget_seconds + 0.1, "within the budget"
    assert [seen(answer) for answer in late] == [seen(late[0])] * 4
    assert late[0].status_code == 200
    assert set(late[0].json()) == {"session_id", "turn_id", "status", "answer", "finish_reason", "operations", "usage"}
    assert (late[0].json()["turn_id"], late[0].json()["answer"]) == (done["turn_id"], done["answer"])


def test_who_waits_is_answered_as_soon_as_there_is_an_answer(both: Both) -> None:
    pending = asked(both.slow, "hello", "waiting").json()

    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(polled, world, "waiting", pending["turn_id"]) for world in (both.slow, both.fast)]
        both.model.go_on()
        answers = [answer.result() for answer in waiting]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert max(answer.elapsed.total_seconds() for answer in answers) < both.budget_seconds / 2


def test_a_transcript_tells_what_is_pending_and_what_has_failed(both: Both) -> None:
    with started(**both.store, **FAILING) as failing:
        pending = asked(failing, "hello", "failed", "order-1").json()
        (waiting,) = turns(both.fast, "failed")
        finished(both.fast, "failed", pending["turn_id"])
        told = [polled(world, "failed", pending["turn_id"], path) for world in (both.fast, failing) for path in ("/answer", "/chat")]
        before = both.model.calls
        asked_again = asked(both.fast, "hello", "failed", "order-1")
        calls = [received.path for received in failing.model_requests if received.method == "POST"]
    (failed,) = turns(both.fast, "failed")

    about = {"turn_id", "status", "query", "operations", "usage", "asked_at", "milliseconds"}
    assert (waiting["turn_id"], waiting["status"], set(waiting)) == (pending["turn_id"], "pending", about)
    assert (failed["turn_id"], failed["status"], set(failed)) == (pending["turn_id"], "failed", about | {"error"})
    assert [error(answer) for answer in told] == [(422, "content_filtered")] * 4
    assert [answer.json()["error"] for answer in [*told, asked_again]] == [failed["error"]] * 5
    assert both.model.calls == before
    assert len(calls) == 1


def test_nobody_can_tell_a_turn_that_is_anothers_from_one_that_never_was(both: Both) -> None:
    mine, theirs = asked(both.fast, "hello", "mine").json()["turn_id"], asked(both.fast, "hello", "theirs").json()["turn_id"]
    gone = asked(both.fast, "hello", "gone").json()["turn_id"]
    assert both.fast.http.delete("/chat/gone").status_code == 204

    names = [("mine", theirs), ("theirs", mine), ("mine", RANDOM), (RANDOM, mine), (RANDOM, RANDOM), ("gone", gone), ("gone", RANDOM)]
    answers = [polled(world, *name, path) for name in names for world in (both.slow, both.fast) for path in ("/answer", "/chat")]

    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert error(answers[0]) == (404, "not_found")
    assert [seen(answer) for answer in answers] == [seen(answers[0])] * len(answers)


@pytest.mark.parametrize("path", ["/chat", "/answer"])
@pytest.mark.parametrize(
    "body",
    [
        {"turn_id": RANDOM},
        {"session_id": "asked", "turn_id": None},
        {"session_id": "asked", "turn_id": ""},
        {"session_id": "asked", "turn_id": "x" * 65},
        {"session_id": "asked", "turn_id": "../x"},
        {"session_id": "asked", "turn_id": RANDOM, "query": "hello"},
    ],
    ids=str,
)
def test_what_names_no_turn_is_refused_and_not_asked(world: World, path: str, body: Mapping[str, object]) -> None:
    before = len(world.model_requests)

    refused = world.http.post(path, json=body)

    assert error(refused) == (422, "invalid")
    assert len(world.model_requests) == before


# Strangers


async def test_a_stranger_gets_their_own_answer_and_nobody_else_does(opened: Opened) -> None:
    opened.model.script[1:] = [1.2, Reply("Late.", "stop", usage=Usage(1, 1))]
    other = (await opened.http.post("/chat", json={"query": "hello"})).json()["session_id"]
    pending = await opened.http.post("/chat", json={"query": "hello"})
    turn, session = pending.json()["turn_id"], pending.json()["session_id"]

    foreign = [
        await opened.http.post(path, json={"session_id": each, "turn_id": turn})
        for path in ("/answer", "/chat")
        for each in (other, RANDOM)
    ]
    presented = [
        await opened.http.post("/answer", json={"session_id": each, "turn_id": turn}, headers={"Authorization": "Bearer anything"})
        for each in (session, RANDOM)
    ]
    own = await opened.http.post("/answer", json={"session_id": session, "turn_id": turn})

    assert pending.status_code == 202
    assert [seen(answer) for answer in foreign] == [seen(foreign[0])] * 4
    assert error(foreign[0]) == (404, "not_found")
    assert seen(presented[0]) == seen(presented[1])
    assert error(presented[0]) == (401, "unauthenticated")
    assert (own.status_code, own.json()["answer"]) == (200, "Late.")


async def test_a_strangers_key_leads_to_no_conversation_but_their_own(opened: Opened) -> None:
    key = {"Idempotency-Key": "1"}
    first, second = [(await opened.http.post("/chat", json={"query": "hello"}, headers=key)).json() for _ in range(2)]
    mine = [
        await opened.http.post("/chat", json={"query": "and then?", "session_id": first["session_id"]}, headers={"Idempotency-Key": "2"})
        for _ in range(2)
    ]
    repeated = await opened.http.post("/chat", json={"query": "hello", "session_id": first["session_id"]}, headers=key)
    invented = await opened.http.post("/chat", json={"query": "hello", "session_id": RANDOM}, headers=key)

    assert first["session_id"] != second["session_id"]
    assert (first["answer"], second["answer"]) == ("Answer 0.", "Answer 1.")
    assert seen(mine[0]) == seen(mine[1])
    assert mine[0].json()["answer"] == "Answer 2."
    assert repeated.json() == first
    assert error(invented) == (404, "not_found")
    assert opened.heard() == [["hello"], ["hello"], ["hello", "and then?"]]


# The log


def test_the_log_of_a_slow_turn_holds_nobodys_words() -> None:
    with held.both(1, {}, MCP_CHAT="on") as both, started(**both.store, **FAILING) as failing:
        slow, fast = both.slow, both.fast
        told = [
            asked(slow, "CANARY", "CANARY-session", "CANARY-key"),
            asked(slow, "CANARY", None),
            asked(failing, "CANARY", "CANARY-fails"),
        ]
        told += [asked(world, "CANARY", "CANARY-session", '"CANARY-key"') for world in (slow, fast)]
        by_mcp = [called(slow, era, "chat", {"query": "CANARY"})["structuredContent"] for era in ERAS]
        refused = [
            asked(slow, "CANARY?", "CANARY-session", "CANARY-key"),
            asked(slow, "CANARY", "CANARY-session", "CANARY", "CANARY"),
            polled(slow, "CANARY-session", "CANARY-turn"),
            polled(slow, "CANARY-session", "CANARY turn"),
        ]
        both.model.go_on()
        names = [(each["session_id"], each["turn_id"]) for each in [*(answer.json() for answer in told), *by_mcp]]
        ended = [finished(fast, *name) for name in names]
        for session, turn in names:
            called(slow, ERAS[0], "get_answer", {"session_id": session, "turn_id": turn})
            turns(slow, session)
        logged, output = [line for world in (slow, fast, failing) for line in world.log_lines()], slow.output + fast.output + failing.output

    answers = [answer.json()["answer"] for answer in ended if answer.status_code == 200]
    assert [answer.status_code for answer in told] == [202] * 5
    assert [answer.status_code for answer in refused] == [422, 422, 404, 422]
    assert [answer.status_code for answer in ended] == [200, 200, 422, 200, 200, 200, 200]
    assert [each["status"] for each in by_mcp] == ["pending"] * 2
    assert sorted(line["status"] for line in logged if line["message"] == "pending turn ended") == ["done"] * 4 + ["failed"]
    assert all(line.startswith("{") for line in output.splitlines()), "no traceback, no complaint"
    for secret in ("CANARY", *answers, *(name for pair in names for name in pair)):
        assert secret.lower() not in output.lower()
