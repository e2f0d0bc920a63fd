"""Sign-in from end to end: a client, a person in a browser, Google, our tokens, an operation, and what is taken back."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest

from functions.adapters.sealing import new_key
from infra.local.google_emulator.people import JONAS
from tests import signin
from tests.google import EVENTS
from tests.signin import CALLBACK, CHATGPT_CALLBACK, Browser, SignedIn, answered, form_token

AT_GOOGLE = 'href="https://myaccount.google.com/connections"'
"""Where people end an access at Google themselves."""


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started() as started:
        yield started


@pytest.fixture
def browser(product: SignedIn) -> Iterator[Browser]:
    product.google.heal()
    with product.browser() as opened:
        yield opened
    product.google.disconnect()
    product.google.disconnect(JONAS)


def test_a_client_that_registered_itself_gets_what_the_person_allowed(product: SignedIn, browser: Browser) -> None:
    client = product.client(resource=f"{product.world.url}/mcp")

    tokens = client.connect(browser)

    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 1800
    assert "calendar" in tokens["scope"].split()
    events = product.call("list_calendar_events", tokens["access_token"])
    assert events.status_code == 200, events.text
    refreshed = client.refresh(tokens["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    assert product.call("list_calendar_events", refreshed.json()["access_token"]).status_code == 200
    for response in (refreshed,):
        assert response.headers["cache-control"] == "no-store"


def test_chatgpts_own_client_needs_no_pkce_and_is_answered_at_its_callback(product: SignedIn, browser: Browser) -> None:
    chatgpt = product.chatgpt()
    page = browser.open(chatgpt.authorize_url())

    back = browser.over_google(browser.decide(page))

    assert back.headers["location"].startswith(f"{CHATGPT_CALLBACK}?code=")
    told = answered(back)
    assert (told["state"], told["iss"]) == ("state-of-the-client", product.world.url)
    form = {"grant_type": "authorization_code", "code": told["code"], "redirect_uri": CHATGPT_CALLBACK}
    refused = product.world.http.post("/oauth/token", data=form | {"client_id": chatgpt.client_id, "client_secret": "wrong"})
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert refused.headers["www-authenticate"].startswith("Basic ")
    by_json = product.world.http.post("/oauth/token", json=form | {"client_id": chatgpt.client_id, "client_secret": chatgpt.secret})
    assert by_json.status_code == 200, by_json.text
    by_basic = product.world.http.post(
        "/oauth/token",
        data={"grant_type": "refresh_token", "refresh_token": by_json.json()["refresh_token"]},
        auth=(chatgpt.client_id, chatgpt.secret or ""),
    )
    assert by_basic.status_code == 200, by_basic.text


def test_what_every_client_learns_stands_on_the_consent_page_and_under_privacy(product: SignedIn, browser: Browser) -> None:
    client = product.client(resource=f"{product.world.url}/mcp")
    url = client.authorize_url()
    tokens = client.connect(browser, allow={"calendar"})
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_profile", "arguments": {}}}
    headers = {"Authorization": f"Bearer {tokens['access_token']}", "MCP-Protocol-Version": "2025-11-25"}

    told = product.world.http.post("/mcp", json=message, headers=headers).json()["result"]["structuredContent"]

    assert (told["name"], told["email"]) == ("林美 Mei Lin", "mei.lin@example.com")
    assert "your name and e-mail address at Google" in browser.open(url).text
    assert "姓名和邮箱地址" in browser.open(url, **{"accept-language": "zh"}).text
    privacy = " ".join(browser.open("/privacy").text.split())
    assert "Each client that you connect can ask for your e-mail address and name." in privacy
    assert "which is ChatGPT's and not yours; of our pages to sign in it is that of your browser." in privacy


def test_google_is_asked_for_what_was_switched_on_and_for_nothing_else(product: SignedIn, browser: Browser) -> None:
    page = browser.open(product.client().authorize_url())

    to_google = browser.decide(page, allow={"calendar"})

    asked = dict(parse_qsl(urlsplit(to_google.headers["location"]).query))
    scopes = asked["scope"].split()
    assert {"openid", "email", "profile", EVENTS} <= set(scopes)
    assert not [scope for scope in scopes if "documents" in scope or "gmail" in scope]
    assert (asked["access_type"], asked["include_granted_scopes"], asked["code_challenge_method"]) == ("offline", "true", "S256")
    assert "prompt" not in asked, "consent is asked for again only where it is needed"


def test_where_google_gives_no_refresh_token_a_second_hop_asks_for_consent(product: SignedIn, browser: Browser) -> None:
    browser.post("/account", [("do", "disconnect_google"), ("form_token", form_token(browser.account()))])
    product.google.grant(["openid", "email", "profile", EVENTS])  # Known to Google, and not to us: no refresh token by itself.
    asked_before = len(product.google.asked("/o/oauth2/v2/auth"))

    back = browser.over_google(browser.decide(browser.open(product.client().authorize_url()), allow={"calendar"}))

    assert back.headers["location"].startswith(CALLBACK)
    hops = [request for request in product.google.asked("/o/oauth2/v2/auth")[asked_before:] if request.query.get("prompt") == "consent"]
    assert hops, "the second hop"


def test_a_partial_grant_is_accepted_and_what_lacks_names_what_is_missing(product: SignedIn, browser: Browser) -> None:
    tokens = product.client().connect(browser, without=[EVENTS])

    refused = product.call("list_calendar_events", tokens["access_token"])

    assert refused.status_code == 403, refused.text
    told = refused.json()["error"]
    assert told["code"] == "insufficient_scope"
    assert EVENTS in told["message"]
    challenge = refused.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="calendar"' in challenge
    assert f'resource_metadata="{product.world.url}/.well-known/oauth-protected-resource/mcp"' in challenge


def test_the_link_of_a_refusal_asks_for_exactly_what_is_missing(product: SignedIn, browser: Browser) -> None:
    client = product.client()
    tokens = client.connect(browser, without=[EVENTS])
    message = product.call("list_calendar_events", tokens["access_token"]).json()["error"]["message"]
    link = next(word for word in message.split() if word.startswith("http") and "/oauth/allow" in word)

    page = browser.open(link)
    back = browser.over_google(browser.decide(page, allow={"calendar"}))

    assert page.text.count('name="capability"') == 1
    assert back.headers["location"] == "/account"
    assert product.call("list_calendar_events", tokens["access_token"]).status_code == 200, "with the token that it had before"


def test_what_was_not_allowed_is_refused_whatever_google_granted(product: SignedIn, browser: Browser) -> None:
    first = product.client().connect(browser)
    other = product.client(name="Other")
    back = browser.over_google(browser.decide(browser.open(other.authorize_url()), allow={"docs"}))
    tokens = other.redeem(answered(back)["code"]).json()

    refused = product.call("list_calendar_events", tokens["access_token"])

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    assert product.call("list_calendar_events", first["access_token"]).status_code == 200


def test_a_person_who_allows_nothing_is_shown_where_the_way_back_leads(product: SignedIn, browser: Browser) -> None:
    page = browser.open(product.client().authorize_url())

    denied = browser.decide(page, decision="deny")

    assert denied.status_code == 200
    assert "127.0.0.1:9" in denied.text
    assert "error=access_denied" in denied.text
    at_once = browser.decide(browser.open(product.chatgpt().authorize_url()), decision="deny")
    assert answered(at_once)["error"] == "access_denied"
    assert at_once.headers["location"].startswith(CHATGPT_CALLBACK)


def test_a_person_who_says_no_at_google_is_told_so(product: SignedIn, browser: Browser) -> None:
    back = browser.over_google(browser.decide(browser.open(product.chatgpt().authorize_url())), deny=True)

    assert answered(back)["error"] == "access_denied"


def test_revocation_takes_effect_at_once(product: SignedIn, browser: Browser) -> None:
    client = product.client()
    tokens = client.connect(browser)
    assert product.call("get_weather_forecast", tokens["access_token"], place="Paris").status_code == 200

    revoked = product.world.http.post("/oauth/revoke", data={"token": tokens["refresh_token"], "client_id": client.client_id})

    assert revoked.status_code == 200
    for operation, arguments in (("list_calendar_events", {}), ("get_weather_forecast", {"place": "Paris"})):
        assert product.call(operation, tokens["access_token"], **arguments).status_code == 401
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_another_client_revokes_nothing(product: SignedIn, browser: Browser) -> None:
    tokens = product.client().connect(browser)
    other = product.client(name="Other")

    for token in (tokens["access_token"], tokens["refresh_token"], "unknown", "a.b.c"):
        assert product.world.http.post("/oauth/revoke", data={"token": token, "client_id": other.client_id}).status_code == 200
    assert product.call("list_calendar_events", tokens["access_token"]).status_code == 200


def test_a_grant_that_google_withdrew_is_not_asked_for_again(product: SignedIn, browser: Browser) -> None:
    tokens = product.client().connect(browser)
    product.google.disconnect()
    before = len(product.google.asked("/token"))

    told = [product.call("list_calendar_events", tokens["access_token"]) for _ in range(3)]

    assert [response.json()["error"]["code"] for response in told] == ["disconnected"] * 3
    assert len(product.google.asked("/token")) - before == 1, "then it is known"


def test_conversations_belong_to_whoever_signed_in(product: SignedIn, browser: Browser) -> None:
    mei = {"Authorization": f"Bearer {product.client().connect(browser)['access_token']}"}
    with product.browser() as another:
        jonas = {"Authorization": f"Bearer {product.client().connect(another, JONAS)['access_token']}"}
    http = product.world.http

    answer = http.post("/chat", json={"query": "What will the weather be in Paris?"}, headers=mei)
    assert answer.status_code == 200, answer.text
    path = f"/chat/{answer.json()['session_id']}"

    assert http.get(path, headers=mei).status_code == 200
    foreign, random = http.get(path, headers=jonas), http.get("/chat/AAAAAAAAAAAAAAAAAAAAAA", headers=jonas)
    assert (foreign.status_code, foreign.content) == (random.status_code, random.content) == (404, foreign.content)


def test_the_account_page_shows_and_takes_back(product: SignedIn, browser: Browser) -> None:
    client = product.client(name="Trip planner")
    tokens = client.connect(browser)

    page = browser.account()

    assert "Trip planner" in page.text
    assert "mei.lin@example.com" in page.text
    removed = browser.post("/account", [("do", "remove_client"), ("client", client.client_id), ("form_token", form_token(page))])
    assert (removed.status_code, removed.headers["location"]) == (303, "/account")
    assert "Trip planner" not in browser.open("/account").text
    assert product.call("get_weather_forecast", tokens["access_token"], place="Paris").status_code == 401


def test_the_account_page_takes_back_one_capability_and_leaves_the_others(product: SignedIn, browser: Browser) -> None:
    client = product.client(name="Trip planner")
    token = client.connect(browser, allow=["calendar", "docs"])["access_token"]
    page = browser.account()

    taken = {"do": "remove_capability", "client": client.client_id, "capability": "calendar", "form_token": form_token(page)}
    assert browser.post("/account", [*taken.items()]).headers["location"] == "/account"

    refused = product.call("list_calendar_events", token)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    assert product.call("read_document", token).status_code == 404, "allowed, and there is no such document"


def test_the_account_page_exports_without_anything_that_opens_something(product: SignedIn, browser: Browser) -> None:
    tokens = product.client(name="Exporter").connect(browser)
    page = browser.account()

    exported = browser.post("/account", [("do", "export"), ("form_token", form_token(page))])

    assert exported.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    told = exported.json()
    assert told["google"]["email"] == "mei.lin@example.com"
    assert "Exporter" in [client["client_name"] for client in told["clients"]]
    assert "refresh_token" not in exported.text
    assert tokens["refresh_token"] not in exported.text


def test_disconnecting_google_gives_the_grant_back_there_and_ends_every_client(product: SignedIn, browser: Browser) -> None:
    tokens = product.client().connect(browser)
    page, before = browser.account(), len(product.google.asked("/revoke"))

    gone = browser.post("/account", [("do", "disconnect_google"), ("form_token", form_token(page))])

    assert gone.status_code == 200
    assert len(product.google.asked("/revoke")) - before == 1
    assert AT_GOOGLE not in gone.text
    assert product.call("list_calendar_events", tokens["access_token"]).status_code == 401


def test_what_the_person_took_back_at_google_already_leaves_nothing_to_do_there(product: SignedIn, browser: Browser) -> None:
    product.client().connect(browser)
    page = browser.account()
    product.google.disconnect()

    gone = browser.post("/account", [("do", "disconnect_google"), ("form_token", form_token(page))])

    assert gone.status_code == 200
    assert AT_GOOGLE not in gone.text


@pytest.mark.parametrize("deed", [[("do", "disconnect_google")], [("do", "delete"), ("sure", "yes")]], ids=["Google", "everything"])
def test_where_the_key_is_gone_google_cannot_be_told_and_the_person_is(deed: list[tuple[str, str]]) -> None:
    with signin.started() as product, product.browser() as browser:
        tokens = product.client().connect(browser)
        product.world.environ["SEALING_KEYS"] = new_key("k2")
        product.world.restart()
        page = browser.account()

        gone = browser.post("/account", [*deed, ("form_token", form_token(page))])

        assert (gone.status_code, AT_GOOGLE in gone.text) == (200, True)
        assert "was ended at Google" not in gone.text
        assert product.google.asked("/revoke") == []
        assert product.call("get_weather_forecast", tokens["access_token"], place="Paris").status_code == 401, (
            "here it has ended all the same"
        )
        assert 'value="disconnect_google"' not in browser.account().text


def test_the_published_metadata_are_what_clients_read(product: SignedIn) -> None:
    http = product.world.http
    at_root = http.get("/.well-known/oauth-protected-resource").json()
    below = http.get("/.well-known/oauth-protected-resource/mcp").json()
    about = http.get("/.well-known/oauth-authorization-server").json()

    assert at_root == below
    assert below["resource"] == f"{product.world.url}/mcp"
    assert below["authorization_servers"] == [about["issuer"]] == [product.world.url]
    assert "offline_access" not in below["scopes_supported"]
    assert about["code_challenge_methods_supported"] == ["S256"]
    jwks = http.get(urlsplit(about["jwks_uri"]).path).json()
    assert all(key["kty"] == "EC" and "d" not in key for key in jwks["keys"])
    jsonschema.validate(jwks, {"type": "object", "required": ["keys"]})


def test_whoever_signs_in_goes_on_with_the_conversation_that_they_had_once(product: SignedIn, browser: Browser) -> None:
    http = product.world.http
    first = http.post("/chat", json={"query": "What will the weather be in Paris?"}).json()
    mei = {"Authorization": f"Bearer {product.client().connect(browser)['access_token']}"}
    with product.browser() as another:
        jonas = {"Authorization": f"Bearer {product.client().connect(another, JONAS)['access_token']}"}
    question = {"query": "And in Berlin?", "session_id": first["session_id"]}

    assert http.post("/chat", json=question, headers=mei).status_code == 200

    turns = http.get(f"/chat/{first['session_id']}", headers=mei).json()["turns"]
    assert [turn["query"] for turn in turns] == ["What will the weather be in Paris?", "And in Berlin?"]
    heard = product.world.model_requests[-1].json["messages"]
    assert "What will the weather be in Paris?" in [message["content"] for message in heard if message["role"] == "user"]
    assert http.get(f"/chat/{first['session_id']}").status_code == 404, "it is nobody else's any more"
    assert http.post("/chat", json=question, headers=jonas).status_code == 200
    assert len(http.get(f"/chat/{first['session_id']}", headers=jonas).json()["turns"]) == 1, "and can be gone on with once"


def test_everything_that_is_kept_of_a_person_is_shown_and_deleted(product: SignedIn, browser: Browser) -> None:
    tokens = product.client(name="Forgotten").connect(browser, JONAS)
    jonas = {"Authorization": f"Bearer {tokens['access_token']}"}
    session = product.world.http.post("/chat", json={"query": "What will the weather be in Oslo?"}, headers=jonas).json()["session_id"]
    page = browser.account(JONAS)

    exported = browser.post("/account", [("do", "export"), ("form_token", form_token(page))]).json()
    unsure = browser.post("/account", [("do", "delete"), ("form_token", form_token(page))])
    gone = browser.post("/account", [("do", "delete"), ("sure", "yes"), ("form_token", form_token(page))])

    assert "What will the weather be in Oslo?" in [turn["query"] for turns in exported["conversations"] for turn in turns]
    assert unsure.status_code == 422
    assert gone.status_code == 200
    assert product.world.http.get(f"/chat/{session}", headers=jonas).status_code == 401
    again = {"Authorization": f"Bearer {product.client().connect(browser, JONAS)['access_token']}"}
    assert product.world.http.get(f"/chat/{session}", headers=again).status_code == 404
