"""What a hostile client may POST to /mcp: never a 5xx, never a hang, never a word of it in the log; and then a valid call still works."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.adapters.http import MAX_BODY
from tests.mcp import ERAS, FORECAST, Json, called, failed, headers, message, posted, refusal
from tests.world import World, started

VALID: Json = {"name": FORECAST, "arguments": {"place": "Paris", "days": 1}}

SECONDS = 2.0
"""In which everything here is answered, on a machine that runs other tests as well."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The function by itself, which must serve valid calls after all that was sent to it."""
    with started("mcp", MCP_CHAT="on") as world:
        yield world
        assert [called(world, era, FORECAST, VALID["arguments"])["isError"] for era in ERAS] == [False, False]
        assert "Traceback" not in world.output


def sent(world: World, era: str, content: bytes, **more: str) -> httpx.Response:
    """The answer to these octets, under the headers of a tool's call; `more` are headers."""
    return world.http.post("/mcp", content=content, headers=headers(era, message(era, "tools/call", VALID)) | more, timeout=SECONDS)


# Octets


def whole(inner: str) -> bytes:
    """A request with this text as its parameters."""
    return f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {inner}}}'.encode()


NOT_READ: dict[str, bytes] = {
    "nothing": b"",
    "words": b"hello",
    "a form": b"jsonrpc=2.0&method=tools/call",
    "half of it": b'{"jsonrpc": "2.0", "id": 1, "method": "tools/ca',
    "two of it": b"{}{}",
    "a byte order mark": b"\xef\xbb\xbf" + whole("{}"),
    "UTF-16": whole("{}").decode().encode("utf-16"),
    "broken UTF-8": whole('{"name": "\udcff"}'.replace("\udcff", "@")).replace(b"@", b"\xff"),
    "a repeated name": whole('{"name": "a", "name": "b"}'),
    "a repeated method": b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "method": "tools/call"}',
    "NaN": whole('{"arguments": {"days": NaN}}'),
    "Infinity": whole('{"arguments": {"days": -Infinity}}'),
    "a number without end": whole('{"arguments": {"days": 1e999}}'),
    "an integer of 5,000 digits": whole('{"arguments": {"days": ' + "9" * 5000 + "}}"),
    "an id beyond 64 bits": b'{"jsonrpc": "2.0", "id": 36893488147419103232, "method": "ping"}',
    "a lone surrogate": whole(r'{"name": "\ud800"}'),
    "a lone surrogate in _meta": whole(r'{"_meta": {"openai/session": "\udfff"}}'),
    "U+0000": whole(r'{"name": "\u0000"}'),
    "10,000 levels": whole("[" * 10_000 + "]" * 10_000),
    "10,000 levels that never end": b"[" * 10_000,
    "10,000 objects inside each other": whole('{"a":' * 10_000 + "1" + "}" * 10_000),
    "33 levels": whole("[" * 33 + "]" * 33),
    "more values than are counted": b"[" + b"," * 100_001 + b"]",
    "10,000 names": b"{" + b",".join(b'"%d":0' % number for number in range(10_000)) + b"}",
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("content", NOT_READ.values(), ids=NOT_READ)
def test_what_is_not_the_json_that_everybody_reads_alike_is_a_parse_error(world: World, era: str, content: bytes) -> None:
    answer = sent(world, era, content)

    assert (answer.status_code, refusal(answer)["code"], answer.json()["id"]) == (400, -32700, None)
    assert refusal(answer)["data"] == {"code": "malformed", "retryable": False}


NO_MESSAGE: list[Any] = [
    7,
    "tools/call",
    True,
    [],
    [[]],
    {},
    {"jsonrpc": "2.0"},
    {"jsonrpc": "1.0", "id": 1, "method": "ping"},
    {"jsonrpc": 2.0, "id": 1, "method": "ping"},
    {"id": 1, "method": "ping"},
    {"jsonrpc": "2.0", "id": None, "method": "ping"},
    {"jsonrpc": "2.0", "id": {}, "method": "ping"},
    {"jsonrpc": "2.0", "id": [1], "method": "ping"},
    {"jsonrpc": "2.0", "id": 1, "method": None},
    {"jsonrpc": "2.0", "id": 1, "method": ["ping"]},
    {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []},
    {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": "x"},
    {"jsonrpc": "2.0", "id": 1, "result": {}},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}},
]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("content", NO_MESSAGE, ids=json.dumps)
def test_json_that_is_no_request_is_told_so_in_our_words(world: World, era: str, content: object) -> None:
    answer = sent(world, era, json.dumps(content).encode())

    assert (answer.status_code, answer.json()["id"], refusal(answer)["code"]) == (400, None, -32600)
    assert refusal(answer)["message"] == "Send one request or notification of JSON-RPC 2.0."


@pytest.mark.parametrize("era", ERAS)
def test_a_message_may_have_so_many_bytes_and_not_one_more(world: World, era: str) -> None:
    body = json.dumps(message(era, "tools/call", VALID)).encode()

    most = sent(world, era, body + b" " * (MAX_BODY - len(body)))
    more = sent(world, era, body + b" " * (MAX_BODY - len(body) + 1))
    unannounced = world.http.post("/mcp", content=iter([body, b" " * MAX_BODY]), headers=headers(era, message(era, "tools/call", VALID)))

    assert most.json()["result"]["isError"] is False
    for answer in (more, unannounced):
        assert (answer.status_code, refusal(answer)["data"]["code"], answer.headers["connection"]) == (413, "too_large", "close")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("escaped", [False, True], ids=["UTF-8", "escaped"])
@pytest.mark.parametrize("character", ["x", "ж", "天"])
def test_as_much_text_as_chatgpt_sends_is_read_in_any_script(world: World, era: str, character: str, escaped: bool) -> None:
    text = message(era, "tools/call", {"name": FORECAST, "arguments": {"place": character * 100_000}})

    answer = sent(world, era, json.dumps(text, ensure_ascii=escaped).encode())

    assert failed(answer.json()["result"])["code"] == "invalid"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    "lie",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": '"application/json"'},
        {"Content-Type": "appl ication/json"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br, gzip"},
    ],
    ids=str,
)
def test_a_body_that_is_not_plain_json_is_refused(world: World, era: str, lie: dict[str, str]) -> None:
    answer = sent(world, era, json.dumps(message(era, "tools/call", VALID)).encode(), **lie)

    assert (answer.status_code, refusal(answer)["code"], refusal(answer)["data"]["code"]) == (415, -32600, "unsupported_media_type")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("accept", ["", "text/html", "text/event-stream", "application/json", "*/*", "application/json;q=0", ",;="])
def test_whatever_a_client_accepts_it_gets_json(world: World, era: str, accept: str) -> None:
    answer = posted(world, era, "tools/call", VALID, Accept=accept)

    assert (answer.status_code, answer.headers["content-type"], answer.json()["result"]["isError"]) == (200, "application/json", False)


# Headers, methods, and fields of another type


@pytest.mark.parametrize("name", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id", "Mcp-Param-place", "Last-Event-ID"])
@pytest.mark.parametrize("value", ["", "x", "2024-11-05", "x" * 5000, "{}", "=?base64?!!!?=", "=?base64?/////w==?="])
@pytest.mark.parametrize("era", ERAS)
def test_no_header_brings_it_down(world: World, era: str, name: str, value: str) -> None:
    answer = posted(world, era, "tools/call", VALID, **{name: value})

    assert answer.status_code in (200, 400)
    assert "result" in answer.json() or refusal(answer)


METHODS: dict[str, Json] = {
    "subscriptions/listen": {"notifications": {"toolsListChanged": True}},
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": "file:///etc/passwd"},
    "resources/subscribe": {"uri": "file:///etc/passwd"},
    "prompts/list": {},
    "prompts/get": {"name": "x"},
    "logging/setLevel": {"level": "debug"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "x", "value": "x"}},
    "tasks/list": {},
    "tasks/get": {"taskId": "x"},
    "tasks/result": {"taskId": "x"},
    "tasks/cancel": {"taskId": "x"},
    "sampling/createMessage": {},
    "elicitation/create": {},
    "roots/list": {},
    "events/subscribe": {},
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("method", "params"), METHODS.items())
def test_no_method_hangs(world: World, era: str, method: str, params: Json) -> None:
    answer = posted(world, era, method, params)

    assert answer.elapsed.total_seconds() < SECONDS
    assert answer.status_code in (200, 400, 404)
    assert answer.json()["id"] == 1
    assert "result" in answer.json() or refusal(answer)["code"] in (-32601, -32602)


FIELDS: list[tuple[str, ...]] = [
    ("jsonrpc",),
    ("id",),
    ("method",),
    ("params",),
    ("params", "name"),
    ("params", "arguments"),
    ("params", "arguments", "place"),
    ("params", "arguments", "days"),
    ("params", "arguments", "more"),
    ("params", "task"),
    ("params", "requestState"),
    ("params", "inputResponses"),
    ("params", "_meta"),
    ("params", "_meta", "progressToken"),
    ("params", "_meta", "openai/session"),
    ("params", "_meta", "io.modelcontextprotocol/protocolVersion"),
    ("params", "_meta", "io.modelcontextprotocol/clientInfo"),
    ("params", "_meta", "io.modelcontextprotocol/clientCapabilities"),
    ("params", "_meta", "io.modelcontextprotocol/logLevel"),
]
"""Every field of a tool's call that the protocol, ChatGPT or the tool knows, and one that nobody does."""

REMOVED = object()

Text = st.text(max_size=20)
Anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | Text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(Text, inner, max_size=4),
    max_leaves=8,
)
Changes = st.lists(st.tuples(st.sampled_from(FIELDS), Anything | st.just(REMOVED)), min_size=1, max_size=3)


def changed(era: str, changes: list[tuple[tuple[str, ...], Any]]) -> Json:
    """A tool's call with these fields replaced or removed, as far as they are still there."""
    told = json.loads(json.dumps(message(era, "tools/call", VALID)))
    for (*path, name), value in changes:
        inner = told
        for step in path:
            inner = inner.setdefault(step, {}) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner[name] = value
            if value is REMOVED:
                del inner[name]
    return dict(told)


@pytest.mark.parametrize("tool", [FORECAST, "chat"])
@pytest.mark.parametrize("era", ERAS)
def test_no_field_of_any_type_brings_it_down(world: World, era: str, tool: str) -> None:
    @settings(max_examples=300, deadline=None, database=None)
    @given(Changes)
    def each(changes: list[tuple[tuple[str, ...], Any]]) -> None:
        told = changed(era, [(("params", "name"), tool), *changes])
        began = time.monotonic()

        answer = sent(world, era, json.dumps(told).encode(), **{"Mcp-Name": tool})

        assert time.monotonic() - began < SECONDS
        assert answer.status_code in (200, 202, 400, 404)
        if answer.status_code == 202:
            assert ("id" in told, answer.content) == (False, b"")
        elif "result" in answer.json():
            assert answer.json()["id"] == told["id"]
        else:
            assert refusal(answer)["code"] in (-32700, -32600, -32601, -32602, -32020, -32021, -32022)

    each()
