"""Who is compared: each a web backend that runs as one or two processes on one SQLite file."""

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

from tests.emulators import free_port
from tests.reliability.scene import WHOLE_PREFIX
from tests.world import started

HERE = Path(__file__).parent
STARTING_SECONDS = 60.0
PAGE = "100"


class Contestant(Protocol):
    """A backend that takes POST /chat."""

    @property
    def name(self) -> str: ...

    @property
    def shown(self) -> int:
        """The most earlier answers that its model is shown."""
        ...

    def serving(self, model: str, processes: int) -> contextlib.AbstractAsyncContextManager[Sequence[str]]:
        """Processes on one empty store, with the model at the base URL `model`; gives their origins."""
        ...

    async def begin(self, client: aiohttp.ClientSession, origin: str, session: str) -> None:
        """Do what has to be done before the first question of a session."""
        ...

    async def messages(self, client: aiohttp.ClientSession, origin: str, session: str) -> Sequence[str]:
        """All that is stored of a session, oldest first."""
        ...


class Ours:
    """The product."""

    name = "Cantilever"
    shown = 99  # WHOLE_PREFIX: 200 messages, the question one of them

    @contextlib.asynccontextmanager
    async def serving(self, model: str, processes: int) -> AsyncIterator[Sequence[str]]:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            settings = {**WHOLE_PREFIX, "STORE": f"sqlite:{folder}/shared.db", "OPENAI_BASE_URL": model}
            yield [stack.enter_context(started(**settings)).url for _ in range(processes)]

    async def begin(self, client: aiohttp.ClientSession, origin: str, session: str) -> None:
        pass  # A session begins with its first question.

    async def messages(self, client: aiohttp.ClientSession, origin: str, session: str) -> Sequence[str]:
        found: list[str] = []
        page = {"next": ""}
        while "next" in page:
            async with client.get(f"{origin}/chat/{session}", params={"limit": PAGE, "after": page["next"]}) as response:
                page = await response.json()
            found += (text for turn in page["turns"] for text in (turn["query"], turn.get("answer")) if text is not None)
        return found


@dataclass(frozen=True)
class Peer:
    """Another library, behind the server of its name in this folder."""

    name: str
    programs: Path
    shown = 10_000  # all of them

    @contextlib.asynccontextmanager
    async def serving(self, model: str, processes: int) -> AsyncIterator[Sequence[str]]:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            environ = {"PATH": os.environ["PATH"], "HOME": folder, "DATABASE": f"{folder}/shared.db", "OPENAI_BASE_URL": model}
            ports = [stack.enter_context(self._process(environ)) for _ in range(processes)]
            origins = [f"http://127.0.0.1:{port}" for port in ports]
            for origin in origins:
                await _until_it_answers(origin)
            yield origins

    async def begin(self, client: aiohttp.ClientSession, origin: str, session: str) -> None:
        async with client.put(f"{origin}/sessions/{session}") as response:
            response.raise_for_status()

    async def messages(self, client: aiohttp.ClientSession, origin: str, session: str) -> Sequence[str]:
        async with client.get(f"{origin}/sessions/{session}") as response:
            found: list[str] = await response.json()
        return found

    @contextlib.contextmanager
    def _process(self, environ: dict[str, str]) -> Iterator[int]:
        port, module = free_port(), f"{self.name.replace('-', '_')}_server"
        command = [self.programs / "uvicorn", f"{module}:application", f"--app-dir={HERE}", f"--port={port}", "--log-level=critical"]
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.terminate()
            process.wait()


async def _until_it_answers(origin: str) -> None:
    late = time.monotonic() + STARTING_SECONDS
    async with aiohttp.ClientSession() as client:
        while True:
            try:
                async with client.get(origin):
                    return
            except aiohttp.ClientConnectionError:
                if time.monotonic() > late:
                    raise
                await asyncio.sleep(0.1)
