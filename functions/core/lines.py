"""Turns of one process on one conversation: they stand in line, and who asks the same again joins the first."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from functions.core.deadline import Deadline
from functions.core.documents import Key
from functions.core.errors import SessionBusy

T = TypeVar("T")

MAX_WAITING = 3
"""Turns that wait behind the one that is answered. More would wait for longer than their time, and those behind them for nothing."""

RETRY_BUSY = timedelta(seconds=1)


def busy() -> SessionBusy:
    """More wait than may."""
    return SessionBusy("Other questions of this session are still being answered; ask again in a moment.", retry_after=RETRY_BUSY)


@dataclass(slots=True, weakref_slot=True)
class _Line(Generic[T]):
    """The turns of one conversation that this process has let in."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0
    """How many run or wait."""
    asked: dict[str, asyncio.Task[T]] = field(default_factory=dict)
    """What is being asked, by its identity."""


class Lines(Generic[T]):
    """The lines of all conversations that somebody stands in. `T` is what a turn comes to."""

    def __init__(self) -> None:
        self._lines: WeakValueDictionary[Key, _Line[T]] = WeakValueDictionary()

    async def once(self, key: Key, identity: str | None, run: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `run` comes to; or, while the same is being asked already, what that one comes to."""
        if identity is None:
            return await run()
        line = self._line(key)
        if twin := line.asked.get(identity):
            return await asyncio.shield(twin)
        mine = line.asked[identity] = asyncio.create_task(run())
        try:
            return await mine
        finally:
            del line.asked[identity]

    @asynccontextmanager
    async def place(self, key: Key, patience: Deadline) -> AsyncIterator[None]:
        """Wait for the turns of this process on the same conversation; asking beside them would only be asked again.

        Who waits in vain goes on without a place: the time for asking has passed then.

        Raises:
            SessionBusy: MAX_WAITING others wait; nothing was begun.
        """
        line = self._line(key)
        if line.length > MAX_WAITING:
            raise busy()
        line.length += 1
        try:
            async with AsyncExitStack() as held:
                with suppress(TimeoutError):
                    async with patience.limit():
                        await held.enter_async_context(line.lock)
                yield
        finally:
            line.length -= 1

    def _line(self, key: Key) -> _Line[T]:
        return self._lines.setdefault(key, _Line())
