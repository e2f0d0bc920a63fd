"""Applications that use the SDKs of the Model Context Protocol, and all that they do at a product with sign-in."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from tests.oauth_clients import EVENTS, MEETING, told, went
from tests.programs import CLIENTS, node
from tests.signin import ARGUMENTS, CALLBACK, Browser, SignedIn

CHALLENGE = "mcp/www_authenticate"
"""Where in `_meta` a tool's result says how to sign in."""


@dataclass
class Application:
    """What the Python SDK leaves to whoever uses it: to keep what it is given, and to send the browser off."""

    browser: Browser
    tokens: list[OAuthToken] = field(default_factory=list)
    client: OAuthClientInformationFull | None = None
    visits: list[dict[str, str]] = field(default_factory=list)
    """What each visit to our consent page asked for."""
    back: dict[str, str] = field(default_factory=dict)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens[-1] if self.tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info

    async def visit(self, address: str) -> None:
        self.visits.append(dict(parse_qsl(urlsplit(address).query)))
        self.back = dict(parse_qsl(urlsplit(await asyncio.to_thread(went, self.browser, address)).query))

    async def came_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult.model_validate(self.back)

    @contextlib.asynccontextmanager
    async def connected(self, url: str, mode: str, document: str | None = None) -> AsyncIterator[tuple[Client, OAuthClientProvider]]:
        """A client that signs in by itself, as the document or as one that registers."""
        metadata = OAuthClientMetadata.model_validate({"redirect_uris": [CALLBACK], "client_name": "Python SDK"})
        provider = OAuthClientProvider(url, metadata, self, self.visit, self.came_back, document)
        async with (
            httpx2.AsyncClient(transport=Challenged(trust_env=False), auth=provider, timeout=60) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            yield client, provider


class Challenged(httpx2.AsyncHTTPTransport):
    """Shows the SDK the challenge that a tool's result holds as what it knows: as a 401. It reads none in a result."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        body = await response.aread()
        if CHALLENGE.encode() not in body:
            return response
        (challenge,) = json.loads(body)["result"]["_meta"][CHALLENGE]
        return httpx2.Response(401, headers={"WWW-Authenticate": challenge}, request=request)


async def whole_way(product: SignedIn, application: Application, mode: str, document: str | None = None) -> None:
    """Everything that a client of the Python SDK does, and what it has to have seen."""
    url = f"{product.world.url}/mcp"
    async with Client(url, mode=mode) as stranger:
        refused = await stranger.call_tool(EVENTS, {**ARGUMENTS[EVENTS]})
    assert refused.is_error
    assert refused.meta
    assert refused.meta[CHALLENGE][0].startswith("Bearer resource_metadata=")

    async with application.connected(url, mode, document) as (client, provider):
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert (EVENTS in tools, application.visits) == (True, []), "the list is everybody's"
        first = await client.call_tool(EVENTS, {**ARGUMENTS[EVENTS]})
        provider.context.token_expiry_time = 1.0
        second = await client.call_tool(EVENTS, {**ARGUMENTS[EVENTS]})
        assert len(application.visits) == 1
        assert application.client
        form = {"token": application.tokens[-1].refresh_token, "client_id": application.client.client_id}
        revoked = await asyncio.to_thread(product.world.http.post, "/oauth/revoke", data=form)
        third = await client.call_tool(EVENTS, {**ARGUMENTS[EVENTS]})

    for result in (first, second, third):
        assert MEETING in json.dumps(result.structured_content), result
    assert revoked.status_code == 200
    assert [(visit["resource"], visit["client_id"]) for visit in application.visits] == [(url, application.client.client_id)] * 2
    assert application.visits[0]["scope"] == "calendar"
    signed_in, refreshed, _ = application.tokens
    assert (signed_in.expires_in, signed_in.scope) == (1800, "calendar")
    assert signed_in.refresh_token != refreshed.refresh_token


def whole_way_on_node(product: SignedIn, browser: Browser, folder: Path, line: str, *document: str) -> dict[str, Any]:
    """The same with the TypeScript SDK, in the line that speaks this revision; gives what it told."""
    url = product.world.url

    done = told(
        browser, folder, node(), CLIENTS / "mcp_sign_in.mjs", line, f"{url}/mcp", EVENTS, json.dumps(ARGUMENTS[EVENTS]), CALLBACK, *document
    )

    assert EVENTS in done["tools"]
    assert done["challenge"] == {"resourceMetadataUrl": f"{url}/.well-known/oauth-protected-resource/mcp", "scope": "calendar"}
    assert (done["asked"]["resource"], done["asked"]["scope"]) == (f"{url}/mcp", "calendar")
    assert done["results"] == ["REDIRECT", "AUTHORIZED"]
    first, second = done["tokens"]
    assert first["refresh_token"] != second["refresh_token"]
    assert all(MEETING in json.dumps(found) for found in done["events"])
    assert (done["refreshes"], done["revoked"], done["after"], done["visits"]) == (1, 200, "UnauthorizedError", 2)
    return done
