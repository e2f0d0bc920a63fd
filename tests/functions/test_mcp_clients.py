"""POST /mcp from the official SDK's own client, which knows nothing of this server: every way it can connect, and every tool."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from mcp import Client, MCPError

from tests.mcp import FORECAST, NEW, OLD
from tests.world import World, started

MODES = {NEW: NEW, "auto": NEW, "legacy": OLD}
"""How the client connects -> the revision that it then speaks."""

ARGUMENTS = {FORECAST: {"place": "北京", "days": 2}, "chat": {"query": "北京明天天气怎么样"}}
"""What each tool is called with."""


@pytest.fixture(scope="module", params=["mcp", "plugin"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The function by itself, and behind the one entry point, with every tool that there is."""
    with started(request.param, MCP_CHAT="on") as world:
        yield world


@pytest.fixture(scope="module")
def rest(world: World) -> Iterator[World]:
    """The same operations and conversations over REST; the emulators give everybody the same weather."""
    with started("chat", STORE=world.environ["STORE"]) as rest:
        yield rest


@pytest.mark.parametrize(("mode", "spoken"), MODES.items())
async def test_the_sdk_connects_lists_and_calls_every_tool(world: World, rest: World, mode: str, spoken: str) -> None:
    asked = rest.ask(ARGUMENTS["chat"]["query"])
    arguments = {**ARGUMENTS, "get_answer": {name: asked[name] for name in ("session_id", "turn_id")}}
    async with Client(f"{world.url}/mcp", mode=mode) as client:
        listed = (await client.list_tools()).tools
        results = {tool.name: await client.call_tool(tool.name, arguments[tool.name]) for tool in listed}

        spoken_to = client.protocol_version

    assert spoken_to == spoken
    assert set(results) == set(arguments)
    for told in results.values():
        (text,) = told.content
        assert (told.is_error, text.type, json.loads(text.text)) == (False, "text", told.structured_content)
    assert results[FORECAST].structured_content == rest.http.post(f"/tools/{FORECAST}", json=ARGUMENTS[FORECAST]).json()
    assert results["chat"].structured_content["answer"] == asked["answer"]
    assert results["get_answer"].structured_content["answer"] == asked["answer"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_sdk_learns_who_we_are(world: World, mode: str) -> None:
    async with Client(f"{world.url}/mcp", mode=mode) as client:
        server, instructions, able = client.server_info, client.instructions, client.server_capabilities

    assert server
    assert (server.name, server.title, server.version) == ("cantilever", "Cantilever", "1.0.0")
    assert server.website_url == f"{world.environ['PUBLIC_BASE_URL']}/support"
    assert instructions
    assert instructions.startswith("Cantilever. ")
    assert able.tools


@pytest.mark.parametrize("mode", MODES)
async def test_the_sdk_understands_what_goes_wrong(world: World, mode: str) -> None:
    async with Client(f"{world.url}/mcp", mode=mode) as client:
        unknown_place = await client.call_tool(FORECAST, {"place": "Xyzzyqq"})
        wrong_type = await client.call_tool(FORECAST, {"place": 7})
        with pytest.raises(MCPError, match="There is no tool of that name") as unknown_tool:
            await client.call_tool("launch_rocket", {})

    for told, code in ((unknown_place, "not_found"), (wrong_type, "invalid")):
        (text,) = told.content
        assert text.type == "text"
        assert (told.is_error, json.loads(text.text)["error"]["code"]) == (True, code)
    assert unknown_tool.value.code == -32602


@pytest.mark.parametrize("mode", MODES)
async def test_one_client_may_call_many_times_at_once(world: World, mode: str) -> None:
    places = ["Paris", "Beijing", "Shanghai", "Berlin"] * 5

    async with Client(f"{world.url}/mcp", mode=mode) as client:
        results = await asyncio.gather(*(client.call_tool(FORECAST, {"place": place, "days": 1}) for place in places))

    assert [told.structured_content["place"]["name"] for told in results if told.structured_content] == places
