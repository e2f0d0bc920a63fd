"""The lease on a conversation's queue: who may work on its first turn. What each step reads, decides and writes is here.

The lease is in the head and ends by the store's clock. Every step requires the head that was read and the holder's name in it, so whoever
lost the lease changes nothing any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from functions.core.conversation import Conversation, Limits, opened
from functions.core.deadline import Deadline
from functions.core.documents import Key, Snapshot, Write
from functions.core.errors import StoreUnavailable
from functions.core.records import Records
from functions.core.stored import Lease, Turn, turn_key

LEASE = timedelta(seconds=15)
"""How long a turn stays with a holder that says nothing: its death is noticed so late, and a pause of its process is forgiven so long."""

RENEWAL_SECONDS = 5.0  # between renewals; two may fail before the lease lapses

STORE_SECONDS = 4.0
"""For reading, deciding and writing once; a store that is away is asked again, as long as what was found out is worth keeping."""

KEEPING_SECONDS = 600.0
"""How long an answer is kept for a store that is away: asking the model again would cost more than waiting."""

T = TypeVar("T")

Clock = Callable[[], float]
"""A deadline's."""


@dataclass(frozen=True, slots=True)
class Following:
    """What is behind a turn that ended."""

    ours: bool
    """Whether the lease on the next is ours."""
    left: bool = False
    """Whether turns wait that nobody works on."""


@dataclass(frozen=True, slots=True)
class First:
    """The first turn of a queue, under a lease of ours."""

    turn: Turn
    conversation: Conversation
    now: datetime
    """The store's clock."""


def lease(holder: str, now: datetime) -> Lease:
    """A lease from now on, by the store's clock."""
    return Lease(holder=holder, until=now + LEASE)


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases of all conversations. `holder` is a name that was made for one claim."""

    records: Records
    limits: Limits

    async def claim(self, key: Key, holder: str, clock: Clock) -> bool:
        """Take the lease where a turn waits that nobody works on; whether it is ours."""

        async def decide(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            conversation = _opened(key, found)
            if conversation is None or conversation.held_by(holder):
                return conversation is not None, ()
            free = conversation.free(found.read_at)
            return free, conversation.claimed(lease(holder, found.read_at)) if free else ()

        return await self._change(key, decide, clock)

    async def renew(self, key: Key, holder: str, clock: Clock) -> bool:
        """Whether the lease is still ours, as far as we know: while the store is away nobody else can take it either."""

        async def decide(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            conversation = _opened(key, found)
            if conversation is None or not conversation.held_by(holder):
                return False, ()
            return True, conversation.renewed(lease(holder, found.read_at))

        with suppress(StoreUnavailable):
            return await self._change(key, decide, clock)
        return True

    async def give_back(self, key: Key, holder: str, clock: Clock) -> bool:
        """Leave the turn to others; whether it waits for them now. Where the store does not hear it, the lease lapses."""

        async def decide(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            conversation = _opened(key, found)
            if conversation is None or not conversation.held_by(holder):
                return _free(conversation, found), ()  # As in `end`.
            return True, conversation.given_back()

        with suppress(StoreUnavailable):
            return await self._change(key, decide, clock)
        return False

    async def end(self, key: Key, holder: str, turn: Turn, clock: Clock, *, next_too: bool, stopping: Callable[[], bool]) -> Following:
        """Write what came of the first turn, and take the lease on the next where we go on. Nothing is written without the lease.

        While the store is away it is asked again and again, unless we are stopping: the answer is worth more than the wait.

        Raises:
            StoreUnavailable: the store is away for too long.
        """

        async def decide(found: Snapshot) -> tuple[Following, Sequence[Write]]:
            conversation = _opened(key, found)
            if conversation is None or not conversation.held_by(holder):
                return Following(ours=False, left=_free(conversation, found)), ()  # Perhaps only the acknowledgement was lost.
            if conversation.head.queue[0].turn_id != turn.turn_id:
                return Following(ours=True), ()  # It was written, only the acknowledgement was lost.
            more = len(conversation.head.queue) > 1
            ours = more and next_too and not stopping()
            following = lease(holder, found.read_at) if ours else None
            return Following(ours, left=more and not ours), conversation.ended(turn, following, self.limits)

        until = Deadline.after(KEEPING_SECONDS, clock)
        while True:
            try:
                return await self._change(key, decide, clock)
            except StoreUnavailable:
                if not until.left() or stopping():
                    raise
            await asyncio.sleep(1)

    async def first(self, key: Key, holder: str, clock: Clock) -> First | None:
        """The turn that the lease is on; None where it is not ours, or not ours any more: a newer revision wrote the turn, and will read it.

        A turn of which nothing is stored any more is left out, or nobody would come to those behind it: its conversation's removal began
        and did not come to its end.
        """
        deadline, documents = Deadline.after(STORE_SECONDS, clock), self.records.documents
        while True:
            conversation = _opened(key, await documents.get([key], deadline))
            if conversation is None or not conversation.held_by(holder):
                return None
            turn_id = conversation.head.queue[0].turn_id
            name = turn_key(key, turn_id)
            found = await documents.get([name], deadline)
            if name not in found.documents:
                await self._leave_out(key, holder, turn_id, clock)
                continue
            if turn := Turn.read(found.documents[name].body):
                return First(turn, conversation, found.read_at)
            await self.give_back(key, holder, clock)
            return None

    async def _leave_out(self, key: Key, holder: str, turn_id: str, clock: Clock) -> None:
        """Take the first turn out of the queue, if it still is that one and the lease is ours."""

        async def decide(found: Snapshot) -> tuple[None, Sequence[Write]]:
            conversation = _opened(key, found)
            if conversation is None or not conversation.held_by(holder) or conversation.head.queue[0].turn_id != turn_id:
                return None, ()
            return None, conversation.left_out(lease(holder, found.read_at))

        await self._change(key, decide, clock)

    async def _change(self, key: Key, decide: Callable[[Snapshot], Awaitable[tuple[T, Sequence[Write]]]], clock: Clock) -> T:
        return await self.records.change([key], decide, Deadline.after(STORE_SECONDS, clock))


def _free(conversation: Conversation | None, found: Snapshot) -> bool:
    return conversation is not None and conversation.free(found.read_at)


def _opened(key: Key, found: Snapshot) -> Conversation | None:
    return opened(key, found.documents.get(key), found.read_at)
