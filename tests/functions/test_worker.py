"""POST /pubsub: who may push, what a push must be, and what acknowledges it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from functions.adapters.http import Life
from functions.adapters.sqlite import SqliteDocuments
from functions.core.announced import QUARANTINE, Announced
from functions.core.announcement import Announcement
from functions.core.deadline import Deadline
from functions.core.documents import Key
from functions.core.errors import CantileverError, Forbidden, Unauthenticated
from functions.core.model import Reply
from functions.core.question import Question
from functions.core.settings import Settings
from functions.core.stored import conversation_key, digest
from functions.core.sweep import Sweep
from functions.core.transcript import page
from functions.worker import Worker
from tests import conversations
from tests.deadlines import soon
from tests.deployed import DEPLOYED
from tests.fakes import Meddling, Published, ScriptedModel, SilentModel
from tests.push import Pushed
from tests.world import ROOT, started

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
class Pushing:
    """A worker over an identity and a handling of the test."""

    http: httpx.AsyncClient
    doorman: Doorman
    documents: Meddling
    model: ScriptedModel
    topic: Published

    async def push(self, text: str = "{}", *, authorization: str | None = "Bearer good", **more: Any) -> httpx.Response:
        body = {"message": {"data": b64encode(text.encode()).decode(), "messageId": "77"}, "subscription": "s"}
        headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
        return await self.http.post("/pubsub", content=json.dumps(body), headers=headers, **more)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Pushing]:
    store = SqliteDocuments(tmp_path / "documents.db")
    doorman, documents, topic = Doorman(), Meddling(store), Published()
    model = ScriptedModel(Reply("by the worker", "stop"), Reply("by the worker too", "stop"))
    turns = conversations.turns(documents, model, topic=topic)
    announced = Announced(turns.backlog, Sweep(turns.backlog.records, turns.backlog))
    edge = Worker(Settings.read(DEPLOYED | PUSHED), doorman, announced, Life()).edge()
    app = Starlette(routes=[Route("/pubsub", edge.__call__, methods=["GET", "POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://worker.example") as http:
        yield Pushing(http, doorman, documents, model, topic)
    await store.close()


async def pending(worker: Pushing, *queries: str) -> Key:
    """A conversation in which these questions wait, and nobody works on them."""
    elsewhere = conversations.turns(worker.documents, SilentModel(), topic=Published(), background=False)
    for query in queries:
        await elsewhere.run(Question("", "s", query, "any"), soon(0.6))
    worker.documents.commits.clear()
    return conversation_key("", "s")


async def statuses(worker: Pushing) -> list[tuple[str, str | None]]:
    entries = await page(worker.documents, "", "s", after="", limit=100, deadline=soon())
    return [(entry.turn.status, entry.turn.answer) for entry in entries]


async def quarantined(worker: Pushing, text: str) -> str | None:
    key = Key(QUARANTINE, digest(text))
    found = (await worker.documents.get([key], soon())).documents.get(key)
    return found.body if found else None


async def test_a_message_finishes_the_turn_that_waits_and_announces_those_behind_it(worker: Pushing) -> None:
    message = Announcement.of(await pending(worker, "one", "two")).model_dump_json()

    first = await worker.push(message)
    between = await statuses(worker)
    second = await worker.push(*worker.topic.texts)

    assert (first.status_code, first.content) == (204, b"")
    assert between == [("done", "by the worker"), ("pending", None)]
    assert worker.topic.texts == [message]
    assert second.status_code == 204
    assert await statuses(worker) == [("done", "by the worker"), ("done", "by the worker too")]


async def test_a_message_that_comes_again_is_acknowledged_and_changes_nothing(worker: Pushing) -> None:
    message = Announcement.of(await pending(worker, "one")).model_dump_json()

    answers = await asyncio.gather(*(worker.push(message) for _ in range(3)), worker.push(message))
    late = await worker.push(message)

    assert {answer.status_code for answer in [*answers, late]} == {204}
    assert len(worker.model.asked) == 1
    assert await statuses(worker) == [("done", "by the worker")]


async def test_the_sweep_announces_what_waits(worker: Pushing) -> None:
    key = await pending(worker, "one")

    answer = await worker.push('{"type":"sweep"}')

    assert answer.status_code == 204
    assert worker.topic.texts == [Announcement.of(key).model_dump_json()]


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"type":"turns"}', '{"type":"sweep","conversation":"x"}', '{"type":"bomb"}', '{"type":"turns","conversation":"../x"}'],
)
async def test_a_message_that_nobody_understands_is_set_aside_once_and_acknowledged(worker: Pushing, text: str) -> None:
    answers = [await worker.push(text) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [204] * 3
    assert await quarantined(worker, text) == text
    assert worker.model.asked == []


@pytest.mark.parametrize("authorization", [None, "Bearer bad"])
@pytest.mark.parametrize(("fault", "status"), [(Unauthenticated("Who?"), 401), (Forbidden("Not you."), 403)])
async def test_whoever_may_not_push_causes_nothing(worker: Pushing, authorization: str | None, fault: CantileverError, status: int) -> None:
    worker.doorman.fault = fault

    answer = await worker.push(authorization=authorization)

    assert answer.status_code == status
    assert worker.documents.commits == []


async def test_whoever_may_not_push_is_refused_before_the_body_is_read(worker: Pushing) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{}"

    answer = await worker.http.post("/pubsub", content=body(), headers={"Authorization": "Bearer bad"})

    assert answer.status_code == 401
    assert read == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"message":{"data":"!","messageId":"1"},"subscription":"s"}', b"\xff"])
async def test_what_is_no_push_is_set_aside_and_acknowledged(worker: Pushing, body: bytes) -> None:
    headers = {"Authorization": "Bearer good", "Content-Type": "application/json"}

    answer = await worker.http.post("/pubsub", content=body, headers=headers)

    assert answer.status_code == 204
    assert await quarantined(worker, body.decode(errors="replace")) == body.decode(errors="replace")


async def test_a_push_that_is_too_large_is_not_read(worker: Pushing) -> None:
    answer = await worker.push("x" * 64 * 1024)

    assert answer.status_code == 413


async def test_what_failed_shall_come_again(worker: Pushing) -> None:
    message = Announcement.of(await pending(worker, "one")).model_dump_json()
    worker.documents.refuse_writes = True

    answer = await worker.push(message)

    assert answer.status_code == 503
    worker.documents.refuse_writes = False
    assert (await worker.push(message)).status_code == 204
    assert await statuses(worker) == [("done", "by the worker")]


async def test_the_log_names_the_message_and_says_nothing_of_it(worker: Pushing, capsys: pytest.CaptureFixture[str]) -> None:
    await worker.push('{"conversation":"canary"}')

    (line,) = capsys.readouterr().out.splitlines()
    entry = json.loads(line)
    assert (entry["function"], entry["path"], entry["status"], entry["message_id"]) == ("worker", "/pubsub", 204, "77")
    assert entry["done"] == "quarantine"
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


def test_a_slow_turn_goes_over_pub_sub_to_the_worker(pubsub_emulator: str) -> None:
    with started("worker") as worker:
        pushed = Pushed.to(f"{worker.url}/pubsub", pubsub_emulator)
        handing_over = {**pushed.environ, "STORE": worker.environ["STORE"], "INSTANCE_BILLING": "off", "CHAT_BUDGET_SECONDS": "1"}
        with started("chat", **handing_over, OPENAI_MODEL="emulator?latency=9s") as chat:
            pending = chat.http.post("/chat", json={"query": "hello", "session_id": "s"}).json()

            until = time.monotonic() + 30
            answer = chat.http.post("/answer", json={"session_id": "s", "turn_id": pending["turn_id"]})
            while answer.status_code == 202 and time.monotonic() < until:
                answer = chat.http.post("/answer", json={"session_id": "s", "turn_id": pending["turn_id"]})
        told = [line.get("done") for line in worker.log_lines()]

    assert pending["status"] == "pending"
    assert (answer.status_code, answer.json()["status"]) == (200, "done")
    assert len(worker.model_requests) == 1
    assert "turns" in told
