"""Programs that the local world starts, and ends with itself."""

import asyncio
import collections
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 8.0
"""A little more than the product takes to finish its open turns (main.py: 6 s)."""
LAST_LINES = 20
PR_SET_PDEATHSIG = 1  # prctl(2)


class Died(Exception):
    """A program ended that should not have; the message has its last lines."""


@dataclass
class Child:
    """A running program with the last lines that it wrote."""

    name: str
    process: asyncio.subprocess.Process
    lines: collections.deque[str]
    reading: asyncio.Task[None]

    @classmethod
    async def start(cls, name: str, command: Sequence[str], environ: Mapping[str, str], folder: Path, *, shown: bool = False) -> "Child":
        """Start `command` in `folder`; `shown`: its lines are printed too.

        It gets a process group of its own, so that Ctrl-C reaches it through us only.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environ,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            limit=2**20,
        )
        lines: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        return cls(name, process, lines, asyncio.create_task(_read(process, lines, shown)))

    async def until(self, ready: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
        """Wait until `ready` says so.

        Raises:
            Died: the program ended first, or time passed.
        """
        loop = asyncio.get_running_loop()
        late = loop.time() + seconds
        while not await ready():
            if self.process.returncode is not None:
                raise await self.died()
            if loop.time() > late:
                raise Died(f"{self.name} was not ready after {seconds:g} s. {self._last()}")
            await asyncio.sleep(0.05)

    async def died(self) -> Died:
        """Wait for its end, and tell of it."""
        code = await self.process.wait()
        await self.reading
        return Died(f"{self.name} ended with code {code}. {self._last()}")

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL to its whole group when it takes too long."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), GRACE_SECONDS)
        except TimeoutError:
            pass
        finally:
            # What the program itself started and left behind goes too.
            self._signal(signal.SIGKILL)
            await self.process.wait()
            await self.reading

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _last(self) -> str:
        return "Its last lines:\n" + "\n".join(f"  {line}" for line in self.lines) if self.lines else "It said nothing."


async def _read(process: asyncio.subprocess.Process, lines: collections.deque[str], shown: bool) -> None:
    assert process.stdout is not None  # noqa: S101 - it is a pipe, as start() asked
    async for raw in process.stdout:
        lines.append(raw.decode(errors="replace").rstrip())
        if shown:
            print(lines[-1], flush=True)


def _die_with_parent() -> None:
    # Also when we are killed with -9. Linux only; elsewhere such a death leaves the programs running.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
