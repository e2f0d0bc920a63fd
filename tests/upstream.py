"""A server on 127.0.0.1 that does what a script says and remembers what it was sent: the other side of everything that leaves over HTTP."""

import asyncio
import json
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from anyio.from_thread import BlockingPortal

from infra.local import serving as emulators

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""What the server does with one request."""


@dataclass(frozen=True)
class Received:
    """A request as it arrived: `at` a moment of the event loop's clock, from `port`, which tells one connection from another."""

    at: float
    port: int
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    async def of(cls, request: web.Request) -> "Received":
        """The request, read whole; who handles it afterwards still can."""
        at, body = asyncio.get_running_loop().time(), await request.read()
        port = request.get_extra_info("peername")[1]
        return cls(at, port, request.method, request.path, dict(request.query), request.headers.copy(), body)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server: the first request gets the first step, and so on; the last step is repeated."""

    url: str
    steps: list[Step]
    received: list[Received] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.received.append(await Received.of(request))
        return await self.steps[min(len(self.received), len(self.steps)) - 1](request)


@asynccontextmanager
async def serving(*steps: Step, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve `steps` on a free port until the block ends."""
    server = Server("", list(steps))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, backlog=1024)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


@contextmanager
def recording(portal: BlockingPortal, application: web.Application, received: list[Received]) -> Iterator[str]:
    """Serve an emulator on the portal's thread, where no test can block it, and note what it is asked; gives its origin."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        received.append(await Received.of(request))
        return await handler(request)

    application.middlewares.insert(0, record)
    with portal.wrap_async_context_manager(emulators.serving(application)) as origin:
        yield origin


def answer(body: Any = None, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Step:
    """Answer with `body`: octets as they are, text as HTML, anything else as JSON."""

    async def step(request: web.Request) -> web.StreamResponse:
        if isinstance(body, bytes):
            return web.Response(status=status, headers=headers, body=body, content_type="application/json")
        if isinstance(body, str):
            return web.Response(status=status, headers=headers, text=body, content_type="text/html")
        return web.json_response(body, status=status, headers=headers)

    return step


def after(seconds: float, step: Step) -> Step:
    """Do `step` only after a while."""

    async def late(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await step(request)

    return late


def raw(octets: bytes, *, then: str = "close") -> Step:
    """Send `octets` as the whole answer, heading included; then "close" the connection, "reset" it, or "hang"."""

    async def step(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.write(octets)
        if then == "hang":
            await asyncio.sleep(3600)
        if then == "reset":
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        transport.close()
        return web.Response()

    return step


def redirect(url: str) -> Step:
    """Redirect to `url`, as a captive portal or a moved server does."""
    return answer({}, status=302, headers={"Location": url})


async def drip(request: web.Request) -> web.StreamResponse:
    """Send one byte of JSON every half second, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.5)


async def huge(request: web.Request) -> web.StreamResponse:
    """Send 197 MB of JSON."""
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionResetError):  # The other side has had enough.
        await response.write(b'["')
        for _ in range(197):
            await response.write(b"x" * 1_000_000)
        await response.write(b'"]')
    return response


async def gzip_bomb(request: web.Request) -> web.StreamResponse:
    """Send 200 KB of gzip that hold 200 MB; only its checksum is missing."""
    packer = zlib.compressobj(level=9, wbits=31)
    heading = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(b" " * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)  # A full flush forgets, so that it can be repeated.
    return web.Response(body=heading + 200 * megabyte, headers={"Content-Encoding": "gzip"}, content_type="application/json")


HEADING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

hang = raw(b"", then="hang")
hang_after_headers = raw(HEADING + b"Content-Length: 100\r\n\r\n", then="hang")
reset = raw(b"", then="reset")
end_at_once = raw(b"")
cut_by_length = raw(HEADING + b'Content-Length: 100\r\n\r\n{"choices"')
cut_chunked = raw(HEADING + b'Transfer-Encoding: chunked\r\n\r\nA\r\n{"choices"\r\n')
cut_at_close = raw(HEADING + b'Connection: close\r\n\r\n{"choices"')
long_line = raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n")
no_http = raw(b"SSH-2.0-OpenSSH_9.2\r\n")
html = answer("<html><body>Welcome to the hotel</body></html>")
empty = answer(b"")
