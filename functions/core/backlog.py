"""Turns that were not done within their request: each is finished by whoever holds its conversation's lease, in the order of the queue.

Whoever holds the lease renews it while it works, and gives it back when it is told to stop; when it dies, the lease lapses. What nobody
works on is handed over: to a topic whose messages a worker receives, or, where there is none, to this process.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from functions.core.access import Access
from functions.core.announcement import Announcement
from functions.core.answering import Answering, Ended, failed
from functions.core.asking import Tally
from functions.core.conversation import Conversation, Limits
from functions.core.deadline import Deadline
from functions.core.documents import Key
from functions.core.errors import Abandoned, CantileverError, Overloaded
from functions.core.leases import RENEWAL_SECONDS, STORE_SECONDS, Clock, Leases
from functions.core.records import Records
from functions.core.spend import Ledger
from functions.core.stored import Turn

MAX_BEGUN = 5
"""Attempts at one turn that ended with the death of who made them. Pub/Sub gives a message up after as many deliveries; a turn that kills whoever works on it must end too."""

AT_A_TIME = 100  # conversations that this process takes over from others; its own turns are already under way


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
    tally: Tally
    """What the work has cost so far."""


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
    def _leases(self) -> Leases:
        return Leases(self.records, self.limits)

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

    def began(
        self, turn: Turn, access: Access, conversation: Conversation, now: datetime, tally: Tally, clock: Clock
    ) -> asyncio.Task[Ended]:
        """Somebody answering the turn, from now on."""
        deadline = Deadline.after(self.turn_seconds, clock)
        work = asyncio.create_task(self.answering.answer(turn, access, conversation.messages(), now, deadline, tally))
        work.add_done_callback(lambda done: done.cancelled() or done.exception())  # Nobody may want it any more.
        return work

    def keep_on(self, key: Key, holder: str, turn: Turn, work: asyncio.Task[Ended], tally: Tally, clock: Clock) -> asyncio.Task[None]:
        """Go on with a turn of this process that was written as pending, behind the request that it came with."""
        return self._drive(key, self._finish(_Held(key, holder, turn, work, tally), clock, all_of_them=True))

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
            Overloaded: this process is told to stop, and begins nothing.
            CantileverError: it could not be done; the turn waits on.
        """
        if self.stopping:
            raise Overloaded("This instance is about to end; another will do it.")
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
        for key in list(self._ends):
            self._tell(key)
        await self.ledger.settle(Deadline.after(1.0, asyncio.get_running_loop().time), now=True)

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
            code = error.code if isinstance(error, CantileverError) else CantileverError.code
            self.report("pending turn interrupted", {"error": code, "exception": type(error).__name__})

    def _tell(self, key: Key) -> None:
        if event := self._ends.pop(key, None):
            event.set()

    async def _claim(self, key: Key, clock: Clock) -> None:
        """Take the lease on a conversation where nobody has it, and finish what waits there."""
        holder = self.new_id()
        async with self._places:
            if not self.stopping and await self._leases.claim(key, holder, clock) and (held := await self._first(key, holder, clock)):
                await self._finish(held, clock, all_of_them=self.topic is None)

    async def _finish(self, held: _Held, clock: Clock, *, all_of_them: bool) -> None:
        """Answer the held turn, and perhaps those behind it, one after the other, as long as the lease is ours."""
        following: _Held | None = held
        try:
            while following:
                held = following
                ended = await self._answered(held, clock)
                ours = ended is not None and await self._end(held, ended, clock, all_of_them=all_of_them)
                following = await self._first(held.key, held.holder, clock) if ours else None
        finally:
            held.work.cancel()

    async def _answered(self, held: _Held, clock: Clock) -> Ended | None:
        """What came of the held turn; None where the lease was lost on the way, or given back because we are told to stop."""
        try:
            while True:
                either: set[asyncio.Future[Any]] = {held.work, self._stop}
                await asyncio.wait(either, timeout=RENEWAL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if held.work.done():
                    return held.work.result()
                if self.stopping:
                    if await self._leases.give_back(held.key, held.holder, clock):
                        await self.hand_over(held.key, Deadline.after(STORE_SECONDS, clock))
                    return None
                if not await self._leases.renew(held.key, held.holder, clock):
                    return None
        finally:
            self.ledger.add(held.turn, held.tally.usage)

    async def _end(self, held: _Held, ended: Ended, clock: Clock, *, all_of_them: bool) -> bool:
        """Write what came of the held turn; whether we go on with the next, under the same lease."""
        following = await self._leases.end(held.key, held.holder, ended.turn, clock, next_too=all_of_them, stopping=lambda: self.stopping)
        self._tell(held.key)
        self.report("pending turn ended", {"status": ended.turn.status, "milliseconds": ended.turn.milliseconds, **ended.turn.spent})
        await self.ledger.settle(Deadline.after(STORE_SECONDS, clock))
        if following.left:
            await self.hand_over(held.key, Deadline.after(STORE_SECONDS, clock))
        return following.ours

    async def _first(self, key: Key, holder: str, clock: Clock) -> _Held | None:
        """The first turn of the queue, with somebody answering it; None where it is not ours."""
        first = await self._leases.first(key, holder, clock)
        if first is None:
            return None
        tally = Tally(clock())
        if first.conversation.head.queue[0].begun > MAX_BEGUN:
            gone = Abandoned(f"This question could not be answered in {MAX_BEGUN} attempts; ask it in other words.")
            ended = failed(first.turn, gone, tally, Deadline.after(0, clock))
            return _Held(key, holder, first.turn, asyncio.create_task(_settled(ended)), tally)
        access = self.answering.accesses.of(first.turn.bearer)
        work = self.began(first.turn, access, first.conversation, first.now, tally, clock)
        return _Held(key, holder, first.turn, work, tally)


async def _settled(ended: Ended) -> Ended:
    return ended
