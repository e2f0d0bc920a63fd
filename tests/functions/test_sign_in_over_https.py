"""The sign-in as browsers meet it behind a front end that speaks TLS: every cookie (T38), and what caches and other pages may keep (T39)."""

from dataclasses import dataclass, field
from http.cookies import SimpleCookie

import httpx
import pytest

from functions.auth import TOKEN_PATHS
from functions.routes import ROUTES
from tests import signin
from tests.mcp import FORECAST, NEW, posted
from tests.signin import CALLBACK, Browser, SignedIn, form_token

ORIGIN = "https://plugin.example.com"
EVIL = {"origin": "https://evil.example.net"}
PAGES = frozenset(ROUTES["auth"]) - TOKEN_PATHS


class Front(httpx.BaseTransport):
    """Ends TLS, and hands a request on as it is."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        inside = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return self._inner.handle_request(httpx.Request(request.method, inside, headers=request.headers, stream=request.stream))

    def close(self) -> None:
        self._inner.close()


@dataclass
class Walk:
    """Everything that was asked and answered."""

    answers: list[httpx.Response] = field(default_factory=list)

    def listen(self, http: httpx.Client) -> None:
        http.event_hooks["response"].append(self.answers.append)

    def of(self, path: str) -> list[httpx.Response]:
        """The answers at a path, by its template."""
        beginning, _, more = path.partition("{")
        return [
            answer
            for answer in self.answers
            if (asked := answer.request.url.path) == path or (more and asked.startswith(beginning) and asked != beginning)
        ]


@pytest.fixture(scope="module")
def walked() -> Walk:
    walk = Walk()
    with signin.started(PUBLIC_BASE_URL=ORIGIN, MCP_CHAT="on") as product:
        product.google.client.redirect_uris.add(f"{ORIGIN}/oauth/callback")
        walk.listen(product.world.http)
        front = Front(product.world.port)
        with httpx.Client(base_url=ORIGIN, transport=front, timeout=60, headers=EVIL) as http:
            walk.listen(http)
            browser = Browser(product.world, product.google, http)
            _in_the_browser(product, browser)
            tokens = product.client().connect(browser)
            _at_the_token_endpoint(product, tokens)
            _with_the_token(product, tokens["access_token"])
            _taken_back(browser)
    return walk


def _in_the_browser(product: SignedIn, browser: Browser) -> None:
    client, chatgpt = product.client(), product.chatgpt()
    page = browser.open(client.authorize_url())
    browser.decide(page, decision="deny")
    browser.over_google(browser.decide(browser.open(chatgpt.authorize_url())))
    browser.open(chatgpt.authorize_url(scope="bogus"))
    browser.open(client.authorize_url(redirect_uri="https://evil.example.net/"))
    browser.open(f"/oauth/allow?client_id={client.client_id}&capability=calendar")
    browser.open("/oauth/allow?client_id=x&capability=calendar")
    browser.open("/oauth/callback?state=x&code=y")
    browser.post("/oauth/consent", [("decision", "allow")])
    browser.post("/account", [("do", "export"), ("form_token", "x")])
    for path in PAGES:
        browser.http.request("PUT", path)
        browser.http.options(path)


def _at_the_token_endpoint(product: SignedIn, tokens: dict[str, str]) -> None:
    http, client = product.world.http, product.client()
    http.post("/oauth/token", json={"client_id": client.client_id, "grant_type": "refresh_token", "refresh_token": "x"}, headers=EVIL)
    http.post("/oauth/token", data={"client_id": "unknown", "grant_type": "refresh_token"}, headers=EVIL)
    http.post("/oauth/revoke", data={"client_id": client.client_id, "token": "x"}, headers=EVIL)
    http.post("/oauth/revoke", data={"client_id": client.client_id}, headers=EVIL)
    for number in range(11):
        uri = CALLBACK if number else "http://evil.example.net/"
        http.post("/oauth/register", json={"redirect_uris": [uri]}, headers={**EVIL, "x-forwarded-for": "203.0.113.77"})
    http.get("/oauth/jwks", headers=EVIL)
    for path in TOKEN_PATHS:
        http.request("PUT", path, headers=EVIL)
        http.options(path, headers=EVIL)


def _with_the_token(product: SignedIn, token: str) -> None:
    http, bearer = product.world.http, {**EVIL, "authorization": f"Bearer {token}"}
    told = http.post("/chat", json={"query": "What will the weather be in Paris?"}, headers=bearer).json()
    for headers in (bearer, EVIL, {**EVIL, "authorization": "Bearer x"}):
        http.post("/chat", json={"query": 1}, headers=headers)
        http.post("/answer", json={"session_id": told["session_id"], "turn_id": told["turn_id"]}, headers=headers)
        http.post("/answer", json={"session_id": "A" * 22, "turn_id": told["turn_id"]}, headers=headers)
        http.get(f"/chat/{told['session_id']}", headers=headers)
        http.get(f"/chat/{'A' * 22}", headers=headers)
        http.post("/tools/get_weather_forecast", json={"place": "Paris"}, headers=headers)
        http.post("/tools/list_calendar_events", json={}, headers=headers)
        http.post("/tools/nothing", json={}, headers=headers)
    for path in ("/mcp", "/mcp/"):
        http.post(path, json={}, headers={"accept": "application/json, text/event-stream"})
        http.post(path, json={}, headers=EVIL)
        http.get(path)
    posted(product.world, NEW, "tools/list")
    posted(product.world, NEW, "tools/call", {"name": FORECAST, "arguments": {"place": "Paris"}}, Authorization="Bearer x")
    http.delete(f"/chat/{told['session_id']}", headers=bearer)
    http.delete(f"/chat/{told['session_id']}", headers=bearer)
    http.get("/nothing", headers=bearer)


def _taken_back(browser: Browser) -> None:
    for deed in ([("do", "export")], [("do", "delete")], [("do", "disconnect_google")]):
        browser.post("/account", [*deed, ("form_token", form_token(browser.account()))])
    browser.post("/account", [("do", "delete"), ("sure", "yes"), ("form_token", form_token(browser.account()))])


def test_every_endpoint_succeeded_and_failed(walked: Walk) -> None:
    seen = {path: {answer.status_code // 100 for answer in walked.of(path)} for name in ("auth", "chat", "mcp") for path in ROUTES[name]}

    assert {path for path, kinds in seen.items() if not (kinds & {2, 3} and 4 in kinds)} == {"/mcp/"}, "the same as without its slash"
    assert not [answer for answer in walked.answers if answer.status_code >= 500]


def test_every_cookie_has_every_protection_there_is(walked: Walk) -> None:
    set_cookies = [(answer.request.url.path, told) for answer in walked.answers for told in answer.headers.get_list("set-cookie")]

    for path, told in set_cookies:
        ((name, kept),) = SimpleCookie(told).items()
        assert name.startswith("__Host-"), path
        assert (kept["secure"], kept["httponly"], kept["samesite"], kept["path"], kept["domain"]) == (True, True, "Lax", "/", ""), path
        assert 0 <= int(kept["max-age"]) <= 600, path
        assert kept["expires"] == "", path
    assert {path for path, _ in set_cookies} == {"/oauth/authorize", "/oauth/allow", "/oauth/consent", "/oauth/callback", "/account"}
    assert {told.partition("; ")[0] for _, told in set_cookies if "Max-Age=0" in told} == {"__Host-account="}


def test_no_answer_is_kept_by_a_cache(walked: Walk) -> None:
    keepable = [answer for answer in walked.answers if answer.request.method not in ("OPTIONS", "DELETE")]

    assert {answer.request.url.path for answer in keepable if answer.headers.get("cache-control") != "no-store"} == set()
    private = [answer for answer in keepable if answer.request.url.path in PAGES]
    private += [answer for answer in walked.of("/oauth/token") if answer.status_code == 200]
    assert {answer.request.url.path for answer in private if answer.headers.get("pragma") != "no-cache"} == set()
    assert {answer.headers["referrer-policy"] for answer in keepable if answer.request.url.path in PAGES} == {"no-referrer"}


def test_a_page_of_another_origin_reads_nothing_that_is_somebodys(walked: Walk) -> None:
    told = [answer for answer in walked.answers if answer.request.headers.get("origin") == EVIL["origin"]]
    readable = {answer.request.url.path for answer in told if "access-control-allow-origin" in answer.headers}

    assert readable == TOKEN_PATHS
    assert {answer.headers["access-control-allow-origin"] for answer in told if answer.request.url.path in TOKEN_PATHS} == {"*"}
    assert not [answer for answer in walked.answers if "access-control-allow-credentials" in answer.headers]
    assert {answer.status_code for path in ROUTES["mcp"] for answer in walked.of(path) if answer in told} == {403}
