"""P4 and P5: from launch to the first correct answer, and the memory of an idle function: `python -m tests.bench P4`."""

import asyncio
import contextlib
import http.client
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from functions.core.capability import GET_PROFILE
from tests import emulators
from tests.bench import machine, signed_in, wire
from tests.bench.report import Section, Verdict

ROUNDS = 7
IDLE_SECONDS = 1.0
HELLO, MANIFEST, CHAT, CHAT_FIRESTORE, MCP = "hello world, sync", "manifest", "chat on SQLite", "chat on Firestore emulator", "mcp"
AUTH, CHAT_SIGNED_IN, MCP_SIGNED_IN = (
    "auth on Firestore emulator",
    f"{CHAT_FIRESTORE}, signed in",
    f"{MCP} on Firestore emulator, signed in",
)
COLD_GOALS = {MANIFEST: 2.0, CHAT_FIRESTORE: 3.4, MCP: 5.0}
MEMORY_GOALS = {MANIFEST: 70.0, CHAT_FIRESTORE: 110.0}

METHOD = f"""A process is launched as Google launches it (`functions-framework --target=…`, gunicorn with one worker), pinned to one core, and asked every
2 ms until it gives the right answer: the greeting, the OpenAPI document, a turn of chat with the model's text, read and written in its store, the
list of tools over MCP. With sign-in: the authorization server's keys; the same turn, and the profile over MCP, of somebody who shows a
token, which is verified and whose grant is read. {ROUNDS} launches of each, interleaved, after one that is not counted (compiled bytecode and page cache are warm);
medians, and the ratio round by round. Memory is the proportional set size of master and worker together, {IDLE_SECONDS:g} s after the first answer; processor time is the tree's until then."""


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
    path: str
    correct: Callable[[bytes], bool]
    body: Mapping[str, Any] | None = None
    """What is posted; without it, the path is got."""
    headers: Mapping[str, str] = field(default_factory=dict)


async def measure() -> Section:
    """Launch all functions."""
    async with wire.Model(lambda: 0.0).serving() as model:
        with contextlib.ExitStack() as stack:
            return _section(await launched(await _candidates(model.origin, stack)))


async def launched(candidates: Mapping[str, Candidate]) -> Mapping[str, Sequence[Start]]:
    """Launch everything in turns."""
    starts: dict[str, list[Start]] = defaultdict(list)
    for round_number in range(ROUNDS + 1):
        for name, candidate in candidates.items():
            start = await asyncio.to_thread(_started, candidate)
            if round_number:
                starts[name].append(start)
    return starts


async def _candidates(model: str, stack: contextlib.ExitStack) -> Mapping[str, Candidate]:
    def answered(body: bytes) -> bool:
        return wire.waited(body) >= 0

    question = {"query": wire.QUESTION}
    found = {
        HELLO: Candidate(lambda: machine.sync_function("hello"), "/", lambda body: body == b"Hello world"),
        MANIFEST: Candidate(
            lambda: machine.product("manifest", model), "/openapi.json", lambda body: json.loads(body)["openapi"] == "3.1.0"
        ),
        CHAT: Candidate(lambda: machine.product("chat", model), "/chat", answered, question),
        MCP: lists_tools(lambda: machine.product("mcp", model), "get_weather_forecast"),
    }
    with contextlib.suppress(emulators.Missing):
        firestore = machine.firestore(stack.enter_context(emulators.firestore()))
        people = await signed_in.on_firestore(firestore, 1)
        readers = await signed_in.on_firestore(firestore, 1, signed_in.MCP)
        profile, headers = wire.mcp_message("2026-07-28", "tools/call", name=GET_PROFILE, arguments={})
        found |= {
            CHAT_FIRESTORE: Candidate(lambda: machine.product("chat", model, **firestore), "/chat", answered, question),
            AUTH: Candidate(
                lambda: machine.product("auth", model, **firestore, **people.environment),
                "/oauth/jwks",
                lambda body: bool(json.loads(body)["keys"]),
            ),
            CHAT_SIGNED_IN: Candidate(
                lambda: machine.product("chat", model, **firestore, **people.environment), "/chat", answered, question, people.shown
            ),
            MCP_SIGNED_IN: Candidate(
                lambda: machine.product("mcp", model, **firestore, **readers.environment),
                "/mcp",
                lambda body: json.loads(body)["result"]["structuredContent"]["id"] == signed_in.person(0).user,
                profile,
                headers | readers.shown,
            ),
        }
    return found


def lists_tools(launch: Callable[[], contextlib.AbstractContextManager[machine.Server]], tool: str) -> Candidate:
    """An MCP server, whose first tool must be `tool`."""
    body, headers = wire.mcp_message("2026-07-28", "tools/list")
    return Candidate(launch, "/mcp", lambda answer: json.loads(answer)["result"]["tools"][0]["name"] == tool, body, headers)


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
    try:
        if candidate.body is None:
            connection.request("GET", candidate.path)
        else:
            connection.request(
                "POST", candidate.path, json.dumps(candidate.body), {"Content-Type": "application/json", **candidate.headers}
            )
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
