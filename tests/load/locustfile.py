"""The article's Locust scenario in three rows, as `tests.load` starts it; ROW chooses.

1: a question without tools. 2: the weather question, which takes two calls of the model and one of the weather. Each user is in a
session of its own. 3: the article's own body to the letter, which puts every user into one session.
"""

import json
import os
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from locust import FastHttpUser, between, events, task

ROWS = {"1": "Tell me about your day.", "2": "北京明天天气怎么样", "3": "北京明天天气怎么样"}
ROW = os.environ.get("ROW", "3")

answered: list[tuple[float, float, str]] = []
"""Of each turn: when it ended, by the machine's monotonic clock; its milliseconds; what went wrong, if anything."""


class PluginUser(FastHttpUser):  # type: ignore[misc]
    """One person who reads an answer for 1 to 3 s before asking again."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Begin a session."""
        self.session_id = "test123" if ROW == "3" else f"user-{uuid4().hex}"

    @task
    def ask(self) -> None:
        """Ask the row's question."""
        with self.client.post("/chat", json={"query": ROWS[ROW], "session_id": self.session_id}, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif ROW == "2" and "°C" not in response.json()["answer"]:
                response.failure("no forecast")


@events.request.add_listener
def remember(response_time: float, exception: BaseException | None, **told: Any) -> None:
    """Note a turn that has ended."""
    answered.append((time.monotonic(), response_time, str(exception) if exception else ""))


@events.quitting.add_listener
def write_down(**told: Any) -> None:
    """Leave the turns where `tests.load` looks for them."""
    if "TURNS_FILE" in os.environ:
        Path(os.environ["TURNS_FILE"]).write_text(json.dumps(answered))
