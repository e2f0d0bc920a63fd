"""P4 and P5: from launch to the first correct answer, and the memory of an idle function: `python -m tests.bench P4`."""

import asyncio
import contextlib
import http.client
import json
import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests import emulators
from tests.bench import machine, wire
from tests.bench.report import Section, Verdict

ROUNDS = 7
IDLE_SECONDS = 1.0
HELLO, MANIFEST, CHAT, CHAT_FIRESTORE = "hello world, sync", "manifest", "chat on SQLite", "chat on Firestore emulator"
COLD_GOALS = {MANIFEST: 2.0, CHAT_FIRESTORE: 3.4}
MEMORY_GOALS = {MANIFEST: 70.0, CHAT_FIRESTORE: 110.0}

METHOD = f"""A process is launched as Google launches it (`functions-framework --target=…`, gunicorn with one worker), pinned to one core, and asked every
2 ms until it gives the right answer: the greeting, the OpenAPI document, a turn of chat with the model's text, read and written in its store. {ROUNDS}
launches of each, interleaved, after one that is not counted (compiled bytecode and page cache are warm); medians, and the ratio round by round.
Memory is the proportional set size of master and worker together, {IDLE_SECONDS:g} s after the first answer; processor time is the tree's until then."""


@dataclass(frozen=True)
class Start:
    """One launch."""

    seconds: float
    cpu: float
    pss_mb: float
    worker_mb: float


@dataclass(frozen=True)
class Candidate:
    """What is launched, and what it is asked first."""

    launch: Callable[[], contextlib.AbstractContextManager[machine.Server]]
    method: str
    path: str
    correct: Callable[[bytes], bool]


async def measure() -> Section:
    """Launch everything in turns."""
    starts: dict[str, list[Start]] = defaultdict(list)
    async with wire.Model(lambda: 0.0).serving() as model:
        with contextlib.ExitStack() as stack:
            candidates = _candidates(model.origin, stack)
            for round_number in range(ROUNDS + 1):
                for name, candidate in candidates.items():
                    start = await asyncio.to_thread(_started, candidate)
                    if round_number:
                        starts[name].append(start)
    return _section(starts)


def _candidates(model: str, stack: contextlib.ExitStack) -> Mapping[str, Candidate]:
    def answered(body: bytes) -> bool:
        return wire.waited(body) >= 0

    found = {
        HELLO: Candidate(lambda: machine.sync_function("hello"), "GET", "/", lambda body: body == b"Hello world"),
        MANIFEST: Candidate(
            lambda: machine.product("manifest", model), "GET", "/openapi.json", lambda body: json.loads(body)["openapi"] == "3.1.0"
        ),
        CHAT: Candidate(lambda: machine.product("chat", model), "POST", "/chat", answered),
    }
    with contextlib.suppress(emulators.Missing):
        settings = {
            "STORE": "firestore",
            "FIRESTORE_EMULATOR_HOST": stack.enter_context(emulators.firestore()),
            "GOOGLE_CLOUD_PROJECT": f"demo-{secrets.token_hex(4)}",
        }
        found[CHAT_FIRESTORE] = Candidate(lambda: machine.product("chat", model, **settings), "POST", "/chat", answered)
    return found


def _started(candidate: Candidate) -> Start:
    began = time.perf_counter()
    with candidate.launch() as server:
        while not _answers(server.port, candidate):
            time.sleep(0.002)
            assert time.perf_counter() - began < machine.STARTING_SECONDS, "the server does not start"
        seconds, cpu = time.perf_counter() - began, server.cpu_seconds
        time.sleep(IDLE_SECONDS)
        return Start(seconds, cpu, server.pss_mb, server.largest_pss_mb)


def _answers(port: int, candidate: Candidate) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"query": wire.QUESTION}) if candidate.method == "POST" else None
    try:
        connection.request(candidate.method, candidate.path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status == 200 and candidate.correct(response.read())
    except ConnectionError:
        return False
    finally:
        connection.close()


def _section(starts: Mapping[str, Sequence[Start]]) -> Section:
    ratios = {
        name: statistics.median(ours.seconds / hello.seconds for ours, hello in zip(found, starts[HELLO], strict=True))
        for name, found in starts.items()
    }
    memory = {name: statistics.median(start.pss_mb for start in found) for name, found in starts.items()}
    rows = [
        (
            name,
            f"{ratios[name]:.2f}",
            f"{statistics.median(start.seconds for start in found) * 1000:.0f} ({min(start.seconds for start in found) * 1000:.0f})",
            f"{statistics.median(start.cpu for start in found) * 1000:.0f}",
            f"{memory[name]:.0f}",
            f"{statistics.median(start.worker_mb for start in found):.0f}",
        )
        for name, found in starts.items()
    ]
    verdicts = [
        Verdict("P4", f"{name}: launch to first answer <= {goal:g} x hello world", f"{ratios[name]:.2f} x", ratios[name] <= goal)
        for name, goal in COLD_GOALS.items()
        if name in ratios
    ] + [
        Verdict("P5", f"{name}: idle memory <= {goal:g} MB", f"{memory[name]:.0f} MB", memory[name] <= goal)
        for name, goal in MEMORY_GOALS.items()
        if name in memory
    ]
    columns = (
        "function",
        "x hello world",
        "first answer ms (fastest)",
        "CPU ms until then",
        "PSS MB, whole tree",
        "PSS MB, larger process",
    )
    return Section("P4 and P5: cold start and memory", METHOD, columns, rows, verdicts)
