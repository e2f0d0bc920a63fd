"""The protected half of /mcp, as raw JSON in both revisions (checklist D7 to D10, D12; wire.md 3.3 and 3.4)."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from infra.local.google_emulator.people import JONAS, MEI
from tests import signin
from tests.google import EVENTS
from tests.mcp import ERAS, FORECAST, failed, posted, result
from tests.signin import Client, SignedIn

EVENTS_TOOL = "list_calendar_events"


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started() as started:
        yield started


@pytest.fixture(scope="module")
def client(product: SignedIn) -> Client:
    return product.client(resource=f"{product.world.url}/mcp")


@pytest.fixture(scope="module")
def mei(product: SignedIn, client: Client) -> str:
    with product.browser() as browser:
        return str(client.connect(browser, MEI)["access_token"])


def call(product: SignedIn, era: str, tool: str, token: str | None, **arguments: Any) -> httpx.Response:
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    return posted(product.world, era, "tools/call", {"name": tool, "arguments": {**signin.ARGUMENTS.get(tool, {}), **arguments}}, **bearer)


def challenges(response: httpx.Response) -> dict[str, str]:
    """The parameters of the one challenge that a failed tool tells."""
    (challenge,) = response.json()["result"]["_meta"]["mcp/www_authenticate"]
    assert challenge.startswith("Bearer ")
    return dict(re.findall(r'(\w+)="([^"]*)"', challenge))


@pytest.mark.parametrize("era", ERAS)
def test_the_tools_are_listed_to_everybody_each_with_what_it_needs(product: SignedIn, era: str) -> None:
    tools = {tool["name"]: tool for tool in result(product.world, era, "tools/list")["tools"]}

    assert tools[FORECAST]["securitySchemes"] == [{"type": "noauth"}]
    assert tools[EVENTS_TOOL]["securitySchemes"] == [{"type": "oauth2", "scopes": ["calendar"]}]
    assert all(tool["securitySchemes"] == tool["_meta"]["securitySchemes"] for tool in tools.values())


@pytest.mark.parametrize("era", ERAS)
def test_a_stranger_is_told_where_to_sign_in_and_for_exactly_what(product: SignedIn, era: str) -> None:
    response = call(product, era, EVENTS_TOOL, None)

    assert response.status_code == 200
    assert failed(response.json()["result"])["code"] == "unauthenticated"
    assert challenges(response) == {
        "resource_metadata": f"{product.world.url}/.well-known/oauth-protected-resource/mcp",
        "error": "insufficient_scope",
        "error_description": f"{EVENTS_TOOL} needs a signed-in user; connect, and allow calendar.",
        "scope": "calendar",
    }


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("method", ["tools/list", "tools/call"])
@pytest.mark.parametrize("token", ["x", "a.b.c", "Bearer"])
def test_a_token_that_is_not_ours_is_refused_on_every_request(product: SignedIn, era: str, method: str, token: str) -> None:
    params = {"name": FORECAST, "arguments": {"place": "Paris"}} if method == "tools/call" else None

    response = posted(product.world, era, method, params, Authorization=f"Bearer {token}")

    assert response.status_code == 401
    told = response.headers["www-authenticate"]
    assert f'resource_metadata="{product.world.url}/.well-known/oauth-protected-resource/mcp"' in told
    assert 'error="invalid_token"' in told
    assert "scope=" in told


def test_a_token_for_the_rest_interface_is_none_here_and_ours_is_good_there(product: SignedIn, mei: str) -> None:
    with product.browser() as browser:
        for_rest = product.client().connect(browser)["access_token"]

    assert call(product, ERAS[0], FORECAST, for_rest, place="Paris").status_code == 401
    assert product.call(EVENTS_TOOL, mei).status_code == 200


@pytest.mark.parametrize("era", ERAS)
def test_who_is_signed_in_gets_what_they_allowed(product: SignedIn, era: str, mei: str) -> None:
    told = call(product, era, EVENTS_TOOL, mei).json()["result"]

    assert not told.get("isError"), told
    schema = next(tool for tool in result(product.world, era, "tools/list")["tools"] if tool["name"] == EVENTS_TOOL)["outputSchema"]
    jsonschema.validate(told["structuredContent"], schema)


@pytest.mark.parametrize("era", ERAS)
def test_what_google_did_not_grant_is_told_with_its_scope(product: SignedIn, client: Client, era: str) -> None:
    product.google.disconnect(JONAS)
    with product.browser() as browser:
        token = client.connect(browser, JONAS, without=[EVENTS])["access_token"]

    response = call(product, era, EVENTS_TOOL, token)

    error = failed(response.json()["result"])
    assert error["code"] == "insufficient_scope"
    assert EVENTS in error["message"]
    assert challenges(response)["scope"] == "calendar"


@pytest.mark.parametrize("era", ERAS)
def test_the_profile_says_whose_account_it_is_and_always_the_same(product: SignedIn, client: Client, era: str, mei: str) -> None:
    tool = next(tool for tool in result(product.world, era, "tools/list")["tools"] if tool["name"] == "get_profile")
    assert tool["_meta"]["openai/profile"] is True
    assert tool["inputSchema"].get("properties", {}) == {}
    assert tool["outputSchema"]["required"] == ["id"]
    assert tool["outputSchema"]["additionalProperties"] is False

    told = call(product, era, "get_profile", mei).json()["result"]["structuredContent"]

    assert (told["name"], told["email"]) == (MEI.name, MEI.email)
    assert MEI.sub not in told["id"]
    with product.browser() as browser:
        again = client.connect(browser, MEI)["access_token"]
    assert call(product, era, "get_profile", again).json()["result"]["structuredContent"] == told
    assert failed(call(product, era, "get_profile", None).json()["result"])["code"] == "unauthenticated"


@pytest.mark.parametrize("era", ERAS)
def test_a_revoked_token_is_refused_on_the_next_request(product: SignedIn, client: Client, era: str) -> None:
    with product.browser() as browser:
        tokens = client.connect(browser)
    assert call(product, era, FORECAST, tokens["access_token"], place="Paris").status_code == 200

    product.world.http.post("/oauth/revoke", data={"token": tokens["access_token"], "client_id": client.client_id})

    assert call(product, era, FORECAST, tokens["access_token"], place="Paris").status_code == 401
