"""Work that many may want at once, and that is done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from functions.core.deadline import Deadline
from functions.core.errors import DeadlinePassed

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """What `work` gives, shared by all who ask while it runs.

    `work` bounds its own time: the first who asks may give up, and the others still want the result.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], name: str) -> None:
        self._work = work
        self._name = name
        """What a message calls the result."""
        self._running: asyncio.Task[T] | None = None

    async def result(self, deadline: Deadline) -> T:
        """The result of the work that runs, or else of new work.

        Raises:
            DeadlinePassed: the deadline passed; the work goes on.
            CantileverError: whatever the work raises.
        """
        if self._running is None:
            self._running = asyncio.create_task(self._once())
            self._running.add_done_callback(lambda done: done.cancelled() or done.exception())  # Whoever asked may have given up.
        try:
            async with deadline.limit():
                return await asyncio.shield(self._running)
        except TimeoutError as error:
            raise DeadlinePassed(f"{self._name} did not arrive before the deadline.") from error

    async def _once(self) -> T:
        try:
            return await self._work()
        finally:
            self._running = None
