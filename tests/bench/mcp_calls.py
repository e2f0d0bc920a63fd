"""P8: what a call over MCP costs, beside a FastMCP server with the same tool: `python -m tests.bench P8`."""

import contextlib
import json
import shutil
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from functions.core.capability import lean
from tests import environments
from tests.bench import cold, machine, turns, wire
from tests.bench.contestants import Contestant
from tests.bench.report import Section, Verdict, table
from tests.emulators import free_port
from tests.world import ROOT

TOOL = Path(__file__).with_name("note")
"""The folder of the tool, which is there twice: as a capability of ours and on FastMCP."""
FASTMCP = "fastmcp==4.1.2"
OURS, THEIRS = "mcp", "FastMCP"
CALLERS, ROUNDS, WINDOW_SECONDS = 64, 5, 2.0
REVISIONS = ("2025-11-25", "2026-07-28")
METHODS: Mapping[str, Mapping[str, Any]] = {"tools/list": {}, "tools/call": {"name": "note", "arguments": {"text": "Remember the milk."}}}
"""Each with its parameters."""

Call = tuple[str, str]
"""A method, and the revision of the protocol that it is called in."""

METHOD = f"""Our function `mcp` and {FASTMCP.replace("==", " ")} have one and the same tool, which gives its text back at once; name, schemas and result are compared before
anything is measured. Ours is a capability file in a copy of the source, under gunicorn as Google launches it, and logs a line for each request;
FastMCP is stateless, answers with JSON, and runs under uvicorn alone, which logs nothing. Both have uvloop and httptools and the product's versions of
whatever they share. {CALLERS} callers on kept connections ask as soon as they have their answer, which must be the same, byte for byte, each time. Each
server is pinned to the first core; processor time is that of its process tree by /proc. {ROUNDS} windows of {WINDOW_SECONDS:g} s, interleaved, medians; the ratio
is taken round by round."""


COLD_METHOD = "From launch to the first `tools/list` (2026-07-28), in the manner of P4:"


async def measure() -> Section:
    """Run both servers in turns, then launch them in turns."""
    title, columns = (
        "P8: calls over MCP",
        ("call", "server", "calls per CPU second by FastMCP's", "CPU ms per call", "calls/s", "core busy"),
    )
    try:
        programs = environments.programs("fastmcp", FASTMCP, "uvicorn", "uvloop", "httptools", "--constraint", ROOT / "requirements.txt")
    except subprocess.CalledProcessError:
        return Section(title, METHOD, columns, [], notes=[f"{FASTMCP} could not be installed here; that needs the network once."])
    with _source() as source:
        windows = await _windows(source, programs)
        starts = await cold.launched(
            {
                OURS: cold.lists_tools(lambda: _ours(source), "note"),
                THEIRS: cold.lists_tools(lambda: _theirs(programs), "note"),
            }
        )
    rows, verdicts = _calls(windows)
    beside, verdict = _cold(starts)
    return Section(title, METHOD, columns, rows, [*verdicts, verdict], [COLD_METHOD, beside])


@contextlib.contextmanager
def _source() -> Iterator[Path]:
    """A copy of the product whose only capability is the tool."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        shutil.copy(ROOT / "main.py", source)
        shutil.copytree(ROOT / "functions", source / "functions", ignore=shutil.ignore_patterns("__pycache__", "weather.py"))
        shutil.copy(TOOL / "capability.py", source / "functions" / "capabilities" / "note.py")
        yield source


def _ours(source: Path) -> contextlib.AbstractContextManager[machine.Server]:
    return machine.product("mcp", "http://127.0.0.1:9", source=source)  # A port where no model is: none is asked.


def _theirs(programs: Path) -> contextlib.AbstractContextManager[machine.Server]:
    port = free_port()
    quiet = ["--no-access-log", "--log-level=warning", "--timeout-keep-alive=75"]
    start = [str(programs / "uvicorn"), "fastmcp_server:application", f"--app-dir={TOOL}", f"--port={port}", *quiet]
    return machine.running(start, port, {})


async def _windows(source: Path, programs: Path) -> Mapping[Call, Mapping[str, Sequence[turns.Window]]]:
    windows: dict[Call, dict[str, list[turns.Window]]] = defaultdict(lambda: defaultdict(list))
    with _ours(source) as ours, _theirs(programs) as theirs:
        contestants = {
            call: {OURS: await _contestant(ours, call), THEIRS: await _contestant(theirs, call)} for call in product(METHODS, REVISIONS)
        }
        for _, (call, servers) in product(range(ROUNDS), contestants.items()):
            for name, contestant in servers.items():
                windows[call][name].append(await turns.window(contestant, WINDOW_SECONDS))
    return windows


async def _contestant(server: machine.Server, call: Call) -> Contestant:
    """A server with callers of this call, each of which has had the right answer once."""
    method, revision = call
    message = wire.mcp_message(revision, method, **METHODS[method])
    callers = await wire.connected(server.port, [wire.Caller("/mcp", *message) for _ in range(CALLERS)])
    answer = await callers[0].ask()
    _assert_same_tool(json.loads(answer)["result"])
    for caller in callers:
        caller.expected = answer
        await caller.ask()
    return Contestant(server, callers)


def _assert_same_tool(result: Mapping[str, Any]) -> None:
    if "tools" in result:
        (tool,) = result["tools"]
        taken, given = lean(tool["inputSchema"]), lean(tool["outputSchema"])
        assert (tool["name"], tool["title"], tool["description"]) == ("note", "Note", "Give a text back at once.")
        assert taken["properties"] == {"text": {"description": "Any text.", "minLength": 1, "maxLength": 100, "type": "string"}}
        assert {name: field["type"] for name, field in given["properties"].items()} == {"text": "string", "length": "integer"}
    else:
        assert result["structuredContent"] == {"text": "Remember the milk.", "length": 18}
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        assert not result.get("isError")


def _calls(windows: Mapping[Call, Mapping[str, Sequence[turns.Window]]]) -> tuple[Sequence[Sequence[str]], Sequence[Verdict]]:
    rows, verdicts = [], []
    for call, found in windows.items():
        for name, own in found.items():
            times = [ours.per_cpu_second / theirs.per_cpu_second for ours, theirs in zip(own, found[THEIRS], strict=True)]
            rows.append(
                (
                    " ".join(call),
                    name,
                    f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})",
                    f"{statistics.median(1000 / window.per_cpu_second for window in own):.2f}",
                    f"{statistics.median(window.turns / window.wall for window in own):.0f}",
                    f"{statistics.median(window.cpu / window.wall for window in own):.0%}",
                )
            )
            if name == OURS:
                verdicts.append(_verdict(f"{' '.join(call)}: less CPU per call than FastMCP", statistics.median(times)))
    return rows, verdicts


def _cold(starts: Mapping[str, Sequence[cold.Start]]) -> tuple[str, Verdict]:
    times = [theirs.seconds / ours.seconds for ours, theirs in zip(starts[OURS], starts[THEIRS], strict=True)]
    rows = [
        (
            name,
            f"{statistics.median(start.seconds for start in found) * 1000:.0f} ({min(start.seconds for start in found) * 1000:.0f})",
            f"{statistics.median(start.cpu for start in found) * 1000:.0f}",
            f"{statistics.median(start.pss_mb for start in found):.0f}",
        )
        for name, found in starts.items()
    ]
    columns = ("server", "first answer ms (fastest)", "CPU ms until then", "PSS MB, whole tree")
    return table(columns, rows), _verdict("first answer sooner than FastMCP's", statistics.median(times))


def _verdict(asked: str, times: float) -> Verdict:
    """Ahead is the goal; the aim is twice as good."""
    return Verdict("P8", f"{asked} (aim: 2 x)", f"{times:.2f} x", times > 1)
