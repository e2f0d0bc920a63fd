"""A language model on loopback that speaks OpenAI's Chat Completions: deterministic, and without memory between requests.

    python -m infra.local.model_emulator --port 9002

It understands questions about the weather in Chinese and in English, follow-ups included, calls `get_weather_forecast` for them where
that tool is offered, and puts the result into one sentence. To everything else it answers with how many questions it has seen.
`POST …/v1/chat/completions` answers below any prefix, `GET …/v1/models` too. It needs no key, unless started with `--key`.

Switches make it slow or break it: as options for every request, or behind the model's name for one: OPENAI_MODEL="emulator?latency=2s&fail=500".

    latency=300ms sigma=0.35   wait: log-normal with this median; `x-emulator-delay-ms` tells the wait. The same request waits equally long;
                               with --by-arrival the n-th request does, so that equal requests of a load test differ.
    fail=NAME                  one of
        400 401 404 429 500 502 503 insufficient_quota   (retry_after=2, retry_after=date:3600: the header, in seconds or as a date)
        hang hang_after_headers slow_body (pace=500ms)   no reply, a head without a body, a byte at a time
        reset eof cut_length cut_chunked cut_close       RST, FIN at once; half a body, announced in three ways
        huge gzip_bomb (size=200000000)                  a valid reply behind this much white space, plain or packed
        redirect (location=URL)  html  empty             307; 200 with a web page, with nothing
        choices0 content_null refusal length content_filter
        bad_arguments unknown_tool endless_calls         calls with cut JSON, of no offered tool (each once a question), without end

`--fail-first N` lets only the first N requests fail: the one option that counts.
"""

import asyncio
import hashlib
import itertools
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from infra.local import model_requests
from infra.local.model_faults import FAULTS, Case, Completion, Switches, changed, switches
from infra.local.model_requests import Chat, Refused
from infra.local.serving import arguments, serve
from infra.local.weather_talk import TOOL, Ask, chinese, told, understood

CREATED = 1_790_000_000
"""Every reply's time: a reply depends on its request alone."""

MAX_REQUEST = 16 * 1024 * 1024  # bytes; far above what our conversations hold


@dataclass(frozen=True)
class Options:
    """How a server of the emulator behaves."""

    switches: Switches = field(default_factory=Switches)
    keys: Collection[str] = ()
    """The API keys that it accepts; empty: it asks for none. Looked at on every request, so that a test can rotate them."""
    fail_first: int | None = None
    """Only so many requests fail; None: all that are told to."""
    by_arrival: bool = False
    """Whether delays are drawn in order of arrival and not from each request."""


def application(options: Options | None = None) -> web.Application:
    """The emulator as an application, to be served by the caller; a test may add a middleware that records what arrives."""
    emulator = _Emulator(options or Options())
    app = web.Application(client_max_size=MAX_REQUEST)
    app.router.add_post("/{prefix:.*}chat/completions", emulator.complete)
    app.router.add_get("/{prefix:.*}models", emulator.models)
    return app


class _Emulator:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._arrivals: Iterator[int] = itertools.count()
        self._failures: Iterator[int] = itertools.count()

    async def complete(self, request: web.Request) -> web.StreamResponse:
        try:
            self._admit(request)
            raw = await request.read()
            chat = model_requests.read(raw)
            name, asked = switches(chat.model, self._options.switches)
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status)
        delay = asked.delay(b"%d" % next(self._arrivals) if self._options.by_arrival else raw)
        if delay:
            await asyncio.sleep(delay)
        fail = asked.fail if self._fails(asked) else ""
        reply = completion(chat, name, raw, fail)
        response = await FAULTS[fail](Case(request, asked, reply)) if fail else web.json_response(reply)
        if not response.prepared:
            response.headers["x-emulator-delay-ms"] = f"{delay * 1000:.1f}"
            response.headers["x-request-id"] = f"req_{reply['id'].removeprefix('chatcmpl-')}"
        return response

    async def models(self, request: web.Request) -> web.Response:
        try:
            self._admit(request)
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status)
        return web.json_response(
            {"object": "list", "data": [{"id": "emulator", "object": "model", "created": CREATED, "owned_by": "cantilever"}]}
        )

    def _admit(self, request: web.Request) -> None:
        if not self._options.keys:
            return
        given = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if given not in self._options.keys:
            raise Refused("Incorrect API key provided.", status=401, code="invalid_api_key")

    def _fails(self, asked: Switches) -> bool:
        if not asked.fail or self._options.fail_first is None:
            return bool(asked.fail)
        return next(self._failures) < self._options.fail_first


def completion(chat: Chat, model: str, raw: bytes, fail: str = "") -> Completion:
    """The reply to a request; `fail` may ask for calls that no good model makes."""
    identity = hashlib.sha256(raw).hexdigest()[:24]
    message = _message(chat, identity, fail)
    spent, said = _tokens(raw), _tokens(json.dumps(message, ensure_ascii=False).encode())
    return {
        "id": f"chatcmpl-{identity}",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
        ],
        "usage": {"prompt_tokens": spent, "completion_tokens": said, "total_tokens": spent + said},
    }


def _message(chat: Chat, identity: str, fail: str) -> dict[str, Any]:
    ask = understood(chat.questions)
    call = _faulty_call(chat, ask, fail) or _call(chat, ask)
    if call:
        function = {"name": call[0], "arguments": call[1]}
        calls = [{"id": f"call_{identity}", "type": "function", "function": function}]
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}
    return {"role": "assistant", "content": _text(chat, ask), "refusal": None}


def _call(chat: Chat, ask: Ask | None) -> tuple[str, str] | None:
    if ask is None or not ask.place or TOOL not in chat.tools or chat.results:
        return None
    return TOOL, json.dumps({"place": ask.place, "days": ask.days}, ensure_ascii=False)


def _faulty_call(chat: Chat, ask: Ask | None, fail: str) -> tuple[str, str] | None:
    arguments = json.dumps({"place": ask.place if ask else "Beijing", "days": ask.days if ask else 1}, ensure_ascii=False)
    if fail == "endless_calls" and chat.tools:
        return chat.tools[0], arguments
    if fail == "bad_arguments" and chat.tools and not chat.results:
        return chat.tools[0], arguments[: len(arguments) // 2]
    if fail == "unknown_tool" and chat.tools and not chat.results:
        return "no_such_tool", arguments
    return None


def _text(chat: Chat, ask: Ask | None) -> str:
    question = chat.questions[-1] if chat.questions else ""
    if ask and chat.results:
        return told(ask, chat.results[-1], question)
    if ask and not ask.place:
        return "您想查询哪个地方的天气？" if chinese(question) else "Which place do you mean?"
    if ask:
        return "我现在查不了天气。" if chinese(question) else "I cannot look up the weather here."
    count = len(chat.questions)
    if chinese(question):
        return f"我是本地的模型模拟器，只懂天气；这是我在这次对话里看到的第 {count} 个问题。"
    return f"I am the local model emulator and know only the weather; questions seen in this conversation: {count}."


def _tokens(text: bytes) -> int:
    """A count that depends on the text alone: about what OpenAI would bill, and never zero."""
    return len(text) // 4 + 1


def main() -> None:
    """Serve until stopped, as the command line says."""
    parser = arguments(__doc__ or "")
    for name in ("latency", "sigma", "fail", "retry_after", "location", "size", "pace"):
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar=name.upper())
    parser.add_argument("--key", action="append", default=[], help="accept only this API key; may be repeated")
    parser.add_argument("--fail-first", type=int, metavar="N")
    parser.add_argument("--by-arrival", action="store_true")
    given = vars(parser.parse_args())
    try:
        asked = changed(
            Switches(), {name: value for name, value in given.items() if name in Switches.__dataclass_fields__ and value is not None}
        )
    except ValueError as error:
        parser.error(str(error))
    serve(application(Options(asked, given["key"], given["fail_first"], given["by_arrival"])), given["port"])


if __name__ == "__main__":
    main()
