"""The one moment after which nobody waits for a request any more."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock, in seconds. The clock is the event loop's own, handed in, so that tests can hold it."""

    at: float
    clock: Callable[[], float]

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float]) -> "Deadline":
        """The moment `seconds` from now on `clock`."""
        return cls(clock() + seconds, clock)

    def left(self) -> float:
        """Seconds that remain, never below zero."""
        return max(0.0, self.at - self.clock())

    def earlier(self, seconds: float) -> "Deadline":
        """The same deadline with `seconds` kept back for what must still happen afterwards."""
        return Deadline(self.at - seconds, self.clock)

    def limit(self, seconds: float = float("inf")) -> AbstractAsyncContextManager[object]:
        """End the block with TimeoutError at the deadline, or after `seconds` if that is sooner."""
        return asyncio.timeout(min(seconds, self.left()))
