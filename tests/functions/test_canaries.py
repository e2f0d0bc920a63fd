"""Secrets and words of the user go through every path that succeeds or fails, and are found again nowhere (A17, T15, T33)."""

import json
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pytest

from infra.local.google_emulator.people import JONAS, MEI
from tests import signin
from tests.mcp import NEW, posted
from tests.signin import CALLBACK, CHATGPT_CALLBACK, CHATGPT_ID, CHATGPT_SECRET, Browser, Client, SignedIn, form_token
from tests.world import on_firestore

API_KEY = "sk-canary-of-the-models-api-key-0815"
PROMPT = "canary-prompt-weather-in-Paris-4711"
JWT = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")
"""What an id_token of Google's and an access token of ours look like."""

MODEL_FAULTS = ("401", "500", "content_filter", "html")
GOOGLE_FAULTS = ("500", "503", "html")
REFRESH_FAULTS = ("internal_failure", "invalid_client", "invalid_grant")
API_FAULTS = ("401", "quotaExceeded", "429", "500", "html")

KEPT = {("conversations", "prompt"), ("turns", "prompt"), ("google_grants", "e-mail")}
"""What the store is meant to hold as it is: the transcript, and the address that the account page shows."""


@dataclass
class Walk:
    """A product, and what went through it and came back."""

    product: SignedIn
    canaries: dict[str, set[str]] = field(default_factory=dict)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    """Each answer that is an error: what was asked, and all of the answer."""
    told: list[str] = field(default_factory=list)
    """Each answer, of whatever kind."""
    stored: list[tuple[str, str]] = field(default_factory=list)
    """Each document: its collection, and all of it."""
    plain: str = ""
    """The store's files, octet by octet."""

    def plant(self, name: str, *values: str | None) -> None:
        """Look out for these."""
        self.canaries.setdefault(name, set()).update(value for value in values if value)

    def listen(self, http: httpx.Client) -> None:
        """Keep what this client is answered, and the cookies that it is given."""

        def heard(response: httpx.Response) -> None:
            response.read()
            for cookie in response.headers.get_list("set-cookie"):
                self.plant("cookie", cookie.partition(";")[0].partition("=")[2])
            told = "\n".join([*(f"{name}: {value}" for name, value in response.headers.items()), response.text])
            self.told.append(told)
            if response.status_code >= 400:
                self.failures.append((f"{response.request.method} {response.request.url.path}", response.status_code, told))

        http.event_hooks["response"].append(heard)

    def hits(self, text: str, *, but: Collection[str] = ()) -> list[str]:
        """The names of the canaries that are in a text, however a URL or JSON would spell them."""
        return [
            name
            for name, values in self.canaries.items()
            if name not in but and any(spelled in text for value in values for spelled in _spellings(value))
        ]

    def kept(self, documents: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of them are in documents of which collection."""
        return {(collection, name) for collection, body in documents for name in self.hits(body)}


def _spellings(value: str) -> set[str]:
    """A value, and of a token with parts the last, which is the secret one."""
    tail = value.rpartition(".")[2]
    return {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], *([tail] if len(tail) >= 22 else [])}


@pytest.fixture(scope="module")
def walked() -> Iterator[Walk]:
    with signin.started(OPENAI_API_KEY=API_KEY, MCP_CHAT="on") as product:
        walk = _begun(product)
        _succeed(walk)
        _fail_at_the_token_endpoint(walk)
        _fail_in_the_browser(walk)
        _fail_at_google(walk)
        _fail_at_the_model(walk)
        _end_with_goodbye(walk)
        yield walk


def _begun(product: SignedIn) -> Walk:
    walk = Walk(product)
    walk.listen(product.world.http)
    walk.plant("client secret", CHATGPT_SECRET, product.google.client.secret)
    walk.plant("API key", API_KEY)
    walk.plant("prompt", PROMPT)
    walk.plant("e-mail", MEI.email, JONAS.email)
    return walk


def _connected(walk: Walk, browser: Browser, client: Client) -> Mapping[str, str]:
    """Tokens, each step of whose making is looked out for."""
    page = browser.open(client.authorize_url())
    walk.plant("form token", form_token(page))
    back = browser.over_google(browser.decide(page))
    code = signin.answered(back)["code"]
    walk.plant("code", code, *(kept.query.get("code") for kept in walk.product.google.asked("/o/oauth2")))
    walk.plant("verifier", client.verifier if client.secret is None else None)
    tokens: dict[str, str] = client.redeem(code).json()
    walk.plant("our access token", tokens["access_token"])
    walk.plant("our refresh token", tokens["refresh_token"])
    _look_at_google(walk)
    return tokens


def _look_at_google(walk: Walk) -> None:
    accounts = walk.product.google.emulator.accounts
    walk.plant("Google's access token", *accounts._access)
    walk.plant("Google's refresh token", *accounts._refresh)


def _chatted(walk: Walk, token: str) -> httpx.Response:
    return walk.product.world.http.post("/chat", json={"query": PROMPT}, headers={"Authorization": f"Bearer {token}"})


def _succeed(walk: Walk) -> None:
    product = walk.product
    with product.browser() as browser:
        walk.listen(browser.http)
        for client in (product.client(), product.chatgpt()):
            tokens = _connected(walk, browser, client)
            assert product.call("list_calendar_events", tokens["access_token"]).status_code == 200
            assert _chatted(walk, tokens["access_token"]).status_code == 200
            refreshed = client.refresh(tokens["refresh_token"]).json()
            walk.plant("our access token", refreshed["access_token"])
            walk.plant("our refresh token", refreshed["refresh_token"])
            account = browser.account()
            walk.plant("form token", form_token(account))
            assert browser.post("/account", [("do", "export"), ("form_token", form_token(account))]).status_code == 200
        found = product.client(resource=f"{product.world.url}/mcp")
        bearer = {"Authorization": f"Bearer {_connected(walk, browser, found)['access_token']}"}
        for tool, arguments in (("search", {"query": PROMPT}), ("fetch", {"id": f"calendar:{PROMPT}"}), ("fetch", {"id": PROMPT})):
            assert posted(product.world, NEW, "tools/call", {"name": tool, "arguments": arguments}, **bearer).status_code == 200
    _look_at_google(walk)


def _fail_at_the_token_endpoint(walk: Walk) -> None:
    product, http = walk.product, walk.product.world.http
    with product.browser() as browser:
        client, chatgpt, other = product.client(), product.chatgpt(), product.client(name="Other")
        tokens = _connected(walk, browser, client)
        code, given = client.code(browser), chatgpt.code(browser)
        walk.plant("code", code, given)
        client.redeem(code, redirect_uri=f"{CALLBACK}/x")
        client.redeem(code, code_verifier=f"{client.verifier}x")
        client.redeem(code, resource=f"https://{client.verifier}.example")
        client.redeem(code, scope=client.verifier)
        other.redeem(code, code_verifier=client.verifier)
        other.refresh(tokens["refresh_token"])
        client.refresh(tokens["refresh_token"], scope=tokens["access_token"])
        client.refresh(tokens["access_token"])
        client.token(grant_type=client.verifier, code=code)
        http.post("/oauth/token", data={"client_id": CHATGPT_ID, "client_secret": f"{CHATGPT_SECRET}x", "code": given})
        http.post("/oauth/token", data={"client_id": CHATGPT_SECRET, "client_secret": CHATGPT_SECRET})
        http.post("/oauth/token", data={"grant_type": "refresh_token"}, auth=(CHATGPT_SECRET, CHATGPT_SECRET))
        http.post("/oauth/token", headers={"Authorization": f"Bearer {tokens['access_token']}"}, data={"code": code})
        secrets = {
            "code": code,
            "code_verifier": client.verifier,
            "client_secret": CHATGPT_SECRET,
            "refresh_token": tokens["refresh_token"],
        }
        for path in ("/oauth/token", "/oauth/revoke", "/oauth/register"):
            http.post(path, params=secrets)
            http.post(path, content=json.dumps(secrets)[:-1], headers={"content-type": "application/json"})
            http.post(path, content=json.dumps(secrets) * 2, headers={"content-type": "application/json"})
            http.post(path, json={CHATGPT_SECRET: secrets})
            http.post(path, json={**secrets, "client_name": [code], "redirect_uris": [f"javascript:{code}"]})
            http.post(path, content=json.dumps({"code": code + "x" * 20_000}), headers={"content-type": "application/json"})
            http.post(path, content=code, headers={"content-type": "text/plain"})
            http.get(path, params=secrets)
        for token in (*secrets.values(), f"{tokens['access_token']}x", tokens["access_token"][:-1]):
            product.call("list_calendar_events", token)
            _chatted(walk, token)
            http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": token}, headers={"Authorization": f"Bearer {token}"})
            http.get(f"/chat/{quote(token, safe='')}", params={"access_token": token})
            http.post(f"/tools/{quote(token, safe='')}", json={})
            http.get(f"/{quote(token, safe='')}")
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        http.post("/chat", json={"query": PROMPT, "another": PROMPT}, headers=bearer)
        http.post("/chat", json={"query": [PROMPT]}, headers=bearer)
        http.post("/chat", content=f'{{"query": "{PROMPT}"', headers=bearer | {"content-type": "application/json"})
        http.post("/chat", json={"query": PROMPT, "session_id": "A B"}, headers=bearer | {"Idempotency-Key": "é".encode()})
        http.post("/tools/list_calendar_events", json={"another": PROMPT}, headers=bearer)
        client.redeem(code)
        client.redeem(code)
        http.post("/oauth/revoke", data={"client_id": client.client_id, "token": tokens["refresh_token"]})
        product.call("list_calendar_events", tokens["access_token"])


def _fail_in_the_browser(walk: Walk) -> None:
    product = walk.product
    with product.browser() as browser, product.browser() as victim:
        walk.listen(browser.http)
        walk.listen(victim.http)
        client = product.client()
        page = browser.open(client.authorize_url())
        token = form_token(page)
        walk.plant("form token", token)
        victim.post("/oauth/consent", [("form_token", token), ("decision", "allow"), ("capability", "calendar")])
        browser.post("/oauth/consent", [("form_token", f"{token}x"), ("decision", "allow"), ("capability", "calendar")])
        browser.post("/oauth/consent", [("form_token", token), ("form_token", token)])
        browser.post("/oauth/consent", [("form_token", token), ("decision", "allow")], **{"sec-fetch-site": "cross-site"})
        back = product.google.sign_in(browser.decide(page).headers["location"])
        walk.plant("code", httpx.URL(back).params["code"])
        victim.open(back)
        browser.open(f"{back}&code=twice")
        browser.open(back)
        browser.open(back)
        for wrong in ("scope", "response_type", "resource", "redirect_uri", "client_id", "code_challenge", "prompt"):
            browser.open(client.authorize_url(**{wrong: f"{CHATGPT_SECRET} {token}"}))
        for deed in ("remove_client", "delete", "export"):
            browser.post("/account", [("do", deed), ("form_token", token), ("client", CHATGPT_SECRET)])


def _fail_at_google(walk: Walk) -> None:
    product = walk.product
    for fault in GOOGLE_FAULTS:
        with product.browser() as browser:
            walk.listen(browser.http)
            to_google = browser.decide(browser.open(product.client().authorize_url()))
            back = product.google.sign_in(to_google.headers["location"])
            walk.plant("code", httpx.URL(back).params["code"])
            product.google.fail(fault, "/token")
            assert browser.open(back).status_code >= 400
            product.google.heal()
    with product.browser() as browser:
        tokens = _connected(walk, browser, product.client())
        for fault in API_FAULTS:
            product.google.fail(fault, "/calendar/v3")
            assert product.call("list_calendar_events", tokens["access_token"]).status_code >= 400
            product.google.heal()
        for fault in REFRESH_FAULTS:
            product.google.fail("401", "/calendar/v3", times=1)
            product.google.fail(fault, "/token")
            assert product.call("list_calendar_events", tokens["access_token"]).status_code >= 400
            product.google.heal()


def _fail_at_the_model(walk: Walk) -> None:
    product, world = walk.product, walk.product.world
    with product.browser() as browser:
        tokens = _connected(walk, browser, product.client())
    for fault in MODEL_FAULTS:
        world.environ["OPENAI_MODEL"] = f"emulator?fail={fault}"
        world.restart()
        assert _chatted(walk, tokens["access_token"]).status_code >= 400
    world.environ["OPENAI_MODEL"] = "emulator"
    world.restart()


def _end_with_goodbye(walk: Walk) -> None:
    """Google disconnected, everything deleted, and at last the store broken."""
    product, world = walk.product, walk.product.world
    with product.browser() as browser:
        walk.listen(browser.http)
        tokens = _connected(walk, browser, product.chatgpt())
        world.stop()
        walk.plain = b"".join(path.read_bytes() for path in world.folder.glob("*.db*")).decode("latin-1")
        walk.stored = _stored(world.folder)
        world.start()
        token = form_token(browser.account())
        product.google.fail("500", "/revoke")
        browser.post("/account", [("do", "disconnect_google"), ("form_token", token)])
        product.google.heal()
        for path in world.folder.glob("*.db*"):
            path.write_bytes(b"this is no database " * 1000)
        world.restart()
        browser.post("/account", [("do", "delete"), ("sure", "yes"), ("form_token", token)])
        _chatted(walk, tokens["access_token"])
        product.chatgpt().refresh(tokens["refresh_token"])
        product.chatgpt().redeem(tokens["refresh_token"], redirect_uri=CHATGPT_CALLBACK)
        world.stop()


def _stored(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(folder / "cantilever.db")) as file:
        return [(row[0], "\n".join(map(str, row))) for row in file.execute("SELECT * FROM documents")]


def test_all_of_them_were_there(walked: Walk) -> None:
    names = ["client secret", "code", "verifier", "our access token", "our refresh token", "Google's access token"]
    assert sorted(walked.canaries) == sorted([*names, "Google's refresh token", "API key", "form token", "cookie", "prompt", "e-mail"])
    assert all(walked.canaries.values())
    statuses = {status for _, status, _ in walked.failures}
    assert {400, 401, 403, 404, 405, 413, 415, 422, 502, 503} <= statuses, statuses
    assert len(walked.failures) > 100


def test_none_is_in_what_the_process_wrote(walked: Walk) -> None:
    output = walked.product.world.output

    assert walked.hits(output) == []
    assert JWT.search(output) is None
    assert "Traceback" not in output
    assert not [line for line in walked.product.world.log_lines() if "?" in str(line.get("path", ""))]


def test_none_is_in_an_error(walked: Walk) -> None:
    assert {(asked, status): found for asked, status, told in walked.failures if (found := walked.hits(told))} == {}
    assert not [asked for asked, _, told in walked.failures if JWT.search(told)]


def test_googles_tokens_are_in_no_answer_and_the_model_sees_the_prompt_alone(walked: Walk) -> None:
    asked = [json.dumps(request.json, ensure_ascii=False) for request in walked.product.world.model_requests]
    googles = {"Google's access token", "Google's refresh token"}

    assert [answer for answer in walked.told if googles & set(walked.hits(answer))] == []
    assert {name for prompt in asked for name in walked.hits(prompt)} == {"prompt"}
    assert len(walked.told) > len(walked.failures) + 20


def test_none_is_in_the_store_but_what_is_meant_to_be(walked: Walk) -> None:
    assert walked.hits(walked.plain, but=["prompt", "e-mail"]) == []
    assert JWT.search(walked.plain) is None
    assert walked.kept(walked.stored) == KEPT
    assert PROMPT in walked.plain, "the transcript is what it is meant to be in"


def test_none_is_in_firestore_but_what_is_meant_to_be(firestore_emulator: str) -> None:
    store = on_firestore(firestore_emulator)
    with signin.started(**store, OPENAI_API_KEY=API_KEY, MCP_CHAT="on") as product:
        walk = _begun(product)
        _succeed(walk)
        documents = _in_firestore(firestore_emulator, store["GOOGLE_CLOUD_PROJECT"])
        written = walk.hits(product.world.output)

    whole = "\n".join(body for _, body in documents)
    assert {collection for collection, _ in documents} >= {"clients", "codes", "families", "google_grants"}
    assert JWT.search(whole) is None
    assert walk.kept(documents) == KEPT
    assert written == []


def _in_firestore(address: str, project: str) -> list[tuple[str, str]]:
    """Each document, as `Walk.stored` has it: every field, and nothing of it encoded but its random stamp."""
    found = []
    with httpx.Client(base_url=f"http://{address}/v1/projects/{project}/databases/(default)", trust_env=False) as http:
        collections = http.post("/documents:listCollectionIds", json={}, headers={"Authorization": "Bearer owner"}).json()["collectionIds"]
        for collection in collections:
            page = http.get(f"/documents/{collection}", params={"pageSize": 1000}).json()
            assert "nextPageToken" not in page
            found += [(collection, json.dumps(document, ensure_ascii=False)) for document in page["documents"]]
    return found
