"""One turn of a conversation: read it, ask the model, write what came of it, all or nothing.

Two turns on one conversation may run at once. In one process they stand in line. Between processes the commit requires the head that
was read: whoever comes second reads again and asks the model again, so that it answers to what was really said before.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

from functions.core.asking import Answer, Tally, Toolbox, ask
from functions.core.conversation import Conversation, Failure, Limits, Said, Tokens, Turn, begun, conversation_key, opened, turn_key
from functions.core.deadline import Deadline
from functions.core.documents import Conflict, Documents, Key, Put, Version
from functions.core.errors import CantileverError, DeadlinePassed, NotFound, StoreUnavailable
from functions.core.model import Model, User

COMMIT_RESERVE = 1.2  # seconds of the budget that are kept for the commit and its repetition (reliability.md 1.5)
RESERVED_SHARE = 0.25  # of the budget at most, so that a short one is not all reserve


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller wants answered, and in which conversation."""

    owner: str
    session_id: str
    query: str
    must_exist: bool
    """Whether an unknown session is a fault (a token that we did not mint) or a conversation that begins."""


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
    _lines: WeakValueDictionary[Key, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def run(self, question: Question, deadline: Deadline) -> Done | OutOfTime:
        """Answer a question and keep the turn.

        Raises:
            NotFound: the session must exist and does not.
            Filtered, Upstream, Refused: the model gave no answer; the transcript holds the turn as failed.
            StoreUnavailable: the store failed; whether the turn was kept is unknown.
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
        turn_id = self.new_id()
        outcome: _Outcome | None = None
        while True:
            found = await self.documents.get([key, turn_key(key, turn_id)], deadline)
            if outcome and turn_key(key, turn_id) in found.documents:
                return outcome  # The commit had been applied and only its acknowledgement was lost.
            head = found.documents.get(key)
            conversation = opened(key, head, found.read_at)
            if conversation is None:
                if question.must_exist:
                    raise NotFound("There is no such session, or it has ended; leave session_id out to begin anew.")
                conversation = begun(key, head, found.read_at, self.new_id())
            if outcome is None or (outcome.error is None and outcome.heard_at != conversation.version):
                spent = outcome.turn.usage if outcome else Tokens(input_tokens=0, output_tokens=0)
                outcome = await self._asked(question.query, turn_id, conversation, found.read_at, patience, spent)
            try:
                await self.documents.commit(self._writes(conversation, outcome.turn), deadline)
                return outcome
            except Conflict:
                continue
            except StoreUnavailable:
                if not deadline.left():
                    raise

    async def _asked(
        self, query: str, turn_id: str, conversation: Conversation, asked_at: datetime, patience: Deadline, spent: Tokens
    ) -> _Outcome:
        """Ask the model; every way this can end is a turn to keep. `spent` went into asking in vain before."""
        began = patience.clock()
        tally = Tally()
        answer: Answer | None = None
        error: CantileverError | None = None
        try:
            said = [*conversation.messages(), User(query)]
            async with patience.limit():
                answer = await ask(self.model, self.toolbox, self.instructions(asked_at), said, patience, tally)
        except TimeoutError:
            error = DeadlinePassed("The answer was not ready in time; ask again.")
        except CantileverError as raised:
            error = raised
        turn = Turn(
            turn_id=turn_id,
            status="done" if answer else "failed",
            query=query,
            answer=answer.text if answer else None,
            finish_reason=answer.finish if answer else None,
            error=Failure(code=error.code, message=error.message, retryable=error.retryable) if error else None,
            operations=tuple(tally.steps),
            usage=Tokens(
                input_tokens=spent.input_tokens + tally.usage.input_tokens,
                output_tokens=spent.output_tokens + tally.usage.output_tokens,
            ),
            asked_at=asked_at,
            milliseconds=round((patience.clock() - began) * 1000),
        )
        return _Outcome(turn, error, conversation.version)

    def _writes(self, conversation: Conversation, turn: Turn) -> Sequence[Put]:
        """One or two writes: the turn, and the head where it is new or the buffer grew."""
        exchange = (Said(role="user", text=turn.query), Said(role="assistant", text=turn.answer)) if turn.answer is not None else ()
        if not exchange and conversation.stored:
            return [conversation.put_turn(turn)]
        return [conversation.put_head(self.limits, turn.asked_at, exchange), conversation.put_turn(turn)]

    @asynccontextmanager
    async def _in_line(self, key: Key, patience: Deadline) -> AsyncIterator[None]:
        """Wait for the turns of this process on the same conversation; asking beside them would only be asked again.

        Who waits in vain goes on without a place in line: asking then ends at once, because its time has passed.
        """
        line = self._lines.setdefault(key, asyncio.Lock())
        try:
            async with patience.limit():
                await line.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            line.release()
