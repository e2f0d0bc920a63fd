"""Turns that outlasted their request: POST /pubsub, which Pub/Sub pushes to."""

from collections.abc import Awaitable, Callable

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import wiring
from functions.adapters.http import Edge, Incoming, nothing
from functions.capabilities import CATALOGUE
from functions.core.deadline import Deadline
from functions.core.errors import Upstream
from functions.core.push import Identity, Push
from functions.core.settings import Settings

NEEDS = ("TURNS_TOPIC", "PUSH_AUDIENCE", "PUSH_ACCOUNT")
"""What the function cannot do without where deployed: there, whoever pushes is asked who they are."""

BUDGET_SECONDS = 150.0
"""More than a slow turn may take (120 s), less than the platform waits (infra/functions.json: 180 s) and than Pub/Sub does (600 s)."""

MAX_PUSH = 64 * 1024
"""Bytes; a message names a conversation and nothing else, and its envelope has half a kilobyte."""

Handle = Callable[[str, Deadline], Awaitable[None]]
"""What is done with a message. It returns where the message is done with, and raises where it shall come again."""


class Worker:
    """The endpoint."""

    def __init__(self, settings: Settings, identity: Identity, handle: Handle) -> None:
        self._settings = settings
        self._identity = identity
        self._handle = handle

    def edge(self) -> Edge:
        """The function's HTTP."""
        return Edge(
            "worker",
            {"/pubsub": {"POST": self.push}},
            budget_seconds=BUDGET_SECONDS,
            project=self._settings.google_cloud_project,
            names=self._settings.names,
        )

    async def push(self, incoming: Incoming) -> Response:
        """POST /pubsub: one message. 204 acknowledges it; whatever else it is answered makes it come again."""
        await self._identity.require(incoming.request.headers.get("authorization"), incoming.deadline)
        push = Push.read(await incoming.body(MAX_PUSH))
        incoming.notes["message_id"] = push.message.message_id
        await self._handle(push.message.text, incoming.deadline)
        return nothing()


async def _later(text: str, deadline: Deadline) -> None:
    raise Upstream("No turn is finished here yet; the message shall come again.")


_settings = wiring.settings(CATALOGUE.apis, NEEDS)
_services = wiring.Services(_settings, CATALOGUE)
EDGE = Worker(_settings, _services.push_identity, _later).edge()


@functions_framework.aio.http
async def worker(request: Request) -> Response:
    """The entry point."""
    return await EDGE(request)
