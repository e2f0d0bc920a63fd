"""Callers without a token, where Google runs us: nobody unless the owner says so, and then only whom we gave a session token."""

import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from functions import wiring
from functions.core.model import User
from tests import deployed
from tests.deployed import DEPLOYED, RANDOM, Opened, chat
from tests.world import Seen, World, seen, started

CALLS = [
    ("POST", "/chat", {"query": "hello"}),
    ("POST", "/chat", {"query": "hello", "session_id": RANDOM}),
    ("POST", "/chat", {"nonsense": 1}),
    ("POST", "/chat", {"session_id": RANDOM, "turn_id": RANDOM}),
    ("POST", "/answer", {"session_id": RANDOM, "turn_id": RANDOM}),
    ("POST", "/tools/get_weather_forecast", {"place": "Paris"}),
    ("POST", "/tools/no_such_operation", {}),
    ("GET", f"/chat/{RANDOM}", None),
    ("DELETE", f"/chat/{RANDOM}", None),
]


@pytest.fixture(scope="module")
def closed() -> Iterator[World]:
    """The product as Google runs it, with no word about anonymous callers. Nothing here reaches the store."""
    with started(**DEPLOYED) as world:
        yield world


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with deployed.opened(tmp_path, lambda settings, turns, toolbox: {"/{path:path}": chat(settings, turns, toolbox)}) as found:
        yield found


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer anything"}, {"Authorization": "Basic YTpi"}], ids=str)
def test_deployed_nobody_is_served_without_the_owners_word(
    closed: World, method: str, path: str, body: object, headers: dict[str, str]
) -> None:
    refused = closed.http.request(method, path, json=body, headers=headers)

    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json()["error"]["code"] == "unauthenticated"
    assert refused.json()["error"]["retryable"] is False


def test_deployed_the_documents_are_public(closed: World) -> None:
    assert closed.http.get("/.well-known/ai-plugin.json").status_code == 200
    assert closed.http.get("/openapi.json").json()["servers"] == [{"url": "https://cantilever.example"}]


async def test_a_minted_session_goes_on(opened: Opened) -> None:
    first = (await opened.http.post("/chat", json={"query": "one"})).json()
    second = await opened.http.post("/chat", json={"query": "two", "session_id": first["session_id"]})
    third = await opened.http.post("/chat", json={"query": "three", "session_id": first["session_id"]})

    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", first["session_id"])
    assert (second.status_code, second.json()["session_id"], third.json()["session_id"]) == (200, first["session_id"], first["session_id"])
    assert [message.text for message in opened.model.asked[2] if isinstance(message, User)] == ["one", "two", "three"]


async def test_an_invented_session_is_not_found_and_not_made(opened: Opened) -> None:
    invented = [RANDOM, wiring.new_secret(), "test123", "x" * 128]
    answers = [await opened.http.post("/chat", json={"query": "hello", "session_id": session}) for session in invented * 2]

    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (404, "not_found")
    assert opened.documents.commits == []
    assert opened.model.asked == []


async def test_a_session_token_is_not_taken_from_an_address(opened: Opened) -> None:
    session = (await opened.http.post("/chat", json={"query": "one"})).json()["session_id"]

    for method in ("GET", "DELETE"):
        own = await opened.http.request(method, f"/chat/{session}")
        random = await opened.http.request(method, f"/chat/{RANDOM}")
        assert (own.status_code, own.headers["www-authenticate"]) == (401, "Bearer")
        assert seen(own) == seen(random)
    assert (await opened.http.post("/chat", json={"query": "two", "session_id": session})).status_code == 200


@pytest.mark.parametrize("token", ["Bearer anything", "Bearer", "", "Basic YTpi", "bearer eyJhbGciOiJub25lIn0.e30."])
async def test_a_token_is_refused_and_tells_nothing(opened: Opened, token: str) -> None:
    session = (await opened.http.post("/chat", json={"query": "one"})).json()["session_id"]
    written = len(opened.documents.commits)

    async def answers(session_id: str) -> list[Seen]:
        headers = {"Authorization": token}
        return [
            seen(await opened.http.post("/chat", json={"query": "two", "session_id": session_id}, headers=headers)),
            seen(await opened.http.get(f"/chat/{session_id}", headers=headers)),
            seen(await opened.http.delete(f"/chat/{session_id}", headers=headers)),
        ]

    existing, random = await answers(session), await answers(RANDOM)
    assert {status for status, _, _ in existing} == {401}
    assert existing == random
    assert len(opened.documents.commits) == written


def test_session_tokens_do_not_repeat_and_use_every_symbol_evenly() -> None:
    tokens = [wiring.new_secret() for _ in range(10_000)]

    # 22 characters of 6 bits hold 128 bits and 4 more, which are zero: the last character is one of four.
    symbols, last = Counter("".join(token[:21] for token in tokens)), Counter(token[21] for token in tokens)
    assert len(set(tokens)) == 10_000
    assert (len(symbols), len(last)) == (64, 4)
    for counter in (symbols, last):
        number, share = counter.total(), 1 / len(counter)
        sigma = math.sqrt(number * share * (1 - share))
        assert max(abs(count - number * share) for count in counter.values()) < 5 * sigma
