"""A client as it should be: it polls what is pending, and repeats what may be repeated, under the key of its first attempt."""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between attempts, doubled each time, of which a random part is waited: clients that failed together do not come back together."""
PATIENCE = 90.0
"""Seconds that an answer may be pending: the model's own time and the minute that the protocol promises."""


@dataclass(frozen=True)
class Told:
    """The last answer that came, and how many requests it took."""

    status: int
    """0: none came, the connection broke."""
    body: Any
    attempts: int
    """Requests that asked the question; those that polled are not counted."""

    @property
    def failure(self) -> str:
        """What the error is called; empty where there is none."""
        return "" if self.status == 200 else str(self.body["error"]["code"])


async def ask(client: aiohttp.ClientSession, origin: str, session: str, query: str, attempts: int = 1) -> Told:
    """Ask one question, at most `attempts` times, and wait until it is answered."""
    headers = {"Idempotency-Key": uuid4().hex}
    for attempt in range(1, attempts + 1):
        status, body, pause = await _sent(client, f"{origin}/chat", {"query": query, "session_id": session}, headers)
        if status == 202:
            status, body, pause = await _polled(client, origin, body)
        if status == 200 or attempt == attempts or not body["error"]["retryable"]:
            break
        await asyncio.sleep(pause + random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)))
    return Told(status, body, attempt)


async def _polled(client: aiohttp.ClientSession, origin: str, pending: Any) -> tuple[int, Any, float]:
    """What became of a turn that was pending, and the seconds to wait before asking again."""
    body, late = pending, time.monotonic() + PATIENCE
    while time.monotonic() < late:
        await asyncio.sleep(body["poll_after_ms"] / 1000)
        status, body, pause = await _sent(client, f"{origin}/chat", {"session_id": body["session_id"], "turn_id": body["turn_id"]}, {})
        if status != 202:
            return status, body, pause
    return 504, {"error": {"code": "pending_for_ever", "retryable": False}}, 0


async def _sent(client: aiohttp.ClientSession, url: str, body: dict[str, str], headers: dict[str, str]) -> tuple[int, Any, float]:
    """Status, body and `Retry-After` in seconds of one request."""
    try:
        async with client.post(url, json=body, headers=headers) as response:
            return response.status, await response.json(), float(response.headers.get("Retry-After", 0))
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, {"error": {"code": type(error).__name__, "retryable": True}}, 0
