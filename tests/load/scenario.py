"""One run of the load test: a server on one core, its outside world and Locust on the others, and what came of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.machine import Server, product, sync_function
from tests.bench.report import percentile
from tests.world import ROOT

USERS_PER_SECOND = 50
"""How fast they come: all at once would measure the arrival and nothing else (performance.md section 7)."""
SETTLING_SECONDS = 5.0
"""After the last one came, before anything counts."""
CALLS_PER_TURN = {1: 1, 2: 2, 3: 2}


@dataclass(frozen=True)
class Run:
    """What a run gave; times are milliseconds, and of the time after the ramp alone."""

    row: int
    users: int
    turns_per_second: float
    milliseconds: Sequence[float]
    errors: Sequence[str]
    """Of all turns, those of the ramp included."""
    turns: int
    """All of them, those that failed and those of the ramp included."""
    model_calls: int
    model_milliseconds: Sequence[float]
    """For each turn, what the model waited in all its calls."""
    cpu_share: float
    """Of the server's one core."""
    in_transcript: int
    """Row 3: the done turns in the shared session's transcript afterwards."""

    def p(self, share: float) -> float:
        """A percentile of the turns."""
        return percentile(self.milliseconds, share)

    @property
    def mean(self) -> float:
        return sum(self.milliseconds) / len(self.milliseconds)

    @property
    def p95_ratio(self) -> float:
        """The turns' 95th percentile, by that of the model's own delays."""
        return self.p(0.95) / percentile(self.model_milliseconds, 0.95)

    @property
    def faults(self) -> list[str]:
        """What must not be: in rows 1 and 2 any error, in row 3 a turn that was answered and is not in the transcript."""
        done = self.turns - len(self.errors)
        if self.row == 3:
            return [] if self.in_transcript == done else [f"Row 3: {done} turns were answered, {self.in_transcript} are in the transcript."]
        found = [f"Row {self.row}: {error}" for error in sorted(set(self.errors))]
        if self.model_calls != self.turns * CALLS_PER_TURN[self.row]:
            found.append(f"Row {self.row}: {self.turns} turns called the model {self.model_calls} times.")
        return found


def ours(row: int, users: int, seconds: float) -> Run:
    """The whole product behind one entry point, on SQLite."""
    return _run(
        row,
        users,
        seconds,
        lambda model, weather: product("plugin", model, OPEN_METEO_GEOCODING_URL=f"{weather}/v1", OPEN_METEO_FORECAST_URL=f"{weather}/v1"),
    )


def seed(users: int, seconds: float) -> Run:
    """The article's code, with the article's own body."""
    return _run(3, users, seconds, lambda model, weather: sync_function("seed", MODEL_URL=model))


def _run(row: int, users: int, seconds: float, server: Callable[[str, str], contextlib.AbstractContextManager[Server]]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        turns_file, calls_file = Path(folder) / "turns", Path(folder) / "calls"
        with _outside(calls_file) as (model, weather), server(model, weather) as served:
            _wait_for(served.url)
            began, cpu = time.monotonic(), served.cpu_seconds
            _locust(row, users, seconds, served.url, turns_file)
            busy = (served.cpu_seconds - cpu) / (time.monotonic() - began)
            kept = _done(served.url) if row == 3 else 0
        ramp = began + users / USERS_PER_SECOND + SETTLING_SECONDS
        return _told(row, users, ramp, seconds, json.loads(turns_file.read_text()), json.loads(calls_file.read_text()), busy, kept)


def _told(
    row: int,
    users: int,
    ramp: float,
    seconds: float,
    turns: list[tuple[float, float, str]],
    calls: list[tuple[bool, float]],
    busy: float,
    kept: int,
) -> Run:
    counted = [milliseconds for ended, milliseconds, error in turns if ramp <= ended < ramp + seconds and not error]
    # Delays are drawn independently of everything, so it does not matter which of the first calls is added to which of the last.
    first, last = ([delay for is_call, delay in calls if is_call is wanted] for wanted in (True, False))
    model = [a + b for a, b in zip(first, last, strict=False)] if first else last
    errors = [error for *_, error in turns if error]
    return Run(row, users, len(counted) / seconds, counted, errors, len(turns), len(calls), model, busy, kept)


@contextlib.contextmanager
def _outside(file: Path) -> Iterator[tuple[str, str]]:
    command = [sys.executable, "-m", "tests.load.outside", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            model, weather = process.stdout.readline().split()
            yield model, weather
        finally:
            process.send_signal(signal.SIGTERM)


def _locust(row: int, users: int, seconds: float, url: str, file: Path) -> None:
    length = users / USERS_PER_SECOND + SETTLING_SECONDS + seconds + 2
    subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), "--headless", "--only-summary"),
            *("--users", str(users), "--spawn-rate", str(USERS_PER_SECOND), "--run-time", f"{length:.0f}s", "--stop-timeout", "90"),
            *("--host", url, "--loglevel", "ERROR", "--exit-code-on-error", "0"),
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(file.parent), "ROW": str(row), "TURNS_FILE": str(file)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # Locust's tables count the ramp too.
        check=True,
    )


def _wait_for(url: str, seconds: float = 60.0) -> None:
    late = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=seconds):
                return
        except urllib.error.HTTPError:
            return
        except urllib.error.URLError:
            if time.monotonic() > late:
                raise
            time.sleep(0.05)


def _done(url: str) -> int:
    """The done turns of the shared session; 0 for a server that keeps no transcript."""
    done, after = 0, ""
    while True:
        try:
            with urllib.request.urlopen(f"{url}/chat/test123?limit=100&after={after}", timeout=60) as response:
                page = json.loads(response.read())
        except urllib.error.HTTPError:
            return done
        except json.JSONDecodeError:
            return done
        done += sum(turn["status"] == "done" for turn in page["turns"])
        after = page.get("next")
        if not after:
            return done
