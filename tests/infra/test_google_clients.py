"""Clients that others wrote sign in at the emulated Google and read from it: Google's own two, Authlib, and requests-oauthlib."""

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from authlib.integrations.httpx_client import OAuth2Client
from google.auth.transport.requests import Request
from google.oauth2 import id_token
from google_auth_oauthlib.flow import Flow
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from requests_oauthlib import OAuth2Session

from infra.local.google_emulator.people import MEI
from infra.local.google_emulator.sample_docs import DIARY, PLAN
from infra.local.google_emulator.scopes import EMAIL, OPENID
from tests import discovery
from tests.google import DOCUMENTS, EVENTS, FREE_BUSY, MAIL, REDIRECT_URI, Google, started

SCOPES = [OPENID, EMAIL, EVENTS, FREE_BUSY, DOCUMENTS, MAIL]


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # loopback without TLS
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with started() as google:
        yield google


def signed_in(google: Google) -> Any:
    """What Google's own client has after the whole sign-in: its credentials."""
    web = {
        "client_id": google.client.id,
        "client_secret": google.client.secret,
        "auth_uri": f"{google.url}/o/oauth2/v2/auth",
        "token_uri": f"{google.url}/token",
    }
    flow = Flow.from_client_config({"web": web}, scopes=SCOPES, redirect_uri=REDIRECT_URI)
    with flow.oauth2session:
        address, _ = flow.authorization_url(access_type="offline", include_granted_scopes="true")
        flow.fetch_token(authorization_response=google.sign_in(address))
        return flow.credentials


def service(name: str, version: str, credentials: Any, address: str) -> Any:
    """Google's own client of an API, which knows it from the discovery document; only the address is another."""
    where = {"api_endpoint": address}
    return build(name, version, credentials=credentials, static_discovery=True, cache_discovery=False, client_options=where)


def test_googles_own_clients_sign_in_and_read(google: Google) -> None:
    credentials = signed_in(google)

    with service("docs", "v1", credentials, google.url) as docs, service("gmail", "v1", credentials, google.url) as gmail:
        document = docs.documents().get(documentId=PLAN).execute()
        messages = gmail.users().messages().list(userId="me", q="is:starred").execute()["messages"]
        message = gmail.users().messages().get(userId="me", id=messages[0]["id"], format="full").execute()
        with pytest.raises(HttpError, match="The caller does not have permission"):
            docs.documents().get(documentId=DIARY).execute()

    assert credentials.refresh_token
    assert document["title"] == "Lighthouse project plan 灯塔项目计划"
    assert message["snippet"] == "One more: travel is missing, 3,000 EUR."
    assert discovery.problems(google.received) == []


def test_googles_own_client_of_the_calendar_reads_on_after_a_refresh(google: Google) -> None:
    # The calendar's discovery document has a path in its base address, and so has this client.
    with service("calendar", "v3", signed_in(google), f"{google.url}/calendar/v3") as calendar:
        before = calendar.events().list(calendarId="primary", q="预算", maxResults=5).execute()
        google.clock.ahead = 4000  # The client's clock stands still, so it learns of it by a 401.
        after = calendar.events().list(calendarId="primary", q="预算", maxResults=5).execute()

    assert [event["summary"] for event in before["items"]] == [event["summary"] for event in after["items"]] != []
    assert [request.path for request in google.received[-3:]] == [
        "/calendar/v3/calendars/primary/events",
        "/token",
        "/calendar/v3/calendars/primary/events",
    ]


def test_googles_own_check_of_an_id_token_accepts_it(google: Google) -> None:
    token = signed_in(google).id_token

    with requests.Session() as session:
        certs = f"{google.url}/oauth2/v3/certs"
        said = id_token.verify_token(token, Request(session), google.client.id, certs, clock_skew_in_seconds=5)

    assert (said["iss"], said["sub"], said["email"]) == ("https://accounts.google.com", MEI.sub, MEI.email)


def test_authlib_signs_in_by_what_it_discovers_refreshes_and_revokes(google: Google) -> None:
    metadata = google.get("/.well-known/openid-configuration").json()
    verifier = secrets.token_urlsafe(48)

    with OAuth2Client(
        google.client.id,
        google.client.secret,
        scope=" ".join(SCOPES),
        redirect_uri=REDIRECT_URI,
        code_challenge_method="S256",
        trust_env=False,
        token_endpoint=metadata["token_endpoint"],
    ) as client:
        address, state = client.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=verifier, access_type="offline", nonce="n"
        )
        back = google.sign_in(address)
        tokens = client.fetch_token(metadata["token_endpoint"], authorization_response=back, code_verifier=verifier, state=state)
        refreshed = client.refresh_token(metadata["token_endpoint"], refresh_token=tokens["refresh_token"])
        who = client.get(metadata["userinfo_endpoint"]).json()
        client.revoke_token(metadata["revocation_endpoint"], token=tokens["refresh_token"])
        revoked = client.get(metadata["userinfo_endpoint"])

    assert metadata["issuer"] == dict(parse_qsl(urlsplit(back).query))["iss"] == "https://accounts.google.com"
    assert refreshed["access_token"] != tokens["access_token"]
    assert (who["sub"], who["email"]) == (MEI.sub, MEI.email)
    assert revoked.status_code == 401


def test_requests_oauthlib_signs_in_with_pkce_and_refreshes(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")  # Google answers in another order and by other names than it was asked.

    with OAuth2Session(google.client.id, redirect_uri=REDIRECT_URI, scope=["email", EVENTS], pkce="S256") as session:
        address, _ = session.authorization_url(f"{google.url}/o/oauth2/v2/auth", access_type="offline")
        back = google.sign_in(address)
        tokens = session.fetch_token(f"{google.url}/token", authorization_response=back, client_secret=google.client.secret)
        pair = {"client_id": google.client.id, "client_secret": google.client.secret}
        refreshed = session.refresh_token(f"{google.url}/token", **pair)
        events = session.get(f"{google.url}/calendar/v3/calendars/primary/events", params={"maxResults": 1})

    assert refreshed["access_token"] != tokens["access_token"]
    assert refreshed["refresh_token"] == tokens["refresh_token"], "Google sends none on a refresh, so the client keeps the first"
    assert events.status_code == 200
