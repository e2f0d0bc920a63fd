"""A flood of guesses at conversations (T23): it is refused with 429, and nobody loses a conversation that is there, not even at its address."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from infra.local.google_emulator.people import JONAS, MEI
from tests import signin
from tests.mcp import ERAS, failed, headers, message, posted
from tests.signin import SignedIn
from tests.world import World, seen, started

NAMED = {"Host": "tunnel.example"}


def guess() -> str:
    """A token as we mint them, that we did not mint."""
    return secrets.token_urlsafe(16)


def at(address: str, conversation: str | None = None) -> dict[str, str]:
    """What a stranger's request has whom the outer of our two proxies saw at an address; what stands before that, anybody can write."""
    more = {"openai-conversation-id": conversation} if conversation else {}
    return {**NAMED, **more, "X-Forwarded-For": f"198.51.100.{secrets.randbelow(256)}, {address}, 192.0.2.1"}


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started(MCP_CHAT="on") as started:
        yield started


@pytest.fixture
def mei(product: SignedIn) -> dict[str, str]:
    return fresh(product, MEI)


@pytest.fixture(scope="module")
def tunnel() -> Iterator[World]:
    """A world whose callers are strangers, behind two proxies."""
    with started(PUBLIC_BASE_URL="https://tunnel.example", MCP_CHAT="on", FORWARDED_HOPS="2") as world:
        yield world


def fresh(product: SignedIn, person: Any) -> dict[str, str]:
    """A person with a token, in a process that has counted nothing yet."""
    product.world.restart()
    with product.browser() as browser:
        return {"Authorization": f"Bearer {product.client().connect(browser, person)['access_token']}"}


def asked(
    http: httpx.Client, session_id: str | None, sent: dict[str, str], query: str = "What will the weather be in Paris?"
) -> httpx.Response:
    return http.post("/chat", json={"query": query} | ({"session_id": session_id} if session_id else {}), headers=sent)


Guessed = Callable[[httpx.Client, dict[str, str]], httpx.Response]

BY_OWNERS: dict[str, Guessed] = {
    "read": lambda http, sent: http.get(f"/chat/{guess()}", headers=sent),
    "delete": lambda http, sent: http.delete(f"/chat/{guess()}", headers=sent),
    "poll": lambda http, sent: http.post("/answer", json={"session_id": guess(), "turn_id": "t"}, headers=sent),
    "poll at /chat": lambda http, sent: http.post("/chat", json={"session_id": guess(), "turn_id": "t"}, headers=sent),
}


@pytest.mark.parametrize("way", BY_OWNERS)
def test_whoever_signed_in_may_guess_ten_times_a_minute(product: SignedIn, mei: dict[str, str], way: str) -> None:
    http = product.world.http
    mine = asked(http, None, mei).json()["session_id"]

    told = [BY_OWNERS[way](http, mei) for _ in range(12)]

    assert [answer.status_code for answer in told] == [404] * 10 + [429] * 2
    assert (told[-1].json()["error"]["code"], told[-1].headers["retry-after"]) == ("too_often", "60")
    assert seen(told[-1]) == seen(told[-2]), "which name it was shows in nothing"
    # What is there is served as ever.
    assert asked(http, mine, mei).status_code == 200
    assert len(http.get(f"/chat/{mine}", headers=mei).json()["turns"]) == 2
    assert asked(http, None, mei).status_code == 200
    assert http.delete(f"/chat/{mine}", headers=mei).status_code == 204


def test_rest_and_mcp_are_counted_together(product: SignedIn, mei: dict[str, str]) -> None:
    sent = message(ERAS[0], "tools/call", {"name": "get_answer", "arguments": {"session_id": guess(), "turn_id": "t"}})
    for _ in range(10):
        assert BY_OWNERS["read"](product.world.http, mei).status_code == 404

    told = product.world.http.post("/mcp", json=sent, headers={**headers(ERAS[0], sent), **mei_for_mcp(product)})

    error = failed(told.json()["result"])
    assert (error["code"], error["retryable"]) == ("too_often", True)


def mei_for_mcp(product: SignedIn) -> dict[str, str]:
    """The same person by a token for MCP."""
    with product.browser() as browser:
        tokens = product.client(resource=f"{product.world.url}/mcp").connect(browser, MEI)
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def test_strangers_conversations_are_guessed_at_by_adopting_them_as_well(product: SignedIn, mei: dict[str, str]) -> None:
    http = product.world.http
    once = [asked(http, None, {}).json()["session_id"] for _ in range(2)]
    heard = len(product.world.model_requests)

    told = [asked(http, guess(), mei, f"Question {number}") for number in range(12)]

    assert [answer.status_code for answer in told] == [200] * 10 + [429] * 2
    assert len(product.world.model_requests) - heard == 10, "what is refused, the model is not asked"
    for session in once:
        assert asked(http, session, mei, "And in Berlin?").status_code == 200
        assert len(http.get(f"/chat/{session}", headers=mei).json()["turns"]) == 2
    own = [asked(http, f"trip-{number}", mei, f"Question {number}") for number in range(12)]
    assert [answer.status_code for answer in own] == [200] * 12, "names of one's own are no guesses"


def test_one_persons_guesses_are_not_anothers(product: SignedIn, mei: dict[str, str]) -> None:
    with product.browser() as browser:
        jonas = {"Authorization": f"Bearer {product.client().connect(browser, JONAS)['access_token']}"}

    told = [BY_OWNERS["read"](product.world.http, mei).status_code for _ in range(11)]

    assert told[-1] == 429
    assert BY_OWNERS["read"](product.world.http, jonas).status_code == 404


def test_a_stranger_is_told_by_the_address_that_our_own_proxy_saw(tunnel: World) -> None:
    mine = asked(tunnel.http, None, at("203.0.113.1")).json()["session_id"]

    told = [asked(tunnel.http, guess(), at("203.0.113.1")) for _ in range(12)]

    assert [answer.status_code for answer in told] == [404] * 10 + [429] * 2
    assert (told[-1].json()["error"]["code"], told[-1].headers["retry-after"]) == ("too_often", "60")
    assert asked(tunnel.http, mine, at("203.0.113.1"), "And in Berlin?").status_code == 200, "a token that we minted leads on from anywhere"
    assert asked(tunnel.http, None, at("203.0.113.1")).status_code == 200
    assert asked(tunnel.http, guess(), at("203.0.113.2")).status_code == 404


def test_behind_one_address_each_conversation_has_its_own_count_and_all_have_one(tunnel: World) -> None:
    for _ in range(11):
        noisy = asked(tunnel.http, guess(), at("203.0.113.3", "noisy"))

    invented = [asked(tunnel.http, guess(), at("203.0.113.3", f"c-{number}")).status_code for number in range(91)]

    assert noisy.status_code == 429
    assert invented == [404] * 90 + [429], "ten of the noisy one, and ninety"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", ["chat", "get_answer"])
def test_over_mcp_a_guesser_is_told_in_the_tools_result(tunnel: World, era: str, tool: str) -> None:
    wanted = {"query": "Hello"} if tool == "chat" else {"turn_id": "t"}
    house, next_door = f"2001:db8:{era[:4]}:{len(tool)}::1", f"2001:db8:{era[:4]}:{len(tool)}f::1"

    def told(address: str, conversation: str, **arguments: str) -> Any:
        params = {"name": tool, "arguments": wanted | arguments, "_meta": {"openai/session": conversation}}
        return posted(tunnel, era, "tools/call", params, **at(address)).json()["result"]

    codes = [failed(told(house, "one", session_id=guess()))["code"] for _ in range(11)]
    last = failed(told(house, "one", session_id=guess()))
    others = [failed(told(house, "another", session_id=guess()))["code"], failed(told(next_door, "one", session_id=guess()))["code"]]

    assert codes == ["not_found"] * 10 + ["too_often"]
    assert (last["retryable"], "without session_id" in last["message"]) == (True, True)
    assert others == ["not_found"] * 2
    if tool == "chat":
        begun = told(house, "one")["structuredContent"]["session_id"]
        assert told(house, "one", session_id=begun)["structuredContent"]["session_id"] == begun


def test_the_one_person_of_a_local_world_has_nobodys_to_guess(world: World) -> None:
    told = [BY_OWNERS["read"](world.http, {}).status_code for _ in range(12)]

    assert told == [404] * 12
