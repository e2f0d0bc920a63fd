"""The model and the weather of a load test, in a process of their own: `python -m tests.load.outside FILE`.

Prints the origins of both. When it is ended it writes to FILE what the model did: for each call, whether it called an operation, and the
milliseconds that it waited.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler

from infra.local import model_emulator, weather_emulator
from infra.local.model_faults import Switches
from infra.local.serving import serving

MODEL = Switches(latency=0.3, sigma=0.35)
"""The article names no model's latency; this is the handbook's (performance.md, P3)."""


async def main() -> list[tuple[bool, float]]:
    """Serve until SIGTERM; gives what the model did."""
    calls: list[tuple[bool, float]] = []

    @web.middleware
    async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        calls.append((b'"tool_calls"' in response.body, float(response.headers["x-emulator-delay-ms"])))
        return response

    model = model_emulator.application(model_emulator.Options(MODEL, by_arrival=True))
    model.middlewares.append(remember)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with serving(model) as model_at, serving(weather_emulator.application()) as weather_at:
        print(model_at, weather_at, flush=True)
        await stopped.wait()
    return calls


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        Path(sys.argv[1]).write_text(json.dumps(runner.run(main())))
