"""The article's Locust scenario, as `tests.load` starts it; ROW chooses a row (questions.py), SLOW is the percent of slow turns.

Who is told that an answer is pending asks for it until it is there.
"""

import json
import os
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
from locust import FastHttpUser, between, events, task

from tests.load.questions import ROWS, Turn, unlike

ROW = int(os.environ.get("ROW", "3"))
SLOW = float(os.environ.get("SLOW", "0"))
TOKENS = Path(os.environ["TOKENS_FILE"]).read_text().split() if "TOKENS_FILE" in os.environ else []
"""Each user shows one of them; where there are none, all are strangers."""
PATIENCE = 100.0
"""Seconds from the question on: more than the slowest answer of the model and the minute in which it must be there."""

turns: list[Turn] = []
requests: list[float] = []
"""Of every request, polls too: its milliseconds."""


class PluginUser(FastHttpUser):  # type: ignore[misc]
    """One person who reads an answer for 1 to 3 s before asking again."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Begin a session."""
        self.session_id = "test123" if ROW == 3 else f"user-{uuid4().hex}"
        self.headers = {"Authorization": f"Bearer {TOKENS.pop()}"} if TOKENS else {}

    @task
    def ask(self) -> None:
        """Ask the row's question, and wait for the answer."""
        question = unlike(ROWS[ROW]) if SLOW else ROWS[ROW]
        began, polls = time.monotonic(), 0
        status, told = self._post({"query": question, "session_id": self.session_id})
        while status == 202 and time.monotonic() < began + PATIENCE:
            gevent.sleep(told["poll_after_ms"] / 1000)
            polls += 1
            status, told = self._post({"session_id": told["session_id"], "turn_id": told["turn_id"]})
        ended = time.monotonic()
        turns.append(Turn(ended, (ended - began) * 1000, _wrong(status, told), question, told.get("turn_id", ""), polls))

    def _post(self, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        with self.client.post("/chat", json=body, headers=self.headers, catch_response=True) as response:
            if response.status_code in {200, 202}:
                response.success()
                return response.status_code, response.json()
            response.failure(f"status {response.status_code}")
            told = response.text or ""
            return response.status_code, json.loads(told) if told.startswith("{") else {"error": {"code": type(response.error).__name__}}


def _wrong(status: int, told: dict[str, Any]) -> str:
    if status == 202:
        return f"pending for {PATIENCE:g} s"
    if status != 200:
        return f"status {status} {told['error']['code']}"
    return "no forecast" if ROW == 2 and "°C" not in told["answer"] else ""


@events.request.add_listener
def remember(response_time: float, **told: Any) -> None:
    """Note a request that has ended."""
    requests.append(response_time)


@events.quitting.add_listener
def write_down(**told: Any) -> None:
    """Leave it all where `tests.load` looks for it."""
    if "TURNS_FILE" in os.environ:
        Path(os.environ["TURNS_FILE"]).write_text(json.dumps({"turns": [astuple(turn) for turn in turns], "requests": requests}))
