"""OAuth clients that others wrote go the whole way (C1, C2, C5, C6, C8, C10, C11, C12, C14, C17): they find the server by its metadata, register
or are known, sign a person in, call an operation, refresh, and give back what they got. What runs on Node skips where there is none."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2 import rfc8414, rfc9207
from oauthlib.oauth2 import InvalidGrantError, WebApplicationClient
from requests_oauthlib import OAuth2Session

from tests import signin
from tests.oauth_clients import EVENTS, MEETING, told, went
from tests.programs import CLIENTS, node
from tests.signin import ARGUMENTS, CALLBACK, CHATGPT_CALLBACK, CHATGPT_ID, CHATGPT_SECRET, Browser, SignedIn

OWNER_NAMED = (CHATGPT_CALLBACK, CHATGPT_ID, CHATGPT_SECRET)
"""The client that needs no PKCE, because it has a secret."""


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started() as started:
        yield started


@pytest.fixture
def browser(product: SignedIn) -> Iterator[Browser]:
    with product.browser() as opened:
        yield opened


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the Python libraries speak http, which they refuse by themselves."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def operation(product: SignedIn) -> str:
    return f"{product.world.url}/tools/{EVENTS}"


def called(product: SignedIn) -> tuple[str, str]:
    """The operation, and what it is called with."""
    return operation(product), json.dumps(ARGUMENTS[EVENTS])


def metadata(product: SignedIn) -> dict[str, Any]:
    found: dict[str, Any] = product.world.http.get("/.well-known/oauth-authorization-server").json()
    return found


def require_the_whole_way(tokens: Mapping[str, Any], refreshed: Mapping[str, Any], *events: Any) -> None:
    """What a client has to have got on its way."""
    for got in (tokens, refreshed):
        assert (got["token_type"], got["expires_in"]) == ("bearer", 1800)
        assert got["scope"] in ("calendar", ["calendar"]), "oauthlib makes a list of it"
    assert tokens["access_token"] != refreshed["access_token"]
    assert tokens["refresh_token"] != refreshed["refresh_token"]
    assert all(MEETING in json.dumps(found) for found in events)


def require_an_end(product: SignedIn, done: Mapping[str, Any]) -> None:
    """What a client has to have understood in the end: that the connection is over, and where another one begins."""
    ((scheme, said),) = done["challenge"]
    assert (scheme, said["error"]) == ("bearer", "invalid_token")
    assert said["scope"].split() == metadata(product)["scopes_supported"]
    assert said["resource_metadata"] == f"{product.world.url}/.well-known/oauth-protected-resource/mcp"
    assert done["ended"] == "invalid_grant"


def test_oauth4webapi_finds_all_of_it_from_the_mcp_endpoint(product: SignedIn, browser: Browser, tmp_path: Path) -> None:
    url = product.world.url

    done = told(browser, tmp_path, node(), CLIENTS / "oauth4webapi.mjs", f"{url}/mcp", *called(product), CALLBACK)

    require_the_whole_way(*done["tokens"], *done["events"])
    require_an_end(product, done)
    assert done["server"] == metadata(product)
    assert done["client"]["client_name"] == "oauth4webapi"
    assert done["denied"] == "access_denied"
    # It has verified the signature by the published keys, and that the token is one for APIs (RFC 9068).
    claims = done["claims"]
    assert (claims["iss"], claims["aud"], claims["scope"]) == (url, f"{url}/mcp", "calendar")
    assert claims["client_id"] == done["client"]["client_id"]


@pytest.mark.parametrize("who", [(CALLBACK,), OWNER_NAMED], ids=["registers", "has_a_secret"])
def test_openid_client_goes_the_whole_way(product: SignedIn, browser: Browser, tmp_path: Path, who: tuple[str, ...]) -> None:
    done = told(browser, tmp_path, node(), CLIENTS / "openid_client.mjs", product.world.url, *called(product), *who)

    require_the_whole_way(*done["tokens"], *done["events"])
    require_an_end(product, done)
    assert done["denied"] == "access_denied"


@pytest.mark.parametrize("body", ["form", "json"])
@pytest.mark.parametrize("secret", ["header", "body"])
def test_simple_oauth2_needs_no_pkce(product: SignedIn, browser: Browser, tmp_path: Path, secret: str, body: str) -> None:
    given = (product.world.url, *called(product), *OWNER_NAMED, secret, body)

    done = told(browser, tmp_path, node(), CLIENTS / "simple_oauth2.mjs", *given)

    require_the_whole_way(*done["tokens"], *done["events"])
    assert (done["state"], done["after"], done["ended"]) == ("state-of-the-client", 401, "invalid_grant")


@pytest.mark.usefixtures("loopback")
def test_authlib_finds_no_fault_with_the_metadata(product: SignedIn) -> None:
    found = rfc8414.AuthorizationServerMetadata(metadata(product))

    found.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])

    assert found["issuer"] == product.world.url


@pytest.mark.usefixtures("loopback")
def test_authlib_goes_the_whole_way(product: SignedIn, browser: Browser) -> None:
    about, client = metadata(product), product.client(name="Authlib")
    options = {"redirect_uri": CALLBACK, "scope": "calendar", "code_challenge_method": "S256", "token_endpoint_auth_method": "none"}

    with AuthlibSession(client.client_id, **options) as session:
        address, state = session.create_authorization_url(about["authorization_endpoint"], code_verifier=client.verifier)
        back = went(browser, address)
        tokens = session.fetch_token(about["token_endpoint"], authorization_response=back, state=state, code_verifier=client.verifier)
        first = session.post(operation(product), json=ARGUMENTS[EVENTS]).json()
        refreshed = session.refresh_token(about["token_endpoint"], refresh_token=tokens["refresh_token"])
        second = session.post(operation(product), json=ARGUMENTS[EVENTS]).json()
        revoked = session.revoke_token(about["revocation_endpoint"], token=refreshed["refresh_token"], token_type_hint="refresh_token")
        after = session.post(operation(product), json=ARGUMENTS[EVENTS])

    require_the_whole_way(tokens, refreshed, first, second)
    assert (revoked.status_code, after.status_code) == (200, 401)


IN_BODY = {"client_secret": CHATGPT_SECRET, "include_client_id": True}
IN_BODY_AGAIN = {"client_id": CHATGPT_ID, "client_secret": CHATGPT_SECRET}
"""What requests-oauthlib wants to be told once for a code, and once for a refresh token."""
BY_BASIC = {"auth": (CHATGPT_ID, CHATGPT_SECRET)}


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    ("redeems", "refreshes"), [(IN_BODY, IN_BODY_AGAIN), (BY_BASIC, BY_BASIC)], ids=["secret_in_body", "secret_by_basic"]
)
def test_requests_oauthlib_needs_no_pkce(
    product: SignedIn, browser: Browser, redeems: Mapping[str, Any], refreshes: Mapping[str, Any]
) -> None:
    about, client = metadata(product), WebApplicationClient(CHATGPT_ID)

    with OAuth2Session(client=client, redirect_uri=CHATGPT_CALLBACK, scope="calendar") as session:
        address, _ = session.authorization_url(about["authorization_endpoint"])
        tokens = session.fetch_token(about["token_endpoint"], authorization_response=went(browser, address), **redeems)
        first = session.post(operation(product), json=ARGUMENTS[EVENTS]).json()
        refreshed = session.refresh_token(about["token_endpoint"], **refreshes)
        second = session.post(operation(product), json=ARGUMENTS[EVENTS]).json()
        place, headers, body = client.prepare_token_revocation_request(about["revocation_endpoint"], refreshed["access_token"])
        revoked = session.post(place, data=body, headers=headers, withhold_token=True, **BY_BASIC)
        after = session.post(operation(product), json=ARGUMENTS[EVENTS])
        with pytest.raises(InvalidGrantError):
            session.refresh_token(about["token_endpoint"], **refreshes)

    require_the_whole_way(tokens, refreshed, first, second)
    assert (revoked.status_code, after.status_code) == (200, 401)
