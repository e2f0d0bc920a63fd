"""The product with sign-in, Google emulated beside it, and browsers and clients that go through it as people and ChatGPT do."""

import contextlib
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from functions.adapters.access_tokens import new_jwks
from functions.adapters.sealing import new_key
from infra.local.google_emulator import CLIENT_ID, CLIENT_SECRET
from infra.local.google_emulator.people import MEI, Person
from tests import google, world
from tests.google import Google, challenge
from tests.world import World

CALLBACK = "http://127.0.0.1:9/cb"
"""Where a client of the tests is answered. Nobody listens there: a browser goes no further than its address."""

CHATGPT_CALLBACK = "https://chatgpt.com/aip/g-0123456789abcdef/oauth/callback"
CHATGPT_ID, CHATGPT_SECRET = "chatgpt", "secret+of/chatgpt%2Bin=the+tests"
"""The secret has what clients spell in two ways."""

_TODAY = datetime.now(UTC).replace(microsecond=0)
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "list_calendar_events": {"start": _TODAY.isoformat(), "end": (_TODAY + timedelta(days=7)).isoformat()},
    "find_free_time": {"start": _TODAY.isoformat(), "end": (_TODAY + timedelta(days=7)).isoformat(), "time_zone": "UTC"},
    "read_document": {"document": "https://docs.google.com/document/d/1AbCdEfGhIjKlMnOp/edit"},
}
"""What operations are called with, where a test does not care: the coming week."""

EVERYTHING: Collection[str] = ("calendar", "docs", "gmail")


@dataclass
class Browser:
    """One browser: its cookies, and a person in front of it."""

    place: World
    google: Google
    http: httpx.Client

    def open(self, url: str, **headers: str) -> httpx.Response:
        """The page at a URL, or at a path of ours; no redirect is followed."""
        return self.http.get(url, headers=headers)

    def decide(self, page: httpx.Response, *, allow: Collection[str] = EVERYTHING, decision: str = "allow") -> httpx.Response:
        """Send the form of a consent page, with these switches on, where it has them."""
        assert page.status_code == 200, said(page)
        offered = re.findall(r'name="capability" value="([^"]+)"', page.text)
        fields = [("form_token", form_token(page)), ("decision", decision), *(("capability", name) for name in offered if name in allow)]
        return self.post("/oauth/consent", fields)

    def post(self, path: str, fields: Sequence[tuple[str, str]], **headers: str) -> httpx.Response:
        """Send a form."""
        body = str(httpx.QueryParams(list(fields)))
        return self.http.post(path, content=body, headers={"content-type": "application/x-www-form-urlencoded", **headers})

    def over_google(self, to_google: httpx.Response, person: Person = MEI, **choices: Any) -> httpx.Response:
        """Follow a redirect to Google, sign in there, and come back; again where we send the browser to Google once more."""
        assert to_google.status_code == 303, said(to_google)
        back = self.google.sign_in(to_google.headers["location"], person, **choices)
        answer = self.http.get(back)
        location = answer.headers.get("location", "")
        return self.over_google(answer, person, **choices) if location.startswith(self.google.url) else answer

    def account(self, person: Person = MEI) -> httpx.Response:
        """Sign in to the account page, and what it shows."""
        back = self.over_google(self.post("/account", [("do", "sign_in"), ("form_token", "")]), person)
        assert back.headers.get("location") == "/account", said(back)
        return self.http.get("/account")


@dataclass
class Client:
    """A client of ours as ChatGPT or an MCP client is one."""

    place: World
    client_id: str
    callback: str = CALLBACK
    secret: str | None = None
    resource: str | None = None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def authorize_url(self, **changed: str | None) -> str:
        """Where it sends the browser."""
        asked: Mapping[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.callback,
            "state": "state-of-the-client",
            "code_challenge": challenge(self.verifier) if self.secret is None else None,
            "code_challenge_method": "S256" if self.secret is None else None,
            "resource": self.resource,
            **changed,
        }
        return f"/oauth/authorize?{httpx.QueryParams({name: value for name, value in asked.items() if value is not None})}"

    def code(self, browser: Browser, person: Person = MEI, *, allow: Collection[str] = EVERYTHING, **choices: Any) -> str:
        """A code, after a person has allowed what is asked."""
        back = browser.over_google(browser.decide(browser.open(self.authorize_url()), allow=allow), person, **choices)
        return answered(back)["code"]

    def redeem(self, code: str, **changed: str | None) -> httpx.Response:
        """What the token endpoint answers to a code."""
        verifier = self.verifier if self.secret is None else None
        sent = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.callback, "code_verifier": verifier, **changed}
        return self.token(**sent)

    def refresh(self, refresh_token: str, **changed: str | None) -> httpx.Response:
        """What it answers to a refresh token."""
        return self.token(**{"grant_type": "refresh_token", "refresh_token": refresh_token, **changed})

    def token(self, **sent: str | None) -> httpx.Response:
        """What it answers to a form, to which the client adds who it is."""
        form = {"client_id": self.client_id, "client_secret": self.secret, **sent}
        return self.place.http.post("/oauth/token", data={name: value for name, value in form.items() if value is not None})

    def connect(self, browser: Browser, person: Person = MEI, **choices: Any) -> dict[str, Any]:
        """The tokens of a person who went through all of it."""
        response = self.redeem(self.code(browser, person, **choices))
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens


@dataclass
class SignedIn:
    """A product with sign-in and its Google."""

    world: World
    google: Google

    @contextlib.contextmanager
    def browser(self) -> Iterator[Browser]:
        """A new browser, with cookies of its own."""
        with httpx.Client(base_url=self.world.url, trust_env=False, timeout=60) as http:
            yield Browser(self.world, self.google, http)

    def client(self, callback: str = CALLBACK, name: str = "App", *, resource: str | None = None) -> Client:
        """A client that registers itself."""
        away = {
            "X-Forwarded-For": f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"
        }  # Each from an address of its own: registrations are counted.
        response = self.world.http.post("/oauth/register", json={"redirect_uris": [callback], "client_name": name}, headers=away)
        assert response.status_code == 201, response.text
        return Client(self.world, response.json()["client_id"], callback, resource=resource)

    def chatgpt(self) -> Client:
        """The one that the deployment's owner named."""
        return Client(self.world, CHATGPT_ID, CHATGPT_CALLBACK, CHATGPT_SECRET)

    def call(self, operation: str, token: str | None, **arguments: Any) -> httpx.Response:
        """POST /tools/{operation}."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.world.http.post(f"/tools/{operation}", json=ARGUMENTS.get(operation, {}) | arguments, headers=headers)


def settings(google: Google) -> dict[str, str]:
    """What switches sign-in on with this Google."""
    return switched_on(google.url, google.client.id, google.client.secret)


def switched_on(google: str = "http://127.0.0.1:9", client_id: str = CLIENT_ID, client_secret: str = CLIENT_SECRET) -> dict[str, str]:
    """What switches sign-in on, with keys that nobody else has; unless a test says otherwise, with a Google that is not there."""
    return {
        "GOOGLE_CLIENT_ID": client_id,
        "GOOGLE_CLIENT_SECRET": client_secret,
        "GOOGLE_ACCOUNTS_URL": google,
        "GOOGLE_OAUTH_URL": google,
        "GOOGLE_CERTS_URL": f"{google}/oauth2/v3/certs",
        "CALENDAR_URL": f"{google}/calendar/v3",
        "DOCS_URL": f"{google}/v1",
        "GMAIL_URL": f"{google}/gmail/v1",
        "TOKEN_SIGNING_KEYS": new_jwks("k1"),
        "SEALING_KEYS": new_key("k1"),
        "CHATGPT_CLIENT_ID": CHATGPT_ID,
        "CHATGPT_CLIENT_SECRET": CHATGPT_SECRET,
        "FORWARDED_HOPS": "1",
    }


@contextlib.contextmanager
def started(target: str = "plugin", **environment: str) -> Iterator[SignedIn]:
    """The product with sign-in, until the block ends."""
    with google.started() as emulated, world.started(target, **settings(emulated), **environment) as place:
        emulated.client.redirect_uris.add(f"{place.url}/oauth/callback")
        yield SignedIn(place, emulated)


def said(page: httpx.Response) -> str:
    """The words of a page, for when something is wrong with it."""
    return f"{page.status_code}: {' '.join(re.sub('<[^>]*>', ' ', page.text.rpartition('<main>')[2]).split())[:500]}"


@contextlib.contextmanager
def beside(product: SignedIn) -> Iterator[World]:
    """A second process of the same product: on the same store, with the same keys, under the same name."""
    shared = {name: value for name, value in product.world.environ.items() if name in SHARED or name in settings(product.google)}
    with world.started(**shared) as place:
        yield place


SHARED = frozenset({"STORE", "PUBLIC_BASE_URL", "FIRESTORE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"})


def form_token(page: httpx.Response) -> str:
    """What binds the form of a page."""
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found, said(page)
    return found[1]


def answered(back: httpx.Response) -> dict[str, str]:
    """What a redirect tells a client."""
    assert back.status_code == 303, said(back)
    return dict(parse_qsl(urlsplit(back.headers["location"]).query))
