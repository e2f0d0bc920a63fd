"""The model emulator talks like OpenAI's Chat Completions, about the weather, and fails when it is told to."""

import asyncio
import json
import re
import statistics
import time
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from infra.local import model_emulator
from infra.local.model_emulator import Options, application
from infra.local.model_faults import FAULTS, Switches
from infra.local.serving import serving
from infra.local.weather_talk import Ask, understood

FORECAST = {
    "place": {"name": "北京", "country": "中国", "timezone": "Asia/Shanghai"},
    "days": [
        {"date": "2026-11-22", "weather": "overcast", "low": -1.0, "high": 8.0, "precipitation_probability": 10},
        {"date": "2026-11-23", "weather": "clear sky", "low": -2.5, "high": 9.0, "precipitation_probability": 0},
        {"date": "2026-11-24", "weather": "light snow", "low": -4.0, "high": 1.5, "precipitation_probability": 70},
    ],
}
TOOL = {"type": "function", "function": {"name": "get_weather_forecast", "description": "…", "parameters": {"type": "object"}}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def called(result: Any, call_id: str = "call_1") -> list[dict[str, Any]]:
    call = {"id": call_id, "type": "function", "function": {"name": "get_weather_forecast", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": json.dumps(result, ensure_ascii=False)},
    ]


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def choice(self) -> Any:
        return self.json["choices"][0]

    @property
    def arguments(self) -> Any:
        return json.loads(self.choice["message"]["tool_calls"][0]["function"]["arguments"])


async def post(
    origin: str, body: Any, *, path: str = "/v1/chat/completions", headers: dict[str, str] | None = None, seconds: float = 10.0
) -> Answer:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
        session.post(origin + path, json=body, headers=headers, allow_redirects=False) as response,
    ):
        return Answer(response.status, response.headers, await response.read())


async def ask(
    *messages: dict[str, Any], model: str = "emulator", options: Options | None = None, tools: bool = True, **more: Any
) -> Answer:
    async with serving(application(options)) as origin:
        return await post(origin, {"model": model, "messages": list(messages), **({"tools": [TOOL]} if tools else {}), **more})


@pytest.mark.parametrize(
    ("questions", "place", "days"),
    [
        (["北京明天天气怎么样"], "北京", 2),
        (["北京今天天气怎么样？"], "北京", 1),
        (["上海后天会下雨吗？"], "上海", 3),
        (["大后天广州多少度？"], "广州", 4),
        (["未来5天成都的天气"], "成都", 5),
        (["三天后深圳天气如何"], "深圳", 4),
        (["请问和田明天会下雨吗？"], "和田", 2),
        (["北京明天天气怎么样", "那后天呢？"], "北京", 3),
        (["北京明天天气怎么样", "第二天呢"], "北京", 3),
        (["北京明天天气怎么样", "那上海呢？"], "上海", 2),
        (["北京明天天气怎么样", "and the day after?"], "北京", 3),
        (["北京明天天气怎么样", "and the day after?", "And the day after that?"], "北京", 4),
        (["What's the weather in New York tomorrow?"], "New York", 2),
        (["Will it rain in São Paulo the day after tomorrow?"], "São Paulo", 3),
        (["Weather forecast for Xi'an for the next 3 days, please."], "Xi'an", 3),
        (["How is the weather in Paris?", "thanks!", "And tomorrow?"], "Paris", 2),
        (["What will the weather be like in London in 20 days?"], "London", 21),
    ],
)
async def test_a_weather_question_becomes_a_call_that_reaches_the_asked_day(questions: list[str], place: str, days: int) -> None:
    history = [message for question in questions[:-1] for message in (user(question), assistant("…"))]

    answer = await ask(*history, user(questions[-1]))

    assert answer.arguments == {"place": place, "days": days}
    assert answer.choice["finish_reason"] == "tool_calls"
    assert answer.choice["message"]["content"] is None
    assert answer.choice["message"]["tool_calls"][0]["function"]["name"] == "get_weather_forecast"


@pytest.mark.parametrize(
    "questions",
    [
        ["hello"],
        ["你好"],
        ["and the day after?"],
        ["北京明天天气怎么样", "谢谢"],
        ["Weather in Rome", "What did I ask first?"],
        ["Weather in Rome", "and why?"],
    ],
)
def test_what_is_not_about_the_weather_is_not_taken_for_it(questions: list[str]) -> None:
    asked = understood(questions)

    assert asked is None


def test_a_follow_up_keeps_what_it_does_not_change() -> None:
    asked = understood(["北京后天天气怎么样", "上海呢？"])

    assert asked == Ask("上海", 2, 2)


async def test_the_forecast_is_put_into_one_chinese_sentence() -> None:
    answer = await ask(user("北京明天天气怎么样"), *called(FORECAST))

    assert answer.choice["message"]["content"] == "北京2026-11-23：晴，-2.5–9 °C。"
    assert answer.choice["finish_reason"] == "stop"


async def test_the_forecast_is_put_into_one_english_sentence() -> None:
    answer = await ask(user("What is the weather in 北京 for the next 2 days?"), *called(FORECAST))

    assert answer.choice["message"]["content"] == "北京 on 2026-11-22: overcast, -1–8 °C; on 2026-11-23: clear sky, -2.5–9 °C."


async def test_a_follow_up_reads_its_own_day_from_its_own_result() -> None:
    first = [user("北京明天天气怎么样"), *called(FORECAST), assistant("…")]

    answer = await ask(*first, user("and the day after?"), *called(FORECAST, "call_2"))

    assert answer.choice["message"]["content"] == "北京 on 2026-11-24: light snow, -4–1.5 °C."


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("亚特兰蒂斯明天天气怎么样", "查不到天气：No place called that."),
        ("What is the weather in Atlantis?", "I could not get the forecast: No place called that."),
    ],
)
async def test_a_failed_operation_is_told_in_words(question: str, said: str) -> None:
    error = {"error": {"code": "not_found", "message": "No place called that.", "retryable": False}}

    answer = await ask(user(question), *called(error))

    assert answer.choice["message"]["content"] == said


@pytest.mark.parametrize("more", [{"tools": False}, {"tool_choice": "none"}])
async def test_it_never_calls_what_is_not_offered(more: dict[str, Any]) -> None:
    answer = await ask(user("北京明天天气怎么样"), **more)

    assert "tool_calls" not in answer.choice["message"]
    assert answer.choice["message"]["content"] == "我现在查不了天气。"


async def test_it_asks_back_when_no_place_was_named() -> None:
    answer = await ask(user("How is the weather?"))

    assert answer.choice["message"]["content"] == "Which place do you mean?"


async def test_other_answers_show_what_it_was_shown() -> None:
    answer = await ask({"role": "system", "content": "Be brief."}, user("hello"), assistant("Hi."), user("hello <b>again</b>"))

    assert answer.choice["message"]["content"].endswith("questions seen in this conversation: 2.")


async def test_the_same_request_gets_the_same_reply() -> None:
    first, second, other = await ask(user("hello")), await ask(user("hello")), await ask(user("hello!"))

    assert first.body == second.body
    assert first.json["id"] != other.json["id"]
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", first.json["id"])


async def test_usage_adds_up_and_grows_with_the_conversation() -> None:
    short = (await ask(user("hello"))).json["usage"]
    long = (await ask(user("hello"), assistant("Hi. " * 100), user("hello"))).json["usage"]

    assert short["total_tokens"] == short["prompt_tokens"] + short["completion_tokens"]
    assert long["prompt_tokens"] > short["prompt_tokens"] + 90
    assert short["completion_tokens"] > 0


CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather_forecast", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({"messages": [user("hi")]}, "model"),
        ({"model": "emulator"}, "messages"),
        ({"model": "emulator", "messages": []}, "messages"),
        ({"model": "emulator", "messages": [user("hi")], "max_token": 5}, "max_token"),
        ({"model": "emulator", "messages": [{"role": "robot", "content": "hi"}]}, "messages.[0].role"),
        ({"model": "emulator", "messages": [{"role": "user", "content": None}]}, "messages.[0].content"),
        ({"model": "emulator", "messages": [user("hi"), {"role": "tool", "tool_call_id": "call_1", "content": "x"}]}, "messages.[1].role"),
        ({"model": "emulator", "messages": [{"role": "assistant", "content": None, "tool_calls": [CALL]}, user("hi")]}, "messages.[1]"),
        ({"model": "emulator", "messages": [{"role": "assistant", "content": None, "tool_calls": [CALL]}]}, "messages"),
        ({"model": "emulator", "messages": [user("hi")], "tools": []}, "tools"),
        ({"model": "emulator", "messages": [user("hi")], "tool_choice": "auto"}, "tool_choice"),
        (
            {"model": "emulator", "messages": [user("hi")], "tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
        ),
        ({"model": "emulator?latenci=1s", "messages": [user("hi")]}, "model"),
        ({"model": "emulator?fail=418", "messages": [user("hi")]}, "model"),
        ({"model": "emulator?latency=soon", "messages": [user("hi")]}, "model"),
    ],
)
async def test_what_openai_would_refuse_is_refused_in_its_form(body: Any, param: str | None) -> None:
    async with serving(application()) as origin:
        answer = await post(origin, body)

    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["param"] == param
    assert answer.json["error"]["message"]


async def test_it_answers_below_the_paths_of_other_providers() -> None:
    vertex = "/v1/projects/p/locations/global/endpoints/openapi/chat/completions"

    async with serving(application()) as origin:
        answer = await post(origin, {"model": "google/gemini", "messages": [user("hello")]}, path=vertex)

    assert answer.json["model"] == "google/gemini"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"authorization": "Bearer wrong"}, 401), ({"authorization": "Bearer right"}, 200), ({"api-key": "right"}, 200)],
)
async def test_a_required_key_is_required(headers: dict[str, str], status: int) -> None:
    async with serving(application(Options(keys=["right"]))) as origin:
        answer = await post(origin, {"model": "emulator", "messages": [user("hello")]}, headers=headers)

    assert answer.status == status


async def test_models_are_listed() -> None:
    async with serving(application()) as origin, aiohttp.ClientSession() as session, session.get(origin + "/v1/models") as response:
        listed = await response.json()

    assert listed["data"][0]["id"] == "emulator"


async def test_the_wait_is_as_long_as_the_header_tells() -> None:
    started = time.monotonic()
    answer = await ask(user("hello"), model="emulator?latency=200ms")
    took = time.monotonic() - started

    assert answer.headers["x-emulator-delay-ms"] == "200.0"
    assert took >= 0.2
    assert answer.json["model"] == "emulator"


def test_delays_are_log_normal_around_their_median_and_repeatable() -> None:
    slow = Switches(latency=0.3, sigma=0.35)

    delays = sorted(slow.delay(b"%d" % number) for number in range(4000))

    assert statistics.median(delays) == pytest.approx(0.3, rel=0.03)
    # exp(1.645 x 0.35) is the 95th percentile of this distribution over its median.
    assert delays[3800] / 0.3 == pytest.approx(1.778, rel=0.05)
    assert slow.delay(b"7") == slow.delay(b"7")


async def test_equal_requests_wait_differently_only_when_drawn_by_arrival() -> None:
    async def waits(options: Options) -> list[str]:
        async with serving(application(options)) as origin:
            body = {"model": "emulator", "messages": [user("hello")]}
            return [(await post(origin, body)).headers["x-emulator-delay-ms"] for _ in range(3)]

    slow = Switches(latency=0.01, sigma=0.35)
    by_request, by_arrival, again = (
        await waits(Options(slow)),
        await waits(Options(slow, by_arrival=True)),
        await waits(Options(slow, by_arrival=True)),
    )

    assert len(set(by_request)) == 1
    assert len(set(by_arrival)) == 3
    assert by_arrival == again


@pytest.mark.parametrize(
    ("fail", "status", "code"),
    [
        ("400", 400, None),
        ("401", 401, "invalid_api_key"),
        ("404", 404, "model_not_found"),
        ("429", 429, "rate_limit_exceeded"),
        ("insufficient_quota", 429, "insufficient_quota"),
        ("500", 500, None),
        ("502", 502, None),
        ("503", 503, "server_is_overloaded"),
    ],
)
async def test_a_status_comes_with_openais_error(fail: str, status: int, code: str | None) -> None:
    answer = await ask(user("hello"), model=f"emulator?fail={fail}&retry_after=7")

    assert answer.status == status
    assert answer.json["error"]["code"] == code
    assert answer.headers["retry-after"] == "7"


async def test_retry_after_may_be_a_date() -> None:
    answer = await ask(user("hello"), model="emulator?fail=429&retry_after=date:3600")

    assert parsedate_to_datetime(answer.headers["retry-after"]).timestamp() - time.time() == pytest.approx(3600, abs=5)


async def test_only_the_first_requests_fail_when_asked_so() -> None:
    async with serving(application(Options(Switches(fail="500"), fail_first=2))) as origin:
        statuses = [(await post(origin, {"model": "emulator", "messages": [user("hello")]})).status for _ in range(4)]

    assert statuses == [500, 500, 200, 200]


async def test_a_stopped_reply_says_why() -> None:
    stopped = {
        fail: (await ask(user("hello"), model=f"emulator?fail={fail}")).choice
        for fail in ("content_null", "refusal", "length", "content_filter")
    }

    assert stopped["content_null"]["message"]["content"] is None
    assert stopped["refusal"]["message"]["refusal"] == "I'm sorry, I can't help with that."
    assert stopped["length"]["finish_reason"] == "length"
    assert stopped["length"]["message"]["content"]
    assert stopped["content_filter"]["finish_reason"] == "content_filter"


async def test_cut_arguments_are_no_json_and_come_once_a_question() -> None:
    answer = await ask(user("北京明天天气怎么样"), model="emulator?fail=bad_arguments")
    after = await ask(user("北京明天天气怎么样"), *called(FORECAST), model="emulator?fail=bad_arguments")

    with pytest.raises(json.JSONDecodeError):
        _ = answer.arguments
    assert after.choice["finish_reason"] == "stop"


async def test_an_unknown_tool_is_called_once_a_question() -> None:
    answer = await ask(user("hello"), model="emulator?fail=unknown_tool")
    after = await ask(user("hello"), *called(FORECAST), model="emulator?fail=unknown_tool")

    assert answer.choice["message"]["tool_calls"][0]["function"]["name"] == "no_such_tool"
    assert after.choice["finish_reason"] == "stop"


async def test_endless_calls_end_only_when_calling_is_forbidden() -> None:
    again = await ask(user("hello"), *called(FORECAST), model="emulator?fail=endless_calls")
    forbidden = await ask(user("hello"), *called(FORECAST), model="emulator?fail=endless_calls", tool_choice="none")

    assert again.choice["finish_reason"] == "tool_calls"
    assert forbidden.choice["finish_reason"] == "stop"


async def test_replies_without_sense_are_200() -> None:
    html, empty, none = [await ask(user("hello"), model=f"emulator?fail={fail}") for fail in ("html", "empty", "choices0")]

    assert (html.status, html.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (empty.status, empty.body) == (200, b"")
    assert (none.status, none.json["choices"]) == (200, [])


async def test_a_redirect_leads_where_it_was_told() -> None:
    answer = await ask(user("hello"), model="emulator?fail=redirect&location=http://127.0.0.1:9/canary")

    assert (answer.status, answer.headers["location"]) == (307, "http://127.0.0.1:9/canary")


@pytest.mark.parametrize("fail", ["huge", "gzip_bomb"])
async def test_a_huge_body_is_a_valid_reply_behind_white_space(fail: str) -> None:
    answer = await ask(user("hello"), model=f"emulator?fail={fail}&size=5000000")

    assert len(answer.body) == pytest.approx(5_000_000, rel=0.25)
    assert answer.choice["finish_reason"] == "stop"


async def test_a_gzip_bomb_is_small_on_the_wire() -> None:
    async with serving(application()) as origin, aiohttp.ClientSession(auto_decompress=False) as session:
        body = {"model": "emulator?fail=gzip_bomb&size=5000000", "messages": [user("hello")]}
        async with session.post(origin + "/v1/chat/completions", json=body) as response:
            packed = await response.read()

    assert response.headers["content-encoding"] == "gzip"
    assert len(packed) < 10_000


async def test_a_slow_body_arrives_whole_a_byte_at_a_time() -> None:
    started = time.monotonic()
    answer = await ask(user("hello"), model="emulator?fail=slow_body&pace=1ms")
    took = time.monotonic() - started

    assert answer.choice["finish_reason"] == "stop"
    assert took > len(answer.body) * 0.001


async def test_a_hang_sends_nothing() -> None:
    with pytest.raises(TimeoutError):
        async with serving(application()) as origin:
            await post(origin, {"model": "emulator?fail=hang", "messages": [user("hello")]}, seconds=0.3)


async def test_a_hang_after_the_head_sends_a_head_alone() -> None:
    body = {"model": "emulator?fail=hang_after_headers", "messages": [user("hello")]}

    async with (
        serving(application()) as origin,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.5)) as session,
        session.post(origin + "/v1/chat/completions", json=body) as response,
    ):
        status = response.status
        with pytest.raises(TimeoutError):
            await response.read()

    assert status == 200


async def raw(origin: str, fail: str) -> bytes:
    """Everything that comes back on one connection until the server ends it."""
    host, port = origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"model": f"emulator?fail={fail}", "messages": [user("hello")]}).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


async def test_a_reset_is_a_reset() -> None:
    async with serving(application()) as origin:
        with pytest.raises(ConnectionResetError):
            await raw(origin, "reset")


async def test_an_early_end_is_an_end_without_a_byte() -> None:
    async with serving(application()) as origin:
        received = await raw(origin, "eof")

    assert received == b""


@pytest.mark.parametrize("fail", ["cut_length", "cut_chunked", "cut_close"])
async def test_a_cut_body_is_half_a_reply(fail: str) -> None:
    async with serving(application()) as origin:
        head, _, body = (await raw(origin, fail)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b'"chat.completion"' in body
    assert b"usage" not in body
    assert not body.endswith(b"0\r\n\r\n")


def test_every_fault_is_described_where_its_users_look() -> None:
    undescribed = [fail for fail in FAULTS if not re.search(rf"\b{fail}\b", model_emulator.__doc__ or "")]

    assert undescribed == []
