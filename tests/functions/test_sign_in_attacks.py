"""What strangers do to a sign-in (reliability.md T1 to T14, T31, T32, T34, T35, T37 to T39, T50; A5 and A7). Each answer is a page or JSON of
ours, and never a 5xx."""

import asyncio
import dataclasses
import secrets
import sqlite3
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import parse_qsl, quote, quote_from_bytes, unquote, unquote_to_bytes, urlsplit

import httpx
import pytest

from infra.local.google_emulator.people import JONAS, MEI
from tests import signin
from tests.core.oauth.test_clients import HOSTILE
from tests.signin import CALLBACK, CHATGPT_CALLBACK, Browser, Client, SignedIn, answered, form_token, said
from tests.world import seen


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started() as started:
        yield started


@pytest.fixture
def browser(product: SignedIn) -> Iterator[Browser]:
    product.google.heal()
    with product.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def registered(product: SignedIn) -> Client:
    return product.client("https://app.example.com/oauth/callback")


def refused_on_a_page(response: httpx.Response) -> bool:
    """Whether it ends on a page of ours, and leads nowhere."""
    return 400 <= response.status_code < 500 and "location" not in response.headers and "<main>" in response.text


# Where answers may go


@pytest.mark.parametrize("uri", HOSTILE)
def test_no_code_and_no_browser_goes_to_an_address_that_is_not_registered(registered: Client, browser: Browser, uri: str) -> None:
    for client_id in (registered.client_id, signin.CHATGPT_ID):
        url = registered.authorize_url(client_id=client_id, redirect_uri=None) + f"&redirect_uri={quote(uri, safe='')}"
        page = browser.open(url)
        assert (page.status_code, refused_on_a_page(page)) == (400, True), (client_id, uri)
    assert browser.post(registered.authorize_url(redirect_uri=uri), []).status_code == 405


def test_an_address_is_registered_to_the_letter_or_not_at_all(product: SignedIn) -> None:
    kept = []
    for number, uri in enumerate(HOSTILE):
        away = {"x-forwarded-for": f"2001:db8:1:{number:x}::1"}

        told = product.world.http.post("/oauth/register", json={"redirect_uris": [uri]}, headers=away)

        if told.status_code == 201:
            assert told.json()["redirect_uris"] == [uri]
            kept.append(uri)
        else:
            error = "invalid_client_metadata" if "\0" in uri else "invalid_redirect_uri"  # Such JSON is not read at all.
            assert (told.status_code, told.json()["error"]) == (400, error), uri
    split = [urlsplit(uri) for uri in kept]
    assert len(kept) == 22, "https, at a host by its name; the rest of the 58 is refused"
    assert {(part.scheme, part.username, part.fragment) for part in split} == {("https", None, "")}
    assert all(uri.isascii() and uri.isprintable() and not set(uri) & set(" \\#@") for uri in kept)


def test_a_registered_hostile_client_makes_no_open_redirector_of_us(product: SignedIn, browser: Browser) -> None:
    evil = product.client("https://evil.example.net/cb", "Nice app")

    for wrong in (
        {"scope": "bogus"},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"prompt": "none"},
        {"resource": "https://x.test"},
    ):
        page = browser.open(evil.authorize_url(**wrong))
        assert refused_on_a_page(page), (wrong, said(page))
        assert "evil.example.net" in said(page), "a person sees who asks so"
        assert 'href="https://evil' not in page.text
    denied = browser.decide(browser.open(evil.authorize_url()), decision="deny")
    assert denied.status_code == 200
    assert "evil.example.net" in denied.text, "a person sees where the link leads"


def test_chatgpts_client_is_told_of_a_refusal_by_a_redirect_with_issuer_and_state(product: SignedIn, browser: Browser) -> None:
    told = answered(browser.open(product.chatgpt().authorize_url(scope="bogus")))

    assert (told["error"], told["state"], told["iss"]) == ("invalid_scope", "state-of-the-client", product.world.url)


@pytest.mark.parametrize("name", ["redirect_uri", "client_id", "state", "scope", "code_challenge", "response_type", "resource"])
def test_a_repeated_parameter_leads_nowhere(registered: Client, browser: Browser, name: str) -> None:
    assert refused_on_a_page(browser.open(f"{registered.authorize_url()}&{name}=x&{name}=x"))


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
@pytest.mark.parametrize(
    "name", ["grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "refresh_token", "token", "scope"]
)
def test_a_parameter_stands_once_and_in_the_body(product: SignedIn, path: str, name: str) -> None:
    chatgpt = product.chatgpt()
    said = {
        "grant_type": "refresh_token",
        "client_id": chatgpt.client_id,
        "client_secret": chatgpt.secret or "",
        "refresh_token": "x",
        "token": "x",
    }
    whole = str(httpx.QueryParams(said))
    form = {"content-type": "application/x-www-form-urlencoded"}
    http = product.world.http

    for told in (
        http.post(path, content=f"{whole}&{name}=x&{name}=x", headers=form),
        http.post(path, content=f"{whole}&{name}=x&{quote(name[0]).replace(name[0], f'%{ord(name[0]):x}')}{name[1:]}=y", headers=form),
        http.post(f"{path}?{name}=x", content=whole, headers=form),
        http.post(f"{path}?{whole}", content="", headers=form),
        http.post(f"{path}?{whole}", json=said),
    ):
        assert (told.status_code, told.json()["error"]) == (400, "invalid_request"), told.text


@pytest.mark.parametrize("client_id", ["", "unknown", "u-0123456789", "c-" + "A" * 22, "https://127.0.0.1/client.json", "x" * 5000])
def test_an_unknown_client_leads_nowhere(registered: Client, browser: Browser, client_id: str) -> None:
    assert refused_on_a_page(browser.open(registered.authorize_url(client_id=client_id)))


def test_state_comes_back_byte_for_byte_over_all_of_the_way(product: SignedIn, browser: Browser) -> None:
    state = (b"\0%00 +&=?#\"'<>\\ \r\nSet-Cookie: a=b\xff\xfe" + "é😀".encode()) * 48
    url = product.chatgpt().authorize_url(state=None) + f"&state={quote_from_bytes(state, '')}"

    accepted = browser.over_google(browser.decide(browser.open(url)))
    denied = browser.decide(browser.open(url), decision="deny")
    product.google.disconnect()  # Or Google asks nobody.
    at_google = browser.over_google(browser.decide(browser.open(url)), deny=True)
    refused = browser.open(f"{url}&scope=bogus")

    assert len(state) == 1968
    for answer, what in ((accepted, "code"), (denied, "error"), (at_google, "error"), (refused, "error")):
        told = dict(part.split("=", 1) for part in urlsplit(answer.headers["location"]).query.split("&"))
        assert unquote_to_bytes(told["state"]) == state
        assert unquote(told["iss"]) == product.world.url
        assert what in told
        assert "a=b" not in answer.headers.get("set-cookie", "")


# Whose browser comes back


def test_nobody_reaches_google_before_the_person_has_consented(product: SignedIn, browser: Browser) -> None:
    product.client().connect(browser, MEI)
    before = len(product.google.received)
    evil = product.client("https://evil.example.net/cb", "ChatGPT")

    page = browser.open(evil.authorize_url(), **{"sec-fetch-site": "cross-site"})

    assert page.status_code == 200, "the page, although she is signed in at Google and known to us"
    assert len(product.google.received) == before


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none", None])
def test_a_client_that_was_allowed_before_has_to_ask_again(product: SignedIn, browser: Browser, site: str | None) -> None:
    client = product.client()
    client.connect(browser, MEI)
    browser.account(MEI)
    before = len(product.google.received)

    page = browser.open(client.authorize_url(), **({"sec-fetch-site": site} if site else {}))

    assert (page.status_code, "location" in page.headers) == (200, False)
    assert 'name="decision"' in page.text
    assert len(product.google.received) == before


def test_a_link_to_google_that_another_browser_consented_to_is_worth_nothing(product: SignedIn, browser: Browser) -> None:
    with product.browser() as fresh, product.browser() as underway:
        underway.decide(underway.open(product.client().authorize_url()))
        for victim in (fresh, underway):
            to_google = browser.decide(browser.open(product.client("https://evil.example.net/cb").authorize_url()))
            back = product.google.sign_in(to_google.headers["location"], MEI)
            exchanged = len(product.google.asked("/token"))

            refused = victim.open(back)

            assert (refused.status_code, refused_on_a_page(refused)) == (403, True), said(refused)
            assert len(product.google.asked("/token")) == exchanged


def test_a_code_of_googles_that_was_planted_links_nobody(product: SignedIn, browser: Browser) -> None:
    attackers = browser.decide(browser.open(product.client().authorize_url()))
    planted = product.google.sign_in(attackers.headers["location"], JONAS)
    exchanged = len(product.google.asked("/token"))
    with product.browser() as victim:
        victim.decide(victim.open(product.client().authorize_url()))

        for back in (
            planted,
            planted.replace("state=", "state=A"),
            "/oauth/callback",
            "/oauth/callback?code=x",
            "/oauth/callback?state=x",
            "/oauth/callback?code=x&state=",
            "/oauth/callback?code=x&state=%ff",
            f"/oauth/callback?code=x&state={secrets.token_urlsafe(16)}",
            f"{planted}&state=x",
            f"{planted}&code=x",
        ):
            assert refused_on_a_page(victim.open(back)), back
        assert len(product.google.asked("/token")) == exchanged


def test_an_answer_to_another_question_links_nobody(product: SignedIn, browser: Browser) -> None:
    client = product.client(name="Swapped")
    to_google = browser.decide(browser.open(client.authorize_url())).headers["location"]
    nonce = dict(parse_qsl(urlsplit(to_google).query))["nonce"]

    back = browser.open(product.google.sign_in(to_google.replace(nonce, secrets.token_urlsafe(16)), MEI))

    assert (back.status_code, refused_on_a_page(back)) == (403, True)
    assert "Swapped" not in browser.account(MEI).text


@pytest.mark.parametrize(
    "issuer", ["https://evil.example.net", "https://accounts.google.com/", "accounts.google.com", "HTTPS://accounts.google.com"]
)
def test_an_answer_of_another_server_is_not_looked_at(product: SignedIn, browser: Browser, issuer: str) -> None:
    to_google = browser.decide(browser.open(product.client().authorize_url()))
    back = product.google.sign_in(to_google.headers["location"], MEI)
    exchanged = len(product.google.asked("/token"))
    ours = quote("https://accounts.google.com", safe="")
    assert f"iss={ours}" in back, "as Google says who it is"

    refused = browser.open(back.replace(f"iss={ours}", f"iss={quote(issuer, safe='')}"))

    assert (refused.status_code, refused_on_a_page(refused)) == (403, True), said(refused)
    assert len(product.google.asked("/token")) == exchanged
    assert browser.open(back).status_code == 303, "and the way is not used up by it"


def test_a_way_back_can_be_gone_once(product: SignedIn, browser: Browser) -> None:
    to_google = browser.decide(browser.open(product.client().authorize_url()))
    back = product.google.sign_in(to_google.headers["location"], MEI)

    assert browser.open(back).status_code == 303
    assert refused_on_a_page(browser.open(back))


def test_two_tabs_both_come_back(product: SignedIn, browser: Browser) -> None:
    first, second = (browser.open(product.client(name=name).authorize_url()) for name in ("One", "Two"))

    to_google = [browser.decide(page) for page in (first, second)]
    backs = [browser.open(product.google.sign_in(answer.headers["location"], MEI)) for answer in to_google]

    assert [back.status_code for back in backs] == [303, 303]


@pytest.mark.parametrize("click", ["first", "second"])
def test_a_double_click_on_allow_leads_to_google_and_to_one_code(product: SignedIn, browser: Browser, click: str) -> None:
    client = product.client()
    page, before = browser.open(client.authorize_url()), stored(product, "codes")
    fields = [("decision", "allow"), ("capability", "calendar"), ("form_token", form_token(page))]

    with ThreadPoolExecutor(2) as threads:
        to_google = list(threads.map(lambda _: browser.post("/oauth/consent", fields), range(2)))

    assert [answer.status_code for answer in to_google] == [303, 303]
    assert all(answer.headers["location"].startswith(product.google.url) for answer in to_google)
    back = browser.over_google(to_google[0 if click == "first" else 1], MEI)
    assert stored(product, "codes") - before == 1
    assert client.redeem(answered(back)["code"]).status_code == 200


@pytest.mark.parametrize("token", [None, "", "x", "foreign"])
def test_a_form_without_its_token_is_refused(product: SignedIn, browser: Browser, token: str | None) -> None:
    browser.open(product.client().authorize_url())
    with product.browser() as other:
        foreign = form_token(other.open(product.client().authorize_url()))
    fields = [("decision", "allow"), ("capability", "calendar")]
    if token is not None:
        fields.append(("form_token", foreign if token == "foreign" else token))

    answer = browser.post("/oauth/consent", fields)

    assert (answer.status_code, refused_on_a_page(answer)) == (403, True), said(answer)


@pytest.mark.parametrize("token", [None, "", "x"])
def test_a_form_of_the_account_page_without_its_token_changes_nothing(product: SignedIn, browser: Browser, token: str | None) -> None:
    product.client(name="Stays").connect(browser, MEI)
    browser.account(MEI)

    answer = browser.post("/account", [("do", "delete"), ("sure", "yes"), *([("form_token", token)] if token is not None else [])])

    assert (answer.status_code, refused_on_a_page(answer)) == (403, True), said(answer)
    assert "Stays" in browser.open("/account").text


def test_a_form_that_another_site_sends_is_refused(product: SignedIn, browser: Browser) -> None:
    page = browser.open(product.client().authorize_url())

    sent = browser.post(
        "/oauth/consent",
        [("decision", "allow"), ("capability", "calendar"), ("form_token", form_token(page))],
        **{"sec-fetch-site": "cross-site", "origin": "https://evil.example.net"},
    )

    assert (sent.status_code, refused_on_a_page(sent)) == (403, True)


def test_a_person_that_google_names_otherwise_is_another_account(product: SignedIn, browser: Browser) -> None:
    mei = product.client().connect(browser, MEI)
    with product.browser() as another:
        jonas = product.client().connect(another, JONAS)

    told = [product.call("list_calendar_events", tokens["access_token"]).json() for tokens in (mei, jonas)]

    assert told[0] != told[1]


def test_an_address_that_a_second_person_got_opens_nothing_of_the_first_ones(product: SignedIn, browser: Browser) -> None:
    mei = {"Authorization": f"Bearer {product.client(name='Of the first').connect(browser, MEI)['access_token']}"}
    session = product.world.http.post("/chat", json={"query": "What will the weather be in Paris?"}, headers=mei).json()["session_id"]
    heir, accounts = dataclasses.replace(MEI, sub="104857600000000000099"), product.google.emulator.accounts
    accounts.people = (heir, JONAS)
    try:
        with product.browser() as another:
            second = {"Authorization": f"Bearer {product.client(name='Of the second').connect(another, heir)['access_token']}"}
            page = another.account(heir).text
    finally:
        accounts.people = (MEI, JONAS)

    assert (MEI.email in page, "Of the second" in page, "Of the first" in page) == (True, True, False)
    assert [product.world.http.get(f"/chat/{session}", headers=headers).status_code for headers in (mei, second)] == [200, 404]


def test_who_goes_on_as_somebody_else_connects_nobody(product: SignedIn, browser: Browser) -> None:
    client = product.client()
    tokens = client.connect(browser, MEI, allow={"docs"})
    refused = product.call("list_calendar_events", tokens["access_token"])
    link = next(word for word in refused.json()["error"]["message"].split() if "/oauth/allow" in word)

    back = browser.over_google(browser.decide(browser.open(link), allow={"calendar"}), JONAS)

    assert refused_on_a_page(back)
    again = product.call("list_calendar_events", tokens["access_token"])
    assert (again.status_code, again.json()) == (403, refused.json())
    assert "This Google account is not connected" in back.text


# What is shown, and to whom


def test_no_page_of_the_sign_in_can_be_framed_read_or_kept(product: SignedIn, registered: Client, browser: Browser) -> None:
    page = browser.open(registered.authorize_url())
    pages = [
        page,
        browser.decide(page, decision="deny"),
        browser.open(registered.authorize_url(redirect_uri="https://evil.example.net/")),
        browser.open("/oauth/callback?state=x&code=y"),
        browser.open("/account"),
        browser.open("/oauth/allow?client_id=x&capability=calendar"),
        browser.decide(browser.open(registered.authorize_url())),
    ]
    for answer in pages:
        headers = answer.headers
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert "<script" not in answer.text


def test_a_page_of_another_origin_may_call_what_has_no_cookie_and_nothing_else(product: SignedIn, registered: Client) -> None:
    http, evil = product.world.http, {"origin": "https://evil.example.net"}

    about = (
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
    )
    for path in (*about, "/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/jwks"):
        assert path not in about or http.get(path, headers=evil).headers["access-control-allow-origin"] == "*"
        told = http.options(path, headers=evil)
        assert told.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in told.headers
    for path in (registered.authorize_url(), "/oauth/consent", "/oauth/callback", "/account"):
        assert "access-control-allow-origin" not in http.options(path, headers=evil).headers


def test_cookies_are_bound_to_us(product: SignedIn, browser: Browser) -> None:
    cookie = browser.open(product.client().authorize_url()).headers["set-cookie"]

    parts = [part.strip() for part in cookie.split(";")]
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"} <= set(parts)
    assert not any(part.lower().startswith("domain") for part in parts)


def test_the_way_over_google_has_ten_minutes_of_its_own_however_long_the_page_lay_open(product: SignedIn, browser: Browser) -> None:
    page = browser.open(product.client().authorize_url())

    to_google = browser.decide(page)

    assert to_google.headers["set-cookie"] == page.headers["set-cookie"]


@pytest.mark.parametrize("header", ["host", "x-forwarded-host", "x-forwarded-proto", "forwarded"])
def test_no_header_changes_what_we_say_we_are(product: SignedIn, header: str) -> None:
    http, lies = product.world.http, {header: "https" if header.endswith("proto") else "evil.example.net"}

    about = http.get("/.well-known/oauth-authorization-server", headers=lies)

    assert about.status_code == 403 or about.json()["issuer"] == product.world.url
    to_google = http.get(product.chatgpt().authorize_url(scope="bogus"), headers=lies)
    assert to_google.status_code == 403 or answered(to_google)["iss"] == product.world.url


SPLITTING = (
    "%0d%0aSet-Cookie:%20a=b",
    "%0aX-Evil:%201",
    "%0d%0a%0d%0a<script>",
    "%E5%98%8D%E5%98%8ASet-Cookie:%20a=b",
    "%00",
    "%E2%80%AE",
    "%5c%22",
)
"""What ends a header where it is taken over as it is."""


@pytest.mark.parametrize("what", SPLITTING)
def test_what_a_client_says_sets_no_header(product: SignedIn, registered: Client, browser: Browser, what: str) -> None:
    chatgpt, http, plain = product.chatgpt().authorize_url(state=None, scope="bogus"), product.world.http, unquote(what)
    evil = product.client(f"https://evil.example.net/cb?x={what.replace('<', '%3C').replace('>', '%3E')}")
    form = {"content-type": "application/x-www-form-urlencoded"}
    to_google = browser.decide(browser.open(f"{product.chatgpt().authorize_url(state=None)}&state={what}"))
    state = dict(parse_qsl(urlsplit(to_google.headers["location"]).query))["state"]

    answers = [
        *(
            browser.open(f"{chatgpt}&{name}={what}")
            for name in ("state", "scope", "response_type", "resource", "redirect_uri", "client_id", "prompt")
        ),
        *(browser.open(f"{registered.authorize_url()}&{name}={what}") for name in ("state", "login_hint", "ui_locales")),
        browser.open(evil.authorize_url()),
        browser.decide(browser.open(evil.authorize_url()), decision="deny"),
        browser.open(f"/oauth/allow?client_id={registered.client_id}&capability={what}"),
        browser.open(f"/oauth/callback?error=x&error_description={what}&state={what}"),
        browser.open(f"/oauth/callback?error=access_denied&error_description={what}&state={state}"),
        browser.open(f"/account?{what}={what}", **{"cookie": f"account={what}", "accept-language": what}),
        *(
            http.post("/oauth/token", content=f"grant_type={what}&client_id={what}&code={what}&scope={what}", headers=form)
            for _ in range(2)
        ),
        http.post("/oauth/revoke", content=f"token={what}&client_id={what}", headers=form),
        http.post(
            "/oauth/register", json={"redirect_uris": [plain], "client_name": plain}, headers={"x-forwarded-for": "2001:db8:0:31::1"}
        ),
        http.post("/oauth/token", content="grant_type=x", headers=form | {"authorization": f"Basic {what}"}),
        http.post("/tools/list_calendar_events", json={}, headers={"authorization": f"Bearer {what}"}),
        http.post(f"/tools/{what}", json={plain.replace(chr(0), "x"): plain.replace(chr(0), "x")}),
    ]

    for answer in answers:
        assert answer.status_code < 500, said(answer)
        assert set(answer.headers) <= OUR_HEADERS, said(answer)
        assert "a=b" not in answer.headers.get("set-cookie", "")
        assert all(32 <= octet < 127 for _, value in answer.headers.raw for octet in value)


OUR_HEADERS = {
    "access-control-allow-origin", "access-control-expose-headers", "allow", "cache-control", "content-language", "content-length",
    "content-security-policy", "content-type", "date", "location", "pragma", "referrer-policy", "retry-after", "server", "set-cookie", "vary",
    "www-authenticate", "x-content-type-options", "x-frame-options",
}  # fmt: skip
"""All that any answer of the sign-in has."""


def test_what_a_client_says_lies_elsewhere_is_fetched_by_nobody(product: SignedIn, browser: Browser) -> None:
    canary = f"{product.google.url}/canary"
    elsewhere = {
        name: f"{canary}/{name}" for name in ("logo_uri", "jwks_uri", "policy_uri", "tos_uri", "client_uri", "sector_identifier_uri")
    }
    before = len(product.google.received)

    told = product.world.http.post(
        "/oauth/register", json={"redirect_uris": [CALLBACK], **elsewhere}, headers={"x-forwarded-for": "2001:db8:0:32::1"}
    )
    page = browser.open(Client(product.world, told.json()["client_id"]).authorize_url())

    assert page.status_code == 200
    assert "canary" not in told.text + page.text
    assert len(product.google.received) == before


def test_an_unknown_client_is_told_what_a_wrong_secret_is(product: SignedIn, registered: Client) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    names = [signin.CHATGPT_ID, registered.client_id, "unknown", "c-" + "A" * 22]

    for path in ("/oauth/token", "/oauth/revoke"):
        in_body = [product.world.http.post(path, data={**form, "client_id": name, "client_secret": "wrong"}) for name in names]
        by_basic = [product.world.http.post(path, data=form, auth=(name, "wrong")) for name in names]

        assert len({str(seen(answer)) for answer in (*in_body, *by_basic)}) == 1
        assert (in_body[0].status_code, in_body[0].json()["error"]) == (401, "invalid_client")


# How often


def test_registrations_are_counted_by_the_address_that_our_own_proxy_saw(product: SignedIn) -> None:
    http, body = product.world.http, {"redirect_uris": [CALLBACK]}

    told = [http.post("/oauth/register", json=body, headers={"x-forwarded-for": f"198.51.100.{n}, 203.0.113.9"}) for n in range(12)]

    assert [response.status_code for response in told] == [201] * 10 + [429] * 2
    assert told[-1].json()["error"] == "temporarily_unavailable"
    assert 1 <= int(told[-1].headers["retry-after"]) <= 60
    assert http.post("/oauth/register", json=body, headers={"x-forwarded-for": "203.0.113.9, 203.0.113.10"}).status_code == 201


def test_whoever_has_a_network_of_addresses_registers_no_more_than_whoever_has_one(product: SignedIn) -> None:
    http, body = product.world.http, {"redirect_uris": [CALLBACK]}

    told = [http.post("/oauth/register", json=body, headers={"x-forwarded-for": f"2001:db8:2:2::{n:x}"}) for n in range(11)]

    assert [response.status_code for response in told] == [201] * 10 + [429]


def test_a_flood_of_registrations_leaves_no_more_than_it_may(product: SignedIn) -> None:
    product.client()
    http, before = product.world.http, stored(product, "clients")

    told = [
        http.post(
            "/oauth/register",
            json={"redirect_uris": [CALLBACK], "client_id": "u-0123456789"},
            headers={"x-forwarded-for": f"{number}.9.9.9, 203.0.113.{90 + number % 2}"},
        )
        for number in range(1000)
    ]

    made = [answer.json()["client_id"] for answer in told if answer.status_code == 201]
    assert len(made) == stored(product, "clients") - before == 20
    assert len({client_id for client_id in made if client_id.startswith("c-") and len(client_id) == 24}) == 20, (
        "and none is named as it asked"
    )
    assert {answer.status_code for answer in told} == {201, 429}


async def test_others_are_served_while_registrations_flood_in(product: SignedIn) -> None:
    chatgpt = product.chatgpt().authorize_url()
    async with httpx.AsyncClient(base_url=product.world.url, trust_env=False, timeout=60) as http:

        async def flood() -> set[int]:
            return {await registered_from(http, f"203.0.113.{110 + number % 2}") for number in range(500)}

        async def waited() -> float:
            """For the keys, as a client does that has nothing to do with it, and for the consent page, as a person."""
            began = time.perf_counter()
            for path in ("/oauth/jwks", chatgpt):
                assert (await http.get(path)).status_code == 200
            return time.perf_counter() - began

        alone = [await waited() for _ in range(50)]
        flooding, beside = asyncio.create_task(flood()), []
        while not flooding.done():
            beside.append(await waited())

        assert await flooding == {201, 429}
        assert len(beside) > 50
        assert statistics.median(beside) < 10 * statistics.median(alone), "three to four times, on an idle machine"
        assert await registered_from(http, "203.0.113.112") == 201


async def registered_from(http: httpx.AsyncClient, address: str) -> int:
    """The status of a registration."""
    told = await http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}, headers={"x-forwarded-for": address})
    return told.status_code


def stored(product: SignedIn, collection: str) -> int:
    """How many of a kind the store holds."""
    with closing(sqlite3.connect(product.world.folder / "cantilever.db")) as file:
        return int(file.execute("SELECT count(*) FROM documents WHERE collection = ?", [collection]).fetchone()[0])


@pytest.mark.parametrize("size", [8 * 1024 + 1, 17 * 1024, 2 * 1024 * 1024])
def test_a_client_may_not_say_much_of_itself(product: SignedIn, size: int) -> None:
    body = {"redirect_uris": [CALLBACK], "client_name": "x", "policy": "y" * size}

    told = product.world.http.post("/oauth/register", json=body, headers={"x-forwarded-for": f"2001:db8:0:{size % 65536:x}::1"})

    assert told.status_code in (400, 413)
    assert told.json()["error"] in ("invalid_client_metadata", "invalid_request")


def test_a_registration_that_needs_a_method_we_do_not_offer_is_refused_in_rfc_7591s_words(product: SignedIn) -> None:
    body = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example.com/jwks.json"}

    told = product.world.http.post("/oauth/register", json=body, headers={"x-forwarded-for": "2001:db8:0:7591::1"})

    assert (told.status_code, told.json()["error"]) == (400, "invalid_client_metadata")
    assert "none" in told.json()["error_description"]


# Codes


def test_a_code_is_good_once_and_for_whom_it_was_given(product: SignedIn, browser: Browser) -> None:
    client, other = product.client(), product.client()
    code = client.code(browser)

    for wrong in (
        other.redeem(code, code_verifier=client.verifier),
        client.redeem(code, redirect_uri=f"{CALLBACK}/"),
        client.redeem(code, code_verifier=secrets.token_urlsafe(48)),
        client.redeem(code, code_verifier=None),
        client.redeem(f"{code}x"),
    ):
        assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
    tokens = client.redeem(code)
    assert tokens.status_code == 200, "a wrong guess does not use it up"
    assert client.redeem(code).json()["error"] == "invalid_grant"
    assert product.call("list_calendar_events", tokens.json()["access_token"]).status_code == 401, "a replay ends what it began"
    assert client.refresh(tokens.json()["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_is_good_for_the_resource_that_it_was_given_for(product: SignedIn, browser: Browser) -> None:
    rest, found = product.world.url, f"{product.world.url}/mcp"

    for asked, other in ((None, found), (rest, found), (found, rest)):
        client = product.client(resource=asked)
        code = client.code(browser)
        for resource in (other, f"{found}/x", "https://evil.example.net", "mcp"):
            refused = client.redeem(code, resource=resource)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target"), (asked, resource)
        assert client.redeem(code, resource=asked).status_code == 200, "a wrong guess does not use it up"


def test_every_answer_of_the_authorization_endpoint_says_who_answers(product: SignedIn, browser: Browser) -> None:
    back = browser.over_google(browser.decide(browser.open(product.chatgpt().authorize_url())))
    refused = browser.open(product.chatgpt().authorize_url(scope="bogus"))

    for answer in (back, refused):
        told = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        assert told["iss"] == product.world.url
        assert answer.headers["location"].startswith(CHATGPT_CALLBACK)
        assert answer.status_code == 303
