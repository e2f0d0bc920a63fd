"""How every emulator of ours is served: on loopback, for as long as it is wanted."""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import uvloop
from aiohttp import web

LOOPBACK = "127.0.0.1"


@contextlib.asynccontextmanager
async def serving(application: web.Application, port: int = 0) -> AsyncIterator[str]:
    """Serve `application` inside the `async with`; gives its origin. Port 0: the system chooses a free one."""
    # Without cancellation a request that is told to hang would outlive its caller.
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.2, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port, backlog=1024).start()
        host, bound, *_ = runner.addresses[0]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()


def serve(application: web.Application, port: int) -> None:
    """Serve until SIGINT or SIGTERM. The first line on stdout is the origin, once it answers: whoever asked for port 0 reads it there."""
    uvloop.run(_until_stopped(application, port))


async def _until_stopped(application: web.Application, port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(application, port) as origin:
        print(origin, flush=True)
        await stopped.wait()


def arguments(description: str) -> argparse.ArgumentParser:
    """A command line that every emulator shares."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0, the default, takes a free one")
    return parser
