"""A thread with a SQLite connection of its own, and the work that is done there for many callers at a time."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from functions.core.deadline import Deadline
from functions.core.errors import StoreUnavailable

T = TypeVar("T")


@dataclass(slots=True)
class Job(Generic[T]):
    """One caller's work, done on the lane's thread."""

    act: Callable[[sqlite3.Connection], T]
    until: float
    """When its caller gives up, on the clock of `time.monotonic`: a loop's own clock may stand still while the loop sleeps (uvloop's does)."""
    answer: asyncio.Future[T]
    outcome: T | BaseException

    @property
    def awaited(self) -> bool:
        """Whether its caller is still there to hear what came of it."""
        return not self.answer.cancelled() and time.monotonic() < self.until


class Lane:
    """One thread with one connection; what arrives while it works is done together in its next round."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], perform: Callable[[sqlite3.Connection, Sequence[Job[Any]], float], None]
    ) -> None:
        self._connect = connect
        self._perform = perform
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._waiting: list[Job[Any]] = []
        self._working: asyncio.AbstractEventLoop | None = None
        self._connection: sqlite3.Connection | None = None
        """Touched by the lane's thread alone."""

    async def ask(self, act: Callable[[sqlite3.Connection], T], deadline: Deadline) -> T:
        """What `act` returns on the lane's thread.

        Raises:
            StoreUnavailable: the file failed, or the deadline passed; what had not begun by then is never done.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        late = StoreUnavailable("The document store did not answer in time.")
        self._waiting.append(Job(act, time.monotonic() + deadline.left(), answer, late))
        if self._working is None or self._working.is_closed():
            self._begin_round(answer.get_loop())
        try:
            async with deadline.limit():
                return await answer
        except TimeoutError as error:
            raise late from error

    async def close(self) -> None:
        """Close the connection after the round that is under way."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)

    def _begin_round(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs, self._waiting = self._waiting, []
        self._working = loop
        done = self._thread.submit(self._round, jobs)
        done.add_done_callback(lambda done: loop.call_soon_threadsafe(self._end_round, loop, jobs, done))

    def _end_round(self, loop: asyncio.AbstractEventLoop, jobs: Sequence[Job[Any]], done: Future[None]) -> None:
        self._working = None
        if self._waiting:
            self._begin_round(loop)
        for job in jobs:
            outcome = done.exception() or job.outcome
            if job.answer.done():
                continue
            if isinstance(outcome, BaseException):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(outcome)

    def _round(self, jobs: Sequence[Job[Any]]) -> None:
        until = max(job.until for job in jobs)
        try:
            if self._connection is None:
                self._connection = patiently(self._connect, until)
            self._perform(self._connection, jobs, until)
        except (sqlite3.Error, OSError) as error:
            if not _is_busy(error):
                # A connection that met the file while others turned it to WAL may be at odds with it for good ("disk I/O error", a short
                # read, in one start of ten with two processes). The next round opens another, and nothing of this one was committed.
                self._disconnect()
            for job in jobs:
                job.outcome = StoreUnavailable("The document store failed.")
                job.outcome.__cause__ = error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def patiently(act: Callable[[], T], until: float) -> T:
    """Do `act`, again and again while another process holds the file, until the moment `until`.

    In place of SQLite's own waiting, which sleeps up to 100 ms at a time and is not used at all while a file is turned to WAL.
    """
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= until:
                raise
        time.sleep(random.uniform(0.001, 0.010))


def _is_busy(error: Exception) -> bool:
    """Whether another process holds the file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
