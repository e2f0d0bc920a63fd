"""Slow answers over MCP: the tool `chat` tells that one is pending, and `get_answer` gets it, in both revisions of the protocol."""

import json
import time
from collections.abc import Iterator, Mapping

import jsonschema
import pytest

from tests import held
from tests.deployed import RANDOM
from tests.held import Both
from tests.mcp import ERAS, NEW, Json, called, failed, posted, result
from tests.world import World, seen, started

PENDING = {"session_id", "status", "answer", "turn_id", "poll_after_ms"}
DONE = {"session_id", "status", "answer", "finish_reason"}
"""All that a client is told: no ids beyond those that it needs."""


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Two processes with REST beside MCP."""
    with held.both(1.5, {}, MCP_CHAT="on") as found:
        yield found


def told(world: World, era: str, tool: str, arguments: Mapping[str, str]) -> Json:
    """What a tool says, which is of the shape that was published for it, and nothing else is said beside it."""
    shape = next(each["outputSchema"] for each in result(world, era, "tools/list")["tools"] if each["name"] == tool)
    answer = posted(world, era, "tools/call", {"name": tool, "arguments": arguments})
    said = answer.json()["result"]
    found: Json = said.pop("structuredContent")
    (content,) = said.pop("content")
    jsonschema.validate(found, shape, jsonschema.Draft202012Validator)
    assert set(found) == (PENDING if found["status"] == "pending" else DONE)
    assert (content["type"], json.loads(content["text"])) == ("text", found)
    beside = json.dumps(said) + str(answer.headers)
    assert not any(found[name] in beside for name in ("session_id", "turn_id") if name in found)
    assert "mcp-session-id" not in answer.headers
    return found


def turns(world: World, session_id: str) -> list[Json]:
    """The transcript."""
    found: list[Json] = world.http.get(f"/chat/{session_id}").json()["turns"]
    return found


def until_ended(world: World, pending: Json) -> None:
    """Wait until nothing of its session is pending any more."""
    for _ in range(600):
        if all(turn["status"] != "pending" for turn in turns(world, pending["session_id"])):
            return
        time.sleep(0.05)
    raise AssertionError("The turn is pending for ever.")


def finished(world: World, era: str, pending: Json) -> Json:
    """What `get_answer` says in the end."""
    until_ended(world, pending)
    return told(world, era, "get_answer", names(pending))


def names(pending: Json) -> dict[str, str]:
    """What `get_answer` wants of an answer that is pending."""
    return {name: pending[name] for name in ("session_id", "turn_id")}


@pytest.mark.parametrize("era", ERAS)
def test_a_slow_answer_is_pending_and_got_by_its_names_in_every_process(both: Both, era: str) -> None:
    before = both.model.calls
    pending = told(both.slow, era, "chat", {"query": "hello"})
    waiting = turns(both.slow, pending["session_id"])

    still = [told(world, era, "get_answer", names(pending)) for world in (both.slow, both.fast)]
    both.model.go_on()
    done = finished(both.fast, era, pending)

    (kept,) = turns(both.slow, pending["session_id"])
    assert (pending["status"], pending["answer"]) == ("pending", "")
    assert pending["poll_after_ms"] > 0
    assert still == [pending, pending]
    assert [(turn["turn_id"], turn["status"]) for turn in waiting] == [(pending["turn_id"], "pending")]
    assert done == {"session_id": pending["session_id"], "status": "done", "answer": kept["answer"], "finish_reason": "stop"}
    assert told(both.slow, era, "get_answer", names(pending)) == done
    assert (kept["turn_id"], kept["status"]) == (pending["turn_id"], "done")
    assert both.model.calls - before == 1


@pytest.mark.parametrize("era", ERAS)
def test_a_question_that_is_asked_again_meanwhile_is_one_turn(both: Both, era: str) -> None:
    question = {"query": "hello", "session_id": f"again-{era}"}
    pending = told(both.slow, era, "chat", question)

    again = [told(world, era, "chat", question) for world in (both.slow, both.fast)]
    both.model.go_on()
    done = finished(both.slow, era, pending)

    assert pending["status"] == "pending"
    assert again == [pending, pending]
    kept = [(turn["turn_id"], turn["answer"]) for turn in turns(both.slow, question["session_id"])]
    assert kept == [(pending["turn_id"], done["answer"])]


def test_a_slow_answer_is_got_over_rest_and_back(both: Both) -> None:
    by_mcp = told(both.slow, NEW, "chat", {"query": "hello"})
    by_rest = both.slow.http.post("/chat", json={"query": "hello", "session_id": "by-rest"}).json()
    both.model.go_on()

    back = finished(both.fast, NEW, by_rest)
    finished(both.fast, NEW, by_mcp)
    over = both.slow.http.post("/answer", json=names(by_mcp))

    assert (by_mcp["status"], by_rest["status"]) == ("pending", "pending")
    assert [turn["answer"] for turn in turns(both.slow, "by-rest")] == [back["answer"]]
    assert (over.status_code, over.json()["turn_id"]) == (200, by_mcp["turn_id"])


@pytest.mark.parametrize("era", ERAS)
def test_a_slow_answer_that_fails_is_told_as_its_failure_whenever_it_is_asked_for(both: Both, era: str) -> None:
    failing = {"MCP_CHAT": "on", "CHAT_BUDGET_SECONDS": "1.5", "OPENAI_MODEL": "emulator?latency=2500ms&fail=content_filter"}
    with started("mcp", **both.store, **failing) as world:
        pending = told(world, era, "chat", {"query": "hello", "session_id": f"fails-{era}"})
        until_ended(both.fast, pending)
        answers = [failed(called(each, era, "get_answer", names(pending))) for each in (world, both.fast, both.slow)]

    (kept,) = turns(both.slow, pending["session_id"])
    assert pending["status"] == "pending"
    assert kept["status"] == "failed"
    assert kept["error"]["code"] == "content_filtered"
    assert answers == [kept["error"]] * 3


@pytest.mark.parametrize("era", ERAS)
def test_nobody_can_tell_a_turn_that_is_anothers_from_one_that_never_was(both: Both, era: str) -> None:
    mine = told(both.slow, era, "chat", {"query": "hello"})
    theirs = told(both.slow, era, "chat", {"query": "hello"})

    pairs = [
        (mine["session_id"], theirs["turn_id"]),
        (theirs["session_id"], mine["turn_id"]),
        (mine["session_id"], RANDOM),
        (RANDOM, mine["turn_id"]),
        (RANDOM, RANDOM),
    ]
    for world in (both.slow, both.fast):  # Each under its own address, which the revision of 2026 tells.
        arguments = [{"session_id": session, "turn_id": turn} for session, turn in pairs]
        answers = [posted(world, era, "tools/call", {"name": "get_answer", "arguments": each}) for each in arguments]

        assert failed(answers[0].json()["result"])["code"] == "not_found"
        assert [seen(answer) for answer in answers] == [seen(answers[0])] * 5


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"session_id": "s"},
        {"turn_id": RANDOM},
        {"session_id": "s", "turn_id": ""},
        {"session_id": "s", "turn_id": RANDOM, "query": "?"},
    ],
    ids=str,
)
@pytest.mark.parametrize("era", ERAS)
def test_what_names_no_turn_is_refused_and_not_asked(both: Both, era: str, arguments: Json) -> None:
    before = both.model.calls

    refused = failed(called(both.slow, era, "get_answer", arguments))

    assert (refused["code"], refused["retryable"]) == ("invalid", False)
    assert both.model.calls == before
