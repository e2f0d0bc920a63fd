"""The user's token at Google: where it goes, where it never does, and what becomes of a refusal (wire.md G6, reliability.md T15)."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from functions.adapters import google_answers
from functions.adapters.outgoing import Outgoing
from functions.adapters.web import BoundWeb, Kept
from functions.core.capability import Api, Scope
from functions.core.deadline import Deadline
from functions.core.errors import (
    CantileverError,
    CapabilityFault,
    Disconnected,
    InsufficientScope,
    Invalid,
    NotFound,
    Refused,
    Unauthenticated,
    Upstream,
)
from tests import upstream
from tests.adapters.test_web import SOON, asking
from tests.deadlines import soon
from tests.upstream import Server, answer, redirect, serving

CANARY = "ya29.CANARY"
NEWER = "ya29.CANARY-NEWER"
WORDS = "private words"

READ = Scope("https://www.googleapis.com/auth/calendar.events.readonly", {"en": "See the events on your calendars"})
FREE = Scope("https://www.googleapis.com/auth/calendar.freebusy", {"en": "See when you are busy"})
CALENDAR = Api("calendar", "http://127.0.0.1:1/calendar/v3", google=True)
HOLIDAYS = Api("holidays", "http://127.0.0.1:1/google/v1", google=True, reusable=timedelta(hours=1))
WEATHER = Api("weather", "http://127.0.0.1:1/v1")


class Tokens:
    """Gives the user's tokens in turn, the last of them again and again, and keeps which it was told were refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.refused: list[str | None] = []

    async def __call__(self, deadline: Deadline, *, refused: str | None = None) -> str:
        self.refused.append(refused)
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def web(outgoing: Outgoing, server: Server, tokens: Tokens | None, scopes: Sequence[Scope] = (READ,), *others: Api) -> BoundWeb:
    """The world of an operation that names the calendar, and others; all of them are at `server`."""
    apis = (CALENDAR, *others) if scopes else others
    urls = {api.name: f"{server.url}/{api.name}" for api in apis}
    return BoundWeb(outgoing, Kept(), asking(*apis, scopes=scopes), soon(), urls=urls, keys={}, token=tokens)


def told(error: BaseException) -> str:
    """All that a log could say of an error."""
    return "".join(traceback.format_exception(error)) + repr(error.__dict__)


def of_google(code: int, reason: str = "", status: str = "", detail: str = "") -> dict[str, Any]:
    """An error of Google's, in both of its forms."""
    error: dict[str, Any] = {"code": code, "message": WORDS, "errors": [{"domain": "global", "reason": reason}] if reason else []}
    return {"error": error | ({"status": status} if status else {}) | ({"details": [{"reason": detail}]} if detail else {})}


async def test_what_an_operation_with_scopes_asks_of_google_carries_the_token(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        bound = web(outgoing, server, Tokens(CANARY))
        await bound.get(CALENDAR, "calendars/primary/events", q="北京", singleEvents="true")
        await bound.post(CALENDAR, "freeBusy", {"items": [{"id": "primary"}]})

    listed, asked = server.received
    assert (listed.method, listed.path, listed.query) == (
        "GET",
        "/calendar/calendars/primary/events",
        {"q": "北京", "singleEvents": "true"},
    )
    assert (asked.method, asked.path, asked.json) == ("POST", "/calendar/freeBusy", {"items": [{"id": "primary"}]})
    assert [received.headers["Authorization"] for received in server.received] == [f"Bearer {CANARY}"] * 2


async def test_no_other_api_sees_it(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        await web(outgoing, server, Tokens(CANARY), (READ,), WEATHER).get(WEATHER, "forecast")
        await web(outgoing, server, Tokens(CANARY), (READ,), WEATHER).post(WEATHER, "forecast", {})
        await web(outgoing, server, Tokens(CANARY), (), WEATHER).get(WEATHER, "forecast")

        with pytest.raises(CapabilityFault):
            await web(outgoing, server, Tokens(CANARY), (READ,)).get(HOLIDAYS, "list")

    assert len(server.received) == 3
    assert CANARY not in repr(server.received)


async def test_it_does_not_follow_a_redirect(outgoing: Outgoing) -> None:
    async with serving(answer({})) as elsewhere, serving(redirect(f"{elsewhere.url}/calendar/x")) as server:
        with pytest.raises(Refused) as caught:
            await web(outgoing, server, Tokens(CANARY)).get(CALENDAR, "calendars/primary/events")

        assert elsewhere.received == []
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("path", ["../weather/x", "calendars/../../x", "/x", "//evil.example/x", ""])
async def test_it_does_not_leave_the_apis_address(outgoing: Outgoing, path: str) -> None:
    async with serving(answer({})) as server:
        with pytest.raises(CapabilityFault):
            await web(outgoing, server, Tokens(CANARY)).get(CALENDAR, path)
        with pytest.raises(CapabilityFault):
            await web(outgoing, server, Tokens(CANARY)).post(CALENDAR, path, {})

        assert server.received == []


@pytest.mark.parametrize("identifier", ["a@evil.example", "a?b#c", "%2e%2e", "evil.example:80", "\\\\evil.example"])
async def test_an_identifier_does_not_lead_it_astray(outgoing: Outgoing, identifier: str) -> None:
    async with serving(answer({})) as server:
        await web(outgoing, server, Tokens(CANARY)).get(CALENDAR, f"calendars/{identifier}/events")

    (received,) = server.received
    assert received.path == f"/calendar/calendars/{identifier}/events"
    assert received.headers["Host"] == server.url.removeprefix("http://")


async def test_one_users_answer_is_never_given_to_another(outgoing: Outgoing) -> None:
    kept, looking = Kept(), asking(HOLIDAYS, scopes=[READ])
    async with serving(answer({"whose": 1}), answer({"whose": 2})) as server:
        found = [
            await BoundWeb(outgoing, kept, looking, soon(), urls={"holidays": server.url}, keys={}, token=Tokens(token)).get(
                HOLIDAYS, "list"
            )
            for token in ("ya29.MEI", "ya29.JONAS")
        ]

    assert found == [{"whose": 1}, {"whose": 2}]
    assert [received.headers["Authorization"] for received in server.received] == ["Bearer ya29.MEI", "Bearer ya29.JONAS"]


async def test_without_a_user_nothing_is_asked(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        with pytest.raises(Unauthenticated) as caught:
            await web(outgoing, server, None).get(CALENDAR, "calendars/primary/events")

        assert server.received == []
    assert caught.value.scope == "test_web"


async def test_a_token_that_is_refused_is_replaced_once(outgoing: Outgoing) -> None:
    tokens = Tokens(CANARY, NEWER)
    async with serving(answer(of_google(401, "authError"), status=401), answer({"items": []})) as server:
        assert await web(outgoing, server, tokens).get(CALENDAR, "calendars/primary/events") == {"items": []}

    assert tokens.refused == [None, CANARY]
    assert [received.headers["Authorization"] for received in server.received] == [f"Bearer {CANARY}", f"Bearer {NEWER}"]


@pytest.mark.parametrize(("tokens", "asked"), [((CANARY, NEWER), 2), ((CANARY,), 1)], ids=["a newer one", "no other"])
async def test_a_token_that_is_refused_again_means_to_connect_again(outgoing: Outgoing, tokens: tuple[str, ...], asked: int) -> None:
    async with serving(answer(of_google(401, "authError"), status=401)) as server:
        with pytest.raises(Disconnected, match="connect test_web again") as caught:
            await web(outgoing, server, Tokens(*tokens)).get(CALENDAR, "calendars/primary/events")

        assert len(server.received) == asked
    assert caught.value.scope == "test_web"
    assert "CANARY" not in told(caught.value)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (of_google(403, "insufficientPermissions"), {}),
        (of_google(403, status="PERMISSION_DENIED", detail="ACCESS_TOKEN_SCOPE_INSUFFICIENT"), {}),
        ({}, {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="x"'}),
    ],
    ids=["the older form", "the newer form", "the header"],
)
async def test_a_token_that_does_not_reach_so_far_names_the_scopes(outgoing: Outgoing, body: Any, headers: dict[str, str]) -> None:
    tokens = Tokens(CANARY)
    async with serving(answer(body, status=403, headers=headers)) as server:
        with pytest.raises(InsufficientScope) as caught:
            await web(outgoing, server, tokens, (READ, FREE)).get(CALENDAR, "calendars/primary/events")

        assert len(server.received) == 1
    assert tokens.refused == [None]
    assert (caught.value.scope, caught.value.google_scopes) == ("test_web", [READ.name, FREE.name])
    assert f"“See the events on your calendars” and “See when you are busy” ({READ.name} {FREE.name})" in caught.value.message
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"])
async def test_a_quota_that_is_full_for_a_moment_is_waited_for(outgoing: Outgoing, reason: str) -> None:
    full = answer(of_google(403, reason), status=403, headers=SOON)
    async with serving(full, full, answer({"items": []})) as server:
        assert await web(outgoing, server, Tokens(CANARY)).get(CALENDAR, "calendars/primary/events") == {"items": []}

    assert len(server.received) == 3


@pytest.mark.parametrize(
    ("status", "body", "kind", "advice"),
    [
        (403, of_google(403, "forbidden"), NotFound, "or does not show it"),
        (403, of_google(403, status="PERMISSION_DENIED"), NotFound, "or does not show it"),
        (404, of_google(404, "notFound"), NotFound, "has no such thing"),
        (410, of_google(410, "deleted"), NotFound, "has no such thing"),
        (400, of_google(400, status="FAILED_PRECONDITION"), Invalid, "cannot do this"),
        (400, of_google(400, "failedPrecondition"), Invalid, "cannot do this"),
        (403, of_google(403, "accessNotConfigured"), Refused, "enable the API"),
        (403, of_google(403, status="PERMISSION_DENIED", detail="SERVICE_DISABLED"), Refused, "enable the API"),
        (403, of_google(403, "dailyLimitExceeded"), Refused, "dailyLimitExceeded"),
        (400, of_google(400, "invalidParameter"), Refused, "correct the operation"),
        (400, {"error": "invalid_request"}, Refused, "correct the operation"),
        (400, {"error": {"errors": "odd", "details": [7, {"reason": 7}], "status": 7}}, Refused, "correct the operation"),
        (400, [], Refused, "correct the operation"),
        (400, f"<html>{WORDS}</html>", Refused, "correct the operation"),
    ],
)
async def test_other_refusals_are_not_repeated_and_say_what_to_do(
    outgoing: Outgoing, status: int, body: Any, kind: type[CantileverError], advice: str
) -> None:
    async with serving(answer(body, status=status)) as server:
        with pytest.raises(kind, match=advice) as caught:
            await web(outgoing, server, Tokens(CANARY)).get(CALENDAR, "calendars/primary/events", q=WORDS)

        assert len(server.received) == 1
    for secret in (CANARY, WORDS, server.url):
        assert secret not in told(caught.value)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_failure_is_repeated_with_the_token_and_then_told(outgoing: Outgoing, status: int) -> None:
    async with serving(answer(of_google(status, "backendError"), status=status, headers=SOON)) as server:
        with pytest.raises(Upstream):
            await web(outgoing, server, Tokens(CANARY)).post(CALENDAR, "freeBusy", {})

    assert [received.headers["Authorization"] for received in server.received] == [f"Bearer {CANARY}"] * 3


@pytest.mark.parametrize(
    "fault",
    [upstream.end_at_once, upstream.reset, upstream.no_http, upstream.long_line, upstream.html, upstream.cut_by_length, upstream.hang],
)
async def test_no_error_and_no_output_holds_the_token(
    outgoing: Outgoing, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, fault: upstream.Step
) -> None:
    loop_told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_told.append(context))
    async with serving(fault) as server:
        urls = {"calendar": server.url}
        bound = BoundWeb(outgoing, Kept(), asking(CALENDAR, scopes=[READ]), soon(0.3), urls=urls, keys={}, token=Tokens(CANARY))
        with pytest.raises(CantileverError) as caught:
            await bound.get(CALENDAR, "calendars/primary/events")

    written = capsys.readouterr()
    assert server.received
    for said in (told(caught.value), written.out, written.err, caplog.text, repr(loop_told)):
        assert CANARY not in said


def test_every_reason_has_one_meaning() -> None:
    sets = (google_answers.BUSY, google_answers.SCOPE, google_answers.PROJECT, google_answers.PRECONDITION)

    assert len(frozenset().union(*sets)) == sum(map(len, sets))
