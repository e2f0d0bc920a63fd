"""Turns of conversations, as their requests see them.

What is done in time costs one read and one commit (core/attempt.py). What is not goes on behind its request, in the order of its
conversation's queue (core/backlog.py), and whoever asks for it waits here.
"""

from dataclasses import dataclass, field

from functions.core.admission import Admission
from functions.core.attempt import Attempt
from functions.core.backlog import Backlog
from functions.core.conversation import opened
from functions.core.deadline import Deadline
from functions.core.documents import Key
from functions.core.errors import NoSuchConversation, NotFound, recalled
from functions.core.lines import Lines
from functions.core.question import Done, Outcome, Pending, Question
from functions.core.stored import Turn, conversation_key, turn_key

COMMIT_RESERVE = 1.2  # seconds of the budget that are kept for the commit and its repetition (reliability.md 1.5)
READ_RESERVE = 0.5  # seconds of the budget that are kept for one more read
RESERVED_SHARE = 0.25  # of the budget at most, so that a short one is not all reserve

FIRST_POLL, LONGEST_POLL = 0.1, 0.5
"""Seconds between looks at a turn that another process works on."""


@dataclass(frozen=True)
class Turns:
    """The turns of all conversations."""

    backlog: Backlog
    admission: Admission
    _lines: Lines[Outcome] = field(default_factory=Lines, init=False, repr=False)

    async def run(self, question: Question, deadline: Deadline) -> Outcome:
        """Answer a question and keep the turn, or keep it as pending.

        Raises:
            NoSuchConversation: the session must be known and is not.
            TooOften: so many were not that it may be a guess; nothing was asked and nothing kept.
            KeyReused: its key belongs to another question of the session.
            SessionBusy: MAX_WAITING others wait; nothing was asked and nothing kept.
            Overloaded, TooManyTurns, OwnerSpent, DeploymentSpent: a limit was reached; nothing was asked and nothing kept.
            Filtered, Upstream, Refused, CapabilityFault: there is no answer; the transcript holds the turn as failed.
            StoreUnavailable: the store failed; whether the turn was kept is unknown.
            Refused: the store refuses us too; nothing was kept.
        """
        key, patience = question.conversation, _patience(deadline, COMMIT_RESERVE)
        leave = self.admission.enter(question.spender)
        attempt = Attempt(self.backlog, self._lines, question, key, patience, deadline)
        try:
            outcome = await self._lines.once(key, question.identity, attempt.made)
            if isinstance(outcome, Pending) and patience.left():
                return await self._followed(key, outcome.turn_id, patience, deadline)
            return outcome
        finally:
            if attempt.going_on:  # It counts as long as it does.
                attempt.going_on.add_done_callback(lambda _: leave())
            else:
                leave()
            await self.backlog.ledger.settle(deadline)

    async def poll(self, owner: str, session_id: str, turn_id: str, deadline: Deadline) -> Outcome:
        """What became of a turn, as far as there is time to wait for it.

        Raises:
            NotFound: there is no such turn in a conversation of this owner that lives; NoSuchConversation where there is not even that.
            CantileverError: the error that ended the turn.
        """
        return await self._followed(conversation_key(owner, session_id), turn_id, _patience(deadline, READ_RESERVE), deadline)

    async def _followed(self, key: Key, turn_id: str, patience: Deadline, deadline: Deadline) -> Outcome:
        poll, announced = FIRST_POLL, False
        while True:
            found = await self.backlog.records.documents.get([key, turn_key(key, turn_id)], deadline)
            conversation = opened(key, found.documents.get(key), found.read_at)
            document = found.documents.get(turn_key(key, turn_id))
            if conversation is None or document is None or not conversation.has(document):
                raise (NotFound if conversation else NoSuchConversation)("There is no such turn, or its session has ended.")
            turn = Turn.required(document.body)
            if turn.status != "pending":
                return _told(turn)
            if conversation.free(found.read_at) and not announced:
                await self.backlog.hand_over(key, deadline)
                announced = True
            if not patience.left() or self.backlog.stopping:
                return Pending(turn_id)
            await self.backlog.ended(key, patience.left(), poll)
            poll = min(2 * poll, LONGEST_POLL)


def _patience(deadline: Deadline, reserve: float) -> Deadline:
    """How long one may wait, so that so many seconds are left for what follows."""
    return deadline.earlier(min(reserve, RESERVED_SHARE * deadline.left()))


def _told(turn: Turn) -> Done:
    """A turn that ended, to whoever asks for it later.

    Raises:
        CantileverError: it failed.
    """
    if turn.error is not None:
        raise recalled(turn.error.code, turn.error.message)
    return Done(turn)
