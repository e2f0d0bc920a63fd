"""Turns that outlasted their request: POST /pubsub, which Pub/Sub pushes to."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import wiring
from functions.adapters.http import Edge, Incoming, Life, nothing
from functions.capabilities import CATALOGUE
from functions.core.announced import Announced
from functions.core.errors import Malformed
from functions.core.push import Identity, Push
from functions.core.settings import Settings

NEEDS = ("TURNS_TOPIC", "PUSH_AUDIENCE", "PUSH_ACCOUNT")
"""What the function cannot do without where deployed: there, whoever pushes is asked who they are."""

RESERVE_SECONDS = 25.0
"""Beyond what a turn may take (TURN_SECONDS), for the store. The platform waits longer than both together (infra/functions.json), and
Pub/Sub longer than the platform."""

MAX_PUSH = 64 * 1024
"""Bytes; a message names a conversation and nothing else, and its envelope has half a kilobyte."""


class Worker:
    """The endpoint."""

    def __init__(self, settings: Settings, identity: Identity, announced: Announced, life: Life) -> None:
        self._settings = settings
        self._identity = identity
        self._announced = announced
        self._life = life

    def edge(self) -> Edge:
        """The function's HTTP."""
        return Edge(
            "worker",
            {"/pubsub": {"POST": self.push}},
            budget_seconds=self._settings.turn_seconds + RESERVE_SECONDS,
            project=self._settings.google_cloud_project,
            names=self._settings.names,
            life=self._life,
        )

    async def push(self, incoming: Incoming) -> Response:
        """POST /pubsub: one message. 204 acknowledges it; whatever else it is answered makes it come again."""
        await self._identity.require(incoming.request.headers.get("authorization"), incoming.deadline)
        body = await incoming.body(MAX_PUSH)
        try:
            push = Push.read(body)
        except Malformed:
            # Pub/Sub sent it, and would send the same bytes again.
            incoming.notes["done"] = await self._announced.set_aside(body.decode(errors="replace"), incoming.deadline)
            return nothing()
        incoming.notes["message_id"] = push.message.message_id
        incoming.notes["done"] = await self._announced.act(push.message.text, incoming.deadline)
        return nothing()


_settings = wiring.settings(CATALOGUE.apis, NEEDS)
_services = wiring.services(CATALOGUE, NEEDS)
EDGE = Worker(_settings, _services.push_identity, _services.announced, _services.life).edge()


@functions_framework.aio.http
async def worker(request: Request) -> Response:
    """The entry point."""
    return await EDGE(request)
