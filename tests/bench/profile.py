"""Where a turn's processor time goes, by py-spy where it is installed: `python -m tests.bench profile`."""

import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.bench import turns, wire
from tests.bench.contestants import FIRESTORE, SQLITE, Contestant, contestants
from tests.bench.report import Section

SECONDS = 6.0
MOST = 14

METHOD = """P1's load, sampled 200 times a second without stopping it by py-spy: whose own lines the interpreter was in, by package, in percent of all samples that ran
(the collector's time and C code count for the line that they interrupt), and which of our functions were on the stack."""


async def measure() -> Section:
    """Sample chat on both stores."""
    columns = ("", SQLITE, FIRESTORE)
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if program is None:
        return Section(
            "Profile",
            METHOD,
            columns,
            [],
            notes=["py-spy is not installed here: `pip install py-spy`, then `python -m tests.bench profile`."],
        )
    own: dict[str, Counter[str]] = {}
    ours: dict[str, Counter[str]] = {}
    async with wire.Model(lambda: turns.MODEL_SECONDS).serving() as model, contestants(model) as servers:
        for name in columns[1:]:
            stacks = await _sampled(program, servers[name]) if name in servers else []
            own[name], ours[name] = shares(stacks)
    rows = [(f"in {what}", *(f"{own[name][what]:.1f} %" for name in columns[1:])) for what, _ in own[SQLITE].most_common(MOST)]
    rows += [(f"under `{what}`", *(f"{ours[name][what]:.1f} %" for name in columns[1:])) for what, _ in ours[SQLITE].most_common(2 * MOST)]
    return Section("Profile", METHOD, columns, rows)


async def _sampled(program: str, contestant: Contestant) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stacks"
        command = [
            program,
            "record",
            "--nonblocking",
            "-r",
            "200",
            "-d",
            f"{SECONDS:.0f}",
            "-f",
            "raw",
            "-F",
            "-o",
            str(file),
            "-p",
            str(contestant.server.tree[-1]),
        ]
        spy = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
        await turns.window(contestant, SECONDS)
        await spy.wait()
        return await asyncio.to_thread(lambda: file.read_text().splitlines())


def shares(stacks: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """Percent of the samples by package of the innermost frame, and by function of ours anywhere; idle threads do not count."""
    own: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    total = 0
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if frames[-1].startswith("_worker ("):  # A lane's thread that waits for work.
            continue
        total += int(count)
        own[_package(frames[-1])] += int(count)
        ours.update(dict.fromkeys((frame.partition(":")[0] + ")" for frame in frames if "(functions/" in frame), int(count)))
    return _percent(own, total), _percent(ours, total)


def _package(frame: str) -> str:
    file = frame.partition("(")[2].partition(":")[0]
    return file.rstrip(")") if file.startswith("functions/") else file.partition("/")[0].rstrip(")")


def _percent(counts: Counter[str], total: int) -> Counter[str]:
    return Counter({name: 100 * count / total for name, count in counts.items()})  # type: ignore[misc]
