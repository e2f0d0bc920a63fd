"""A model whose replies are different each time, and that remembers what it was shown."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.history import Heard

THINKING = 0.01
"""Seconds that the model takes: enough for two turns to meet in the middle."""

Hook = Callable[[str, int], Awaitable[None]]
"""Called with the question, and the port at which it was asked."""


async def _hang() -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def _server_error() -> web.Response:
    return web.json_response({"error": {"message": "The server had an error.", "type": "server_error"}}, status=500)


async def _busy() -> web.Response:
    told = {"error": {"message": "Rate limit reached for requests.", "type": "requests", "code": "rate_limit_exceeded"}}
    return web.json_response(told, status=429, headers={"Retry-After": "1"})


FAILURES = {"500": _server_error, "429": _busy, "hang": _hang}


class Echo:
    """The model; one instance may be served on several ports, so that it is known who asks."""

    def __init__(self, thinking: Callable[[], float] = lambda: THINKING, before: Hook | None = None) -> None:
        self.thinking = thinking
        """Seconds that each reply takes."""
        self.before = before
        self.heard: list[Heard] = []
        self.fail = ""
        """How every question fails: a name of `FAILURES`."""

    async def reply(self, request: web.Request) -> web.Response:
        at, port = time.monotonic(), request.url.port or 0
        prompt = tuple(message["content"] for message in (await request.json())["messages"] if message["role"] != "system")
        reply = f"Reply {len(self.heard)} to {prompt[-1]}"
        self.heard.append(Heard(prompt, reply, at))
        if self.before:
            await self.before(prompt[-1], port)
        if self.fail:
            return await FAILURES[self.fail]()
        await asyncio.sleep(self.thinking())
        choice = {"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
