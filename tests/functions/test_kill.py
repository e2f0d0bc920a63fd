"""Death and departure: of the worker, of the whole service, of the client. What was answered is kept, and nothing is kept by half."""

import asyncio
import itertools
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import aiohttp
import httpx
import pytest

from tests import upstream
from tests.history import faults
from tests.reliability.clients import Clients
from tests.reliability.echo import Echo
from tests.reliability.scene import TURNS_OF_A_SESSION, WHOLE_PREFIX
from tests.world import started

WORKER_KILLS = 16
SERVICE_KILLS = 4
WRITERS = 4
LATER = 0.002
"""Seconds by which each kill comes later than the one before, so that they meet every moment of a turn: one takes about 0.02."""


async def write(clients: Clients, name: int, ended: asyncio.Event) -> None:
    """Ask one question after the other until told to end."""
    for number in itertools.count():
        if ended.is_set():
            return
        if not await clients.ask(f"writer-{name}-{number // TURNS_OF_A_SESSION}", f"question {number} of {name}"):
            await asyncio.sleep(0.02)


async def until_answers(clients: Clients, more: int) -> float:
    """Seconds until `more` further questions were answered."""
    began, before = time.monotonic(), clients.answered
    while clients.answered < before + more:
        assert time.monotonic() - began < 10, f"nothing is answered any more: {clients.errors[-3:]}"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux' /proc")
async def test_what_was_answered_survives_every_death() -> None:
    model, ended = Echo(), asyncio.Event()
    async with upstream.serving(model.reply) as server, aiohttp.ClientSession() as client:
        with started(**WHOLE_PREFIX, OPENAI_BASE_URL=f"{server.url}/v1") as world:
            clients = Clients(client, world.url, retries=0, keyed=False)
            writers = asyncio.gather(*(write(clients, name, ended) for name in range(WRITERS)))
            back = []
            for number in range(WORKER_KILLS + SERVICE_KILLS):
                await until_answers(clients, more=5)
                await asyncio.sleep(number * LATER)
                if number % 5 == 4:
                    await asyncio.to_thread(world.restart, signal.SIGKILL)
                else:
                    os.kill(await asyncio.to_thread(lambda: world.worker), signal.SIGKILL)
                back.append(await until_answers(clients, more=1))
            ended.set()
            await writers

            transcripts = await clients.transcripts()

    assert faults(clients.asked, transcripts, model.heard) == []
    assert len(clients.errors) >= WORKER_KILLS + SERVICE_KILLS  # Every death was felt by somebody.
    assert max(back) < 5


def test_sigterm_lets_the_open_request_end() -> None:
    with started(OPENAI_MODEL="emulator?latency=2s") as world:
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(world.http.post("/chat", json={"query": "hello", "session_id": "last"})))
        asking.start()
        while not world.model_requests:
            time.sleep(0.01)

        began = time.monotonic()
        world.stop(signal.SIGTERM)
        taken = time.monotonic() - began
        asking.join()

        world.start()
        kept = world.http.get("/chat/last").json()["turns"]
        assert [answer.status_code for answer in answers] == [200]
        assert [turn["answer"] for turn in kept] == [answers[0].json()["answer"]]
        assert taken <= 10
        assert [json.loads(line)["status"] for line in world.output.splitlines()] == [200, 200]  # No traceback, no complaint: only these.


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_turn_is_kept_although_its_client_left(ending: str) -> None:
    with started(OPENAI_MODEL="emulator?latency=500ms") as world:
        for number in range(20):
            body = json.dumps({"query": f"hello {number}", "session_id": f"left-{number}"}).encode()
            head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            client = socket.create_connection(("127.0.0.1", world.port))
            client.sendall(head + body)
            while len(world.model_requests) <= number:
                time.sleep(0.005)
            if ending == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()

        late = time.monotonic() + 5
        while len(world.log_lines()) < 20 and time.monotonic() < late:
            time.sleep(0.05)
        turns = [turn for number in range(20) for turn in world.http.get(f"/chat/left-{number}").json()["turns"]]

        assert [turn["query"] for turn in turns] == [f"hello {number}" for number in range(20)]
        assert {turn["status"] for turn in turns} == {"done"}
        assert "Traceback" not in world.output
