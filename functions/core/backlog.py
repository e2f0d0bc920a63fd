"""Turns that were not done within their request: each is finished by whoever holds its conversation's lease, in the order of the queue.

The lease is in the head and ends by the store's clock. Whoever holds it renews it while it works, and gives it back when it is told to
stop; when it dies, the lease lapses. What nobody works on is handed over: to a topic whose messages a worker receives, or, where there is
none, to this process. Every step requires the head that was read, so a holder that lost its lease changes nothing any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

from functions.core.announcement import Announcement
from functions.core.answering import Answering, Ended, failed
from functions.core.asking import Tally
from functions.core.conversation import Conversation, Limits, opened
from functions.core.deadline import Deadline
from functions.core.documents import Key, Snapshot, Write
from functions.core.errors import Abandoned, CantileverError, StoreUnavailable
from functions.core.records import Records
from functions.core.spend import Ledger
from functions.core.stored import Lease, Turn, turn_key

Clock = Callable[[], float]
"""A deadline's."""

LEASE = timedelta(seconds=15)
"""How long a turn stays with a holder that says nothing: its death is noticed so late, and a pause of its process is forgiven so long."""

RENEWAL_SECONDS = 5.0  # between renewals; two may fail before the lease lapses

STORE_SECONDS = 4.0
"""For reading, deciding and writing once; a store that is away is asked again, as long as what was found out is worth keeping."""

KEEPING_SECONDS = 600.0
"""How long an answer is kept for a store that is away: asking the model again would cost more than waiting."""

MAX_BEGUN = 5
"""Attempts at one turn. Pub/Sub gives a message up after as many deliveries; a turn that kills whoever works on it must end too."""

AT_A_TIME = 10  # conversations that this process takes over from others; its own turns are already under way


class Topic(Protocol):
    """Where conversations are announced that somebody has to work on."""

    async def publish(self, text: str, deadline: Deadline) -> None:
        """Announce it.

        Raises:
            CantileverError: it could not be; the sweep will announce it again.
        """


@dataclass(slots=True)
class _Held:
    """A turn that this process works on, under a lease of its own."""

    key: Key
    holder: str
    turn: Turn
    work: asyncio.Task[Ended]


@dataclass
class Backlog:
    """The turns of all conversations that wait, and this process's part in them."""

    records: Records
    answering: Answering
    limits: Limits
    ledger: Ledger
    topic: Topic | None
    """None: this process is the only one that finishes turns, besides those that share its store."""
    new_id: Callable[[], str]
    turn_seconds: float
    """Within this a turn is answered, once somebody has begun; beyond it, it has failed."""
    background: bool
    """Whether this process may use its processor between requests; if not, a turn that is not done in time is handed over at once."""
    report: Callable[[str, Mapping[str, Any]], None]
    """Tells the log what happened outside any request."""
    _driving: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    _ends: dict[Key, asyncio.Event] = field(default_factory=dict)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_A_TIME))

    @cached_property
    def _stop(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    @property
    def stopping(self) -> bool:
        """Whether this process was told to end."""
        return self._stop.done()

    @property
    def goes_on(self) -> bool:
        """Whether a turn may go on in this process behind its request."""
        return self.background and not self.stopping

    def lease(self, holder: str, now: datetime) -> Lease:
        """A lease from now on, by the store's clock."""
        return Lease(holder=holder, until=now + LEASE)

    def began(self, turn: Turn, conversation: Conversation, now: datetime, tally: Tally, clock: Clock) -> asyncio.Task[Ended]:
        """Somebody answering the turn, from now on."""
        deadline = Deadline.after(self.turn_seconds, clock)
        work = asyncio.create_task(self.answering.answer(turn, conversation.messages(), now, deadline, tally))
        work.add_done_callback(lambda done: done.cancelled() or done.exception())  # Nobody may want it any more.
        return work

    def keep_on(self, key: Key, holder: str, turn: Turn, work: asyncio.Task[Ended], clock: Clock) -> asyncio.Task[None]:
        """Go on with a turn of this process that was written as pending, behind the request that it came with."""
        return self._drive(key, self._finish(_Held(key, holder, turn, work), clock, all_of_them=True))

    async def hand_over(self, key: Key, deadline: Deadline) -> None:
        """Have somebody work on a conversation. Where that fails, the sweep will."""
        if self.topic is None:
            if not self.stopping:
                self._take_over(key, deadline.clock)
            return
        with suppress(CantileverError):
            await self.topic.publish(Announcement.of(key).model_dump_json(), deadline)

    async def take_over(self, key: Key, clock: Clock) -> None:
        """Finish what waits in a conversation, where nobody works on it: all of it, or where there is a topic the first turn, and announce
        the others there, so that a worker's request ends.

        Raises:
            CantileverError: it could not be done; the turn waits on.
        """
        task = self._take_over(key, clock)
        await asyncio.wait({task})
        task.result()

    async def ended(self, key: Key, seconds: float, poll: float) -> None:
        """Wait until a turn of the conversation may have ended: as told by this process where it works on it, else for `poll` seconds."""
        if key not in self._driving:
            await asyncio.sleep(min(seconds, poll))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ends.setdefault(key, asyncio.Event()).wait()

    async def stop(self, seconds: float) -> None:
        """Give back every lease and announce what is left, within so many seconds; nothing is begun any more."""
        if not self.stopping:
            self._stop.set_result(None)
        if self._driving:
            await asyncio.wait(self._driving.values(), timeout=seconds)

    def _take_over(self, key: Key, clock: Clock) -> asyncio.Task[None]:
        return self._driving.get(key) or self._drive(key, self._claim(key, clock))

    def _drive(self, key: Key, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work on a conversation in a task of its own; there is one at a time."""
        task = self._driving[key] = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._driven(key, done))
        return task

    def _driven(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._driving.get(key) is task:
            del self._driving[key]
        self._tell(key)
        if not task.cancelled() and (error := task.exception()):
            # The turn stays where it is, with its attempts counted: the lease lapses, and the sweep has somebody try again.
            code = error.code if isinstance(error, CantileverError) else "internal"
            self.report("pending turn interrupted", {"error": code, "exception": type(error).__name__})

    def _tell(self, key: Key) -> None:
        if event := self._ends.pop(key, None):
            event.set()

    async def _claim(self, key: Key, clock: Clock) -> None:
        """Take the lease on a conversation where nobody has it, and finish what waits there."""
        holder = self.new_id()

        async def decide(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            conversation = opened(key, found.documents.get(key), found.read_at)
            if conversation is None or self.stopping:
                return False, ()
            if conversation.held_by(holder):
                return True, ()
            free = conversation.free(found.read_at)
            return free, conversation.leased(self.lease(holder, found.read_at), begins=True) if free else ()

        async with self._places:
            if await self.records.change([key], decide, Deadline.after(STORE_SECONDS, clock)):
                held = await self._next(key, holder, clock)
                if held:
                    await self._finish(held, clock, all_of_them=self.topic is None)

    async def _finish(self, held: _Held, clock: Clock, *, all_of_them: bool) -> None:
        """Answer the held turn, and perhaps those behind it, one after the other, as long as the lease is ours."""
        following: _Held | None = held
        try:
            while following:
                held = following
                ended = await self._answered(held, clock)
                going_on = ended is not None and await self._end(held, ended, clock, more=all_of_them)
                following = await self._next(held.key, held.holder, clock) if going_on else None
        finally:
            held.work.cancel()

    async def _answered(self, held: _Held, clock: Clock) -> Ended | None:
        """What came of the held turn; None where the lease was lost on the way, or given back because we are told to stop."""
        while True:
            either: set[asyncio.Future[Any]] = {held.work, self._stop}
            await asyncio.wait(either, timeout=RENEWAL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if held.work.done():
                return held.work.result()
            if self.stopping:
                await self._give_back(held, clock)
                return None
            if not await self._renewed(held, clock):
                return None

    async def _renewed(self, held: _Held, clock: Clock) -> bool:
        """Whether the lease is still ours, as far as we know: while the store is away nobody else can take it either."""

        async def decide(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            conversation = opened(held.key, found.documents.get(held.key), found.read_at)
            if conversation is None or not conversation.held_by(held.holder):
                return False, ()
            return True, conversation.leased(self.lease(held.holder, found.read_at))

        with suppress(StoreUnavailable):
            return await self.records.change([held.key], decide, Deadline.after(STORE_SECONDS, clock))
        return True

    async def _end(self, held: _Held, ended: Ended, clock: Clock, *, more: bool) -> bool:
        """Write what came of the held turn; whether we go on with the next, under the same lease."""
        left_behind = False

        async def decide(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            nonlocal left_behind
            conversation = opened(held.key, found.documents.get(held.key), found.read_at)
            if conversation is None or not conversation.held_by(held.holder):
                return False, ()
            if conversation.head.queue[0].turn_id != held.turn.turn_id:
                return True, ()  # It was written, only the acknowledgement was lost.
            going_on = more and not self.stopping and len(conversation.head.queue) > 1
            left_behind = not going_on and len(conversation.head.queue) > 1
            lease = self.lease(held.holder, found.read_at) if going_on else None
            return going_on, conversation.ended(ended.turn, lease, self.limits)

        self.ledger.add(ended.turn.spender, ended.turn)
        going_on = await self._persistently(held.key, decide, clock)
        self._tell(held.key)
        await self.ledger.settle(Deadline.after(STORE_SECONDS, clock))
        self.report("pending turn ended", {"status": ended.turn.status, "milliseconds": ended.turn.milliseconds, **ended.turn.spent})
        if left_behind:
            await self.hand_over(held.key, Deadline.after(STORE_SECONDS, clock))
        return going_on

    async def _persistently(self, key: Key, decide: Callable[[Snapshot], Awaitable[tuple[bool, Sequence[Write]]]], clock: Clock) -> bool:
        """`Records.change`, again and again while the store is away."""
        until = Deadline.after(KEEPING_SECONDS, clock)
        while True:
            try:
                return await self.records.change([key], decide, Deadline.after(STORE_SECONDS, clock))
            except StoreUnavailable:
                if self.stopping or not until.left():
                    raise
            await asyncio.sleep(1)

    async def _next(self, key: Key, holder: str, clock: Clock) -> _Held | None:
        """The first turn of the queue, which we hold, with somebody answering it; None where it is not ours any more."""
        deadline = Deadline.after(STORE_SECONDS, clock)
        found = await self.records.documents.get([key], deadline)
        conversation = opened(key, found.documents.get(key), found.read_at)
        if conversation is None or not conversation.held_by(holder):
            return None
        first = conversation.head.queue[0]
        document = (await self.records.documents.get([turn_key(key, first.turn_id)], deadline)).documents.get(turn_key(key, first.turn_id))
        turn = Turn.read(document.body) if document else None
        if turn is None:
            return None  # It is being removed, or a newer revision's.
        tally = Tally(clock())
        if first.begun > MAX_BEGUN:
            gone = Abandoned(f"This question could not be answered in {MAX_BEGUN} attempts; ask it in other words.")
            return _Held(key, holder, turn, asyncio.create_task(_settled(failed(turn, gone, tally, deadline))))
        return _Held(key, holder, turn, self.began(turn, conversation, found.read_at, tally, clock))

    async def _give_back(self, held: _Held, clock: Clock) -> None:
        """Leave the held turn to others."""

        async def decide(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            conversation = opened(held.key, found.documents.get(held.key), found.read_at)
            ours = conversation is not None and conversation.held_by(held.holder)
            return ours, conversation.leased(None) if conversation and ours else ()

        deadline = Deadline.after(STORE_SECONDS, clock)
        with suppress(StoreUnavailable):  # Then the lease lapses.
            if await self.records.change([held.key], decide, deadline):
                await self.hand_over(held.key, deadline)


async def _settled(ended: Ended) -> Ended:
    return ended
