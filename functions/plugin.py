"""All functions that the world reaches behind one entry point: for the local world, and for a deployment without a load balancer."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import auth, chat, manifest, mcp
from functions.adapters.http import HEALTH, pattern
from functions.routes import ROUTES

EDGES = {"manifest": manifest.EDGE, "auth": auth.EDGE, "chat": chat.EDGE, "mcp": mcp.EDGE}

_TABLE = [
    (pattern(HEALTH), chat.EDGE),  # It has everything that has to be opened.
    *((pattern(template), edge) for name, edge in EDGES.items() for template in ROUTES[name]),
]


@functions_framework.aio.http
async def plugin(request: Request) -> Response:
    """The entry point: to the function that ROUTES names; what nobody serves, manifest refuses."""
    path = request.scope["path"]
    edge = next((edge for template, edge in _TABLE if template.fullmatch(path)), manifest.EDGE)
    return await edge(request)
