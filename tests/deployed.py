"""The product with a deployment's settings."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from functions.adapters.http import Edge
from functions.adapters.http.life import Life
from functions.adapters.sqlite import SqliteDocuments
from functions.chat import Chat
from functions.core.asking import Toolbox, standing_instructions
from functions.core.caller import Callers
from functions.core.guesses import Guesses
from functions.core.model import Reply, Usage, User
from functions.core.settings import Settings
from functions.core.turn import Turns
from tests import conversations
from tests.catalogue import CATALOGUE
from tests.conversations import NOBODY
from tests.fakes import CannedWeb, Meddling, ScriptedModel

DEPLOYED = {
    "K_SERVICE": "chat",
    "STORE": "firestore",
    "PUBLIC_BASE_URL": "https://cantilever.example",
    "PUBLISHER_NAME": "Example",
    "CONTACT_EMAIL": "help@cantilever.example",
    "PRIVACY_EMAIL": "privacy@cantilever.example",
}

RANDOM = "AAAAAAAAAAAAAAAAAAAAAA"
"""A session token that nobody minted."""


@dataclass
class Opened:
    """A deployment that anonymous callers may use, over services of the test."""

    http: httpx.AsyncClient
    documents: Meddling
    model: ScriptedModel

    def heard(self) -> list[list[str]]:
        """What users had said, each time that the model was asked."""
        return [[said.text for said in asked if isinstance(said, User)] for asked in self.model.asked]


@contextlib.asynccontextmanager
async def opened(
    folder: Path, edges: Callable[[Settings, Turns, Toolbox], Mapping[str, Edge]], **environment: str
) -> AsyncIterator[Opened]:
    """The edges by their routes, until the block ends, with ANONYMOUS_CHAT=on.

    In this process, because no setting lets a deployed one keep its conversations in an emulator or a file.
    """
    settings = Settings.read(DEPLOYED | {"ANONYMOUS_CHAT": "on"} | environment, CATALOGUE.apis)
    store = SqliteDocuments(folder / "documents.db")
    documents, model = Meddling(store), ScriptedModel(*(Reply(f"Answer {number}.", "stop", usage=Usage(1, 1)) for number in range(5)))
    toolbox = Toolbox(CATALOGUE.operations, lambda operation, deadline, access: CannedWeb({}), NOBODY.of(None))
    turns = conversations.turns(documents, model, toolbox=toolbox, instructions=standing_instructions)
    routes = [Route(path, edge.__call__, methods=["GET", "POST", "DELETE"]) for path, edge in edges(settings, turns, toolbox).items()]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=routes)), base_url=DEPLOYED["PUBLIC_BASE_URL"]) as client:
        yield Opened(client, documents, model)
    await store.close()


def callers(settings: Settings) -> Callers:
    """Where nobody can sign in."""
    return Callers(settings, None, (), time.time, NOBODY, Guesses(settings.unknown_sessions_per_minute))


def chat(settings: Settings, turns: Turns, toolbox: Toolbox) -> Edge:
    """The edge of conversations over these."""
    return Chat(settings, callers(settings), None, turns.backlog.records.documents, turns, toolbox, Life()).edge()
