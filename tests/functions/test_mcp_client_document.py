"""An MCP client that is a document on the web (CIMD, C13) goes the whole way: the product fetches the document, over TLS, by a DNS of the test's."""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import abc, web
from anyio.from_thread import start_blocking_portal

from functions.adapters.client_documents import PublicDocuments
from tests import assembled
from tests.certificates import certificate
from tests.emulators import free_port
from tests.mcp_application import Application, whole_way, whole_way_on_node
from tests.signin import CALLBACK, Client, SignedIn
from tests.upstream import serving

HOST = "client.example.com"
DOCUMENT = f"https://{HOST}/oauth/client.json"
DESCRIBED = {
    "client_id": DOCUMENT,
    "client_name": "A client that is a document",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}


class Loopback(abc.AbstractResolver):
    """A DNS to which every name is this machine's."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[abc.ResolveResult]:
        return [abc.ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@pytest.fixture
def asked() -> list[str]:
    """The paths that the client's server was asked for."""
    return []


@pytest.fixture
def described() -> dict[str, object]:
    """What the document says, until a test says otherwise."""
    return dict(DESCRIBED)


@pytest.fixture
def product(tmp_path: Path, asked: list[str], described: dict[str, object]) -> Iterator[SignedIn]:
    tls, authority = certificate(tmp_path, host=HOST)

    async def document(request: web.Request) -> web.Response:
        asked.append(f"{request.scheme}://{request.host.partition(':')[0]}{request.path}")
        return web.Response(text=json.dumps(described), content_type="application/json")

    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(serving(document, tls=tls)) as server:
        place = {"tls": ssl.create_default_context(cafile=authority), "port": int(server.url.rpartition(":")[2])}
        documents = PublicDocuments(Loopback(), public=lambda address: address == "127.0.0.1", **place)
        with assembled.started(tmp_path, documents) as started:
            yield started


async def test_the_python_sdk_is_a_document_and_goes_the_whole_way(product: SignedIn, asked: list[str]) -> None:
    with product.browser() as browser:
        application = Application(browser)

        await whole_way(product, application, "2026-07-28", DOCUMENT)

    assert application.client
    assert application.client.client_id == DOCUMENT
    assert asked == [DOCUMENT] * len(application.visits), "for each consent page, and for nothing else"


@pytest.mark.parametrize("line", ["2025-11-25", "2026-07-28"])
def test_the_typescript_sdk_is_a_document_and_goes_the_whole_way(product: SignedIn, asked: list[str], tmp_path: Path, line: str) -> None:
    with product.browser() as browser:
        done = whole_way_on_node(product, browser, tmp_path, line, DOCUMENT)

    assert done["asked"]["client_id"] == DOCUMENT
    assert set(asked) == {DOCUMENT}


def test_a_document_that_likes_another_method_best_is_served_where_it_can_do_without(
    product: SignedIn, described: dict[str, object]
) -> None:  # As ChatGPT's, in November 2026
    keys = {"token_endpoint_auth_signing_alg": "RS256", "jwks_uri": f"https://{HOST}/oauth/jwks.json"}
    described |= {"token_endpoint_auth_method": "private_key_jwt", **keys}
    with product.browser() as browser:
        alone = browser.open(Client(product.world, DOCUMENT).authorize_url())
        described |= {"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}
        tokens = Client(product.world, DOCUMENT, resource=f"{product.world.url}/mcp").connect(browser)

    assert (alone.status_code, "location" in alone.headers) == (400, False)
    assert "private_key_jwt" in alone.text
    assert "token_endpoint_auth_methods_supported" in alone.text
    assert 'name="decision"' not in alone.text, "nobody is asked to consent to what would fail"
    assert tokens["token_type"] == "bearer"


def test_a_document_that_was_allowed_before_has_to_ask_again(product: SignedIn) -> None:
    client = Client(product.world, DOCUMENT)
    with product.browser() as browser:
        client.connect(browser)
        before = len(product.google.received)

        sites: list[dict[str, str]] = [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {}]
        pages = [browser.open(client.authorize_url(), **site) for site in sites]

    assert [(page.status_code, 'name="decision"' in page.text) for page in pages] == [(200, True)] * 3
    assert len(product.google.received) == before


def test_where_the_clients_server_is_away_google_is_not_blamed(tmp_path: Path) -> None:
    nobody = PublicDocuments(Loopback(), public=lambda address: address == "127.0.0.1", port=free_port())

    with assembled.started(tmp_path, nobody) as product, product.browser() as browser:
        page = browser.open(f"/oauth/authorize?client_id={DOCUMENT}")

    assert page.status_code == 502
    assert "Not possible just now" in page.text
    assert "Google did not answer" not in page.text
