"""The product as a real process, with emulators of what lies outside: `with started() as world`. It works in sync and in async tests."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from anyio.from_thread import start_blocking_portal

from infra.local import model_emulator, weather_emulator
from tests.emulators import free_port
from tests.upstream import Received, recording

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORK = Path(sys.executable).with_name("functions-framework")

STARTING_SECONDS = 60.0
"""Until it answers: two seconds on an idle machine, and room for one that runs everything else as well."""
STOPPING_SECONDS = 15.0
"""Until it has ended after SIGTERM: its open requests may take main.py's 6 s."""

PROBE = "TRACE"
"""The method of the request that asks whether the product answers yet. The framework refuses it, so that the product logs nothing."""


@dataclass
class World:
    """One running product. Leave `environ` as it is, or change it and restart()."""

    environ: dict[str, str]
    """All that the process sees."""
    folder: Path
    """The process's working directory; the SQLite file is in it."""
    source: Path
    """The folder of main.py."""
    target: str
    port: int
    http: httpx.Client
    """A client of it: `world.http.get("/openapi.json")`."""
    model_requests: list[Received] = field(default_factory=list)
    """What the model was asked so far: `world.model_requests[-1].json["messages"]`."""
    weather_requests: list[Received] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The origin, without a slash at its end."""
        return str(self.http.base_url).rstrip("/")

    @property
    def output(self) -> str:
        """Everything that was written to stdout and stderr, over all restarts."""
        return (self.folder / "output").read_text("utf-8", "replace")

    def ask(self, query: str, session_id: str | None = None) -> Any:
        """The body of a 200 to POST /chat."""
        response = self.http.post("/chat", json={"query": query} | ({"session_id": session_id} if session_id else {}))
        assert response.status_code == 200, response.text
        return response.json()

    def log_lines(self) -> list[dict[str, Any]]:
        """The JSON lines that the product logged, oldest first."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]

    def restart(self, number: int = signal.SIGTERM) -> None:
        """End the process by a signal, and start it anew on the same port."""
        self.stop(number)
        self.start()

    def start(self) -> Self:
        """Start the process; it answers when this returns."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command(self.target, self.port, self.source),
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        late = time.monotonic() + STARTING_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > late:
                self.stop(signal.SIGKILL)
                raise RuntimeError(f"The product did not start.\n{self.output[-4000:]}")
            time.sleep(0.05)
        return self

    @property
    def worker(self) -> int:
        """The process that answers: gunicorn's only child. Needs Linux' /proc."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while not (pids := children.read_text().split()):
            time.sleep(0.005)
        return int(pids[0])

    def send(self, number: int) -> None:
        """Send a signal to the process and its worker: SIGSTOP and SIGCONT, as for an instance that Google takes the CPU from."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process and its worker; nothing happens where it has ended before."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOPPING_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):  # The worker too, where it outlived its master.
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            return self.http.request(PROBE, "/").status_code > 0
        except httpx.TransportError:
            return False


Seen = tuple[int, list[tuple[str, str]], bytes]


def seen(answer: httpx.Response) -> Seen:
    """All that a caller can tell one answer from another by, but for the time."""
    return answer.status_code, sorted((name, value) for name, value in answer.headers.items() if name != "date"), answer.content


@contextlib.contextmanager
def started(target: str = "plugin", *, source: Path = ROOT, **environment: str) -> Iterator[World]:
    """The product with its emulators, until the block ends; on a SQLite file, unless `environment` says otherwise.

    `environment` is all that it sees besides PATH: started(OPENAI_MODEL="emulator?fail=500"), started(**on_firestore(address)). To
    start a second process on the same conversations: started(STORE=world.environ["STORE"]).
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        start_blocking_portal("asyncio") as portal,
        recording(portal, model_emulator.application(), asked := []) as model,
        recording(portal, weather_emulator.application(), looked_up := []) as weather,
        # Only now, or an emulator may get this very port, and answer for the product.
        httpx.Client(base_url=f"http://127.0.0.1:{(port := free_port())}", trust_env=False, timeout=60) as http,
    ):
        world = World({}, Path(folder), source, target, port, http, asked, looked_up)
        world.environ |= {
            "PATH": os.environ["PATH"],
            "FUNCTION_USE_ASGI": "true",
            "STORE": f"sqlite:{world.folder / 'cantilever.db'}",
            "OPENAI_BASE_URL": f"{model}/v1",
            "OPENAI_MODEL": "emulator",
            "OPEN_METEO_GEOCODING_URL": f"{weather}/v1",
            "OPEN_METEO_FORECAST_URL": f"{weather}/v1",
            "PUBLIC_BASE_URL": world.url,
        } | environment
        try:
            yield world.start()
        finally:
            world.stop()


@contextlib.asynccontextmanager
async def running(target: str = "plugin", **environment: str) -> AsyncIterator[World]:
    """`started`, for a test whose own event loop serves what the product needs: starting and stopping do not block it."""
    starting = started(target, **environment)
    world = await asyncio.to_thread(starting.__enter__)
    try:
        yield world
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


def copied(folder: Path, **capabilities: str) -> Path:
    """A copy of the product with more capability files, text by name: started(source=copied(tmp_path, holidays="…"))."""
    shutil.copy(ROOT / "main.py", folder)
    for part in ("functions", "infra"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in capabilities.items():
        (folder / "functions" / "capabilities" / f"{name}.py").write_text(text, "utf-8")
    return folder


def on_firestore(address: str) -> dict[str, str]:
    """What `started` takes to keep conversations in the emulator at `address`, in an empty database of their own."""
    return {"STORE": "firestore", "FIRESTORE_EMULATOR_HOST": address, "GOOGLE_CLOUD_PROJECT": f"demo-{secrets.token_hex(8)}"}


def command(target: str, port: int, source: Path = ROOT) -> list[str]:
    """What starts a function as Google starts it."""
    return [str(FRAMEWORK), f"--target={target}", f"--source={source / 'main.py'}", "--host=127.0.0.1", f"--port={port}"]
