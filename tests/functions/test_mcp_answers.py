"""What POST /mcp publishes and answers: tools, results, errors that a model reads, limits, scopes, and the same from every process."""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import jsonschema
import pytest

from tests.mcp import ERAS, FORECAST, NEW, OLD, Json, called, failed, headers, message, posted, refusal, result
from tests.upstream import after, answer, serving
from tests.world import World, copied, started

NAMING = re.compile(
    r"(^|_|/)(id|ids|uuid|trace|request|session|token|time|timestamp|created|updated|asked)(_|$)|_(at|id|ms)$", re.IGNORECASE
)
"""Keys that would hold an id of ours or a moment."""


TRIALS = '''"""Trials: operations at the limits of what may be answered."""

from typing import Annotated

from pydantic import Field

from functions.core.capability import Api, Published, Scope, Web, operation
from functions.core.errors import NotFound

Word = Annotated[str, Field(description="Anything.")]


class Text(Published):
    """What is answered."""

    text: str
    """Perhaps much."""


@operation(apis=[], scopes=[], read_only=True, open_world=False)
async def repeat(web: Web, word: Word, times: Annotated[int, Field(description="How often.")]) -> Text:
    """Repeat a word."""
    return Text(text=word * times)


@operation(apis=[], scopes=[], read_only=True, open_world=False)
async def break_down(web: Web, word: Word) -> Text:
    """Break down."""
    raise RuntimeError(f"CANARY-OF-THE-FILE {word}")


@operation(apis=[], scopes=[], read_only=True, open_world=False)
async def refuse(web: Web, word: Word) -> Text:
    """Refuse a word."""
    raise NotFound(f"There is no {word}.")


class Untellable(NotFound):
    def told(self):
        raise RuntimeError(f"CANARY-OF-THE-FILE {self.message}")


@operation(apis=[], scopes=[], read_only=True, open_world=False)
async def break_the_edge(web: Web, word: Word) -> Text:
    """Fail in a way that breaks whoever tells it."""
    raise Untellable(word)


CALENDAR = Api("calendar", "https://www.googleapis.com/calendar/v3", google=True)
WRITE = Scope("https://www.googleapis.com/auth/calendar.events", {"en": "Change your events"})


@operation(apis=[CALENDAR], scopes=[WRITE], read_only=False, open_world=True, destructive=True)
async def move_meeting(web: Web, word: Word) -> Text:
    """Move a meeting."""
    print("MOVED")
    return Text(text=word)
'''

NO_OBJECT = '''"""Words: a result that is written as a list, which the revision of 2025-11-25 does not know."""

from pydantic import model_serializer

from functions.core.capability import Published, Web, operation


class Words(Published):
    """What is answered."""

    words: tuple[str, ...]
    """Some."""

    @model_serializer
    def listed(self) -> list[str]:
        return list(self.words)


@operation(apis=[], scopes=[], read_only=True, open_world=False)
async def list_words(web: Web) -> Words:
    """List words."""
    return Words(words=("CANARY",))
'''


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The function by itself, in a local world."""
    with started("mcp") as world:
        yield world


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The function with a capability of these tests."""
    with started("mcp", source=copied(tmp_path_factory.mktemp("trials"), trials=TRIALS)) as world:
        yield world


def keys(value: object) -> Iterator[str]:
    """Every key in a JSON value."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(inner)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("place", ["world", "deployed"])
def test_everybody_may_see_the_tools_with_all_that_a_client_wants_to_know(request: pytest.FixtureRequest, place: str, era: str) -> None:
    tools = result(request.getfixturevalue(place), era, "tools/list")["tools"]

    schemes = {tool["name"]: tool["securitySchemes"] for tool in tools}
    assert schemes == {
        "list_calendar_events": [{"type": "oauth2", "scopes": ["calendar"]}],
        "find_free_time": [{"type": "oauth2", "scopes": ["calendar"]}],
        "read_document": [{"type": "oauth2", "scopes": ["docs"]}],
        FORECAST: [{"type": "noauth"}],
    }
    assert tools[-1]["title"] == "Forecast the weather"
    assert tools[-1]["description"].startswith("Forecast the weather for a place")
    for tool in tools:
        assert tool["annotations"] == {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}
        assert tool["_meta"]["securitySchemes"] == tool["securitySchemes"]
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"


@pytest.mark.parametrize("era", ERAS)
def test_a_result_is_of_the_published_shape_and_the_same_as_over_rest(world: World, era: str) -> None:
    arguments = {"place": "北京", "days": 2}
    (tool,) = [tool for tool in result(world, era, "tools/list")["tools"] if tool["name"] == FORECAST]

    told = called(world, era, FORECAST, arguments)

    with started("chat", **{name: value for name, value in world.environ.items() if name.endswith("_URL")}) as rest:
        assert told["structuredContent"] == rest.http.post(f"/tools/{FORECAST}", json=arguments).json()
    jsonschema.validate(told["structuredContent"], tool["outputSchema"], jsonschema.Draft202012Validator)
    assert [json.loads(item["text"]) for item in told["content"]] == [told["structuredContent"]]
    assert told["isError"] is False


@pytest.mark.parametrize("era", ERAS)
def test_a_result_names_no_id_and_no_moment(world: World, era: str) -> None:
    told = called(world, era, FORECAST, {"place": "Paris", "days": 16})

    named = set(keys(told["structuredContent"]))
    assert {"place", "days", "date", "timezone"} <= named
    assert [name for name in named if NAMING.search(name)] == []
    assert set(told.get("_meta", {})) <= {"io.modelcontextprotocol/serverInfo"}


@pytest.mark.parametrize("era", ERAS)
def test_a_model_is_told_what_to_change(world: World, era: str) -> None:
    unknown = failed(called(world, era, FORECAST, {"place": "Xyzzyqq"}))
    far = failed(called(world, era, FORECAST, {"place": "Paris", "days": 17}))
    without = failed(result(world, era, "tools/call", {"name": FORECAST}))

    assert (unknown["code"], far["code"], without["code"]) == ("not_found", "invalid", "invalid")
    assert "Ask for a larger town nearby" in unknown["message"]
    assert "less than or equal to 16" in far["message"]
    assert "place" in without["message"]


def test_what_is_listed_may_be_kept_by_everybody_for_five_minutes(world: World) -> None:
    for method in ("server/discover", "tools/list", "resources/list", "resources/templates/list", "prompts/list"):
        told = result(world, NEW, method)

        assert (told["resultType"], told["ttlMs"], told["cacheScope"]) == ("complete", 300_000, "public")


@pytest.mark.parametrize("place", ["world", "deployed"])
def test_discovery_and_initialize_tell_everybody_the_same_of_us(request: pytest.FixtureRequest, place: str) -> None:
    told = request.getfixturevalue(place)

    discovered = result(told, NEW, "server/discover")
    initialized = result(told, OLD, "initialize", {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})

    assert (discovered["supportedVersions"], initialized["protocolVersion"]) == ([NEW], OLD)
    assert discovered["instructions"] == initialized["instructions"]
    assert discovered["_meta"]["io.modelcontextprotocol/serverInfo"] == initialized["serverInfo"]
    assert discovered["capabilities"] == initialized["capabilities"]
    assert initialized["serverInfo"]["websiteUrl"] == f"{told.environ['PUBLIC_BASE_URL']}/support"


@pytest.mark.parametrize("era", ERAS)
def test_no_form_of_a_result_has_hidden_characters(trials: World, era: str) -> None:
    hidden = "".join(map(chr, [*range(1, 9), *range(11, 32), *range(127, 160), 0x202E, 0xE0041]))

    told = called(trials, era, "repeat", {"word": f"a{hidden}\n\tb", "times": 1})
    error = failed(called(trials, era, "refuse", {"word": f"a{hidden}\n\tb"}))

    assert told["structuredContent"] == json.loads(told["content"][0]["text"]) == {"text": "a\n\tb"}
    assert error["message"] == "There is no a\n\tb."


# Limits, faults and scopes


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("word", "most"), [("x", 24_989), ("天", 8_329)], ids=["ASCII", "Chinese"])
def test_a_result_that_chatgpt_would_cut_is_an_error(trials: World, era: str, word: str, most: int) -> None:
    fits = called(trials, era, "repeat", {"word": word, "times": most})
    too_long = failed(called(trials, era, "repeat", {"word": word, "times": most + 1}))

    assert 24_998 <= len(fits["content"][0]["text"].encode()) <= 25_000
    assert fits["structuredContent"] == {"text": word * most}
    assert (too_long["code"], too_long["message"]) == ("too_large", "The result of repeat is too long; ask for less of it.")


@pytest.mark.parametrize("era", ERAS)
async def test_a_slow_api_is_told_within_the_budget(era: str) -> None:
    async with serving(after(20, answer({}))) as slow:
        with started("mcp", CHAT_BUDGET_SECONDS="1", OPEN_METEO_GEOCODING_URL=f"{slow.url}/v1") as world:
            began = time.monotonic()
            told = await asyncio.to_thread(called, world, era, FORECAST, {"place": "Paris"})
            taken = time.monotonic() - began

    assert (failed(told)["code"], failed(told)["retryable"]) == ("out_of_time", True)
    assert taken < 1.5


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_closes_its_connection_cancels_nothing(era: str) -> None:
    sent = message(era, "tools/call", {"name": FORECAST, "arguments": {"place": "Paris"}})

    async with serving(after(1, answer({"results": []}))) as slow:
        with started("mcp", OPEN_METEO_GEOCODING_URL=f"{slow.url}/v1") as world:
            with pytest.raises(httpx.ReadTimeout):
                await asyncio.to_thread(world.http.post, "/mcp", json=sent, headers=headers(era, sent), timeout=0.3)
            closed_at_once = world.log_lines()
            await asyncio.sleep(1.5)

            (line,) = world.log_lines()
            assert "Traceback" not in world.output
    assert closed_at_once == []
    assert (line["status"], line["error"], line["operation"]) == (200, "not_found", FORECAST)  # It read the answer, and there was none.
    assert line["milliseconds"] > 1000


@pytest.mark.parametrize("era", ERAS)
def test_a_bug_in_a_capability_is_told_by_its_place_and_not_by_its_words(trials: World, era: str) -> None:
    told = called(trials, era, "break_down", {"word": "CANARY-OF-THE-CALLER"})

    line = trials.log_lines()[-1]
    assert failed(told) == {
        "code": "capability_fault",
        "message": "break_down has a bug; tell the plugin's owner, whose log says where.",
        "retryable": False,
    }
    assert (line["severity"], line["status"], line["error"], line["exception"]) == ("ERROR", 200, "capability_fault", "RuntimeError")
    assert line["operation"] == "break_down"
    assert line["where"].endswith(" break_down")
    assert "CANARY" not in trials.output + json.dumps(told)
    assert "Traceback" not in trials.output


@pytest.mark.parametrize("era", ERAS)
def test_a_bug_beside_the_call_is_told_by_a_number_that_the_log_explains(trials: World, era: str) -> None:
    error = refusal(posted(trials, era, "tools/call", {"name": "break_the_edge", "arguments": {"word": "CANARY-OF-THE-CALLER"}}))

    line = trials.log_lines()[-1]
    told = f"Something broke on our side; tell the plugin's owner the number {line['error_id']}."
    assert (error["code"], error["message"]) == (-32603, told)
    assert (line["severity"], line["error"], line["exception"], line["mcp"]) == ("ERROR", "internal", "RuntimeError", "tools/call")
    assert line["where"].endswith(" told")
    assert "CANARY" not in trials.output + json.dumps(error)


def test_a_list_that_a_revision_cannot_tell_is_our_fault_in_the_log(tmp_path: Path) -> None:
    with started("mcp", source=copied(tmp_path, words=NO_OBJECT)) as world:
        error = refusal(posted(world, OLD, "tools/list"))

        line = world.log_lines()[-1]
    assert error["code"] == -32603
    assert (line["severity"], line["error"], line["mcp"]) == ("ERROR", "-32603", "tools/list")


@pytest.mark.parametrize("era", ERAS)
def test_a_tool_that_needs_a_sign_in_says_where_and_calls_nothing(trials: World, era: str) -> None:
    (tool,) = [tool for tool in result(trials, era, "tools/list")["tools"] if tool["name"] == "move_meeting"]

    told = called(trials, era, "move_meeting", {"word": "Monday"})

    assert tool["securitySchemes"] == tool["_meta"]["securitySchemes"] == [{"type": "oauth2", "scopes": ["trials"]}]
    assert tool["annotations"] == {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": True}
    assert failed(told)["code"] == "unauthenticated"
    (challenge,) = told["_meta"]["mcp/www_authenticate"]
    scheme, _, parameters = challenge.partition(" ")
    assert scheme == "Bearer"
    assert dict(re.findall(r'(\w+)="([^"]*)"', parameters)) == {
        "resource_metadata": f"{trials.environ['PUBLIC_BASE_URL']}/.well-known/oauth-protected-resource/mcp",
        "error": "insufficient_scope",
        "error_description": failed(told)["message"],
        "scope": "trials",
    }
    assert "MOVED" not in trials.output


# Several processes, and the first moment of one


def shown(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that a caller can tell one answer from another by, but for the time."""
    return answer.status_code, sorted((name, value) for name, value in answer.headers.items() if name != "date"), answer.content


CALLS: Sequence[tuple[str, Json]] = [
    ("server/discover", {}),
    ("initialize", {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}),
    ("tools/list", {}),
    ("tools/call", {"name": FORECAST, "arguments": {"place": "Paris"}}),
    ("tools/call", {"name": FORECAST, "arguments": {"place": "Xyzzyqq"}}),
    ("tools/call", {"name": "no_such_tool", "arguments": {}}),
    ("prompts/list", {}),
    ("no/such/method", {}),
]


@pytest.mark.parametrize("era", ERAS)
def test_two_processes_answer_alike(world: World, era: str) -> None:
    with started("mcp", **{name: world.environ[name] for name in world.environ if name.endswith("_URL")}) as other:
        for method, params in CALLS:
            one, two = posted(world, era, method, params), posted(other, era, method, params)

            assert shown(one) == shown(two)


@pytest.mark.parametrize("era", ERAS)
async def test_twenty_first_calls_at_once_all_succeed(era: str) -> None:
    with started("mcp") as fresh:
        began = time.monotonic()
        calls = (asyncio.to_thread(called, fresh, era, FORECAST, {"place": "Paris", "days": 1}) for _ in range(20))
        answers = await asyncio.gather(*calls)

        assert time.monotonic() - began < 10
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["structuredContent"]["place"]["name"] == "Paris"
