"""The model emulator's switches: how slow it is, and what goes wrong. `model_emulator` describes them for its users."""

import asyncio
import functools
import json
import math
import random
import re
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from aiohttp import web

from infra.local.model_requests import Refused

Completion = dict[str, Any]

SPACES = b" " * 1_048_576
"""JSON may begin with any amount of white space (RFC 8259 §2): huge bodies are white space before a valid reply."""


@dataclass(frozen=True, slots=True)
class Switches:
    """How one request is to be treated."""

    latency: float = 0.0
    """Seconds: the median of a log-normal distribution, or every request's delay where `sigma` is 0."""
    sigma: float = 0.0
    """The distribution's shape; 0.35 is what the load test uses."""
    fail: str = ""
    """A name of `FAULTS`; empty: nothing goes wrong."""
    retry_after: str = ""
    """The Retry-After header of a status fault: seconds, or `date:SECONDS` for an HTTP date that far ahead."""
    location: str = "http://127.0.0.1:9/v1/chat/completions"
    """Where `fail=redirect` leads."""
    size: int = 200_000_000
    """Bytes of a huge body, or of a gzip bomb when unpacked."""
    pace: float = 0.5
    """Seconds between the bytes of a slow body."""

    def delay(self, seed: bytes) -> float:
        """Seconds to wait; the same for the same seed."""
        if not self.sigma:
            return self.latency
        return self.latency * math.exp(self.sigma * random.Random(seed).gauss(0, 1))


def switches(model: str, default: Switches) -> tuple[str, Switches]:
    """A model's plain name, and `default` with what stands behind the question mark in its full name.

    Raises:
        Refused: a switch is unknown or its value makes no sense. A misspelt test must not pass.
    """
    name, _, asked = model.partition("?")
    try:
        return name, changed(default, dict(parse_qsl(asked, keep_blank_values=True, strict_parsing=True)) if asked else {})
    except ValueError as error:
        raise Refused(f"Emulator: {error}", param="model") from error


def changed(default: Switches, asked: dict[str, str]) -> Switches:
    """`default` with the switches that were asked for in words.

    Raises:
        ValueError: a switch is unknown or its value makes no sense.
    """
    if unknown := asked.keys() - {field.name for field in fields(Switches)}:
        raise ValueError(f"no switch is called {min(unknown)!r}; there are {', '.join(asdict(default))}")
    if asked.get("fail") and asked["fail"] not in FAULTS:
        raise ValueError(f"no fault is called {asked['fail']!r}; there are {', '.join(FAULTS)}")
    return replace(default, **{name: _READ.get(name, str)(value) for name, value in asked.items()})


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)?", text)
    if not found:
        raise ValueError(f"{text!r} is no duration; write 300ms or 1.5s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


_READ: dict[str, Callable[[str], Any]] = {"latency": _duration, "sigma": float, "size": int, "pace": _duration}


@dataclass(frozen=True, slots=True)
class Case:
    """What a fault works on."""

    request: web.Request
    asked: Switches
    reply: Completion
    """What would have been right."""


Fault = Callable[[Case], Awaitable[web.StreamResponse]]


def _status(status: int, kind: str, code: str | None, message: str) -> Fault:
    async def answer(case: Case) -> web.StreamResponse:
        error = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        return web.json_response(error, status=status, headers={"retry-after": _retry_after(case.asked)} if case.asked.retry_after else {})

    return answer


def _retry_after(asked: Switches) -> str:
    seconds = asked.retry_after.removeprefix("date:")
    if seconds == asked.retry_after:
        return seconds
    return format_datetime(datetime.now(UTC) + timedelta(seconds=float(seconds)), usegmt=True)


def _body(text: str, content_type: str) -> Fault:
    async def answer(case: Case) -> web.StreamResponse:
        return web.Response(text=text, content_type=content_type)

    return answer


def _altered(finish: str | None = None, **message: Any) -> Fault:
    async def answer(case: Case) -> web.StreamResponse:
        choice = case.reply["choices"][0]
        # A reply that is stopped or withheld carries text, or nothing, but no calls.
        kept = {"role": "assistant", "content": choice["message"]["content"], "refusal": None}
        return web.json_response({**case.reply, "choices": [{**choice, "message": kept | message, "finish_reason": finish or "stop"}]})

    return answer


async def _length(case: Case) -> web.StreamResponse:
    text = case.reply["choices"][0]["message"]["content"] or "The weather in"
    return await _altered("length", content=text[: len(text) // 2 + 1])(case)


async def _no_choices(case: Case) -> web.StreamResponse:
    return web.json_response({**case.reply, "choices": []})


async def _calls_as_told(case: Case) -> web.StreamResponse:
    # The emulator has composed the faulty calls already: they depend on the conversation.
    return web.json_response(case.reply)


async def _redirect(case: Case) -> web.StreamResponse:
    return web.Response(status=307, headers={"location": case.asked.location})


async def _forever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("Nobody sets that event: only the client's going ends the wait.")


async def _hang(case: Case) -> web.StreamResponse:
    await _forever()


async def _begun(request: web.Request, length: int | None, **headers: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json", **headers})
    response.content_length = length
    await response.prepare(request)
    return response


async def _hang_after_headers(case: Case) -> web.StreamResponse:
    await _begun(case.request, len(_bytes(case.reply)))
    await _forever()


async def _slow_body(case: Case) -> web.StreamResponse:
    raw = _bytes(case.reply)
    response = await _begun(case.request, len(raw))
    for place in range(len(raw)):
        await response.write(raw[place : place + 1])
        await asyncio.sleep(case.asked.pace)
    return response


async def _huge(case: Case) -> web.StreamResponse:
    raw = _bytes(case.reply)
    response = await _begun(case.request, case.asked.size)
    blank = case.asked.size - len(raw)
    while blank > 0:
        await response.write(SPACES[:blank])
        blank -= len(SPACES)
    await response.write(raw)
    return response


async def _gzip_bomb(case: Case) -> web.StreamResponse:
    packed = await asyncio.to_thread(_bomb, case.asked.size, _bytes(case.reply))
    return web.Response(body=packed, headers={"content-type": "application/json", "content-encoding": "gzip"})


@functools.lru_cache(maxsize=4)
def _bomb(size: int, tail: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    packed = [packer.compress(SPACES) for _ in range(size // len(SPACES))]
    return b"".join([*packed, packer.compress(tail), packer.flush()])


def _transport(request: web.Request) -> asyncio.Transport:
    if request.transport is None:
        raise ConnectionResetError  # The client went first.
    return request.transport


async def _reset(case: Case) -> web.StreamResponse:
    transport = _transport(case.request)
    # Closing with a linger time of zero sends RST in place of FIN (socket(7), SO_LINGER).
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()


async def _eof(case: Case) -> web.StreamResponse:
    _transport(case.request).close()
    return web.Response()


def _cut(head: Callable[[bytes], bytes]) -> Fault:
    async def answer(case: Case) -> web.StreamResponse:
        raw, transport = _bytes(case.reply), _transport(case.request)
        # By hand: aiohttp would not send a body that breaks its own promise.
        transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + head(raw) + raw[: len(raw) // 2])
        transport.close()
        return web.Response()

    return answer


def _bytes(reply: Completion) -> bytes:
    return json.dumps(reply).encode()


FAULTS: dict[str, Fault] = {
    "400": _status(400, "invalid_request_error", None, "The emulator was told to refuse this."),
    "401": _status(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "404": _status(404, "invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    "429": _status(429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "insufficient_quota": _status(
        429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details."
    ),
    "500": _status(500, "server_error", None, "The server had an error while processing your request."),
    "502": _status(502, "server_error", None, "Bad gateway."),
    "503": _status(503, "server_error", "server_is_overloaded", "The engine is currently overloaded, please try again later."),
    "html": _body("<!doctype html><title>Sign in</title><p>Sign in to use this network.", "text/html"),
    "empty": _body("", "application/json"),
    "choices0": _no_choices,
    "content_null": _altered(content=None),
    "refusal": _altered(content=None, refusal="I'm sorry, I can't help with that."),
    "length": _length,
    "content_filter": _altered("content_filter", content=""),
    "bad_arguments": _calls_as_told,
    "unknown_tool": _calls_as_told,
    "endless_calls": _calls_as_told,
    "redirect": _redirect,
    "hang": _hang,
    "hang_after_headers": _hang_after_headers,
    "slow_body": _slow_body,
    "huge": _huge,
    "gzip_bomb": _gzip_bomb,
    "reset": _reset,
    "eof": _eof,
    "cut_length": _cut(lambda raw: b"content-length: %d\r\n\r\n" % len(raw)),
    "cut_chunked": _cut(lambda raw: b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(raw)),
    "cut_close": _cut(lambda _: b"connection: close\r\n\r\n"),
}
