"""/_health: alive because it answers, ready once everything is open that a request would have to wait for, and told to stop in time."""

import signal
import threading
import time

import httpx
import pytest

from tests.emulators import free_port
from tests.world import World, on_firestore, started


@pytest.mark.parametrize("target", ["plugin", "chat", "mcp", "manifest", "worker"])
def test_every_function_tells_that_it_is_ready(target: str) -> None:
    with started(target) as world:
        ready = world.http.get("/_health")

        assert (ready.status_code, ready.json()) == (200, {"alive": True, "ready": True})
        assert world.model_requests == [] or world.model_requests[0].method == "HEAD", "no token is spent"


def test_without_its_store_it_is_alive_and_not_ready_and_ready_once_the_store_is_there() -> None:
    with started("chat", **on_firestore(f"127.0.0.1:{free_port()}")) as world:
        waiting = world.http.get("/_health")

        assert waiting.status_code == 503
        assert waiting.json() == {"alive": True, "ready": False, "waiting_for": ["the store"]}
        assert waiting.elapsed.total_seconds() < 5.5
        logged = next(line for line in world.log_lines() if line["message"] == "request")
        assert (logged["path"], logged["severity"], logged["error"]) == ("/_health", "ERROR", "store_unavailable")


def test_without_a_right_to_its_key_it_is_not_ready_and_says_nothing_of_it() -> None:
    denied = {"OPENAI_API_KEY_SECRET": "projects/nobody/secrets/CANARY/versions/latest", "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}
    with started("chat", **denied) as world:
        waiting = world.http.get("/_health")

        assert waiting.status_code == 503
        assert waiting.json()["waiting_for"] == ["the model's key"]
        assert [line["error"] for line in world.log_lines() if line["message"] == "request"] == ["upstream_refused"]
        assert "CANARY" not in world.output


def test_told_to_stop_a_process_gives_its_turns_back_and_the_next_finishes_them() -> None:
    with started(OPENAI_MODEL="emulator?latency=8s", CHAT_BUDGET_SECONDS="1") as world:
        pending = world.http.post("/chat", json={"query": "hello", "session_id": "s"}).json()

        began = time.monotonic()
        world.stop(signal.SIGTERM)
        taken = time.monotonic() - began
        world.environ["OPENAI_MODEL"] = "emulator"
        world.start()
        done = answered(world, pending["turn_id"])

        assert pending["status"] == "pending"
        assert taken < 5
        assert done["status"] == "done"
        assert [turn["status"] for turn in world.http.get("/chat/s").json()["turns"]] == ["done"]


def test_a_question_that_is_open_when_it_is_told_to_stop_is_answered_or_pending() -> None:
    with started(OPENAI_MODEL="emulator?latency=20s") as world:
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(world.http.post("/chat", json={"query": "hello", "session_id": "s"})))
        asking.start()
        while not world.model_requests:
            time.sleep(0.01)

        began = time.monotonic()
        world.stop(signal.SIGTERM)
        taken = time.monotonic() - began
        asking.join()
        world.environ["OPENAI_MODEL"] = "emulator"
        world.start()

        assert [answer.status_code for answer in answers] == [202]
        assert taken <= 10
        assert answered(world, answers[0].json()["turn_id"])["status"] == "done"
        assert all(line.startswith("{") for line in world.output.splitlines()), "no traceback, no complaint"
        assert next(line["status"] for line in world.log_lines() if line["message"] == "request") == 202


def answered(world: World, turn_id: str) -> dict[str, str]:
    """The answer of a pending turn, as soon as there is one."""
    late = time.monotonic() + 40
    while time.monotonic() < late:
        answer = world.http.post("/answer", json={"session_id": "s", "turn_id": turn_id})
        if answer.status_code != 202:
            found: dict[str, str] = answer.json()
            return found
    raise AssertionError("The turn is pending for ever.")
