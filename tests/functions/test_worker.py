"""POST /pubsub: who may push, what a push must be, and what acknowledges it."""

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, Forbidden, StoreUnavailable, Unauthenticated
from functions.core.settings import Settings
from functions.worker import BUDGET_SECONDS, Worker
from tests.deployed import DEPLOYED
from tests.world import ROOT

PUSHED = {"PUSH_AUDIENCE": "https://worker.example", "PUSH_ACCOUNT": "plugin-invoker@demo.iam.gserviceaccount.com"}


@dataclass
class Doorman:
    """An identity that lets one Authorization header in."""

    welcome: str = "Bearer good"
    fault: CantileverError = field(default_factory=lambda: Unauthenticated("Who are you?"))

    async def require(self, authorization: str | None, deadline: Deadline) -> None:
        if authorization != self.welcome:
            raise self.fault


@dataclass
class Received:
    """What is done with messages: they are kept, or fail."""

    texts: list[str] = field(default_factory=list)
    fault: CantileverError | None = None
    left: float = 0

    async def handle(self, text: str, deadline: Deadline) -> None:
        self.left = deadline.left()
        if self.fault:
            raise self.fault
        self.texts.append(text)


@dataclass
class Pushing:
    """A worker over an identity and a handling of the test."""

    http: httpx.AsyncClient
    doorman: Doorman
    received: Received

    async def push(self, text: str = "{}", *, authorization: str | None = "Bearer good", **more: Any) -> httpx.Response:
        body = {"message": {"data": b64encode(text.encode()).decode(), "messageId": "77"}, "subscription": "s"}
        headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
        return await self.http.post("/pubsub", content=json.dumps(body), headers=headers, **more)


@pytest.fixture
async def worker() -> AsyncIterator[Pushing]:
    doorman, received = Doorman(), Received()
    edge = Worker(Settings.read(DEPLOYED | PUSHED), doorman, received.handle).edge()
    app = Starlette(routes=[Route("/pubsub", edge.__call__, methods=["GET", "POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://worker.example") as http:
        yield Pushing(http, doorman, received)


async def test_a_message_that_is_done_with_is_acknowledged(worker: Pushing) -> None:
    answer = await worker.push('{"type":"sweep"}')

    assert (answer.status_code, answer.content) == (204, b"")
    assert worker.received.texts == ['{"type":"sweep"}']
    assert 0 < BUDGET_SECONDS - worker.received.left < 5


@pytest.mark.parametrize("authorization", [None, "Bearer bad"])
@pytest.mark.parametrize(("fault", "status"), [(Unauthenticated("Who?"), 401), (Forbidden("Not you."), 403)])
async def test_whoever_may_not_push_causes_nothing(worker: Pushing, authorization: str | None, fault: CantileverError, status: int) -> None:
    worker.doorman.fault = fault

    answer = await worker.push(authorization=authorization)

    assert answer.status_code == status
    assert worker.received.texts == []


async def test_whoever_may_not_push_is_refused_before_the_body_is_read(worker: Pushing) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{}"

    answer = await worker.http.post("/pubsub", content=body(), headers={"Authorization": "Bearer bad"})

    assert answer.status_code == 401
    assert read == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"message":{"data":"!","messageId":"1"},"subscription":"s"}'])
async def test_what_is_no_push_is_handled_by_nobody(worker: Pushing, body: bytes) -> None:
    headers = {"Authorization": "Bearer good", "Content-Type": "application/json"}

    answer = await worker.http.post("/pubsub", content=body, headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")
    assert worker.received.texts == []


async def test_a_push_that_is_too_large_is_not_read(worker: Pushing) -> None:
    answer = await worker.push("x" * 64 * 1024)

    assert answer.status_code == 413


async def test_what_failed_shall_come_again(worker: Pushing) -> None:
    worker.received.fault = StoreUnavailable("The store is away.")

    answer = await worker.push()

    assert answer.status_code == 503


async def test_the_log_names_the_message_and_says_nothing_of_it(worker: Pushing, capsys: pytest.CaptureFixture[str]) -> None:
    await worker.push('{"conversation":"canary"}')

    (line,) = capsys.readouterr().out.splitlines()
    entry = json.loads(line)
    assert (entry["function"], entry["path"], entry["status"], entry["message_id"]) == ("worker", "/pubsub", 204, "77")
    assert "canary" not in line


@pytest.mark.parametrize("lacking", ["TURNS_TOPIC", "PUSH_AUDIENCE", "PUSH_ACCOUNT"])
def test_deployed_it_does_not_start_without_knowing_who_may_push(lacking: str) -> None:
    environ = DEPLOYED | PUSHED | {"TURNS_TOPIC": "projects/demo/topics/turns"}
    environ.pop(lacking)
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import main; main.worker"

    ran = subprocess.run([sys.executable, "-c", script], env=environ | {"PATH": os.environ["PATH"]}, capture_output=True, text=True)

    assert ran.returncode != 0
    assert f"  - {lacking}: " in ran.stderr
    assert "Traceback" not in ran.stderr
