"""One turn of a conversation: read it, ask the model, write what came of it, all or nothing.

Two turns on one conversation may run at once. In one process they stand in line. Between processes the commit requires the head that
was read: whoever comes second reads again and asks the model again, so that it answers to what was really said before.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from weakref import WeakValueDictionary

from functions.core.asking import Answer, Tally, Toolbox, ask
from functions.core.conversation import Conversation, Failure, Limits, Tokens, Turn, begun, conversation_key, opened, turn_key
from functions.core.deadline import Deadline
from functions.core.documents import Conflict, Documents, Key, Snapshot, Version
from functions.core.errors import CantileverError, DeadlinePassed, NotFound, SessionBusy, StoreUnavailable
from functions.core.model import Model, User

COMMIT_RESERVE = 1.2  # seconds of the budget that are kept for the commit and its repetition (reliability.md 1.5)
MAX_WAITING = 3
"""Turns that wait behind the running one. More would wait for longer than their time, and those behind them for nothing (design.md 5)."""

RETRY_BUSY = timedelta(seconds=1)

RESERVED_SHARE = 0.25  # of the budget at most, so that a short one is not all reserve


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller wants answered, and in which conversation."""

    owner: str
    session_id: str
    query: str
    session: Literal["new", "known", "any"]
    """Whether the session token was minted for this question, must be one that we know, or may be one that the caller invented."""


@dataclass(frozen=True, slots=True)
class Done:
    """The turn is in the transcript, with its answer."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """The deadline passed before there was an answer; the transcript holds the turn as failed."""

    error: DeadlinePassed


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of asking: a turn to keep, the error that ended it, and the head that was read before."""

    turn: Turn
    error: CantileverError | None
    heard_at: Version | None


@dataclass(frozen=True)
class Turns:
    """What turns need of the world."""

    documents: Documents
    model: Model
    toolbox: Toolbox
    limits: Limits
    instructions: Callable[[datetime], str]
    """What the operator tells the model, given the store's clock."""
    new_id: Callable[[], str]
    _lines: WeakValueDictionary[Key, "_Line"] = field(default_factory=WeakValueDictionary, init=False, repr=False)

    async def run(self, question: Question, deadline: Deadline) -> Done | OutOfTime:
        """Answer a question and keep the turn.

        Raises:
            NotFound: the session must be known and is not.
            SessionBusy: MAX_WAITING others wait in this process; nothing was asked and nothing kept.
            Filtered, Upstream, Refused, CapabilityFault: there is no answer; the transcript holds the turn as failed.
            StoreUnavailable: the store failed; whether the turn was kept is unknown.
            Refused: the store refuses us too; nothing was kept.
        """
        patience = deadline.earlier(min(COMMIT_RESERVE, RESERVED_SHARE * deadline.left()))
        key = conversation_key(question.owner, question.session_id)
        async with self._in_line(key, patience):
            outcome = await self._kept(question, key, patience, deadline)
        if outcome.error is None:
            return Done(outcome.turn)
        if isinstance(outcome.error, DeadlinePassed):
            return OutOfTime(outcome.error)
        raise outcome.error

    async def _kept(self, question: Question, key: Key, patience: Deadline, deadline: Deadline) -> _Outcome:
        """What came of the question, once it is in the transcript."""
        turn_id, began, tally = self.new_id(), deadline.clock(), Tally()
        outcome: _Outcome | None = None
        unknown = 0
        while True:
            found = await self.documents.get([key, turn_key(key, turn_id)], deadline)
            if outcome and turn_key(key, turn_id) in found.documents:
                return outcome  # The commit had been applied and only its acknowledgement was lost.
            conversation = self._conversation(question, key, found)
            if outcome is None or (outcome.error is None and outcome.heard_at != conversation.version):
                answer, error = await self._asked(question.query, conversation, found.read_at, patience, tally)
                turn = _turn(turn_id, question.query, answer, error, tally, found.read_at, round((deadline.clock() - began) * 1000))
                outcome = _Outcome(turn, error, conversation.version)
            if outcome.error and question.session == "new":
                return outcome  # Nobody knows the token of this conversation, and nobody will.
            try:
                # Half of what is left, so that an unknown outcome can be read back, and the commit repeated once.
                await self.documents.commit(conversation.writes(outcome.turn, self.limits), deadline.earlier(deadline.left() / 2))
                return outcome
            except Conflict:
                continue
            except StoreUnavailable:
                unknown += 1
                if unknown > 1:
                    raise

    def _conversation(self, question: Question, key: Key, found: Snapshot) -> Conversation:
        """The conversation that was found, or one that begins."""
        head = found.documents.get(key)
        conversation = opened(key, head, found.read_at)
        if conversation is None and question.session == "known":
            raise NotFound("There is no such session, or it has ended; leave session_id out to begin anew.")
        return conversation or begun(key, head, found.read_at, self.new_id())

    async def _asked(
        self, query: str, conversation: Conversation, now: datetime, patience: Deadline, tally: Tally
    ) -> tuple[Answer | None, CantileverError | None]:
        """The model's answer, or why there is none."""
        said = [*conversation.messages(), User(query)]
        try:
            async with patience.limit():
                return await ask(self.model, self.toolbox, self.instructions(now), said, patience, tally), None
        except TimeoutError:
            return None, DeadlinePassed("The answer was not ready in time; ask again.")
        except CantileverError as error:
            return None, error

    @asynccontextmanager
    async def _in_line(self, key: Key, patience: Deadline) -> AsyncIterator[None]:
        """Wait for the turns of this process on the same conversation; asking beside them would only be asked again.

        Who waits in vain goes on without a place in line: asking then ends at once, because its time has passed.
        """
        line = self._lines.setdefault(key, _Line())
        if line.length > MAX_WAITING:
            raise SessionBusy("Other questions of this session are still being answered; ask again in a moment.", retry_after=RETRY_BUSY)
        line.length += 1
        try:
            async with AsyncExitStack() as held:
                with suppress(TimeoutError):
                    async with patience.limit():
                        await held.enter_async_context(line.lock)
                yield
        finally:
            line.length -= 1


@dataclass(slots=True, weakref_slot=True)
class _Line:
    """The turns of one conversation that this process has let in."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0
    """How many run or wait."""


def _turn(
    turn_id: str, query: str, answer: Answer | None, error: CantileverError | None, tally: Tally, asked_at: datetime, milliseconds: int
) -> Turn:
    """What is kept of a question."""
    return Turn(
        turn_id=turn_id,
        status="done" if answer else "failed",
        query=query,
        answer=answer.text if answer else None,
        finish_reason=answer.finish if answer else None,
        error=Failure(code=error.code, message=error.message, retryable=error.retryable) if error else None,
        operations=tuple(tally.steps),
        usage=Tokens(input_tokens=tally.usage.input_tokens, output_tokens=tally.usage.output_tokens),
        asked_at=asked_at,
        milliseconds=milliseconds,
    )
