"""What the log says of POST /mcp: one line for each request, with the protocol's name of its method, and nobody's words."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.mcp import ERAS, FORECAST, NEW, OLD, Json, headers, message, posted
from tests.world import World, started

CANARY = "CANARY 北京\r\n{}\x1b[31m"

REQUESTS: list[tuple[str, Json, str]] = [
    (
        "tools/call",
        {"name": FORECAST, "arguments": {"place": "CANARY"}, "_meta": {"CANARY": CANARY, "progressToken": CANARY}},
        "tools/call",
    ),
    ("tools/call", {"name": FORECAST, "arguments": {CANARY: CANARY}}, "tools/call"),
    ("tools/call", {"name": FORECAST, "arguments": {"place": CANARY}, "_meta": {"openai/session": CANARY}}, "tools/call"),
    ("tools/call", {"name": "CANARY", "arguments": {}}, "tools/call"),
    ("tools/call", {"name": "chat", "arguments": {"query": CANARY, "session_id": "CANARY"}}, "tools/call"),
    ("tools/call", {"name": "chat", "arguments": {"query": CANARY}, "_meta": {"openai/session": CANARY}}, "tools/call"),
    ("tools/list", {"cursor": CANARY, "_meta": {"io.modelcontextprotocol/clientInfo": {"name": CANARY, "version": CANARY}}}, "tools/list"),
    ("resources/read", {"uri": "canary://CANARY"}, "resources/read"),
    ("prompts/get", {"name": "CANARY", "arguments": {CANARY: CANARY}}, "prompts/get"),
    ("logging/setLevel", {"level": CANARY}, "logging/setLevel"),
    ("CANARY", {CANARY: CANARY}, "unknown"),
    ("CANARY/tools/call", {}, "unknown"),
]
"""Method, parameters, and how the log names the method."""

BROKEN: list[Any] = [
    "CANARY",
    ["CANARY"],
    {"CANARY": 1},
    {"jsonrpc": "CANARY", "id": 1, "method": "CANARY"},
    {"jsonrpc": "2.0", "id": {"CANARY": 1}, "method": "CANARY"},
    {"jsonrpc": "2.0", "id": "CANARY", "method": "tools/call", "params": {"name": ["CANARY"], "arguments": "CANARY"}},
    {"jsonrpc": "2.0", "id": "CANARY", "method": "tools/list", "params": {"cursor": {"CANARY": 1}, "_meta": "CANARY"}},
    {"jsonrpc": "2.0", "id": "CANARY", "method": "initialize", "params": {"protocolVersion": ["CANARY"], "clientInfo": "CANARY"}},
    {"jsonrpc": "2.0", "id": "CANARY", "result": {"CANARY": "CANARY"}},
    {"jsonrpc": "2.0", "id": "CANARY", "error": {"code": 1, "message": "CANARY"}},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "CANARY", "reason": "CANARY"}},
    {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": ["CANARY"], "progress": "CANARY"}},
    {"jsonrpc": "2.0", "method": "notifications/CANARY", "params": {"CANARY": 1}},
    {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "CANARY", "arguments": {}}},
]
"""Messages that the SDK would refuse, drop or complain of."""

HEADERS = [
    {"MCP-Protocol-Version": "CANARY"},
    {"Mcp-Method": "CANARY"},
    {"Mcp-Name": "CANARY"},
    {"Mcp-Session-Id": "CANARY"},
    {"Mcp-Param-CANARY": "CANARY"},
    {"Last-Event-ID": "CANARY"},
    {"Origin": "https://canary.example"},
    {"Host": "canary.example"},
    {"Authorization": "Bearer CANARY"},
    {"Accept": "CANARY/CANARY"},
    {"User-Agent": "CANARY"},
    {"X-Openai-Session": "CANARY", "X-Openai-Subject": "CANARY"},
]


def lines(world: World) -> list[Mapping[str, Any]]:
    """All that was written, which is one JSON object a line and holds nobody's words."""
    assert "canary" not in world.output.lower()
    assert "北京" not in world.output
    return [json.loads(line) for line in world.output.splitlines()]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("with_execution_ids", ["false", "true"])
def test_each_request_is_one_line_that_names_its_method(era: str, with_execution_ids: str) -> None:
    with started("mcp", MCP_CHAT="on", LOG_EXECUTION_ID=with_execution_ids) as world:
        answers = [posted(world, era, method, params) for method, params, _ in REQUESTS]

        logged = lines(world)
    assert [line["mcp"] for line in logged] == [named for _, _, named in REQUESTS]
    assert [line["status"] for line in logged] == [answer.status_code for answer in answers]
    assert {(line["message"], line["function"], line["method"], line["path"]) for line in logged} == {("request", "mcp", "POST", "/mcp")}
    assert [line.get("operation") for line in logged[:6]] == [FORECAST, FORECAST, FORECAST, None, "chat", "chat"]


@pytest.mark.parametrize("era", ERAS)
def test_a_tools_fault_is_logged_by_its_code(era: str) -> None:
    with started("mcp") as world:
        posted(world, era, "tools/call", {"name": FORECAST, "arguments": {"place": "Xyzzyqq"}})

        (line,) = lines(world)
    assert (line["severity"], line["status"], line["error"], line["operation"]) == ("WARNING", 200, "not_found", FORECAST)


@pytest.mark.parametrize("era", ERAS)
def test_what_the_protocol_refuses_is_logged_by_its_code(era: str) -> None:
    with started("mcp") as world:
        posted(world, era, "tools/call", {"name": "no_such_tool", "arguments": {}})
        posted(world, era, "tools/launch")
        long = message(era, "tools/launch") | {"id": "x" * 1200}
        world.http.post("/mcp", json=long, headers=headers(era, long))
        sent = message(NEW, "tools/list")
        world.http.post("/mcp", json=sent, headers=headers(NEW, sent) | {"MCP-Protocol-Version": OLD})

        logged = lines(world)
    assert [(line["severity"], line["mcp"], line["error"]) for line in logged] == [
        ("WARNING", "tools/call", "-32602"),
        ("WARNING", "unknown", "-32601"),
        ("WARNING", "unknown", "-32601"),
        ("WARNING", "tools/list", "-32020"),
    ]


@pytest.mark.parametrize("era", ERAS)
def test_a_turn_of_the_tool_chat_is_logged_with_what_it_cost(era: str) -> None:
    with started("mcp", MCP_CHAT="on") as world:
        posted(world, era, "tools/call", {"name": "chat", "arguments": {"query": "What is the weather in Paris tomorrow?"}})

        (line,) = lines(world)
    assert line["operations"] == 1
    assert line["input_tokens"] > line["output_tokens"] > 0


@pytest.mark.parametrize("era", ERAS)
def test_what_cannot_be_read_or_served_leaves_no_word_either(era: str) -> None:
    with started("mcp", MCP_CHAT="on") as world:
        heading = headers(era, message(era, "tools/list"))
        for broken in BROKEN:
            world.http.post("/mcp", json=broken, headers=heading)
        for lie in HEADERS:
            world.http.post("/mcp", json=message(era, "tools/list"), headers=heading | lie)
        for octets in (b"CANARY", b'{"CANARY": CANARY}', b'{"CANARY": "\xff"}', b'{"CANARY": NaN}', b'{"CANARY": 1, "CANARY": 2}'):
            world.http.post("/mcp", content=octets, headers=heading)
        for method in ("GET", "DELETE", "PUT", "OPTIONS"):
            world.http.request(method, "/mcp?CANARY=CANARY", headers={"Mcp-Session-Id": "CANARY"})

        logged = lines(world)
    assert len(logged) == len(BROKEN) + len(HEADERS) + 5 + 4
    assert {line["message"] for line in logged} == {"request"}
