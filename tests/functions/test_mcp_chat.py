"""The tool `chat` (MCP_CHAT=on), and a client's own name for its conversation: whom it leads back, and whom it does not."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from functions.adapters.http import Edge, Life
from functions.capabilities import CATALOGUE
from functions.core.asking import Toolbox
from functions.core.mcp_tools import MAX_TOOL_RESULT
from functions.core.model import Reply, Usage
from functions.core.settings import Settings
from functions.core.turn import Turns
from functions.mcp import Mcp
from tests import deployed
from tests.deployed import DEPLOYED, RANDOM, Opened, chat
from tests.mcp import ERAS, FORECAST, NEW, OLD, Json, called, failed, headers, message, posted, refusal, result
from tests.world import World, started

TOMORROW = "北京明天天气怎么样"
AFTER = "and the day after?"
"""A question that only a conversation answers: the emulator then still speaks of Beijing."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A local world with the tool, and with REST beside it."""
    with started("plugin", MCP_CHAT="on") as world:
        yield world


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    """Both functions of a deployment with the tool."""

    def edges(settings: Settings, turns: Turns, toolbox: Toolbox) -> Mapping[str, Edge]:
        return {"/mcp": Mcp(settings, CATALOGUE, toolbox, turns, Life()).edge(), "/chat": chat(settings, turns, toolbox)}

    async with deployed.opened(tmp_path, edges, MCP_CHAT="on") as found:
        yield found


async def chatted(opened: Opened, era: str, arguments: Mapping[str, str], **meta: str) -> Json:
    """The result of the tool."""
    sent = message(era, "tools/call", {"name": "chat", "arguments": arguments} | ({"_meta": meta} if meta else {}))
    told: Json = (await opened.http.post("/mcp", json=sent, headers=headers(era, sent))).json()["result"]
    return told


def answer(told: Json) -> str:
    """What the tool's result says."""
    assert set(told["structuredContent"]) == {"session_id", "status", "answer", "finish_reason"}
    return str(told["structuredContent"]["answer"])


# Whether it is there


@pytest.mark.parametrize("era", ERAS)
def test_the_tool_says_honestly_what_it_does(world: World, era: str) -> None:
    *_, forecast, chat, get_answer = result(world, era, "tools/list")["tools"]

    assert (forecast["name"], chat["name"]) == (FORECAST, "chat")
    assert chat["annotations"] == {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False}
    assert chat["securitySchemes"] == [{"type": "noauth"}]
    assert chat["inputSchema"]["required"] == ["query"]
    assert set(chat["inputSchema"]["properties"]) == {"query", "session_id"}
    assert set(chat["outputSchema"]["required"]) == {"session_id", "status"}
    assert get_answer["name"] == "get_answer"
    assert get_answer["annotations"] == {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}
    assert set(get_answer["inputSchema"]["required"]) == {"session_id", "turn_id"}


@pytest.mark.parametrize("era", ERAS)
def test_without_the_setting_there_is_no_such_tool(era: str) -> None:
    with started("mcp") as world:
        refused = posted(world, era, "tools/call", {"name": "chat", "arguments": {"query": "hello"}})

        assert refusal(refused)["code"] == -32602
        assert world.model_requests == []


@pytest.mark.parametrize("environ", [DEPLOYED, {"ANONYMOUS_CHAT": "off"}], ids=["deployed", "local"])
def test_where_nobody_could_call_it_nothing_starts(environ: dict[str, str]) -> None:
    with pytest.raises(RuntimeError, match="MCP_CHAT: needs ANONYMOUS_CHAT=on"), started("mcp", **environ, MCP_CHAT="on"):
        pass


# Going on


@pytest.mark.parametrize("era", ERAS)
def test_a_conversation_begins_and_goes_on_by_its_token(world: World, era: str) -> None:
    first = called(world, era, "chat", {"query": TOMORROW})
    session = first["structuredContent"]["session_id"]
    second = called(world, era, "chat", {"query": AFTER, "session_id": session})

    transcript = world.http.get(f"/chat/{session}").json()["turns"]
    assert second["structuredContent"]["session_id"] == session
    assert answer(second).startswith("北京 on ")
    assert [(turn["query"], turn["answer"]) for turn in transcript] == [(TOMORROW, answer(first)), (AFTER, answer(second))]


def test_a_conversation_goes_on_over_rest_and_back(world: World) -> None:
    session = called(world, NEW, "chat", {"query": TOMORROW})["structuredContent"]["session_id"]
    by_rest = world.ask("And in Paris?", session)
    back = called(world, OLD, "chat", {"query": AFTER, "session_id": session})

    assert by_rest["session_id"] == session
    assert len(world.http.get(f"/chat/{session}").json()["turns"]) == 3
    assert answer(back)


@pytest.mark.parametrize("era", ERAS)
def test_a_conversation_alternates_between_two_processes(world: World, era: str) -> None:
    with started("mcp", MCP_CHAT="on", STORE=world.environ["STORE"]) as other:
        session = None
        told = []
        for place, query in [(world, TOMORROW), (other, AFTER), (world, "hello"), (other, "hello again")]:
            told.append(called(place, era, "chat", {"query": query} | ({"session_id": session} if session else {})))
            session = told[-1]["structuredContent"]["session_id"]

    transcript = world.http.get(f"/chat/{session}").json()["turns"]
    assert answer(told[1]).startswith("北京 on ")
    assert [turn["answer"] for turn in transcript] == [answer(each) for each in told]


@pytest.mark.parametrize("era", ERAS)
def test_a_local_client_goes_on_by_its_own_name_for_the_conversation(world: World, era: str) -> None:
    ours, theirs = {"openai/session": f"{era}-v1/één"}, {"openai/session": f"{era}-v2"}

    first = called(world, era, "chat", {"query": TOMORROW}, **ours)
    second = called(world, era, "chat", {"query": AFTER}, **ours)
    elsewhere = called(world, era, "chat", {"query": AFTER}, **theirs)
    by_token = called(world, era, "chat", {"query": AFTER, "session_id": elsewhere["structuredContent"]["session_id"]}, **ours)

    sessions = [told["structuredContent"]["session_id"] for told in (first, second, elsewhere, by_token)]
    assert sessions == [sessions[0], sessions[0], sessions[2], sessions[2]]
    assert sessions[0] != sessions[2]
    assert answer(second).startswith("北京 on ")
    assert "北京" not in answer(elsewhere)


def test_the_name_that_an_action_sends_does_the_same_over_rest(world: World) -> None:
    named = {"openai-conversation-id": "an-action"}

    first = world.http.post("/chat", json={"query": TOMORROW}, headers=named).json()
    second = world.http.post("/chat", json={"query": AFTER}, headers=named).json()
    elsewhere = world.http.post("/chat", json={"query": AFTER}, headers={"openai-conversation-id": "another"}).json()

    assert second["session_id"] == first["session_id"] != elsewhere["session_id"]
    assert second["answer"].startswith("北京 on ")
    assert "北京" not in elsewhere["answer"]


@pytest.mark.parametrize("arguments", [{}, {"query": ""}, {"query": 7}, {"query": "x" * 8001}, {"query": "x", "session_id": "!"}, {"query": "x", "more": 1}], ids=str)  # fmt: skip
@pytest.mark.parametrize("era", ERAS)
def test_what_is_no_question_is_told_and_not_asked(world: World, era: str, arguments: Json) -> None:
    asked = len(world.model_requests)

    refused = failed(called(world, era, "chat", arguments))

    assert (refused["code"], refused["retryable"]) == ("invalid", False)
    assert len(world.model_requests) == asked


# Strangers


@pytest.mark.parametrize("era", ERAS)
async def test_a_stranger_goes_on_with_the_token_alone(opened: Opened, era: str) -> None:
    first = await chatted(opened, era, {"query": "one"})
    second = await chatted(opened, era, {"query": "two", "session_id": first["structuredContent"]["session_id"]})

    assert second["structuredContent"]["session_id"] == first["structuredContent"]["session_id"]
    assert opened.heard() == [["one"], ["one", "two"]]


@pytest.mark.parametrize("era", ERAS)
async def test_the_name_that_a_strangers_client_has_leads_nowhere(opened: Opened, era: str) -> None:
    named = {"openai/session": "v1/shared"}
    first = await chatted(opened, era, {"query": "one"}, **named)
    second = await chatted(opened, era, {"query": "two"}, **named)

    by_rest = [
        (await opened.http.post("/chat", json={"query": query}, headers={"openai-conversation-id": "v1/shared"})).json()
        for query in ("three", "four")
    ]

    sessions = [
        first["structuredContent"]["session_id"],
        second["structuredContent"]["session_id"],
        *(each["session_id"] for each in by_rest),
    ]
    assert len(set(sessions)) == 4
    assert opened.heard() == [["one"], ["two"], ["three"], ["four"]]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("invented", [RANDOM, "test123", "x" * 128])
async def test_a_strangers_invented_token_is_not_found_and_not_made(opened: Opened, era: str, invented: str) -> None:
    refused = await chatted(opened, era, {"query": "hello", "session_id": invented}, **{"openai/session": invented})

    assert failed(refused)["code"] == "not_found"
    assert opened.documents.commits == []
    assert opened.model.asked == []


@pytest.mark.parametrize("era", ERAS)
async def test_a_long_answer_is_cut_to_what_a_client_takes(opened: Opened, era: str) -> None:
    opened.model.script[:] = [Reply("天" * 20_000, "stop", usage=Usage(1, 1))]

    told = await chatted(opened, era, {"query": "hello"})

    assert len(told["content"][0]["text"].encode()) <= MAX_TOOL_RESULT
    assert answer(told).startswith("天" * 5_000)
    assert told["structuredContent"]["finish_reason"] == "length"


@pytest.mark.parametrize("era", ERAS)
def test_an_error_holds_no_hidden_characters(world: World, era: str) -> None:
    told = called(world, era, FORECAST, {"pl\u200bace\u202e": "Paris"})

    assert failed(told)["code"] == "invalid"
    assert not {"\u200b", "\u202e"} & set(told["content"][0]["text"])
