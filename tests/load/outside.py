"""The model and the weather of a load test, in a process of their own: `python -m tests.load.outside FILE [PERCENT]`.

Prints the origins of both. For PERCENT of the questions the model takes long, once for each. When it is ended it writes to FILE what the
model did: for each call the question, whether the reply called an operation, and the milliseconds that it waited.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler

from infra.local import model_emulator, weather_emulator
from infra.local.model_faults import Switches
from infra.local.serving import serving
from tests.load.questions import SLOW_SECONDS, slow

MODEL = Switches(latency=0.3, sigma=0.35)
"""The article names no model's latency; this is our goal's, P3."""


async def main(percent: float) -> list[tuple[str, bool, float]]:
    """Serve until SIGTERM; gives what the model did."""
    calls: list[tuple[str, bool, float]] = []

    @web.middleware
    async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
        messages = (await request.json())["messages"]
        question = next(message["content"] for message in reversed(messages) if message["role"] == "user")
        # A turn is slow once: what follows on the result of an operation takes the usual time.
        longer = SLOW_SECONDS if messages[-1]["role"] == "user" and slow(question, percent) else 0.0
        began = time.monotonic()
        try:
            await asyncio.sleep(longer)
            response = await handler(request)
        except asyncio.CancelledError:  # Who asked has gone; it was asked all the same.
            calls.append((question, False, (time.monotonic() - began) * 1000))
            raise
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        delay = float(response.headers["x-emulator-delay-ms"]) + longer * 1000
        calls.append((question, b'"tool_calls"' in response.body, delay))
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
        Path(sys.argv[1]).write_text(json.dumps(runner.run(main(float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))))
