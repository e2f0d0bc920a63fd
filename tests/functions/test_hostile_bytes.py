"""What a hostile client may send: sizes, slowness, framing, bodies. Nothing of it may cost memory, hold others up, or go unanswered."""

import json
import os
import select
import socket
import statistics
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions.adapters.http import MAX_BODY, Edge, Incoming
from tests.world import World, started

ENDPOINTS = ("/chat", "/tools/get_weather_forecast")
"""Every path that takes a body."""

JSON = {"Content-Type": "application/json"}
GOOD = b'{"query": "hello"}'
HEAD = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

CHUNK = bytes(64 * 1024)
FLOOD = 300 * 1024 * 1024
MEGABYTE = 1024 * 1024


@pytest.fixture
def own_world() -> Iterator[World]:
    """A product of the test's own, whose body deadline is not cut by the chat budget."""
    with started(CHAT_BUDGET_SECONDS="40") as world:
        yield world


def connected(world: World, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", world.port), timeout=15)
    client.sendall(sent)
    return client


def answered(client: socket.socket) -> tuple[int, bytes]:
    """Status and body of the one answer on a connection that the other side closes; (0, b"") where it only hangs up."""
    received = b""
    try:
        while part := client.recv(65536):
            received += part
    except ConnectionResetError:
        pass  # What we sent in vain was thrown away with the connection; the answer came before.
    finally:
        client.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head[9:12] or 0), body


def sent_raw(world: World, request: bytes) -> tuple[int, bytes]:
    return answered(connected(world, request))


def worker(world: World) -> int:
    """The process that reads requests: gunicorn's only child."""
    assert world._process is not None
    return int(Path(f"/proc/{world._process.pid}/task/{world._process.pid}/children").read_text().split()[0])


def counted(pid: int, file: str, name: str) -> int:
    """A number that Linux keeps of a process."""
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def milliseconds(world: World, times: int = 40) -> float:
    """The median of a light request, each on a connection of its own, as strangers come."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        assert sent_raw(world, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[0] == 200
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def error_code(body: bytes) -> str:
    """The code of an error answer, which has the published shape."""
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "retryable"}
    assert 0 < len(error["message"]) < 1000
    return str(error["code"])


# Sizes


@pytest.mark.skipif(not os.access("/proc/self/io", os.R_OK), reason="needs Linux' /proc")
@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", f"Content-Length: {FLOOD}"])
def test_three_hundred_megabytes_cost_little_more_than_the_cap(own_world: World, framing: str) -> None:
    own_world.ask("warm everything up")
    pid = worker(own_world)
    read, resident = counted(pid, "io", "rchar"), counted(pid, "status", "VmRSS")
    piece = b"10000\r\n" + CHUNK + b"\r\n" if "chunked" in framing else CHUNK

    client = connected(own_world, HEAD + framing.encode() + b"\r\n\r\n")
    offered = 0
    while offered < FLOOD and not select.select([client], [], [], 0)[0]:
        try:
            offered += client.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            break
    status, body = answered(client)

    assert (status, error_code(body)) == (413, "too_large")
    assert counted(pid, "io", "rchar") - read <= 1.25 * MAX_BODY
    assert counted(pid, "status", "VmHWM") - resident <= 16 * 1024  # kB
    assert own_world.ask("still here?")["status"] == "done"


def test_a_client_that_sends_first_and_reads_later_is_told_too(world: World) -> None:
    by_length = world.http.post("/chat", content=bytes(3 * MEGABYTE), headers=JSON)
    by_chunks = world.http.post("/chat", content=(CHUNK for _ in range(48)), headers=JSON)

    assert (by_length.status_code, error_code(by_length.content)) == (413, "too_large")
    assert (by_chunks.status_code, error_code(by_chunks.content)) == (413, "too_large")


COSTLY = {
    "350,000 arrays": b"[" + b"[]," * (MEGABYTE // 3 - 2) + b"[]]",
    "350,000 objects": b"[" + b"{}," * (MEGABYTE // 3 - 2) + b"{}]",
    "350,000 texts": b"[" + b'"",' * (MEGABYTE // 3 - 2) + b'""]',
    "500,000 numbers": b"[" + b"1," * (MEGABYTE // 2 - 2) + b"1]",
    "90,000 names": b"{" + b",".join(b'"%d":0' % number for number in range(90_000)) + b"}",
    "one long text": b'{"query":"' + b"x" * (MEGABYTE - 20) + b'"}',
    "one long name": b'{"' + b"x" * (MEGABYTE - 20) + b'":0}',
    "one long number": b"0." + b"1" * (MEGABYTE - 2),
}
"""A megabyte each, of what costs a careless reader of JSON the most."""


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("name", COSTLY)
def test_no_megabyte_holds_the_loop_up(world: World, path: str, name: str) -> None:
    began = time.perf_counter()
    refused = world.http.post(path, content=COSTLY[name], headers=JSON)

    assert refused.status_code in (400, 422)
    assert error_code(refused.content) in ("malformed", "invalid")
    assert time.perf_counter() - began < 0.5  # at most 0.15 s on an idle machine; 0.9 s and more before values were counted


# Slowness


def test_slow_bodies_end_after_ten_seconds_and_hold_nobody_up(own_world: World) -> None:
    alone = milliseconds(own_world)
    began = time.monotonic()
    slow = [connected(own_world, HEAD + b"Content-Length: 100\r\n\r\n" + GOOD[:5]) for _ in range(50)]

    beside = []
    while time.monotonic() - began < 8:
        for client in slow[::2]:
            client.sendall(b" ")  # Half of them never send more, the others too little.
        beside.append(milliseconds(own_world))
        time.sleep(0.5)
    answers = [answered(client) for client in slow]
    taken = time.monotonic() - began

    assert {(status, error_code(body)) for status, body in answers} == {(408, "body_timeout")}
    assert 9 < taken < 12
    assert statistics.median(beside) <= 3 * alone


def test_the_budget_ends_a_slow_body_sooner() -> None:
    with started(CHAT_BUDGET_SECONDS="1") as world:
        began = time.monotonic()
        status, body = sent_raw(world, HEAD + b"Content-Length: 100\r\n\r\n{")

        assert (status, error_code(body)) == (408, "body_timeout")
        assert time.monotonic() - began < 2


def test_half_sent_headers_hold_nobody_up(own_world: World) -> None:
    """uvicorn has neither a timer nor a limit for headers, and the application is not asked before they end: Google's front end bounds both."""
    alone = milliseconds(own_world)
    waiting = [connected(own_world, HEAD + b"X-Never: ends") for _ in range(300)]

    beside = milliseconds(own_world)

    assert beside <= 3 * alone
    assert own_world.ask("served?")["status"] == "done"
    for client in waiting:
        client.close()


def test_a_body_that_breaks_off_is_no_fault_of_ours(own_world: World) -> None:
    for number in range(20):
        connected(own_world, HEAD + b"Content-Length: 100\r\n\r\n" + GOOD[:number]).close()

    assert own_world.ask("served?")["status"] == "done"
    assert [line["status"] for line in own_world.log_lines()] == [400] * 20 + [200]


# Framing

LENGTH = b"Content-Length: %d\r\n" % len(GOOD)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)


def framed(headers: bytes, body: bytes = GOOD) -> bytes:
    return HEAD + b"Connection: close\r\n" + headers + b"\r\n" + body


REFUSED_BY_US = {
    "two hosts": framed(b"Host: other\r\n" + LENGTH),
    "no host": framed(LENGTH).replace(b"Host: localhost\r\n", b""),
    "a coding that we do not speak": framed(b"Transfer-Encoding: gzip, chunked\r\n", IN_CHUNKS),
}
"""What the parser lets pass, and the edge does not."""

REFUSED_BY_THE_PARSER = {
    "length and chunks": framed(LENGTH + CHUNKED, IN_CHUNKS),
    "chunks and length": framed(CHUNKED + LENGTH, IN_CHUNKS),
    "two lengths": framed(LENGTH + b"Content-Length: 3\r\n"),
    "the same length twice": framed(LENGTH + LENGTH),
    "a list of lengths": framed(b"Content-Length: 18, 18\r\n"),
    "a length with a sign": framed(b"Content-Length: +18\r\n"),
    "a negative length": framed(b"Content-Length: -18\r\n"),
    "a hexadecimal length": framed(b"Content-Length: 0x12\r\n"),
    "a length beyond 64 bits": framed(b"Content-Length: 99999999999999999999999\r\n"),
    "a space before the colon": framed(b"Content-Length : 18\r\n"),
    "chunked twice": framed(CHUNKED + CHUNKED, IN_CHUNKS),
    "chunked not last": framed(b"Transfer-Encoding: chunked, identity\r\n", IN_CHUNKS),
    "an unknown coding": framed(b"Transfer-Encoding: xchunked\r\n", IN_CHUNKS),
    "a folded header": framed(LENGTH + b"X-Folded: one\r\n two\r\n"),
    "a folded coding": framed(LENGTH + b"Transfer-Encoding:\r\n chunked\r\n", IN_CHUNKS),
    "bare LF everywhere": framed(LENGTH).replace(b"\r\n", b"\n"),
    "bare LF once": framed(b"X-Bare: 1\n" + LENGTH),
    "bare CR": framed(b"X-Bare: 1\rX-Hidden: 2\r\n" + LENGTH),
    "NUL in a header": framed(b"X-Nul: \0\r\n" + LENGTH),
    "bare LF in chunks": framed(CHUNKED, IN_CHUNKS.replace(b"\r\n", b"\n")),
    "bare LF in a chunk's extension": framed(CHUNKED, b"12;x\n" + GOOD + b"\r\n0\r\n\r\n"),
    "no hexadecimal chunk": framed(CHUNKED, b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "a chunk beyond 64 bits": framed(CHUNKED, b"f" * 18 + b"\r\n" + GOOD),
    "an unknown method": framed(LENGTH).replace(b"POST", b"BREW", 1),
    "CONNECT": b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n",
    "a path that is not ASCII": b"GET /chat/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path of 100,000 characters": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/1.2": framed(LENGTH).replace(b"HTTP/1.1", b"HTTP/1.2"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
"""What never reaches us: httptools says 400 in plain text, and there is no log line. With h11 the first two would arrive, and the edge refuse them."""

ACCEPTED = {
    "as it should be": framed(LENGTH),
    "in chunks": framed(CHUNKED, IN_CHUNKS),
    "with a trailer": framed(CHUNKED, IN_CHUNKS.replace(b"0\r\n", b"0\r\nX-Trailer: 1\r\n")),
    "an absolute address": framed(LENGTH).replace(b"/chat", b"http://elsewhere.test/chat", 1),
    "HTTP/1.0 without a host": framed(LENGTH).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: localhost\r\n", b""),
    "a User-Agent of 100 KB": framed(LENGTH + b"User-Agent: " + b"a" * 100_000 + b"\r\n"),
}


@pytest.mark.parametrize("name", REFUSED_BY_US)
def test_ambiguous_requests_are_refused(world: World, name: str) -> None:
    status, body = sent_raw(world, REFUSED_BY_US[name])

    assert (status, error_code(body)) == (400, "malformed")


@pytest.mark.parametrize("name", REFUSED_BY_THE_PARSER)
def test_what_is_not_http_is_refused_before_us(world: World, name: str) -> None:
    assert sent_raw(world, REFUSED_BY_THE_PARSER[name]) == (400, b"Invalid HTTP request received.")


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_only_unusual_is_answered(world: World, name: str) -> None:
    assert sent_raw(world, ACCEPTED[name])[0] == 200


LONG = b"CANARY {{7*7}} %s \\r\\n \xc3\xa9 \x9b31m".ljust(100_000, b"a")
"""What a log would have to escape, or cut."""

LOGGED = {
    **{
        name: framed(LENGTH + name.encode() + b": " + LONG + b"\r\n")
        for name in ("User-Agent", "Referer", "X-Forwarded-For", "traceparent", "X-Cloud-Trace-Context", "Cookie")
    },
    "Authorization": framed(LENGTH + b"Authorization: Bearer " + LONG + b"\r\n"),
    "Origin": framed(LENGTH + b"Origin: https://" + LONG + b"\r\n"),
    "a message": framed(b"Content-Length: %d\r\n" % (len(LONG) + 13), b'{"query": "' + LONG[:17] + b"b" * (len(LONG) - 17) + b'"}'),
    "a name": framed(b"Content-Length: %d\r\n" % (len(LONG) + 7), b'{"' + LONG[:17] + b"b" * (len(LONG) - 17) + b'": 1}'),
}
"""100 KB at each place that a log may take words from."""


@pytest.mark.parametrize("with_execution_ids", ["false", "true"])
def test_a_hundred_kilobytes_anywhere_make_one_short_line_in_the_log(with_execution_ids: str) -> None:
    with started(GOOGLE_CLOUD_PROJECT="demo-log", LOG_EXECUTION_ID=with_execution_ids) as world:
        statuses = [sent_raw(world, request)[0] for request in LOGGED.values()]
        output = world.output

    assert [json.loads(line)["status"] for line in output.splitlines()] == statuses
    assert set(statuses) == {200, 401, 422}
    assert max(map(len, output.splitlines())) < 1024
    assert "CANARY" not in output


def test_an_execution_id_of_the_callers_own_forges_no_line() -> None:
    """The framework writes it whole, where LOG_EXECUTION_ID is on."""
    told = b'CANARY"}}\\n{"severity": "ERROR", "message": "forged"} \x9b31m'.ljust(100_000, b"a")
    with started(LOG_EXECUTION_ID="true") as world:
        assert sent_raw(world, framed(LENGTH + b"Function-Execution-Id: " + told + b"\r\n"))[0] == 200
        (line,) = world.output.splitlines()

    assert json.loads(line)["logging.googleapis.com/labels"] == {"execution_id": told.decode("latin-1")}


async def test_two_framings_are_refused_whatever_the_parser_lets_pass() -> None:
    async def never(incoming: Incoming) -> Response:
        raise AssertionError(incoming)

    headers = [(b"host", b"cantilever"), (b"content-length", b"18"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/chat", "query_string": b"", "http_version": "1.1", "headers": headers}

    refused = await Edge("chat", {"/chat": {"POST": never}}, budget_seconds=5, project=None)(Request(scope))

    assert (refused.status_code, error_code(bytes(refused.body))) == (400, "malformed")


def test_a_refused_body_is_not_read_as_the_next_request(world: World) -> None:
    hidden = framed(LENGTH)
    smuggled = b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden

    client = connected(
        world,
        b"POST /chat HTTP/1.1\r\nHost: localhost\r\n" + smuggled + b"GET /support HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    received = b"".join(iter(lambda: client.recv(65536), b""))
    client.close()

    assert received.count(b"HTTP/1.1 ") == 2
    assert received.startswith(b"HTTP/1.1 415 ")
    assert b"HTTP/1.1 200 OK" in received


# Bodies

MALFORMED = {
    "nothing": b"",
    "white space": b" \r\n\t ",
    "white space only, a megabyte": b" " * MEGABYTE,
    "cut": b'{"query": "he',
    "cut in a character": '{"query": "北"}'.encode()[:13],
    "more behind it": GOOD + b" x",
    "two bodies": GOOD + GOOD,
    "more braces": GOOD + b"}",
    "NUL behind it": GOOD + b"\0",
    "NUL before it": b"\0" + GOOD,
    "NaN": b'{"query": NaN}',
    "Infinity": b'{"query": Infinity}',
    "-Infinity": b'{"query": -Infinity}',
    "1e999": b'{"query": 1e999}',
    "-1e999": b'{"query": -1e999}',
    "5,000 digits": b'{"query": ' + b"9" * 5000 + b"}",
    "300,000 digits": b'{"query": ' + b"9" * 300_000 + b"}",
    "65 bits": b'{"query": 18446744073709551616}',
    "a leading zero": b'{"query": 01}',
    "a plus": b'{"query": +1}',
    "hexadecimal": b'{"query": 0x10}',
    "no digit behind the point": b'{"query": 1.}',
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"query":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "33 levels": b'{"query": ' + b"[" * 32 + b"]" * 32 + b"}",
    "900 levels": b'{"query": ' + b"[" * 900 + b"]" * 900 + b"}",
    "the same name twice": b'{"query": "a", "query": "b"}',
    "the same name twice, escaped": b'{"query": "a", "qu\\u0065ry": "b"}',
    "a BOM": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-16 without BOM": GOOD.decode().encode("utf-16-le"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "Latin-1": '{"query": "é"}'.encode("latin-1"),
    "GB 18030": '{"query": "北京"}'.encode("gb18030"),
    "overlong": b'{"query": "\xc0\xaf"}',
    "overlong NUL": b'{"query": "\xc0\x80"}',
    "beyond Unicode": b'{"query": "\xf4\x90\x80\x80"}',
    "a surrogate as UTF-8": b'{"query": "\xed\xa0\x80"}',
    "a lone high surrogate": b'{"query": "\\ud800"}',
    "a lone low surrogate": b'{"query": "\\udc00"}',
    "surrogates in the wrong order": b'{"query": "\\udc00\\ud800"}',
    "a lone surrogate in a name": b'{"\\ud800": 1}',
    "U+0000": b'{"query": "a\\u0000b"}',
    "U+0000 in a name": b'{"query\\u0000": "a"}',
    "U+0000 behind a backslash": b'{"query": "\\\\\\u0000"}',
    "a raw line end in a text": b'{"query": "a\nb"}',
    "a raw NUL in a text": b'{"query": "a\0b"}',
    "an unknown escape": b'{"query": "\\x41"}',
    "a cut escape": b'{"query": "\\u12"}',
    "single quotes": b"{'query': 'hello'}",
    "no quotes": b"{query: hello}",
    "a comma too many": b'{"query": "hello",}',
    "a comment": b'{"query": "hello" /* */}',
    "undefined": b'{"query": undefined}',
    "a form": b"query=hello",
    "XML": b"<query>hello</query>",
    "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00]\x94.",
}
INVALID = {
    "an array": b"[]",
    "null": b"null",
    "true": b"true",
    "a number": b"1",
    "a text": b'"hello"',
    "no names": b"{}",
    "an empty name": b'{"": "hello"}',
    "the name of another": b'{"question": "hello"}',
    "one name more": b'{"query": "hello", "place": "Paris", "admin": true}',
    "a number for a text": b'{"query": 1, "place": 1}',
    "null for a text": b'{"query": null, "place": null}',
    "an array for a text": b'{"query": ["hello"], "place": ["Paris"]}',
    "an object for a text": b'{"query": {"$ne": ""}, "place": {"$ne": ""}}',
    "an empty text": b'{"query": "", "place": ""}',
    "a long text": b'{"query": "' + b"x" * 8001 + b'", "place": "' + b"x" * 101 + b'"}',
    "a prototype": b'{"__proto__": {"query": "hello", "place": "Paris"}}',
}


def test_there_are_more_than_120_odd_bodies() -> None:
    assert len(MALFORMED | INVALID) * len(ENDPOINTS) >= 140


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_our_json_is_malformed(world: World, path: str, name: str) -> None:
    refused = world.http.post(path, content=MALFORMED[name], headers=JSON)

    assert (refused.status_code, error_code(refused.content)) == (400, "malformed")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("name", INVALID)
def test_json_of_another_shape_is_invalid(world: World, path: str, name: str) -> None:
    refused = world.http.post(path, content=INVALID[name], headers=JSON)

    assert (refused.status_code, error_code(refused.content)) == (422, "invalid")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "text/json"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": "application/jsonp"},
        JSON | {"Content-Encoding": "gzip"},
        JSON | {"Content-Encoding": "br"},
        JSON | {"Content-Encoding": "identity, gzip"},
    ],
    ids=str,
)
def test_what_is_not_plain_json_is_an_unsupported_media_type(world: World, path: str, headers: dict[str, str]) -> None:
    refused = world.http.post(path, content=GOOD, headers=headers)

    assert (refused.status_code, error_code(refused.content)) == (415, "unsupported_media_type")


SESSION = map("bytes-{}".format, count())

TEXTS = [
    "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇨🇳",
    "שלום עולם — مرحبا بالعالم \u202eevil\u202c",
    "北京明天怎么样？「好」　𠮷野家",
    "quotes \" ' ` and \\ and <script>alert(1)</script> &amp; {{7*7}} ${x} %s %n",
    "e\u0301 é \u00a0 \u200b \ufeff \u2028 \u2029 \x7f \x1b[31m \r\n\t end",
    "literally \\u0000 and \\ud800",
    "'; DROP TABLE documents; --",
    "\U0010ffff\ufffe\ue000",
    " leading and trailing ",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_users_words_come_back_byte_for_byte(world: World, text: str, ascii_only: bool) -> None:
    session = next(SESSION)

    asked = world.http.post(
        "/chat", content=json.dumps({"query": text, "session_id": session}, ensure_ascii=ascii_only).encode(), headers=JSON
    )
    transcript = world.http.get(f"/chat/{session}")

    assert asked.status_code == 200
    assert transcript.json()["turns"][0]["query"].encode() == text.encode()
