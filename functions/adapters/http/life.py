"""The life of a process: made ready before it is used, at work in the background meanwhile, told to stop before it is ended.

The framework has no hooks for any of it (platform.md section 10): the first request begins it, which is the startup probe's where deployed.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from functions.adapters.log import log
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError

LEAVING_SECONDS = 3.0
"""For giving back what is held. Cloud Run kills 10 s after SIGTERM; open requests have main.py's 6 s of it, and gunicorn adds up to 1."""

Opening = Callable[[Deadline], Awaitable[object]]


@dataclass
class Life:
    """What is opened before the process is ready, done every now and then, and done before it ends. Filled by wiring."""

    _opens: dict[str, Opening] = field(default_factory=dict)
    _repeats: list[tuple[float, Opening]] = field(default_factory=list)
    _leaves: list[Callable[[float], Awaitable[None]]] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stopping: bool = False

    def opens(self, name: str, opening: Opening) -> None:
        """Open this before the process is ready."""
        self._opens[name] = opening

    def repeats(self, seconds: float, act: Opening) -> None:
        """Do this at the beginning, and so many seconds after each time it was done."""
        self._repeats.append((seconds, act))

    def leaves(self, act: Callable[[float], Awaitable[None]]) -> None:
        """Do this before the process ends, within so many seconds."""
        self._leaves.append(act)

    def begin(self) -> None:
        """Begin, if that has not been done. Called with every request, inside the event loop that all of it runs in."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop = loop
        for seconds, act in self._repeats:
            self._task(self._repeated(seconds, act))
        ending = signal.getsignal(signal.SIGTERM)
        if self._leaves and callable(ending):  # The server's own handler; in a test there is none.
            loop.add_signal_handler(signal.SIGTERM, lambda: self._stop(lambda: ending(signal.SIGTERM, None)))

    async def lacks(self, deadline: Deadline) -> Sequence[tuple[str, CantileverError | None]]:
        """What is still to be opened, each with why it could not be; nothing, once the process is ready."""
        if self._stopping:
            return [("stopping", None)]
        found = await asyncio.gather(*(self._opened(opening, deadline) for opening in self._opens.values()))
        failed = [(name, error) for name, error in zip(list(self._opens), found, strict=True) if error]
        # What was opened once counts as open: from then on its failures are its requests' own.
        self._opens = {name: self._opens[name] for name, _ in failed}
        return failed

    async def _opened(self, opening: Opening, deadline: Deadline) -> CantileverError | None:
        try:
            await opening(deadline)
        except CantileverError as error:
            return error
        return None

    async def _repeated(self, seconds: float, act: Opening) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await act(Deadline.after(seconds, loop.time))
            except Exception as error:  # The edge of the event loop: what failed now is done again, and told without its words.
                code = error.code if isinstance(error, CantileverError) else CantileverError.code
                log("background work failed", severity="ERROR", error=code, exception=type(error).__name__)
            await asyncio.sleep(seconds)

    def _stop(self, end: Callable[[], object]) -> None:
        if self._stopping:
            end()
            return
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        self._task(self._leave(end))

    async def _leave(self, end: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(LEAVING_SECONDS + 0.5):
                await asyncio.gather(*(act(LEAVING_SECONDS) for act in self._leaves))
        except TimeoutError:
            log("could not leave in time", severity="WARNING")
        finally:
            end()

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The loop keeps tasks weakly; so do not we."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task
