"""The model over Chat Completions: what each provider receives, and what each answer comes to."""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from functions.adapters.chat_completions import ChatCompletions
from functions.adapters.credentials import Credential, Fixed
from functions.adapters.outgoing import Outgoing
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, Filtered, Refused, Upstream
from functions.core.model import Assistant, Call, Message, Reply, Result, System, Tool, Usage, User
from functions.core.settings import Settings
from tests import upstream
from tests.deadlines import soon
from tests.upstream import Server, answer, serving

ROOT = Path(__file__).parents[2]

KEY = Fixed("sk-secret")
HELLO: Sequence[Message] = [System("Be brief."), User("你好")]
FORECAST = Tool("get_weather_forecast", "Forecast the weather.", {"type": "object", "properties": {"place": {"type": "string"}}})


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def model_at(
    server: Server, outgoing: Outgoing, credential: Credential = KEY, environ: Mapping[str, str] = MappingProxyType({})
) -> ChatCompletions:
    """The model that `environ` chooses; only the origin of its address is the test server's."""
    settings = Settings.read(environ)
    return ChatCompletions(
        outgoing,
        credential,
        base_url=server.url + urlsplit(settings.openai_base_url).path,
        model=settings.openai_model,
        provider=settings.provider,
        max_output_tokens=settings.openai_max_output_tokens,
    )


def completion(content: str | None = "Hello.", finish: str | None = "stop", usage: Any = None, **message: Any) -> Any:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage}


def tool_call(arguments: str = '{"place":"北京"}', call_id: str | None = "call_7") -> Any:
    return {"id": call_id, "type": "function", "function": {"name": "get_weather_forecast", "arguments": arguments}}


def error(code: str | None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": "Incorrect key sk-secret in 'private words'", "type": kind, "param": None, "code": code}}


PROVIDERS = {
    "OpenAI": (
        {},
        "/v1/chat/completions",
        {"Authorization": "Bearer sk-secret"},
        {"model": "gpt-6-luna", "max_completion_tokens": 1000, "reasoning_effort": "none"},
    ),
    "Azure": (
        {"OPENAI_BASE_URL": "https://contoso.openai.azure.com/openai/v1", "OPENAI_MODEL": "our-deployment"},
        "/openai/v1/chat/completions",
        {"api-key": "sk-secret"},
        {"model": "our-deployment", "max_completion_tokens": 1000},
    ),
    "Vertex AI": (
        {
            "OPENAI_BASE_URL": "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/endpoints/openapi",
            "OPENAI_MODEL": "google/gemini-3-flash",
        },
        "/v1/projects/p/locations/europe-west1/endpoints/openapi/chat/completions",
        {"Authorization": "Bearer sk-secret"},
        {"model": "google/gemini-3-flash", "max_tokens": 1000},
    ),
    "Gemini": (
        {"OPENAI_BASE_URL": "https://generativelanguage.googleapis.com/v1beta/openai/", "OPENAI_MODEL": "gemini-3-flash"},
        "/v1beta/openai/chat/completions",
        {"Authorization": "Bearer sk-secret"},
        {"model": "gemini-3-flash", "max_tokens": 1000},
    ),
    "Ollama": (
        {"OPENAI_BASE_URL": "http://localhost:11434/v1", "OPENAI_MODEL": "qwen3:8b", "OPENAI_MAX_OUTPUT_TOKENS": "256"},
        "/v1/chat/completions",
        {"Authorization": "Bearer sk-secret"},
        {"model": "qwen3:8b", "max_tokens": 256},
    ),
    "vLLM": (
        {"OPENAI_BASE_URL": "http://gpu-1:8000/v1", "OPENAI_MODEL": "Qwen/Qwen3-8B"},
        "/v1/chat/completions",
        {"Authorization": "Bearer sk-secret"},
        {"model": "Qwen/Qwen3-8B", "max_tokens": 1000},
    ),
    "a proxy told by settings": (
        {
            "OPENAI_BASE_URL": "http://localhost:4000",
            "OPENAI_MODEL": "any",
            "OPENAI_AUTH": "api-key",
            "OPENAI_TOKEN_LIMIT_PARAMETER": "max_completion_tokens",
            "OPENAI_REASONING_EFFORT": "low",
        },
        "/chat/completions",
        {"api-key": "sk-secret"},
        {"model": "any", "max_completion_tokens": 1000, "reasoning_effort": "low"},
    ),
}


@pytest.mark.parametrize(("environ", "path", "proof", "rest"), PROVIDERS.values(), ids=PROVIDERS)
async def test_each_provider_is_spoken_to_as_it_wants_by_settings_alone(
    outgoing: Outgoing, environ: dict[str, str], path: str, proof: dict[str, str], rest: dict[str, Any]
) -> None:
    async with serving(answer(completion())) as server:
        reply = await model_at(server, outgoing, environ=environ).reply(HELLO, [], soon(5))

    (received,) = server.received
    sent = {name: received.headers[name] for name in ("Authorization", "api-key") if name in received.headers}
    assert reply == Reply("Hello.", "stop")
    assert (received.method, received.path, received.query) == ("POST", path, {})
    assert sent == proof
    assert received.json == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}],
        **rest,
    }


@pytest.mark.parametrize(
    ("environ", "auth"),
    [
        ({}, "bearer"),
        ({"OPENAI_BASE_URL": "https://contoso.openai.azure.com/openai/v1"}, "api-key"),
        ({"OPENAI_BASE_URL": "https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi"}, "google"),
        ({"OPENAI_BASE_URL": "https://generativelanguage.googleapis.com/v1beta/openai"}, "bearer"),
        ({"OPENAI_BASE_URL": "https://openai.azure.com.evil.example/v1"}, "bearer"),
    ],
)
def test_the_host_decides_which_proof_it_gets(environ: dict[str, str], auth: str) -> None:
    assert Settings.read(environ).provider.auth == auth


async def test_a_server_without_a_key_gets_no_proof(outgoing: Outgoing) -> None:
    async with serving(answer(completion())) as server:
        await model_at(server, outgoing, Fixed("")).reply(HELLO, [], soon(5))

    assert "Authorization" not in server.received[0].headers


async def test_a_key_that_no_header_can_carry_is_told_and_not_sent(outgoing: Outgoing) -> None:
    async with serving(answer(completion())) as server:
        with pytest.raises(Refused) as caught:
            await model_at(server, outgoing, Fixed("sk-secret\r\nX-Evil: 1")).reply(HELLO, [], soon(5))

        assert "OPENAI_API_KEY" in caught.value.message
        assert "sk-secret" not in caught.value.message
        assert server.received == []


async def test_a_conversation_with_calls_is_sent_as_the_api_wants_it(outgoing: Outgoing) -> None:
    calls = [Call("call_7", "get_weather_forecast", '{"place": "北京"}'), Call("call_8", "get_weather_forecast", '{"place":')]
    said: list[Message] = [
        User("北京?"),
        Assistant("", calls),
        Result("call_7", '{"days":[]}'),
        Result("call_8", "{}"),
        Assistant("晴"),
        User("谢谢"),
    ]
    async with serving(answer(completion())) as server:
        await model_at(server, outgoing).reply(said, [FORECAST], soon(5))

    body = server.received[0].json
    function = {"name": "get_weather_forecast", "arguments": '{"place": "北京"}'}
    broken = {"name": "get_weather_forecast", "arguments": "{}"}
    assert body["messages"] == [
        {"role": "user", "content": "北京?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_7", "type": "function", "function": function},
                {"id": "call_8", "type": "function", "function": broken},
            ],
        },
        {"role": "tool", "tool_call_id": "call_7", "content": '{"days":[]}'},
        {"role": "tool", "tool_call_id": "call_8", "content": "{}"},
        {"role": "assistant", "content": "晴"},
        {"role": "user", "content": "谢谢"},
    ]
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather_forecast",
                "description": "Forecast the weather.",
                "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
            },
        }
    ]
    assert "tool_choice" not in body


async def test_a_model_that_may_not_call_is_told_so_and_not_believed_otherwise(outgoing: Outgoing) -> None:
    async with serving(answer(completion("Sunny.", "tool_calls", tool_calls=[tool_call()]))) as server:
        reply = await model_at(server, outgoing).reply(HELLO, [FORECAST], soon(5), may_call=False)

    assert server.received[0].json["tool_choice"] == "none"
    assert reply == Reply("Sunny.", "stop")


USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
REPLIES = {
    "text": (completion("Hi", usage=USAGE), Reply("Hi", "stop", usage=Usage(12, 3))),
    "no usage": ({"choices": completion("Hi")["choices"]}, Reply("Hi", "stop")),
    "strange usage": (completion("Hi", usage={"prompt_tokens": "12", "completion_tokens": -1}), Reply("Hi", "stop")),
    "usage as a list": (completion("Hi", usage=[1, 2]), Reply("Hi", "stop")),
    "calls": (
        completion(None, "tool_calls", tool_calls=[tool_call()]),
        Reply("", "calls", (Call("call_7", "get_weather_forecast", '{"place":"北京"}'),)),
    ),
    "calls that say stop": (
        completion("Let me look.", "stop", tool_calls=[tool_call("{broken")]),
        Reply("Let me look.", "calls", (Call("call_7", "get_weather_forecast", "{broken"),)),
    ),
    "calls without ids": (
        completion("", "tool_calls", tool_calls=[tool_call("{}", ""), tool_call("{}", None)]),
        Reply("", "calls", (Call("call_0", "get_weather_forecast", "{}"), Call("call_1", "get_weather_forecast", "{}"))),
    ),
    "an empty list of calls": (completion("Hi", tool_calls=[]), Reply("Hi", "stop")),
    "length": (completion("Once upon", "length"), Reply("Once upon", "length")),
    "length without text": (completion(None, "length"), Reply("", "length")),
    "length in a call": (completion(None, "length", tool_calls=[tool_call('{"pla')]), Reply("", "length")),
    "content filter": (completion("Well", "content_filter"), Reply("Well", "content_filter")),
    "content filter without text": (completion(None, "content_filter"), Reply("", "content_filter")),
    "refusal": (completion(None, refusal="I will not."), Reply("I will not.", "refusal")),
}


@pytest.mark.parametrize(("body", "expected"), REPLIES.values(), ids=REPLIES)
async def test_an_answer_becomes_a_reply(outgoing: Outgoing, body: Any, expected: Reply) -> None:
    async with serving(answer(body)) as server:
        reply = await model_at(server, outgoing).reply(HELLO, [FORECAST], soon(5))

    assert reply == expected
    assert len(server.received) == 1


SOON = {"retry-after-ms": "1"}
AGAIN = {
    **{f"status {status}": answer(error(None), status=status, headers=SOON) for status in (408, 409, 429, 500, 502, 503, 504, 529)},
    "429 slow_down": answer(error("slow_down"), status=429, headers=SOON),
    "429 with a text": answer({"error": "busy"}, status=429, headers=SOON),
    "429 with a list": answer([{"error": {"code": 429}}], status=429, headers=SOON),
    "500 with HTML": answer("<html>", status=500, headers=SOON),
    "reset": upstream.reset,
    "end at once": upstream.end_at_once,
    "cut by length": upstream.cut_by_length,
    "cut chunk": upstream.cut_chunked,
    "cut at close": upstream.cut_at_close,
    "200 HTML": upstream.html,
    "200 empty": upstream.empty,
    "line of 100 KB": upstream.long_line,
    "no object": answer([1, 2]),
    "an error with 200": answer(error("server_error")),
    "no choices": answer({"choices": []}),
    "choices null": answer({"choices": None}),
    "no message": answer({"choices": [{"finish_reason": "stop"}]}),
    "content null": answer(completion(None)),
    "content empty": answer(completion("")),
    "content a list": answer({"choices": [{"message": {"content": ["a"]}, "finish_reason": "stop"}]}),
    "calls promised, none there": answer(completion(None, "tool_calls")),
    "function_call": answer(completion(None, "function_call", function_call={"name": "x", "arguments": "{}"})),
    "unfinished": answer(completion("Hel", None)),
    "finished in an unknown way": answer(completion("Hel", "malformed")),
}


@pytest.mark.parametrize("fault", AGAIN.values(), ids=AGAIN)
async def test_a_fault_that_may_pass_is_answered_by_one_more_attempt(outgoing: Outgoing, fault: upstream.Step) -> None:
    async with serving(fault, answer(completion("Here."))) as server:
        reply = await model_at(server, outgoing).reply(HELLO, [], soon(5))

    assert reply.text == "Here."
    assert len(server.received) == 2
    assert server.received[0].json == server.received[1].json


async def test_a_fault_that_stays_is_given_up_after_three_attempts(outgoing: Outgoing) -> None:
    async with serving(answer(error(None), status=503, headers=SOON)) as server:
        with pytest.raises(Upstream):
            await model_at(server, outgoing).reply(HELLO, [], soon(5))

        assert len(server.received) == 3


REFUSALS = {
    "400": (answer(error(None), status=400), Refused, "OPENAI_MODEL"),
    "401": (answer(error("invalid_api_key"), status=401), Refused, "OPENAI_API_KEY"),
    "402": (answer(error(None), status=402), Refused, "billing"),
    "403": (answer(error(None), status=403), Refused, "rights"),
    "404": (answer(error("model_not_found"), status=404), Refused, "OPENAI_MODEL"),
    "405": (answer("<html>", status=405), Refused, "OPENAI_BASE_URL"),
    "413": (answer(error(None), status=413), Refused, "BUFFER_TOKENS"),
    "422": (answer({"detail": []}, status=422), Refused, "OPENAI_TOKEN_LIMIT_PARAMETER"),
    "302": (upstream.redirect("http://127.0.0.1:1/"), Refused, "OPENAI_BASE_URL"),
    "429 insufficient_quota": (answer(error("insufficient_quota"), status=429), Refused, "billing"),
    "429 insufficient_quota as a type": (answer(error(None, "insufficient_quota"), status=429), Refused, "billing"),
    "400 content_filter": (answer(error("content_filter"), status=400), Filtered, "other words"),
}


@pytest.mark.parametrize(("fault", "kind", "advice"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_is_not_repeated_and_says_what_to_do(
    outgoing: Outgoing, fault: upstream.Step, kind: type[CantileverError], advice: str
) -> None:
    async with serving(fault) as server:
        with pytest.raises(kind) as caught:
            await model_at(server, outgoing).reply(HELLO, [], soon(5))

        assert len(server.received) == 1
        assert advice in caught.value.message


@pytest.mark.parametrize("fault", [step for step, _, _ in REFUSALS.values()] + list(AGAIN.values())[:12])
async def test_no_error_repeats_what_the_server_said(outgoing: Outgoing, fault: upstream.Step) -> None:
    async with serving(fault) as server:
        with pytest.raises(CantileverError) as caught:
            await model_at(server, outgoing).reply(HELLO, [], soon(2))

    told = "".join(traceback.format_exception(caught.value))
    assert "sk-secret" not in told
    assert "private words" not in told
    assert "你好" not in told


class Rotated:
    """A credential whose keeper has `newer` once `older` is refused; it remembers what it was asked."""

    def __init__(self, older: str, newer: str) -> None:
        self.keys = [older, newer]
        self.refused: list[str | None] = []

    async def token(self, deadline: Deadline, *, refused: str | None = None) -> str:
        self.refused.append(refused)
        return self.keys[0] if refused is None else self.keys[1]


def only(key: str) -> upstream.Step:
    """Serve whoever shows `key`."""

    async def step(request: web.Request) -> web.StreamResponse:
        is_right = request.headers.get("Authorization") == f"Bearer {key}"
        return await (answer(completion()) if is_right else answer(error("invalid_api_key"), status=401))(request)

    return step


async def test_a_refused_key_is_fetched_again_once(outgoing: Outgoing) -> None:
    credential = Rotated("old", "new")
    async with serving(only("new")) as server:
        reply = await model_at(server, outgoing, credential).reply(HELLO, [], soon(5))

    assert reply.text == "Hello."
    assert credential.refused == [None, "old"]
    assert [received.headers["Authorization"] for received in server.received] == ["Bearer old", "Bearer new"]


async def test_a_newer_key_that_is_refused_too_ends_it(outgoing: Outgoing) -> None:
    credential = Rotated("old", "new")
    async with serving(only("newest")) as server:
        with pytest.raises(Refused):
            await model_at(server, outgoing, credential).reply(HELLO, [], soon(5))

        assert len(server.received) == 2


VERTEX_TWICE = """
import asyncio, os
from functions.adapters.chat_completions import ChatCompletions
from functions.adapters.google_token import GoogleToken
from functions.adapters.outgoing import Outgoing
from functions.core.deadline import Deadline
from functions.core.model import User
from functions.core.settings import Settings

async def main():
    settings, outgoing = Settings.read(os.environ), Outgoing()
    model = ChatCompletions(outgoing, GoogleToken(), base_url=settings.openai_base_url, model=settings.openai_model,
                            provider=settings.provider, max_output_tokens=100)
    for _ in range(2):
        await model.reply([User("Hello")], [], Deadline.after(10, asyncio.get_running_loop().time))
    await outgoing.close()

asyncio.run(main())
"""


def metadata_server(lifetime: int) -> upstream.Step:
    """Google's metadata server as google-auth asks it, with a new token for each request; each lives for `lifetime` seconds."""
    given = 0

    async def step(request: web.Request) -> web.StreamResponse:
        nonlocal given
        headers = {"Metadata-Flavor": "Google"}
        if request.path.endswith("/token"):
            given += 1
            return web.json_response({"access_token": f"ya29.{given}", "expires_in": lifetime, "token_type": "Bearer"}, headers=headers)
        if "service-accounts" in request.path:
            account = {"email": "chat@p.iam.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
            return web.json_response(account, headers=headers)
        return web.Response(text="my-project", headers=headers)

    return step


@pytest.mark.parametrize(
    ("lifetime", "tokens"),
    [(200, ["Bearer ya29.1", "Bearer ya29.2"]), (3600, ["Bearer ya29.1", "Bearer ya29.1"])],
    ids=["about to end", "an hour"],
)
async def test_vertex_gets_the_service_accounts_own_token_renewed_before_it_ends(tmp_path: Path, lifetime: int, tokens: list[str]) -> None:
    async with serving(metadata_server(lifetime)) as metadata, serving(answer(completion())) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", VERTEX_TWICE),
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "GCE_METADATA_HOST": urlsplit(metadata.url).netloc,
                "GCE_METADATA_IP": urlsplit(metadata.url).netloc,
                "OPENAI_BASE_URL": f"{server.url}/v1/projects/p/locations/global/endpoints/openapi",
                "OPENAI_AUTH": "google",
                "OPENAI_MODEL": "google/gemini-3-flash",
            },
        )
        assert await process.wait() == 0

    assert [received.headers["Authorization"] for received in server.received] == tokens
    assert server.received[0].path == "/v1/projects/p/locations/global/endpoints/openapi/chat/completions"
    assert json.loads(server.received[0].body)["model"] == "google/gemini-3-flash"
