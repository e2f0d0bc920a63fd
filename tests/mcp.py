"""POST /mcp as raw JSON, in either revision of the protocol: what an SDK's client would hide from a test."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from tests.world import World

NEW, OLD = ERAS = ("2026-07-28", "2025-11-25")

FORECAST = "get_weather_forecast"
"""The one tool that is always there."""

Json = dict[str, Any]


def envelope(version: str = NEW) -> Json:
    """What `_meta` of every request holds since 2026-07-28."""
    return {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }


def message(era: str, method: str, params: Mapping[str, Any] | None = None) -> Json:
    """A request of the protocol, number 1."""
    told = dict(params or {})
    if era == NEW:
        told["_meta"] = envelope() | told.get("_meta", {})
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": told}


def headers(era: str, sent: Mapping[str, Any]) -> dict[str, str]:
    """The headers that go with a message; they repeat parts of it since 2026-07-28."""
    always = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": era}
    if era == OLD:
        return always
    params = sent.get("params", {})
    name = params.get("name", params.get("uri"))
    return always | {"Mcp-Method": sent["method"]} | ({"Mcp-Name": name} if isinstance(name, str) else {})


def posted(world: World, era: str, method: str, params: Mapping[str, Any] | None = None, **more: str) -> httpx.Response:
    """The answer to a request; `more` are headers."""
    sent = message(era, method, params)
    return world.http.post("/mcp", json=sent, headers=headers(era, sent) | more)


def result(world: World, era: str, method: str, params: Mapping[str, Any] | None = None) -> Any:
    """The result of a request that succeeds."""
    answer = posted(world, era, method, params)
    assert (answer.status_code, set(answer.json())) == (200, {"jsonrpc", "id", "result"}), answer.text
    return answer.json()["result"]


def called(world: World, era: str, tool: str, arguments: Mapping[str, Any], **meta: str) -> Any:
    """The result of a tool; `meta` goes into `_meta`."""
    return result(world, era, "tools/call", {"name": tool, "arguments": arguments} | ({"_meta": meta} if meta else {}))


def failed(told: Json) -> Json:
    """The error that a tool's result tells, which has the published shape."""
    assert told["isError"], told
    assert "structuredContent" not in told
    error: Json = json.loads(told["content"][0]["text"])["error"]
    assert set(error) == {"code", "message", "retryable"}
    assert error["message"]
    return error


def refusal(answer: httpx.Response) -> Json:
    """The JSON-RPC error of an answer, which says what is wrong."""
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert (set(told), told["jsonrpc"]) == ({"jsonrpc", "id", "error"}, "2.0"), answer.text
    error: Json = told["error"]
    assert isinstance(error["code"], int)
    assert error["message"]
    return error
