"""HTTP around a peer's sessions, the same for each; runs in the peers' own environment (requirements.txt beside this file)."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def application(
    create: Callable[[str], Awaitable[None]],
    ask: Callable[[str, str], Awaitable[str]],
    messages: Callable[[str], Awaitable[Sequence[str]]],
) -> Starlette:
    """A backend: `create` a session, `ask` it a question and get the answer, read the `messages` that are stored of it, oldest first."""

    async def put(request: Request) -> JSONResponse:
        await create(request.path_params["session_id"])
        return JSONResponse({})

    async def post(request: Request) -> JSONResponse:
        body = await request.json()
        try:
            return JSONResponse({"status": "done", "answer": await ask(body["session_id"], body["query"])})
        except Exception as error:
            # Here and not in a handler of Starlette's: behind that one uvicorn closes the connection, and the next question would fail, too.
            return JSONResponse({"error": {"code": type(error).__name__, "message": str(error), "retryable": True}}, 500)

    async def get(request: Request) -> JSONResponse:
        return JSONResponse(list(await messages(request.path_params["session_id"])))

    return Starlette(
        routes=[
            Route("/sessions/{session_id}", put, methods=["PUT"]),
            Route("/sessions/{session_id}", get),
            Route("/chat", post, methods=["POST"]),
        ],
    )
