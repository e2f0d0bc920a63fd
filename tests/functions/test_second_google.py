"""Sign-in at a Google that is not our own emulator (G2 to G4, T12, T14): a provider of another author's plays it (tests/second_google.py), so that
what the emulator and the product might both have misunderstood shows."""

import secrets
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests import second_google, signin, world
from tests.mcp import NEW, called, failed, headers, message
from tests.second_google import ADA, GOOGLES_SCOPES, SecondGoogle
from tests.signin import CHATGPT_CALLBACK, Browser, SignedIn, answered, form_token, said

EVENTS = GOOGLES_SCOPES[0]
CLIENT = {"client_id": "cantilever-at-the-second-google", "client_secret": "any secret will do there"}
REFUSED = "Google does not confirm this sign-in."


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with second_google.started() as google, world.started(**signin.switched_on(google.url, **CLIENT)) as place:
        yield SignedIn(place, google)


@pytest.fixture
def google(product: SignedIn) -> SecondGoogle:
    product.google.behaves()
    return product.google


@pytest.fixture
def browser(product: SignedIn, google: SecondGoogle) -> Iterator[Browser]:
    with product.browser() as opened:
        yield opened


def profile(product: SignedIn, access_token: str) -> dict[str, str]:
    """Whom the tool says that is signed in."""
    sent = message(NEW, "tools/call", {"name": "get_profile", "arguments": {}})
    told = product.world.http.post("/mcp", json=sent, headers={**headers(NEW, sent), "Authorization": f"Bearer {access_token}"})
    assert told.status_code == 200, told.text
    return told.json()["result"]


def test_the_whole_way_leads_to_who_is_signed_in(product: SignedIn, browser: Browser) -> None:
    client = product.client(resource=f"{product.world.url}/mcp")
    page = browser.open(client.authorize_url())
    to_google = browser.decide(page, allow={"calendar"})
    asked = dict(parse_qsl(urlsplit(to_google.headers["location"]).query))

    back = browser.over_google(to_google, ADA["sub"])
    tokens = client.redeem(answered(back)["code"]).json()

    assert asked["client_id"] == CLIENT["client_id"]
    assert {"openid", "email", "profile", EVENTS} <= set(asked["scope"].split())
    assert (asked["access_type"], asked["include_granted_scopes"], "prompt" in asked) == ("offline", "true", False)
    told = profile(product, tokens["access_token"])["structuredContent"]
    assert (told["name"], told["email"]) == ("Ada Lovelace", "ada@example.org")
    assert told["id"].startswith("u-")
    assert "1815" not in str(told)
    shown = browser.account(ADA["sub"])
    assert "ada@example.org" in shown.text
    assert profile(product, client.refresh(tokens["refresh_token"]).json()["access_token"])["structuredContent"] == told


def test_its_refresh_token_opens_what_the_person_allowed_until_they_take_it_back(
    product: SignedIn, browser: Browser, google: SecondGoogle
) -> None:
    tokens = product.client().connect(browser, ADA["sub"], allow={"calendar"})

    first = product.call("list_calendar_events", tokens["access_token"])
    google.withdraw()
    after = [product.call("list_calendar_events", tokens["access_token"]) for _ in range(2)]

    assert first.status_code == 200, first.text
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in after] == [(401, "disconnected")] * 2
    assert "resource_metadata=" in after[0].headers["www-authenticate"]
    assert product.call("list_calendar_events", product.client().connect(browser, ADA["sub"])["access_token"]).status_code == 200


def test_somebody_whose_address_it_has_not_verified_is_let_in_and_not_called_by_it(product: SignedIn, browser: Browser) -> None:
    client = product.client(resource=f"{product.world.url}/mcp", name="Trip planner")

    tokens = client.connect(browser, "mallory@example.net")

    assert set(profile(product, tokens["access_token"])["structuredContent"]) == {"id"}
    page = browser.account("mallory@example.net")
    assert "mallory@example.net" not in page.text
    assert "Trip planner" in page.text, "what they connected, they can still take back"
    assert 'value="disconnect_google"' in page.text


def test_a_person_who_says_no_there_is_told_so(product: SignedIn, browser: Browser) -> None:
    back = browser.over_google(browser.decide(browser.open(product.chatgpt().authorize_url())), deny=True)

    told = answered(back)
    assert back.headers["location"].startswith(CHATGPT_CALLBACK)
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "state-of-the-client", product.world.url)


def test_what_it_does_not_grant_is_named(product: SignedIn, browser: Browser, google: SecondGoogle) -> None:
    google.behaves(scope="openid email profile")

    tokens = product.client().connect(browser, ADA["sub"], allow={"calendar"})
    refused = product.call("list_calendar_events", tokens["access_token"])

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    assert EVENTS in refused.json()["error"]["message"]


def test_without_a_refresh_token_it_is_asked_once_more_and_then_the_person_is_told(
    product: SignedIn, browser: Browser, google: SecondGoogle
) -> None:
    google.behaves(no_refresh_token=True)
    client = product.client(resource=f"{product.world.url}/mcp")
    to_google = browser.decide(browser.open(client.authorize_url()))

    again = browser.open(google.sign_in(to_google.headers["location"], "kay@example.org"))
    asked = dict(parse_qsl(urlsplit(again.headers["location"]).query))
    back = browser.open(google.sign_in(again.headers["location"], "kay@example.org"))
    tokens = client.redeem(answered(back)["code"]).json()

    assert (again.status_code, asked["prompt"]) == (303, "consent")
    error = failed(profile(product, tokens["access_token"]))
    assert (error["code"], error["retryable"]) == ("disconnected", False)


@pytest.mark.parametrize(
    "habits",
    [
        {"host": "accounts.google.com.evil.example"},
        {"host": "accounts.google.com:8443"},
        {"claims": {"iss": "https://accounts.google.com/"}},
        {"claims": {"iss": ["https://accounts.google.com"]}},
        {"claims": {"aud": "another-client"}},
        {"claims": {"aud": ["another-client", CLIENT["client_id"]]}},
        {"claims": {"exp": -120}},
        {"nonce": "of-another-sign-in"},
        {"nonce": ""},
        {"signer": "unknown"},
        {"signer": "posing as the known one"},
        {"undressed": True},
    ],
    ids=str,
)
def test_what_is_not_googles_answer_to_this_sign_in_lets_nobody_in(
    product: SignedIn, browser: Browser, google: SecondGoogle, habits: dict[str, object]
) -> None:
    eve = f"eve-{secrets.token_hex(4)}@example.net"
    google.behaves(**habits)
    to_google = browser.decide(browser.open(product.client().authorize_url()))

    back = browser.open(google.sign_in(to_google.headers["location"], eve))

    assert (back.status_code, "location" in back.headers) == (403, False), said(back)
    assert REFUSED in back.text
    google.behaves()
    page = browser.account(eve)
    assert 'value="disconnect_google"' not in page.text, "nothing was kept of it"


def test_a_refusal_that_does_not_say_whose_it_is_leads_nowhere(product: SignedIn, browser: Browser, google: SecondGoogle) -> None:
    google.behaves(undressed=True)
    to_google = browser.decide(browser.open(product.chatgpt().authorize_url()))

    back = browser.open(google.sign_in(to_google.headers["location"], deny=True))

    assert (back.status_code, "location" in back.headers) == (403, False)


def test_where_it_does_not_revoke_every_client_ends_and_the_person_is_told_what_is_left(product: SignedIn, browser: Browser) -> None:
    tokens = product.client().connect(browser, ADA["sub"])
    page = browser.account(ADA["sub"])

    gone = browser.post("/account", [("do", "disconnect_google"), ("form_token", form_token(page))])

    assert gone.status_code == 200
    assert 'href="https://myaccount.google.com/connections"' in gone.text
    assert product.call("list_calendar_events", tokens["access_token"]).status_code == 401


def test_the_person_is_asked_at_the_provider_and_by_us_first(product: SignedIn, browser: Browser, google: SecondGoogle) -> None:
    page = browser.open(product.client(name="Trip planner").authorize_url())

    to_google = browser.decide(page)
    theirs = google.http.get(to_google.headers["location"])

    assert "Trip planner" in page.text
    assert CLIENT["client_id"] in theirs.text, "it knows us, and none of our clients"
    assert "Trip planner" not in theirs.text


def test_a_profile_is_nobodys_without_a_token(product: SignedIn) -> None:
    assert failed(called(product.world, NEW, "get_profile", {}))["code"] == "unauthenticated"
