"""One request's attempt at a turn: read, ask the model, write what came of it, all or nothing.

Between processes the commit requires the head that was read: whoever comes second reads again and asks again, so that it answers to
what was really said before. What is not done in time is written as pending, at the end of the conversation's queue.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from functions.core.access import Access
from functions.core.access import keys as keys_of
from functions.core.answering import Ended
from functions.core.asking import Tally
from functions.core.backlog import Backlog
from functions.core.conversation import Conversation, begun, behind, opened
from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, ANY, Delete, Document, Expected, Key, Place, Put, Snapshot, Write
from functions.core.errors import CantileverError, KeyReused, NoSuchConversation, recalled
from functions.core.leases import lease
from functions.core.lines import MAX_WAITING, Lines, busy
from functions.core.question import Done, Outcome, Pending, Question
from functions.core.stored import TURNS, Head, Tokens, Turn, Waiting, owned_by, owned_key, turn_key

SINCE = 20  # turns that are looked through for one that overtook us; it was among the last


@dataclass
class Attempt:
    """One request's attempt at a turn: what it has found out so far, over all reads."""

    backlog: Backlog
    lines: Lines[Outcome]
    question: Question
    key: Key
    patience: Deadline
    """The model's part of the request's deadline."""
    deadline: Deadline
    going_on: asyncio.Task[None] | None = None
    """What goes on behind the request."""
    turn: Turn | None = None
    tally: Tally = field(init=False)
    access: Access = field(init=False)
    work: asyncio.Task[Ended] | None = None
    heard: tuple[str, int] | None = None
    """What `work` was told of the conversation."""
    holder: str = ""
    """Under which the turn was queued, where it is ours to go on with."""
    unattended: bool = False
    """Whether the turn was queued as the first, with nobody to work on it."""

    async def made(self) -> Outcome:
        """Make it: the turn is in the transcript, answered or pending.

        Raises:
            CantileverError: as `Turns.run` says.
        """
        backlog, turn_id = self.backlog, self.question.turn_id or self.backlog.new_id()
        self.tally = Tally(self.deadline.clock())
        bearer = self.question.bearer
        self.access = backlog.answering.accesses.of(bearer)
        keys = [self.key, turn_key(self.key, turn_id), *backlog.ledger.keys(self.question.spender), *(keys_of(bearer) if bearer else ())]
        try:
            async with self.lines.place(self.key, self.patience):
                outcome = await backlog.records.change(keys, partial(self._written, turn_id), self.deadline)
                if self.holder and self.work and self.turn:
                    self.going_on = backlog.keep_on(self.key, self.holder, self.turn, self.work, self.tally, self.deadline.clock)
        finally:
            if self.turn and not self.going_on:
                self._drop_work()
                backlog.ledger.add(self.turn, self.tally.usage)
        if self.unattended:
            await backlog.hand_over(self.key, self.deadline)
        if self.going_on and backlog.stopping:
            await asyncio.wait({self.going_on}, timeout=self.deadline.left())  # It gives the turn back.
        if isinstance(outcome, CantileverError):
            raise outcome
        return outcome

    async def _written(self, turn_id: str, found: Snapshot) -> tuple[Outcome | CantileverError, Sequence[Write]]:
        """What `_decided` says; and with a conversation that is somebody's own from now on, whose it is, and that it is a stranger's no more."""
        self.access.saw(found, self.deadline)
        adopted = await self._adopted(found)
        outcome, writes = await self._decided(turn_id, found, adopted)
        owner, begins = self.question.bearer, self.key not in found.documents
        if not writes or owner is None or not begins:
            return outcome, writes
        ours = Put(owned_key(self.key), "{}", ANY, Place(owned_by(owner.user), self.key.id))
        # Nothing begins for whom everything was deleted meanwhile: nobody would find it to delete it.
        return outcome, [*writes, ours, *self.access.alive, *([Delete(adopted.key, adopted.version)] if adopted else [])]

    async def _adopted(self, found: Snapshot) -> Document | None:
        """The stranger's conversation that goes on as this one, where there is one and nothing of it is still being answered."""
        key = self.question.adopts
        if key is None or self.key in found.documents:
            return None
        head = (await self.backlog.records.documents.get([key], self.deadline)).documents.get(key)
        conversation = opened(key, head, found.read_at)
        if conversation is None:
            self.question.missed()
        elif conversation.head.queue:
            raise busy()
        return head if conversation else None

    async def _decided(self, turn_id: str, found: Snapshot, adopted: Document | None) -> tuple[Outcome | CantileverError, Sequence[Write]]:
        """What is to be written, by what was found, and what came of it. Asks the model where it has not heard this conversation."""
        conversation = self._conversation(found, adopted)
        document = found.documents.get(turn_key(self.key, turn_id))
        holder, self.holder, self.unattended = self.holder, "", False
        if document and conversation.has(document) and (known := self._known(document)):
            # Where we have begun, it was queued by us, and only the acknowledgement was lost.
            self.holder = holder if conversation.held_by(holder) else ""
            self.unattended = self.turn is not None and conversation.free(found.read_at)
            return known, ()
        if self.turn is None:
            self.backlog.ledger.require(self.question.spender, found)
            self.turn = self._asked(turn_id, found)
        if twin := conversation.twin(self.question.fingerprint):
            return Pending(twin), ()
        if self.heard not in (None, conversation.heard):
            if overtaken := await self._overtaken(conversation):
                return Done(overtaken), ()
            if not (self.work and self.work.done() and self.work.result().error):  # A failure is one, whatever was said before.
                self._drop_work()
        expected: Expected = document.version if document else ABSENT
        ended = await self._ended(self.turn, conversation, found) if not conversation.head.queue else None
        if ended is None:
            return Pending(turn_id), self._queued(self.turn, conversation, found, expected)
        if ended.error and self.question.session == "new":
            return ended.error, ()  # Nobody knows the token of this conversation, and nobody will.
        return ended.error or Done(ended.turn), conversation.kept(ended.turn, self.backlog.limits, expected)

    def _conversation(self, found: Snapshot, adopted: Document | None) -> Conversation:
        """The conversation that was found, or one that begins."""
        if adopted:
            theirs = Head.required(adopted.body)
            # Anybody may have begun it and had its token passed to whom they wish.
            buffer = tuple(said.model_copy(update={"strange": True}) for said in theirs.buffer)
            return Conversation(self.key, theirs.model_copy(update={"buffer": buffer}), None, stored=False)
        head = found.documents.get(self.key)
        conversation = opened(self.key, head, found.read_at)
        if conversation is None and self.question.session == "known":
            raise NoSuchConversation("There is no such session, or it has ended; leave session_id out to begin anew.")
        return conversation or begun(self.key, head, found.read_at, self.backlog.new_id())

    def _asked(self, turn_id: str, found: Snapshot) -> Turn:
        """The turn, as it is before anything came of it."""
        return Turn(
            turn_id=turn_id,
            status="pending",
            query=self.question.query,
            usage=Tokens(),
            asked_at=found.read_at,
            milliseconds=0,
            keyed=self.question.key is not None,
            spender=self.question.spender,
            bearer=self.question.bearer,
        )

    def _known(self, document: Document) -> Outcome | CantileverError | None:
        """What is known of the turn already: it was asked before under its key, or written here and only the acknowledgement was lost.

        None where it has to be asked again: it failed for a reason that may have passed.
        """
        kept = Turn.required(document.body)
        if kept.query != self.question.query:
            raise KeyReused("This Idempotency-Key belongs to another question of the session; send a new key with a new question.")
        if kept.status == "done":
            return Done(kept)
        if kept.status == "pending":
            return Pending(kept.turn_id)
        ours = self.work is not None and self.work.done() and self.work.result().turn == kept
        error = kept.error
        if error is None or (error.retryable and self.question.key is not None and not ours):
            return None
        return recalled(error.code, error.message)

    async def _ended(self, turn: Turn, conversation: Conversation, found: Snapshot) -> Ended | None:
        """What came of asking; None where there is no time to wait for it."""
        if self.work is None and not self.patience.left():
            return None
        work = self.work or self._begun_work(turn, conversation, found)
        await asyncio.wait({work}, timeout=self.patience.left())
        return work.result() if work.done() else None

    def _begun_work(self, turn: Turn, conversation: Conversation, found: Snapshot) -> asyncio.Task[Ended]:
        self.heard = conversation.heard
        self.work = self.backlog.began(turn, self.access, conversation, found.read_at, self.tally, self.deadline.clock)
        return self.work

    def _drop_work(self) -> None:
        """Forget an answer to what is not the conversation any more."""
        if self.work:
            self.work.cancel()
        self.work = None

    def _queued(self, turn: Turn, conversation: Conversation, found: Snapshot, expected: Expected) -> Sequence[Write]:
        """What keeps the turn as pending. As the first it is ours to go on with, where this process may; behind others it is theirs."""
        backlog = self.backlog
        if len(conversation.head.queue) > MAX_WAITING:
            raise busy()
        first = not conversation.head.queue
        self.unattended = first and not backlog.goes_on
        if first and backlog.goes_on:
            self.holder = self.backlog.new_id()
            if self.work is None:
                self._begun_work(turn, conversation, found)
        else:
            self._drop_work()
        ours = lease(self.holder, found.read_at) if self.holder else None
        waiting = Waiting(turn_id=turn.turn_id, asked=self.question.fingerprint, begun=1 if ours else 0)
        return conversation.queued(turn, waiting, ours, self.backlog.limits, expected)

    async def _overtaken(self, conversation: Conversation) -> Turn | None:
        """The same question without a key, answered by another process since we began: it was running then, and ours repeats it."""
        heard_thread, heard_turns = self.heard or ("", 0)
        thread = conversation.head.thread
        repeated = any(said.role == "user" and said.text == self.question.query for said in conversation.head.buffer)
        if self.question.fingerprint is None or not repeated or heard_thread not in ("", thread):
            return None
        documents = self.backlog.records.documents
        since = await documents.list(TURNS, thread, after=behind(heard_turns), limit=SINCE, deadline=self.deadline)
        turns = (Turn.read(document.body) for document in since)
        return next(
            (turn for turn in turns if turn and turn.status == "done" and turn.query == self.question.query and not turn.keyed), None
        )
