"""Clients of the Model Context Protocol that run on Node, each in both revisions: the TypeScript SDK's two lines, and the inspector."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import signin
from tests.programs import CLIENTS, node, package, run
from tests.published import FOLDER
from tests.world import World, started

PARIS = {"place": "Paris", "days": 2}
NOWHERE = {"place": "Xyzzyqq"}
WRONG = {"place": 5}
QUERIES = ["北京明天天气怎么样", "and the day after?"]

EXIT_TOOL_FAILED = 5
"""How the inspector ends when a tool told an error."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The product with every tool that it can have."""
    with started(MCP_CHAT="on") as world:
        yield world


@pytest.fixture(scope="module")
def listed(world: World) -> list[dict[str, Any]]:
    """The tools as they stand on the wire, without the one field that the protocol does not know and that its clients drop."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    tools = world.http.post("/mcp", json=body, headers=accept).json()["result"]["tools"]
    return [{name: value for name, value in tool.items() if name != "securitySchemes"} for tool in tools]


def inspector(folder: Path, world: World, era: str, *arguments: str, status: int = 0) -> Any:
    """What the inspector's command found out."""
    options = (f"{world.url}/mcp", "--transport=http", f"--protocol-era={era}", "--format=json", "--quiet", *arguments)
    return json.loads(run(folder, *package("mcp-inspector", 22, 19), "--cli", *options, status=status))["result"]


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [("2025-11-25", "2025-11-25"), ("2026-07-28", "2026-07-28"), ("auto", "2026-07-28")],
)
def test_the_typescript_sdk_lists_and_calls_every_tool(
    world: World, listed: list[dict[str, Any]], tmp_path: Path, asked: str, spoken: str
) -> None:
    before = world.ask("Hello", f"before-{asked}")
    calls = [
        ["get_answer", {name: before[name] for name in ("session_id", "turn_id")}],
        ["get_weather_forecast", PARIS],
        ["get_weather_forecast", NOWHERE],
        ["get_weather_forecast", WRONG],
        *(["chat", {"query": query, "session_id": asked}] for query in QUERIES),
    ]

    told = json.loads(run(tmp_path, node(), CLIENTS / "mcp.mjs", asked, f"{world.url}/mcp", json.dumps(calls)))

    earlier, forecast, nowhere, wrong, first, second = told["results"]
    assert earlier["structuredContent"]["answer"] == before["answer"]
    assert told["revision"] == spoken
    assert (told["server"]["name"], told["server"]["title"]) == ("cantilever", "Cantilever")
    assert told["instructions"].startswith("Cantilever. ")
    assert {tool["name"] for tool in listed} == {name for name, _ in calls}
    assert told["tools"] == listed
    assert (told["resources"], told["prompts"]) == ([], [])
    assert forecast["structuredContent"] == world.http.post("/tools/get_weather_forecast", json=PARIS).json()
    assert [result.get("isError", False) for result in told["results"]] == [False, False, True, True, False, False]
    assert json.loads(nowhere["content"][0]["text"]) == world.http.post("/tools/get_weather_forecast", json=NOWHERE).json()
    assert json.loads(wrong["content"][0]["text"]) == world.http.post("/tools/get_weather_forecast", json=WRONG).json()
    assert first["structuredContent"]["answer"].startswith("北京")
    assert second["structuredContent"]["answer"].startswith("北京 on ")
    assert [turn["query"] for turn in world.http.get(f"/chat/{asked}").json()["turns"]] == QUERIES


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_finds_no_fault_with_the_tools(world: World, listed: list[dict[str, Any]], tmp_path: Path, era: str) -> None:
    tools = inspector(tmp_path, world, era, "--method=tools/list", "--strict")["tools"]

    assert tools == listed


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_finds_no_fault_with_what_a_sign_in_adds(tmp_path: Path, era: str) -> None:
    with signin.started(ENABLED_CAPABILITIES="gmail") as product:
        tools = inspector(tmp_path, product.world, era, "--method=tools/list", "--strict")["tools"]

    published = json.loads((FOLDER / "mcp-tools-with-sign-in.json").read_text("utf-8"))
    for tool in published:
        del tool["securitySchemes"]  # ChatGPT's own word, which the SDK drops; its copy in _meta stays.
    assert tools == published


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_calls_every_tool(world: World, listed: list[dict[str, Any]], tmp_path: Path, era: str) -> None:
    called = set()

    def call(tool: str, arguments: dict[str, Any], status: int = 0) -> Any:
        called.add(tool)
        told = ("--method=tools/call", f"--tool-name={tool}", f"--tool-args-json={json.dumps(arguments)}")
        return inspector(tmp_path, world, era, *told, status=status)

    forecast = call("get_weather_forecast", PARIS)
    nowhere = call("get_weather_forecast", NOWHERE, status=EXIT_TOOL_FAILED)
    answer = call("chat", {"query": "What is the weather in Paris tomorrow?"})
    before = world.ask("Hello", f"inspected-{era}")
    again = call("get_answer", {name: before[name] for name in ("session_id", "turn_id")})

    assert called == {tool["name"] for tool in listed}
    assert forecast["structuredContent"] == world.http.post("/tools/get_weather_forecast", json=PARIS).json()
    assert nowhere["isError"] is True
    assert answer["structuredContent"]["answer"].startswith("Paris on ")
    assert again["structuredContent"]["answer"] == before["answer"]
