"""A20 and F25, F26: slow turns that go over Pub/Sub to a worker, although publishing fails, messages come twice, late, and out of order."""

import asyncio
import base64
import json
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests import upstream
from tests.firestore_double import FirestoreDouble
from tests.reliability.clients import talking
from tests.reliability.echo import Echo
from tests.reliability.report import Row, Section
from tests.reliability.scene import WHOLE_PREFIX, Scene
from tests.world import running

ARRIVALS = 8.0
"""Questions per second."""
SLOW = (6.0, 30.0)
"""Seconds of the model, at least and at most."""
FAILING, TWICE = 0.2, 0.3
"""Shares: of publications that fail, and of messages that come again."""
SWEEP_SECONDS = 15.0
"""Between sweeps; deployed it is a minute."""
WITHIN = 60.0
"""Seconds after the model could have answered, until the answer is there."""


@dataclass
class Bus:
    """A Pub/Sub that fails, repeats, delays and shuffles; what it acknowledged it delivers until it is acknowledged."""

    push_to: str = ""
    published: int = 0
    refused: int = 0
    pushes: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def publish(self, request: web.Request) -> web.Response:
        """The one call of the REST API that there is."""
        if random.random() < FAILING:
            self.refused += 1
            return web.json_response({"error": {"code": 503, "status": "UNAVAILABLE"}}, status=503)
        for message in (await request.json())["messages"]:
            self.published += 1
            for _ in range(2 if random.random() < TWICE else 1):
                self.deliver(message["data"])
        return web.json_response({"messageIds": [str(self.published)]})

    def deliver(self, data: str) -> None:
        """Push a message some time soon, and again until it is acknowledged."""
        task = asyncio.create_task(self._push(data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _push(self, data: str) -> None:
        body = {"message": {"data": data, "messageId": str(random.getrandbits(60))}, "subscription": "projects/demo/subscriptions/push"}
        async with aiohttp.ClientSession() as session:
            for _ in range(5):
                await asyncio.sleep(random.uniform(0, 1.5))
                self.pushes += 1
                try:
                    async with session.post(f"{self.push_to}/pubsub", json=body) as response:
                        if response.status < 300:
                            return
                except aiohttp.ClientError:
                    pass

    async def sweep(self) -> None:
        """What Cloud Scheduler does."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.deliver(base64.b64encode(b'{"type":"sweep"}').decode())


async def measure(turns: int) -> Section:
    """So many slow turns, with and without a processor between requests."""
    found = await asyncio.gather(*(_handed_over(turns // 2, billing) for billing in ("off", "on")))
    return Section(
        "A20, F25, F26: slow turns are handed over",
        f"make reliability-handing-over SIZE={turns}",
        f"{ARRIVALS:g} questions a second in turn of two processes, each in a conversation of its own; the model takes {SLOW[0]:g} to {SLOW[1]:g} s.\n"
        f"{FAILING:.0%} of publications fail, {TWICE:.0%} of messages come twice, each up to 1.5 s late; a sweep comes every {SWEEP_SECONDS:g} s. Where\n"
        "instances have a processor between requests, they finish their turns themselves.",
        [row for row, _ in found],
        [detail for _, details in found for detail in details],
    )


async def _handed_over(turns: int, billing: str) -> tuple[Row, list[str]]:
    waits: dict[str, float] = {}
    model = Echo(lambda: random.uniform(*SLOW))
    bus = Bus()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(upstream.serving(model.reply))
        topic = await stack.enter_async_context(upstream.serving(bus.publish))
        settings = {
            **WHOLE_PREFIX,
            "STORE": "firestore",
            "GOOGLE_CLOUD_PROJECT": "demo-handing-over",
            "OPENAI_BASE_URL": f"{server.url}/v1",
            "TURNS_TOPIC": "projects/demo-handing-over/topics/turns",
            "PUBSUB_EMULATOR_HOST": topic.url.removeprefix("http://"),
            "INSTANCE_BILLING": billing,
            "FIRESTORE_EMULATOR_HOST": await stack.enter_async_context(FirestoreDouble().serve()),
        }
        worlds = [await stack.enter_async_context(running(**settings)) for _ in range(2)]
        bus.push_to = (await stack.enter_async_context(running("worker", **settings))).url
        clients = await stack.enter_async_context(talking(*(world.url for world in worlds)))
        sweeping = asyncio.create_task(bus.sweep())

        async def ask(number: int) -> None:
            began = time.monotonic()
            await clients.ask(f"session-{number}", f"question {number}", number)
            waits[f"question {number}"] = time.monotonic() - began

        asking = []
        for number in range(turns):
            asking.append(asyncio.create_task(ask(number)))
            await asyncio.sleep(1 / ARRIVALS)
        await asyncio.gather(*asking)
        sweeping.cancel()
        broken = await Scene(worlds, model, (), (), clients).broken(in_vain=False)
    longest = max(waits.values())
    extra = len(model.heard) - turns
    seen = (
        f"{clients.answered} of {turns} done, the last {longest:.0f} s after it was asked (the model takes up to {SLOW[1]:g} s); "
        f"{extra} calls of the model more than turns; {bus.published} published, {bus.refused} refused, {bus.pushes} pushes; "
        f"slowest answer {clients.slowest:.1f} s; {len(broken)} broken promises"
    )
    # A turn that is handed over is asked again, once.
    most = turns if billing == "off" else 0
    fine = not broken and clients.answered == turns and longest <= SLOW[1] + WITHIN and clients.slowest <= 5.5 and extra <= most * 1.05
    name = "instances finish their turns" if billing == "on" else "every slow turn goes over Pub/Sub"
    return Row(name, seen, fine), broken[:5] + ([json.dumps(clients.codes())] if broken else [])
