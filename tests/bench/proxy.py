"""The least that can stand between a caller and a model: `python proxy.py PORT MODEL`. It forwards the body, and nothing else."""

import sys

import aiohttp
import uvloop
from aiohttp import web


def application(model: str) -> web.Application:
    """Every request goes to `model`, over one session."""

    async def session(app: web.Application):  # type: ignore[no-untyped-def]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False) as app["session"]:
            yield

    async def forward(request: web.Request) -> web.Response:
        body = await request.read()
        session: aiohttp.ClientSession = request.app["session"]
        async with session.post(f"{model}/v1/chat/completions", data=body, headers={"Content-Type": "application/json"}) as response:
            return web.Response(body=await response.read(), status=response.status, content_type="application/json")

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_post("/{path:.*}", forward)
    return app


if __name__ == "__main__":
    port, model = sys.argv[1:]
    web.run_app(
        application(model),
        host="127.0.0.1",
        port=int(port),
        backlog=1024,
        access_log=None,
        print=None,
        keepalive_timeout=75,
        loop=uvloop.new_event_loop(),
    )
