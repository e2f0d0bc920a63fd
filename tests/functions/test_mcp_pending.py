"""Slow answers over MCP: the tool `chat` tells that one is pending, and `get_answer` gets it, in both revisions of the protocol."""

import json
from collections.abc import Iterator, Mapping

import jsonschema
import pytest

from tests.deployed import RANDOM
from tests.mcp import ERAS, NEW, Json, called, failed, posted, result
from tests.world import World, seen, started

SLOW = {"MCP_CHAT": "on", "CHAT_BUDGET_SECONDS": "1", "OPENAI_MODEL": "emulator?latency=2s"}
"""A model that takes longer than two requests and no longer than three. Of the second, a quarter is kept for the commit."""

PENDING = {"session_id", "status", "answer", "turn_id", "poll_after_ms"}
DONE = {"session_id", "status", "answer", "finish_reason"}
"""All that a client is told: no ids beyond those that it needs."""


@pytest.fixture(scope="module")
def slow() -> Iterator[World]:
    """A process whose model takes longer than a request, with REST beside MCP."""
    with started("plugin", **SLOW) as world:
        yield world


@pytest.fixture(scope="module")
def fast(slow: World) -> Iterator[World]:
    """Another process on the same conversations, which has the time to wait for what is pending."""
    with started("mcp", MCP_CHAT="on", STORE=slow.environ["STORE"]) as world:
        yield world


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


def names(pending: Json) -> dict[str, str]:
    """What `get_answer` wants of an answer that is pending."""
    return {name: pending[name] for name in ("session_id", "turn_id")}


@pytest.mark.parametrize("era", ERAS)
def test_a_slow_answer_is_pending_and_got_by_its_names_in_every_process(slow: World, fast: World, era: str) -> None:
    before = len(slow.model_requests)
    pending = told(slow, era, "chat", {"query": "hello"})
    waiting = turns(slow, pending["session_id"])

    still = told(slow, era, "get_answer", names(pending))
    done = [told(world, era, "get_answer", names(pending)) for world in (fast, slow)]

    (kept,) = turns(slow, pending["session_id"])
    assert (pending["status"], pending["answer"]) == ("pending", "")
    assert pending["poll_after_ms"] > 0
    assert still == pending
    assert [(turn["turn_id"], turn["status"]) for turn in waiting] == [(pending["turn_id"], "pending")]
    assert done[0] == done[1] == {"session_id": pending["session_id"], "status": "done", "answer": kept["answer"], "finish_reason": "stop"}
    assert (kept["turn_id"], kept["status"]) == (pending["turn_id"], "done")
    assert len(slow.model_requests) - before == 1
    assert not any("completions" in asked.path for asked in fast.model_requests)


@pytest.mark.parametrize("era", ERAS)
def test_a_question_that_is_asked_again_meanwhile_is_one_turn(slow: World, fast: World, era: str) -> None:
    session = f"again-{era}"
    pending = told(slow, era, "chat", {"query": "hello", "session_id": session})

    again = told(slow, era, "chat", {"query": "hello", "session_id": session})
    elsewhere = told(fast, era, "chat", {"query": "hello", "session_id": session})

    assert again == pending
    assert [(turn["turn_id"], turn["answer"]) for turn in turns(slow, session)] == [(pending["turn_id"], elsewhere["answer"])]


def test_a_slow_answer_is_got_over_rest_and_back(slow: World, fast: World) -> None:
    by_mcp = told(slow, NEW, "chat", {"query": "hello"})
    by_rest = slow.http.post("/chat", json={"query": "hello", "session_id": "by-rest"}).json()

    back = told(fast, NEW, "get_answer", names(by_rest))
    over = slow.http.post("/answer", json=names(by_mcp))

    assert (by_mcp["status"], by_rest["status"]) == ("pending", "pending")
    assert [turn["answer"] for turn in turns(slow, "by-rest")] == [back["answer"]]
    assert (over.status_code, over.json()["turn_id"]) == (200, by_mcp["turn_id"])


@pytest.mark.parametrize("era", ERAS)
def test_a_slow_answer_that_fails_is_told_as_its_failure_whenever_it_is_asked_for(slow: World, fast: World, era: str) -> None:
    with started(
        "mcp", **SLOW | {"STORE": slow.environ["STORE"], "OPENAI_MODEL": "emulator?latency=1200ms&fail=content_filter"}
    ) as failing:
        pending = told(failing, era, "chat", {"query": "hello", "session_id": f"fails-{era}"})
        answers = [failed(called(world, era, "get_answer", names(pending))) for world in (fast, failing, slow)]

    (kept,) = turns(slow, pending["session_id"])
    assert pending["status"] == "pending"
    assert kept["status"] == "failed"
    assert kept["error"]["code"] == "content_filtered"
    assert answers == [kept["error"]] * 3


@pytest.mark.parametrize("era", ERAS)
def test_nobody_can_tell_a_turn_that_is_anothers_from_one_that_never_was(slow: World, fast: World, era: str) -> None:
    mine = told(slow, era, "chat", {"query": "hello"})
    theirs = told(slow, era, "chat", {"query": "hello"})

    pairs = [
        (mine["session_id"], theirs["turn_id"]),
        (theirs["session_id"], mine["turn_id"]),
        (mine["session_id"], RANDOM),
        (RANDOM, mine["turn_id"]),
        (RANDOM, RANDOM),
    ]
    for world in (slow, fast):  # Each under its own address, which the revision of 2026 tells.
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
def test_what_names_no_turn_is_refused_and_not_asked(slow: World, era: str, arguments: Json) -> None:
    before = len(slow.model_requests)

    refused = failed(called(slow, era, "get_answer", arguments))

    assert (refused["code"], refused["retryable"]) == ("invalid", False)
    assert len(slow.model_requests) == before
