"""One user tries the names of another's things at every path (A3, T21, T24): the answers are those to names that nobody has."""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from functions.routes import ROUTES
from infra.local.google_emulator.people import JONAS, MEI
from tests import signin
from tests.signin import Browser, Client, SignedIn, form_token
from tests.world import Seen, seen

MARKER = "MARKER-of-the-first-user-4711"
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
PATHS = sorted(path for function, paths in ROUTES.items() if function not in ("manifest", "worker") for path in paths)
KINDS: Mapping[str, tuple[str, ...]] = {
    "session": ("session_id",),
    "turn": ("turn_id",),
    "way": ("state",),
    "page": ("form_token",),
    "client": ("client",),
    "code": ("code",),
    "refresh token": ("refresh_token", "token"),
}
"""What has a name -> the parameters that take one. The client is the one that the account page removes: to be asked for at /oauth/authorize
anybody may name it, and it says nothing of who uses it."""


@dataclass
class Things:
    """What the first user has: kind -> name."""

    names: Mapping[str, str]
    session: str
    token: str


@dataclass
class Second:
    """The second user: signed in at the account page, with an access token, and with a client."""

    browser: Browser
    client: Client
    token: str
    account_token: str


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started(ANONYMOUS_CHAT="on", MCP_CHAT="on", MAX_TURNS_PER_OWNER="100", UNKNOWN_SESSIONS_PER_MINUTE="100000") as started:
        yield started


@pytest.fixture(scope="module")
def first(product: SignedIn) -> Iterator[Things]:
    with product.browser() as browser:
        client = product.client(name=MARKER)
        tokens = client.connect(browser, MEI)
        told = product.world.http.post("/chat", json={"query": MARKER}, headers=_bearer(tokens["access_token"])).json()
        page = browser.open(client.authorize_url())
        to_google = browser.decide(browser.open(client.authorize_url()))
        names = {
            "session": told["session_id"],
            "turn": told["turn_id"],
            "way": dict(parse_qsl(urlsplit(to_google.headers["location"]).query))["state"],
            "page": form_token(page),
            "client": client.client_id,
            "code": client.code(browser, MEI),
            "refresh token": tokens["refresh_token"],
        }
        yield Things(names, told["session_id"], tokens["access_token"])


@pytest.fixture(scope="module")
def second(product: SignedIn) -> Iterator[Second]:
    with product.browser() as browser:
        client = product.client(name="Other")
        tokens = client.connect(browser, JONAS)
        page = browser.account(JONAS)
        browser.open(client.authorize_url())
        yield Second(browser, client, tokens["access_token"], form_token(page))


def test_names_of_another_users_things_are_names_of_nothing(product: SignedIn, first: Things, second: Second) -> None:
    asked = differing = repeating = 0
    for kind, name in first.names.items():
        stranger = _like(name)
        for path in PATHS:
            for verb in VERBS:
                for where in ("query", "path", "body"):
                    theirs, nobodys = (_tried(second, verb, path, where, kind, tried) for tried in (name, stranger))
                    asked += 1
                    repeating += MARKER.encode() in b"".join(_octets(theirs))
                    if _told(theirs, name) != _told(nobodys, stranger):
                        differing += 1
                        print(kind, verb, path, where, _told(theirs, name), _told(nobodys, stranger), sep="\n  ")

    assert asked >= 500
    assert (differing, repeating) == (0, 0)
    kept = product.world.http.get(f"/chat/{first.session}", headers=_bearer(first.token))
    assert [turn["query"] for turn in kept.json()["turns"]] == [MARKER], "and nothing of it is gone"


def test_in_anothers_conversation_one_speaks_to_oneself(product: SignedIn, first: Things, second: Second) -> None:
    headers = {**_bearer(second.token), "Idempotency-Key": "a-key"}
    asked = len(product.world.model_requests)

    told = product.world.http.post("/chat", json={"query": "What was said before?", "session_id": first.session}, headers=headers)

    assert told.status_code == 200, told.text
    assert MARKER not in told.text
    assert MARKER not in str([request.json for request in product.world.model_requests[asked:]])
    assert MARKER not in product.world.http.get(f"/chat/{first.session}", headers=_bearer(second.token)).text


def test_anothers_key_and_question_are_a_new_turn_of_ones_own(product: SignedIn, first: Things, second: Second) -> None:
    http, said = product.world.http, {"query": "Where is the meeting?", "session_id": "a-trip"}
    before = len(product.world.model_requests)

    for token in (first.token, second.token) * 2:
        told = http.post("/chat", json=said, headers={**_bearer(token), "Idempotency-Key": "the-first-users"})
        assert told.status_code == 200, told.text

    assert len(product.world.model_requests) - before == 2, "once for each, whom the key leads back to their own"
    turns = [http.get("/chat/a-trip", headers=_bearer(token)).json()["turns"] for token in (first.token, second.token)]
    assert [len(own) for own in turns] == [1, 1]


def _tried(second: Second, verb: str, path: str, where: str, kind: str, name: str) -> httpx.Response:
    """A call of the second user that has a name in one place, with all that it needs besides."""
    parameters = dict.fromkeys(KINDS[kind], name)
    needed = _needed(second, path) | parameters
    place = re.sub(r"\{\w+\}", name, path) if "{" in path else f"{path.rstrip('/')}/{name}"
    http, headers = second.browser.http, _bearer(second.token)
    if where == "path":
        return http.request(verb, place, headers=headers)
    given = re.sub(r"\{operation\}", "get_weather_forecast", path).replace("{session_id}", name)
    if where == "query":
        return http.request(verb, given, params=needed, headers=headers)
    if path.startswith(("/oauth/consent", "/oauth/token", "/oauth/revoke", "/account")):
        return http.request(verb, given, data=needed, headers=headers)
    if path.startswith("/mcp"):
        call = {"name": "get_answer", "arguments": {"session_id": _like("A" * 22), "turn_id": "t"} | parameters}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        return http.request(verb, given, json=message, headers=headers | {"accept": "application/json, text/event-stream"})
    return http.request(verb, given, json=needed, headers=headers)


def _needed(second: Second, path: str) -> dict[str, str]:
    """What the endpoint asks for, of the second user's own."""
    match path:
        case "/chat" | "/answer" | "/chat/{session_id}":
            return {"session_id": "A" * 22, "turn_id": "B" * 22}
        case "/oauth/consent":
            return {"decision": "allow", "capability": "calendar", "form_token": "v1.k1.AAAA"}
        case "/oauth/callback":
            return {"code": "4/0A", "state": "A" * 22}
        case "/oauth/token":
            return {"client_id": second.client.client_id, "grant_type": "authorization_code", "code": "x", "code_verifier": "v" * 43}
        case "/oauth/revoke":
            return {"client_id": second.client.client_id, "token": "x"}
        case "/account":
            return {"do": "remove_client", "form_token": second.account_token, "client": "c-unknown"}
    return {}


def _like(name: str) -> str:
    """A name of the same form that nobody has."""
    return "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") if part.isalnum() else part for part in name)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _octets(answer: httpx.Response) -> list[bytes]:
    return [answer.content, *(value for _, value in answer.headers.raw)]


def _told(answer: httpx.Response, name: str) -> Seen:
    """What an answer tells, but for what is new in every one: our own form tokens, and the very name that was asked for."""
    status, headers, body = seen(answer)
    text = body.replace(name.encode(), b"<name>")
    text = re.sub(rb'(name="form_token" value=")[^"]+', rb"\1", text)
    return status, [(header, value) for header, value in headers if header != "content-length"], text
