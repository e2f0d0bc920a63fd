"""A second model for when the first fails."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
from aiohttp import web

from functions.adapters.chat_completions import ChatCompletions, ModelGone
from functions.adapters.credentials import Fixed
from functions.adapters.fallback import WithFallback
from functions.adapters.outgoing import Answer, LeftAlone, Outgoing, Request
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, DeadlinePassed, Filtered, Refused, Upstream
from functions.core.model import Reply, System, Tool, User
from functions.core.providers import COMPATIBLE
from tests.deadlines import soon
from tests.fakes import ScriptedModel
from tests.upstream import Server, Step, answer, serving

T = TypeVar("T")

HELLO = [System("Be brief."), User("你好")]
FORECAST = Tool("get_weather_forecast", "Forecast the weather.", {"type": "object"})
ANSWERED = Reply("Hello.", "stop")


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def chosen(url: str, outgoing: Outgoing, model: str, **more: Any) -> ChatCompletions:
    return ChatCompletions(
        outgoing, Fixed("sk-secret"), base_url=f"{url}/v1", model=model, provider=COMPATIBLE, max_output_tokens=100, **more
    )


def both(server: Server, outgoing: Outgoing) -> WithFallback:
    """Two models at one server, as wiring.py joins them."""
    return WithFallback(
        chosen(server.url, outgoing, "large", has_fallback=True), chosen(server.url, outgoing, "small", setting="OPENAI_FALLBACK_MODEL")
    )


def each(*, large: Step, small: Step) -> Step:
    """A server with two models."""

    async def step(request: web.Request) -> web.StreamResponse:
        return await {"large": large, "small": small}[(await request.json())["model"]](request)

    return step


def completion(text: str) -> Step:
    return answer({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})


def failing(status: int, code: str | None = None, **headers: str) -> Step:
    return answer({"error": {"message": "…", "code": code}}, status=status, headers=headers)


def asked(server: Server) -> list[str]:
    return [received.json["model"] for received in server.received]


async def test_a_first_model_that_answers_is_the_only_one_asked() -> None:
    first, second = ScriptedModel(ANSWERED), ScriptedModel()

    assert await WithFallback(first, second).reply(HELLO, [], soon()) == ANSWERED

    assert second.asked == []


@pytest.mark.parametrize(
    ("failure", "severity"),
    [(Upstream("It fails."), "WARNING"), (LeftAlone("It is left alone."), "WARNING"), (ModelGone("No such model."), "ERROR")],
)
async def test_a_first_model_that_fails_is_replaced_for_the_same_question_and_the_log_tells(
    failure: CantileverError, severity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = ScriptedModel(failure), ScriptedModel(ANSWERED)

    assert await WithFallback(first, second).reply(HELLO, [FORECAST], soon(), may_call=False) == ANSWERED

    assert second.asked == [HELLO]
    assert second.might_call == [False]
    told = {"severity": severity, "message": "the first model failed", "error": failure.code}
    assert json.loads(capsys.readouterr().out) == told


@pytest.mark.parametrize("error", [DeadlinePassed("Too late."), Filtered("Not this."), Refused("No key.")])
async def test_what_another_model_would_not_mend_is_told_at_once(error: CantileverError) -> None:
    second = ScriptedModel()

    with pytest.raises(type(error)):
        await WithFallback(ScriptedModel(error), second).reply(HELLO, [], soon())

    assert second.asked == []


async def test_after_the_deadline_nobody_else_is_asked() -> None:
    second = ScriptedModel()

    with pytest.raises(Upstream):
        await WithFallback(ScriptedModel(Upstream("It fails.")), second).reply(HELLO, [], soon(0))

    assert second.asked == []


async def test_where_both_fail_the_seconds_error_is_told() -> None:
    model = WithFallback(ScriptedModel(Upstream("The first fails.")), ScriptedModel(Upstream("The second fails.")))

    with pytest.raises(Upstream, match="The second fails"):
        await model.reply(HELLO, [], soon())


@pytest.mark.parametrize(
    "gone",
    [failing(404), failing(404, "model_not_found"), failing(403, "model_not_found"), failing(400, "model_decommissioned")],
    ids=["404", "OpenAI's 404", "OpenAI's 403", "Groq's 400"],
)
async def test_a_model_that_is_gone_is_replaced_after_one_call(outgoing: Outgoing, gone: Step) -> None:
    async with serving(each(large=gone, small=completion("Here."))) as server:
        reply = await both(server, outgoing).reply(HELLO, [], soon())

    assert reply.text == "Here."
    assert asked(server) == ["large", "small"]


@pytest.mark.parametrize("refusal", [failing(400), failing(401), failing(402), failing(403), failing(429, "insufficient_quota")])
async def test_another_refusal_is_the_operators_matter(outgoing: Outgoing, refusal: Step) -> None:
    async with serving(each(large=refusal, small=completion("Here."))) as server:
        with pytest.raises(Refused):
            await both(server, outgoing).reply(HELLO, [], soon())

    assert asked(server) == ["large"]


async def test_a_wrong_fallback_is_told_by_the_name_of_its_setting(outgoing: Outgoing) -> None:
    async with serving(each(large=failing(503), small=failing(404))) as server:
        with pytest.raises(Refused, match="check OPENAI_FALLBACK_MODEL and OPENAI_BASE_URL"):
            await both(server, outgoing).reply(HELLO, [], soon())


async def test_a_model_that_is_down_is_left_alone_and_its_fallback_is_not(outgoing: Outgoing) -> None:
    down = {"x-should-retry": "false"}
    async with serving(each(large=failing(500, **down), small=completion("Here."))) as server:
        model, deadline = both(server, outgoing), soon(1.4)
        replies = 0
        while deadline.left() > 0.1:
            assert (await model.reply(HELLO, [], soon())).text == "Here."
            replies += 1

    assert asked(server).count("small") == replies
    assert asked(server)[-5:] == ["small"] * 5


async def test_with_a_fallback_a_long_wait_is_not_waited(outgoing: Outgoing) -> None:
    busy = failing(429, **{"Retry-After": "3"})
    async with serving(each(large=busy, small=completion("Here."))) as server:
        deadline = soon(30)
        reply = await both(server, outgoing).reply(HELLO, [], deadline)

    assert reply.text == "Here."
    assert deadline.left() >= 29
    assert asked(server) == ["large", "small"]


class Asked(Outgoing):
    """An outgoing side that sends nothing, and keeps what it should have sent."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    async def send(self, request: Request, read: Callable[[Answer], T], deadline: Deadline) -> T:
        self.requests.append(request)
        raise Upstream("Nothing is sent.")


@pytest.mark.parametrize(
    ("left", "has_fallback", "longest"), [(120, True, 30), (20, True, 10), (3.8, True, 5), (120, False, 30), (3.8, False, 30)]
)
async def test_a_first_model_that_hangs_leaves_its_fallback_half_of_the_time(left: float, has_fallback: bool, longest: float) -> None:
    outgoing = Asked()

    with pytest.raises(Upstream):
        await chosen("http://127.0.0.1:1", outgoing, "large", has_fallback=has_fallback).reply(HELLO, [], soon(left))

    (request,) = outgoing.requests
    assert request.attempt_seconds == pytest.approx(longest, abs=0.1)
    assert request.upstream == "http://127.0.0.1:1/v1/chat/completions large"
