"""One run of the load test: a server on one core, its outside world and Locust on the others, and what came of it."""

import asyncio
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
from pathlib import Path

from tests.bench import signed_in
from tests.bench.machine import Server, product, sync_function
from tests.load.outcome import Call, Run
from tests.load.questions import SLOW_SECONDS, Turn
from tests.world import ROOT

USERS_PER_SECOND = 50
"""How fast they come: all at once would measure the arrival and nothing else (performance.md section 7)."""
SETTLING_SECONDS = 5.0
"""After the last one came, before anything counts."""
STOPPING_SECONDS = 120
"""After the last question, for every answer to come: more than the users' own patience."""

Started = Callable[[str, str], contextlib.AbstractContextManager[Server]]
"""A server, given the origins of its model and of the weather."""


def ours(row: int, users: int, seconds: float, slow_percent: float = 0.0, *, sign_in: bool = False) -> Run:
    """The whole product behind one entry point, on SQLite. With `sign_in` every user has an account and shows its token."""
    with tempfile.TemporaryDirectory() as folder:
        people = asyncio.run(signed_in.on_sqlite(Path(folder), users)) if sign_in else signed_in.NOBODY

        def started(model: str, weather: str) -> contextlib.AbstractContextManager[Server]:
            forecasts = {"OPEN_METEO_GEOCODING_URL": f"{weather}/v1", "OPEN_METEO_FORECAST_URL": f"{weather}/v1"}
            return product("plugin", model, **forecasts, **people.environment)

        return run(started, row, users, seconds, slow_percent, people.tokens)


def seed(users: int, seconds: float) -> Run:
    """The article's code, with the article's own body."""
    return run(lambda model, weather: sync_function("seed", MODEL_URL=model), 3, users, seconds)


def run(server: Started, row: int, users: int, seconds: float, slow_percent: float = 0.0, tokens: Sequence[str] = ()) -> Run:
    """Let `users` come to a server, each with one of the `tokens` where there are some, and count for `seconds`."""
    settling = SETTLING_SECONDS + (SLOW_SECONDS if slow_percent else 0.0)  # Until as many wait for a slow answer as will.
    with tempfile.TemporaryDirectory() as folder:
        turns_file, calls_file, tokens_file = Path(folder) / "turns", Path(folder) / "calls", Path(folder) / "tokens"
        tokens_file.write_text("\n".join(tokens))
        with _outside(calls_file, slow_percent) as (model, weather), server(model, weather) as served:
            _wait_for(served.url)
            began, cpu = time.monotonic(), served.cpu_seconds
            _locust(row, users, settling + seconds, slow_percent, served.url, turns_file, tokens_file)
            busy = (served.cpu_seconds - cpu) / (time.monotonic() - began)
            kept = frozenset(_done(served.url)) if row == 3 else frozenset[str]()
        seen, calls = json.loads(turns_file.read_text()), json.loads(calls_file.read_text())
    since = began + users / USERS_PER_SECOND + settling
    turns = [Turn(*turn) for turn in seen["turns"]]
    return Run(
        row,
        users,
        slow_percent,
        bool(tokens),
        (since, since + seconds),
        turns,
        seen["requests"],
        [Call(*call) for call in calls],
        busy,
        kept,
    )


@contextlib.contextmanager
def _outside(file: Path, slow_percent: float) -> Iterator[tuple[str, str]]:
    command = [sys.executable, "-m", "tests.load.outside", str(file), str(slow_percent)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            model, weather = process.stdout.readline().split()
            yield model, weather
        finally:
            process.send_signal(signal.SIGTERM)


def _locust(row: int, users: int, seconds: float, slow_percent: float, url: str, turns: Path, tokens: Path) -> None:
    length = users / USERS_PER_SECOND + seconds + 2
    told = {"ROW": str(row), "SLOW": str(slow_percent), "TURNS_FILE": str(turns), "TOKENS_FILE": str(tokens)}
    subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), "--headless", "--only-summary"),
            *("--users", str(users), "--spawn-rate", str(USERS_PER_SECOND), "--run-time", f"{length:.0f}s"),
            *("--stop-timeout", str(STOPPING_SECONDS), "--host", url, "--loglevel", "ERROR", "--exit-code-on-error", "0"),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(turns.parent), **told},
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


def _done(url: str) -> Iterator[str]:
    """The ids of the done turns of the shared session; none for a server that keeps no transcript."""
    after = ""
    while True:
        try:
            with urllib.request.urlopen(f"{url}/chat/test123?limit=100&after={after}", timeout=60) as response:
                page = json.loads(response.read())
        except (urllib.error.HTTPError, json.JSONDecodeError):
            return
        yield from (turn["turn_id"] for turn in page["turns"] if turn["status"] == "done")
        after = page.get("next")
        if not after:
            return
