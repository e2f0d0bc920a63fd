"""Reading, deciding and writing as one step, although nothing is locked in between."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from functions.core.deadline import Deadline
from functions.core.documents import Conflict, Documents, Key, Snapshot, Write
from functions.core.errors import StoreExhausted, StoreUnavailable

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.3
"""Seconds before it is read again, at most: the pause is random below this, which doubles. A replica that lags shows the same for a while."""


@dataclass(frozen=True, slots=True)
class Records:
    """A store of documents, and how to change them."""

    documents: Documents
    below: Callable[[float], float]
    """A random number from zero to this: processes that met must not meet again at once."""

    async def change(
        self, keys: Sequence[Key], decide: Callable[[Snapshot], Awaitable[tuple[T, Sequence[Write]]]], deadline: Deadline
    ) -> T:
        """Read `keys`, let `decide` say what came of it and what to write, and write; from the read on again where another came between.

        Whether a commit whose acknowledgement was lost was applied, `decide` sees by what it reads then: it writes nothing twice.

        Raises:
            StoreUnavailable: the store failed twice; what was written last is unknown.
            StoreExhausted: the store refused; nothing was written.
            CantileverError: whatever `decide` raises.
        """
        unknown, pause = 0, FIRST_PAUSE
        while True:
            outcome, writes = await decide(await self.documents.get(keys, deadline))
            if not writes:
                return outcome
            try:
                # Half of what is left, so that an unknown outcome can be read back, and the commit repeated once.
                await self.documents.commit(writes, deadline.earlier(deadline.left() / 2))
                return outcome
            except Conflict:
                pass
            except StoreExhausted:
                raise
            except StoreUnavailable:
                unknown += 1
                if unknown > 1:
                    raise
            await asyncio.sleep(self.below(pause))
            pause = min(2 * pause, LONGEST_PAUSE)
