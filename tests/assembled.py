"""The product's sign-in and its MCP endpoint inside the test's own process: put together from settings as wiring does it, but that the test says
where the documents of clients are fetched from. A real process fetches them from the public internet alone, and no setting changes that."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import httpx
import uvicorn
from anyio.from_thread import start_blocking_portal
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from functions import auth, manifest, mcp
from functions.adapters.http import pattern
from functions.adapters.http.browser import Browser
from functions.capabilities import CATALOGUE as EVERYTHING
from functions.core.mcp_tools import MAX_TOOL_RESULT
from functions.core.oauth.clients import ClientDocuments
from functions.core.oauth.directory import Directory
from functions.core.settings import Settings
from functions.routes import ROUTES
from functions.wiring import Services
from tests import google, signin
from tests.emulators import free_port
from tests.signin import SignedIn
from tests.world import ROOT, STARTING_SECONDS, World

CATALOGUE = EVERYTHING.enabled((), sign_in=True)


class Assembled(Services):
    """What wiring chooses, with another place for the documents of clients."""

    def __init__(self, settings: Settings, client_documents: ClientDocuments) -> None:
        super().__init__(settings, CATALOGUE)
        self._client_documents = client_documents

    @cached_property
    def directory(self) -> Directory:
        """The clients."""
        return replace(super().directory, documents=self._client_documents)

    async def close(self) -> None:
        """Close what a process leaves to its end."""
        await self._outgoing.close()
        await self.documents.close()  # type: ignore[attr-defined]  # Of SQLite's alone.


class Application:
    """The functions `manifest`, `auth` and `mcp` behind one entry point."""

    def __init__(self, settings: Settings, services: Services) -> None:
        pages = Browser(auth.ASSETS, settings.plugin_name, settings.public_base_url)
        edges = {
            "manifest": manifest.edge(settings, CATALOGUE),
            "auth": auth.Auth(
                settings,
                CATALOGUE,
                services.directory,
                services.linking,
                services.issuing,
                services.accounts,
                services.account_session,
                services.public_keys,
                pages,
                services.life,
            ).edge(),
            "mcp": mcp.Mcp(
                settings, CATALOGUE, services.callers(rest=False), services.resource, services.toolbox(MAX_TOOL_RESULT), None, services.life
            ).edge(),
        }
        self._table = [(pattern(path), edge) for name, edge in edges.items() for path in ROUTES[name]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        edge = next(edge for path, edge in self._table if path.fullmatch(scope["path"]))
        response = await edge(Request(scope, receive))
        await response(scope, receive, send)


@contextlib.contextmanager
def started(folder: Path, client_documents: ClientDocuments) -> Iterator[SignedIn]:
    """The product and the emulated Google, until the block ends. The product has a loop of its own, which no test can block."""
    with (
        google.started() as emulated,
        start_blocking_portal("asyncio") as portal,
        httpx.Client(base_url=f"http://127.0.0.1:{(port := free_port())}", trust_env=False, timeout=60) as http,
    ):
        world = World({}, folder, ROOT, "plugin", port, http)
        world.environ |= {"STORE": f"sqlite:{folder / 'cantilever.db'}", "PUBLIC_BASE_URL": world.url, **signin.settings(emulated)}
        settings = Settings.read(world.environ, CATALOGUE.apis)
        services = Assembled(settings, client_documents)
        server = uvicorn.Server(
            uvicorn.Config(Application(settings, services), port=port, lifespan="off", ws="none", log_config=None, access_log=False)
        )
        serving = portal.start_task_soon(server.serve)
        late = time.monotonic() + STARTING_SECONDS
        while not server.started:
            assert not serving.done()
            assert time.monotonic() < late
            time.sleep(0.01)
        emulated.client.redirect_uris.add(f"{world.url}/oauth/callback")
        try:
            yield SignedIn(world, emulated)
        finally:
            server.should_exit = True
            serving.result()
            portal.call(services.close)
