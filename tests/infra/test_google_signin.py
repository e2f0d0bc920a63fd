"""The emulated Google signs people in as Google says it does, and refuses in Google's words.

https://developers.google.com/identity/protocols/oauth2/web-server, read in November 2026.
"""

import hashlib
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from infra.local.google_emulator.accounts import Asked, OAuthRefused
from infra.local.google_emulator.people import JONAS, MEI
from infra.local.google_emulator.scopes import EMAIL, OPENID, PROFILE
from tests.google import DOCUMENTS, EVENTS, FREE_BUSY, MAIL, REDIRECT_URI, Blocked, Google, challenge, started

VERIFIER = "a-verifier-of-forty-three-characters-or-more"


@pytest.fixture
def google() -> Iterator[Google]:
    with started() as google:
        yield google


def returned(address: str) -> dict[str, str]:
    """The query of the address that Google leads back to."""
    assert address.startswith(f"{REDIRECT_URI}?")
    return dict(parse_qsl(urlsplit(address).query, strict_parsing=True))


def scopes(tokens: dict[str, Any]) -> set[str]:
    return set(tokens["scope"].split())


def claims(google: Google, id_token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(google.get("/oauth2/v3/certs").json())
    return jwt.decode(id_token, keys, algorithms=["RS256"]).claims


def code_for(google: Google, *scope: str, **parameters: str) -> str:
    return returned(google.sign_in(google.authorize_url(scope or [EVENTS], VERIFIER, **parameters)))["code"]


def redeemed(google: Google, code: str, changed: Mapping[str, str] | None = None) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    return google.token_request(**form | dict(changed or {}))


def test_the_first_grant_brings_a_refresh_token_and_the_next_one_does_not(google: Google) -> None:
    first = google.grant([OPENID, EVENTS])
    second = google.grant([OPENID, EVENTS])

    assert first["token_type"] == "Bearer"
    assert first["expires_in"] == 3599
    assert first["refresh_token"].startswith("1//")
    assert "refresh_token" not in second


def test_a_first_grant_whose_code_nobody_redeemed_was_the_first_all_the_same(google: Google) -> None:
    code_for(google)

    assert "refresh_token" not in google.grant([EVENTS])


def test_asking_for_consent_again_brings_another_refresh_token_and_the_first_still_works(google: Google) -> None:
    first = google.grant([EVENTS])

    second = google.grant([EVENTS], prompt="consent")

    assert second["refresh_token"] != first["refresh_token"]
    for tokens in (first, second):
        assert google.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("access_type", ["online", ""])
def test_without_offline_access_there_is_no_refresh_token(google: Google, access_type: str) -> None:
    assert "refresh_token" not in google.grant([EVENTS], access_type=access_type)


def test_a_person_may_grant_a_part_only(google: Google) -> None:
    tokens = google.grant([OPENID, EVENTS, DOCUMENTS], without=[DOCUMENTS])

    assert scopes(tokens) == {OPENID, EVENTS}
    assert google.get("/calendar/v3/calendars/primary/events", tokens["access_token"]).status_code == 200
    assert google.get("/v1/documents/x", tokens["access_token"]).status_code == 403


def test_who_grants_nothing_but_the_sign_in_is_still_signed_in(google: Google) -> None:
    tokens = google.grant([OPENID, EVENTS], without=[EVENTS])

    assert scopes(tokens) == {OPENID}


def test_who_grants_nothing_at_all_denies(google: Google) -> None:
    back = returned(google.sign_in(google.authorize_url([EVENTS], VERIFIER), without=[EVENTS]))

    assert back["error"] == "access_denied"


def test_a_later_grant_carries_the_earlier_ones_where_it_was_asked_to(google: Google) -> None:
    google.grant([OPENID, EVENTS])

    alone = google.grant([FREE_BUSY], include_granted_scopes="")
    together = google.grant([DOCUMENTS])

    assert scopes(alone) == {FREE_BUSY}
    assert scopes(together) == {OPENID, EVENTS, FREE_BUSY, DOCUMENTS}


def test_what_was_granted_is_asked_for_no_more(google: Google) -> None:
    google.grant([EVENTS])
    pages = len(google.asked("/signin/oauth/consent"))

    tokens = google.grant([EVENTS, DOCUMENTS], without=[EVENTS, DOCUMENTS])

    assert scopes(tokens) == {EVENTS}
    assert [request.method for request in google.asked("/signin/oauth/consent")[pages:]] == ["GET", "POST"]


def test_a_refresh_token_keeps_the_scopes_that_it_was_made_with(google: Google) -> None:
    first = google.grant([EVENTS])
    google.grant([DOCUMENTS])

    refreshed = google.token_request(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()

    assert scopes(refreshed) == {EVENTS}


def test_a_short_name_is_answered_with_the_long_one_and_the_e_mail_address_with_openid(google: Google) -> None:
    tokens = google.grant(["email", EVENTS])

    assert scopes(tokens) == {EMAIL, OPENID, EVENTS}


def test_google_leads_back_with_its_name_and_the_scopes_of_the_grant(google: Google) -> None:
    back = returned(google.sign_in(google.authorize_url(["email", EVENTS], VERIFIER, state="s")))

    assert list(back) == ["state", "iss", "code", "scope", "authuser", "prompt"]
    assert (back["iss"], back["state"], back["prompt"]) == ("https://accounts.google.com", "s", "consent")
    assert set(back["scope"].split()) == {"email", EMAIL, OPENID, EVENTS}


@pytest.mark.parametrize("state", ["a b+c/d%20&e=f?g#h", "状态 😀 \"'<>", "x" * 1000, "."])
@pytest.mark.parametrize("deny", [False, True])
def test_the_state_comes_back_as_it_went(google: Google, state: str, deny: bool) -> None:
    back = returned(google.sign_in(google.authorize_url([EVENTS], VERIFIER, state=state), deny=deny))

    assert back["state"] == state
    assert ("error" in back) == deny


def test_who_denies_leads_back_with_an_error_and_without_a_code(google: Google) -> None:
    back = returned(google.sign_in(google.authorize_url([EVENTS], VERIFIER, state="s"), deny=True))

    assert back == {"state": "s", "iss": "https://accounts.google.com", "error": "access_denied"}


def test_the_query_of_a_redirect_address_stays(google: Google) -> None:
    google.client.redirect_uris.add(f"{REDIRECT_URI}?tenant=a%20b")

    address = google.sign_in(google.authorize_url([EVENTS], VERIFIER, redirect_uri=f"{REDIRECT_URI}?tenant=a%20b", state="s"))

    assert address.startswith(f"{REDIRECT_URI}?tenant=a%20b&state=s&")


def opened(google: Google, **parameters: str) -> httpx.Response:
    return google.http.get(google.authorize_url([EVENTS], VERIFIER, **parameters))


def test_a_person_chooses_an_account_unless_the_client_names_it(google: Google) -> None:
    chooser, named, unknown = opened(google), opened(google, login_hint=MEI.email), opened(google, login_hint="nobody@example.com")
    insisting = opened(google, login_hint=MEI.sub, prompt="select_account consent")

    assert all(person.email in chooser.text for person in (MEI, JONAS))
    assert named.headers["location"].startswith("/signin/oauth/consent?account=mei.lin%40example.com&")
    assert unknown.status_code == insisting.status_code == 200
    assert "script" not in chooser.headers["content-security-policy"]


def test_without_a_page_only_what_was_granted_before_is_answered(google: Google) -> None:
    before = returned(opened(google, login_hint=MEI.email, prompt="none").headers["location"])
    google.grant([EVENTS])
    after = returned(opened(google, login_hint=MEI.email, prompt="none").headers["location"])

    assert before["error"] == "interaction_required"
    assert redeemed(google, after["code"]).status_code == 200


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"client_id": "someone-else"}, 401, "invalid_client"),
        ({"client_id": ""}, 400, "invalid_request"),
        ({"redirect_uri": f"{REDIRECT_URI}/"}, 400, "redirect_uri_mismatch"),
        ({"redirect_uri": ""}, 400, "invalid_request"),
        ({"scope": ""}, 400, "invalid_request"),
        ({"scope": f"{EVENTS} https://www.googleapis.com/auth/calendar.evens"}, 400, "invalid_scope"),
        ({"response_type": "token"}, 400, "unsupported_response_type"),
        ({"response_type": ""}, 400, "invalid_request"),
        ({"access_type": "always"}, 400, "invalid_request"),
        ({"include_granted_scopes": "yes"}, 400, "invalid_request"),
        ({"prompt": "none consent"}, 400, "invalid_request"),
        ({"code_challenge": ""}, 400, "invalid_request"),
        ({"code_challenge_method": "plain"}, 400, "invalid_request"),
        ({"code_challenge_method": ""}, 400, "invalid_request"),
    ],
)
def test_a_wrong_request_is_answered_with_a_page_and_never_with_a_redirect(
    google: Google, changed: dict[str, str], status: int, error: str
) -> None:
    with pytest.raises(Blocked, match=f"Error {status}: {error}") as blocked:
        google.sign_in(google.authorize_url([EVENTS], VERIFIER, **changed))

    assert blocked.value.status == status


def test_a_repeated_parameter_is_refused(google: Google) -> None:
    with pytest.raises(Blocked, match="OAuth 2 parameters can only have a single value: scope"):
        google.sign_in(google.authorize_url([EVENTS], VERIFIER) + "&scope=" + quote(MAIL))


def test_a_page_shows_what_it_was_given_as_text(google: Google) -> None:
    with pytest.raises(Blocked) as blocked:
        google.sign_in(google.authorize_url([EVENTS], VERIFIER, redirect_uri="<script>alert(1)</script>"))

    assert "<script>" not in str(blocked.value)
    assert "&lt;script&gt;" in str(blocked.value)


def test_a_code_works_once(google: Google) -> None:
    code = code_for(google)

    first, second = redeemed(google, code), redeemed(google, code)

    assert first.status_code == 200
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changed", "status", "body"),
    [
        ({"code": "4/0Aunknown"}, 400, {"error": "invalid_grant", "error_description": "Malformed auth code."}),
        ({"code": ""}, 400, {"error": "invalid_request", "error_description": "Missing required parameter: code"}),
        ({"code_verifier": "another" * 7}, 400, {"error": "invalid_grant", "error_description": "Invalid code verifier."}),
        ({"code_verifier": ""}, 400, {"error": "invalid_grant", "error_description": "Missing code verifier."}),
        ({"redirect_uri": "https://example.com/"}, 400, {"error": "redirect_uri_mismatch", "error_description": "Bad Request"}),
        ({"client_secret": "wrong"}, 401, {"error": "invalid_client", "error_description": "The provided client secret is invalid."}),
        ({"client_secret": ""}, 400, {"error": "invalid_request", "error_description": "client_secret is missing."}),
        ({"client_id": "someone"}, 401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}),
        ({"grant_type": "password"}, 400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type: password"}),
    ],
)
def test_the_token_endpoint_refuses_in_googles_form(google: Google, changed: dict[str, str], status: int, body: dict[str, str]) -> None:
    answer = redeemed(google, code_for(google), changed)

    assert (answer.status_code, answer.json()) == (status, body)
    assert "no-store" in answer.headers["cache-control"]


def test_a_code_is_good_for_ten_minutes(google: Google) -> None:
    code = code_for(google)

    google.clock.ahead = 601

    assert redeemed(google, code).json()["error"] == "invalid_grant"


def test_the_client_may_say_its_secret_by_basic(google: Google) -> None:
    pair = b64encode(f"{quote(google.client.id)}:{quote(google.client.secret)}".encode()).decode()
    form = {"grant_type": "authorization_code", "code": code_for(google), "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}

    answer = google.http.post("/token", data=form, headers={"authorization": f"Basic {pair}"})

    assert answer.status_code == 200


def test_a_refresh_brings_an_access_token_and_no_other_refresh_token(google: Google) -> None:
    tokens = google.grant([OPENID, EVENTS], nonce="n")

    refreshed = google.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()

    assert refreshed.keys() == {"access_token", "expires_in", "scope", "token_type", "id_token"}
    assert refreshed["access_token"] != tokens["access_token"]
    assert "nonce" not in claims(google, refreshed["id_token"])


def test_a_refresh_may_ask_for_less_and_not_for_more(google: Google) -> None:
    tokens = google.grant([EVENTS, DOCUMENTS])

    less = google.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"], scope=EVENTS)
    more = google.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"], scope=MAIL)

    assert scopes(less.json()) == {EVENTS}
    assert (more.status_code, more.json()["error"]) == (400, "invalid_scope")


def test_an_access_token_expires_and_a_refresh_replaces_it(google: Google) -> None:
    tokens = google.grant([EVENTS])
    path = "/calendar/v3/calendars/primary/events"

    google.clock.ahead = 3598
    alive = google.get(path, tokens["access_token"])
    google.clock.ahead = 3600
    dead = google.get(path, tokens["access_token"])
    refreshed = google.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()

    assert (alive.status_code, dead.status_code) == (200, 401)
    assert google.get(path, refreshed["access_token"]).status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoking_one_token_ends_the_whole_grant(google: Google, kind: str) -> None:
    tokens, others = google.grant([EVENTS]), google.grant([EVENTS], JONAS)

    revoked = google.http.post("/revoke", data={"token": tokens[kind]})

    again = google.http.post("/revoke", data={"token": tokens[kind]})
    refused = google.get("/calendar/v3/calendars/primary/events", tokens["access_token"])
    refresh = google.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert revoked.status_code == 200
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")
    assert (refused.status_code, refused.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert refresh.json() == {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    assert google.get("/calendar/v3/calendars/primary/events", others["access_token"]).status_code == 200
    assert "refresh_token" in google.grant([EVENTS]), "the next grant is a first one"


def test_who_removes_the_client_in_the_account_ends_every_token_and_open_code(google: Google) -> None:
    tokens, code = google.grant([EVENTS]), code_for(google)

    google.disconnect(MEI)

    assert google.get("/calendar/v3/calendars/primary/events", tokens["access_token"]).status_code == 401
    assert redeemed(google, code).json()["error"] == "invalid_grant"


def test_the_hundred_and_first_refresh_token_drops_the_first(google: Google) -> None:
    accounts, client = google.emulator.accounts, google.client
    asked = Asked(client, REDIRECT_URI, (EVENTS,), challenge(VERIFIER), offline=True, prompts=frozenset({"consent"}))
    others = accounts.redeem(client, accounts.grant(asked, JONAS, [EVENTS])[0], REDIRECT_URI, VERIFIER).refresh_token

    tokens = [accounts.redeem(client, accounts.grant(asked, MEI, [EVENTS])[0], REDIRECT_URI, VERIFIER).refresh_token for _ in range(101)]

    with pytest.raises(OAuthRefused, match="invalid_grant"):
        accounts.refresh(client, tokens[0] or "")
    assert all(accounts.refresh(client, token or "").access_token for token in (*tokens[1:], others))


def test_the_id_token_says_who_signed_in(google: Google) -> None:
    nonce = secrets.token_urlsafe(8)

    tokens = google.grant(["openid", "email", "profile"], nonce=nonce)

    said = claims(google, tokens["id_token"])
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert said.pop("exp") == said.pop("iat") + 3600
    assert said.pop("picture").startswith("https://lh3.googleusercontent.com/")
    assert said == {
        "iss": "https://accounts.google.com",
        "azp": google.client.id,
        "aud": google.client.id,
        "sub": "104857600000000000001",
        "email": "mei.lin@example.com",
        "email_verified": True,
        "name": "林美 Mei Lin",
        "given_name": "Mei",
        "family_name": "Lin",
        "at_hash": urlsafe_b64encode(half).rstrip(b"=").decode(),
        "nonce": nonce,
    }


def test_the_id_token_says_no_more_than_was_granted(google: Google) -> None:
    tokens = google.grant([OPENID, EVENTS], JONAS)

    said = claims(google, tokens["id_token"])

    assert said["sub"] == "104857600000000000002"
    assert not {"email", "name"} & said.keys()
    assert "id_token" not in google.grant([EVENTS], include_granted_scopes="")


def test_a_new_key_signs_while_the_old_one_is_still_shown(google: Google) -> None:
    before = google.grant([OPENID])["id_token"]

    google.emulator.keys.rotate()

    after = google.grant([OPENID])["id_token"]
    assert claims(google, before)["sub"] == claims(google, after)["sub"] == MEI.sub
    assert before.partition(".")[0] != after.partition(".")[0]


@pytest.mark.parametrize("path", ["/v1/userinfo", "/oauth2/v3/userinfo"])
def test_userinfo_says_what_the_token_may_know(google: Google, path: str) -> None:
    known, unknown = google.grant([EMAIL, PROFILE]), google.grant([EVENTS], include_granted_scopes="")

    said = google.get(path, known["access_token"]).json()

    assert said["sub"] == MEI.sub
    assert {"email", "email_verified", "name", "picture"} < said.keys()
    assert google.get(path, unknown["access_token"]).status_code == google.get(path).status_code == 401


def test_a_refresh_can_be_made_to_fail_while_a_code_is_still_redeemed(google: Google) -> None:
    tokens = google.grant([EVENTS])
    google.fail("invalid_grant", "/token", times=1)

    another = redeemed(google, code_for(google))
    answers = [google.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"]) for _ in range(2)]

    assert another.status_code == 200
    assert [answer.status_code for answer in answers] == [400, 200]
    assert answers[0].json() == {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
