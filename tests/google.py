"""The emulated Google for tests: `with started() as google`. It works in sync and in async tests, and no test can block it.

It remembers every request, drives its own sign-in pages as a browser would, fails when it is told to, and its clock can be turned.
"""

import base64
import contextlib
import hashlib
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx
from anyio.from_thread import start_blocking_portal

from infra.local.google_emulator import CLIENT_ID, CLIENT_SECRET, Emulator
from infra.local.google_emulator.accounts import Client
from infra.local.google_emulator.faults import Fault
from infra.local.google_emulator.people import MEI, PEOPLE, Person
from infra.local.google_emulator.scopes import AUTH
from tests.upstream import Received, recording

REDIRECT_URI = "http://127.0.0.1:9/oauth/callback"
"""Where the client is returned to unless a test says otherwise. Nobody listens there: sign_in() goes no further than its address."""

EVENTS, FREE_BUSY = f"{AUTH}calendar.events.readonly", f"{AUTH}calendar.freebusy"
DOCUMENTS, MAIL = f"{AUTH}documents.readonly", f"{AUTH}gmail.readonly"
CALENDARS = f"{AUTH}calendar.calendarlist.readonly"
EVERYTHING = (EVENTS, FREE_BUSY, CALENDARS, DOCUMENTS, MAIL)
"""Enough to read from every API."""

PRIMARY = "/calendar/v3/calendars/primary/events"
MESSAGES = "/gmail/v1/users/me/messages"


class Clock:
    """The machine's time and what a test has added to it."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds."""

    def __call__(self) -> float:
        return time.time() + self.ahead


class Page(HTMLParser):
    """The links and the form of one page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.action: str | None = None
        self.hidden: list[tuple[str, str]] = []
        self.boxes: list[str] = []
        """The values of the tick boxes; all are ticked."""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(given["href"])
        elif tag == "form":
            self.action = given["action"]
        elif tag == "input" and given["type"] == "hidden":
            self.hidden.append((given["name"], given["value"]))
        elif tag == "input" and given["type"] == "checkbox" and "checked" in given:
            self.boxes.append(given["value"])


@dataclass
class Google:
    """One running emulator with one client."""

    url: str
    """Its address: what takes the place of all of Google's hosts."""
    emulator: Emulator
    client: Client
    clock: Clock
    http: httpx.Client
    """A client of it."""
    received: list[Received] = field(default_factory=list)
    """What it was asked so far, oldest first."""

    def asked(self, path: str) -> list[Received]:
        """The requests whose path begins so."""
        return [request for request in self.received if request.path.startswith(path)]

    def fail(self, name: str, on: str = "/", **more: Any) -> Fault:
        """From now on fail so, at the paths that begin with `on`: fail("401", "/calendar/v3", times=1). `heal` ends it."""
        fault = Fault(name, on, **more)
        self.emulator.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Nothing fails any more."""
        self.emulator.faults.clear()

    def disconnect(self, person: Person = MEI) -> None:
        """The person removes every client in the settings of the account at Google."""
        self.emulator.accounts.disconnect(person)

    def authorize_url(self, scopes: Collection[str], verifier: str, **parameters: str) -> str:
        """What a client sends a browser to; a parameter that is empty is left out."""
        query = {
            "client_id": self.client.id,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": " ".join(scopes),
            "access_type": "offline",
            "include_granted_scopes": "true",
            "state": secrets.token_urlsafe(16),
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        } | parameters
        return f"{self.url}/o/oauth2/v2/auth?" + urlencode({name: value for name, value in query.items() if value})

    def sign_in(self, url: str, person: Person = MEI, *, without: Collection[str] = (), deny: bool = False) -> str:
        """Go where a client sends the browser, choose the account, untick the scopes `without`, and continue, or deny.

        Returns:
            The address at the client that Google leads back to.

        Raises:
            Blocked: Google shows an error in place of its pages.
        """
        answer = self.http.get(url)
        while True:
            if answer.status_code >= 400:
                raise Blocked(answer)
            if answer.is_redirect:
                place = urljoin(str(answer.url), answer.headers["location"])
                if not place.startswith(f"{self.url}/"):
                    return place
                answer = self.http.get(place)
                continue
            page = Page(answer.text)
            if page.action is None:
                answer = self.http.get(
                    next(link for link in page.links if dict(parse_qsl(urlsplit(link).query))["account"] == person.email)
                )
                continue
            ticked = [("allowed", scope) for scope in page.boxes if scope not in without]
            said = [*page.hidden, *ticked, ("answer", "deny" if deny else "allow")]
            headers = {"content-type": "application/x-www-form-urlencoded"}
            answer = self.http.post(page.action, content=urlencode(said), headers=headers)

    def token_request(self, **form: str) -> httpx.Response:
        """What the token endpoint answers to a form, to which the client's id and secret are added; what is empty is left out."""
        sent = {"client_id": self.client.id, "client_secret": self.client.secret} | form
        return self.http.post("/token", data={name: value for name, value in sent.items() if value})

    def grant(self, scopes: Collection[str], person: Person = MEI, *, without: Collection[str] = (), **parameters: str) -> dict[str, Any]:
        """The tokens of a person who went through the whole sign-in."""
        verifier = secrets.token_urlsafe(48)
        back = self.sign_in(self.authorize_url(scopes, verifier, **parameters), person, without=without)
        code = dict(parse_qsl(urlsplit(back).query))["code"]
        answer = self.token_request(grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI, code_verifier=verifier)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def get(self, path: str, token: str = "", **query: Any) -> httpx.Response:
        """What an API answers to the bearer of a token."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.http.get(path, params=query, headers=headers)

    def post(self, path: str, token: str, body: Mapping[str, Any]) -> httpx.Response:
        """What an API answers to the bearer of a token who sends JSON."""
        return self.http.post(path, json=body, headers={"authorization": f"Bearer {token}"})


class Blocked(Exception):
    """Google shows a page that says what is wrong with the request."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(answer.text)
        self.status = answer.status_code


def challenge(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@contextlib.contextmanager
def started(*redirect_uris: str, people: Collection[Person] = PEOPLE) -> Iterator[Google]:
    """An emulator on a free port until the block ends; the client may be returned to REDIRECT_URI and to the given addresses.

    More of them may be added later: `google.client.redirect_uris.add(f"{world.url}/oauth/callback")`.
    """
    client, clock = Client(CLIENT_ID, CLIENT_SECRET, {REDIRECT_URI, *redirect_uris}), Clock()
    emulator = Emulator([client], people=people, clock=clock)
    with (
        start_blocking_portal("asyncio") as portal,
        recording(portal, emulator.application(), received := []) as url,
        # Nothing is encrypted here, and reading the machine's certificates takes a tenth of a second.
        httpx.Client(base_url=url, trust_env=False, verify=False, timeout=30) as http,
    ):
        yield Google(url, emulator, client, clock, http, received)
