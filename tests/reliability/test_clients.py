"""The clients keep on as they should, and remember what they were told."""

import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests import upstream
from tests.history import Kept
from tests.reliability.clients import Clients
from tests.upstream import Server, Step, answer

PENDING = {"session_id": "s", "turn_id": "t1", "status": "pending", "poll_after_ms": 10}
DONE = {"session_id": "s", "turn_id": "t1", "status": "done", "answer": "yes"}


def refusal(code: str, status: int, *, retryable: bool = True, wait: str = "") -> Step:
    body = {"error": {"code": code, "message": "No.", "retryable": retryable}}
    return answer(body, status=status, headers={"Retry-After": wait} if wait else {})


def told(clients: Clients) -> list[tuple[str, str, bool]]:
    return [(told.status, told.turn_id, told.retryable) for question in clients.asked for told in question.told]


async def asked_of(*steps: Step, retries: int = 10) -> tuple[bool, Clients, Server]:
    """What comes of one question to a server of these steps."""
    async with upstream.serving(*steps) as server, aiohttp.ClientSession() as session:
        clients = Clients(session, server.url, retries=retries)
        return await clients.ask("s", "why?"), clients, server


async def test_a_question_is_sent_with_a_key_and_its_answer_remembered() -> None:
    answered, clients, server = await asked_of(answer(DONE))

    assert (answered, clients.errors) == (True, [])
    assert [received.json for received in server.received] == [{"session_id": "s", "query": "why?"}]
    assert len(server.received[0].headers["Idempotency-Key"]) >= 16
    assert told(clients) == [("done", "t1", False)]
    assert clients.asked[0].done is not None
    assert clients.asked[0].done.answer == "yes"


async def test_a_failed_request_is_sent_again_with_the_same_key() -> None:
    answered, clients, server = await asked_of(
        upstream.reset, upstream.end_at_once, refusal("session_busy", 409), refusal("overloaded", 503), answer(DONE)
    )

    assert answered
    assert len({received.headers["Idempotency-Key"] for received in server.received}) == 1
    assert len({received.body for received in server.received}) == 1
    assert clients.codes() == {"ServerDisconnectedError": 1, "ClientOSError": 1, "409 session_busy": 1, "503 overloaded": 1, "200": 1}


async def test_a_pending_turn_is_polled_until_it_is_done() -> None:
    answered, clients, server = await asked_of(
        answer(PENDING, status=202), answer(PENDING, status=202), refusal("overloaded", 503), answer(DONE)
    )

    assert answered
    assert [(received.path, "Idempotency-Key" in received.headers) for received in server.received] == [
        ("/chat", True),
        ("/chat", False),
        ("/answer", False),
        ("/answer", False),
    ]
    assert [received.json for received in server.received[1:]] == [{"session_id": "s", "turn_id": "t1"}] * 3
    assert told(clients) == [("pending", "t1", False), ("pending", "t1", False), ("done", "t1", False)]


async def test_a_turn_that_failed_and_may_be_asked_again_is() -> None:
    answered, clients, server = await asked_of(answer(PENDING, status=202), refusal("upstream_failed", 502), answer(DONE))

    assert answered
    assert server.received[0].headers["Idempotency-Key"] == server.received[2].headers["Idempotency-Key"]
    assert told(clients) == [("pending", "t1", False), ("failed", "t1", True), ("done", "t1", False)]


async def test_a_turn_that_failed_for_good_is_not_asked_again() -> None:
    answered, clients, _ = await asked_of(answer(PENDING, status=202), refusal("content_filtered", 422, retryable=False))

    assert (answered, clients.errors) == (False, ["422 content_filtered"])
    assert told(clients) == [("pending", "t1", False), ("failed", "t1", False)]


@pytest.mark.parametrize(
    ("step", "requests", "error"),
    [
        (refusal("session_busy", 409), 3, "409 session_busy"),
        (refusal("invalid", 422, retryable=False), 1, "422 invalid"),
        (refusal("daily_limit", 429, wait="3600"), 1, "429 daily_limit"),
    ],
)
async def test_a_client_gives_up(step: Step, requests: int, error: str) -> None:
    answered, clients, server = await asked_of(step, retries=2)

    assert (answered, clients.errors, len(server.received)) == (False, [error], requests)
    assert [(question.query, question.told) for question in clients.asked] == [("why?", ())]


async def test_the_next_origin_is_asked_after_a_failure() -> None:
    async with upstream.serving(upstream.reset) as broken, upstream.serving(answer(DONE)) as sound, aiohttp.ClientSession() as session:
        clients = Clients(session, broken.url, sound.url)

        assert await clients.ask("s", "one", 0)
        assert await clients.ask("s", "two", 1)

    assert [len(server.received) for server in (broken, sound)] == [1, 2]


async def test_an_answer_of_another_shape_is_noticed() -> None:
    document: dict[str, Any] = {
        "paths": {
            "/chat": {
                "post": {
                    "responses": {
                        "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}},
                    }
                }
            }
        },
        "components": {
            "schemas": {"Answer": {"type": "object", "required": ["turn_id", "status"], "properties": {"status": {"const": "done"}}}}
        },
    }
    bodies = [DONE, DONE | {"status": "perhaps"}]

    async def step(request: web.Request) -> web.StreamResponse:
        return web.json_response(document if request.path == "/openapi.json" else bodies.pop(0))

    async with upstream.serving(step) as server, aiohttp.ClientSession() as session:
        clients = Clients(session, server.url)
        await clients.read_document()
        await clients.ask("s", "one")
        assert clients.misshapen == []
        await clients.ask("s", "two")

    assert clients.misshapen == ["/chat 200: 'done' was expected"]


async def test_a_transcript_is_read_until_nothing_is_pending() -> None:
    turn = {"turn_id": "t1", "query": "why?", "status": "pending"}
    pages = [
        {"turns": [turn], "next": "0001"},
        {"turns": [turn | {"turn_id": "t2"}]},
        {"turns": [turn | {"status": "done", "answer": "yes"}], "next": "0001"},
        {"turns": [turn | {"turn_id": "t2", "status": "failed"}]},
    ]

    async def step(request: web.Request) -> web.StreamResponse:
        return web.json_response(DONE if request.method == "POST" else pages.pop(0))

    async with upstream.serving(step) as server, aiohttp.ClientSession() as session:
        clients = Clients(session, server.url)
        await clients.ask("s", "why?")
        kept = await clients.transcripts(within=5)

    assert kept == {"s": [Kept("t1", "why?", "done", "yes"), Kept("t2", "why?", "failed")]}
    assert [received.query.get("after") for received in server.received[1:]] == ["", "0001", "", "0001"]
    assert json.loads(server.received[0].body)["session_id"] == "s"
