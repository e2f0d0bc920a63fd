"""A conversation: a head that the next turn needs, and a document for each turn. What each step writes is said here, as pure functions.

The session token is the durable part: whoever holds it (and is its owner) goes on, from any process and any device. The buffer is
the bounded part: the last messages, kept in the head, so that a turn costs the same however long the conversation is. The queue is
what was accepted and has not ended. The head is the only lock: every commit requires the head that was read, so of two racers one wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.core.documents import ABSENT, Document, Expected, Key, Place, Put, Require, Version, Write
from functions.core.model import Assistant, User
from functions.core.stored import HEAD_GRACE, MESSAGE_TOKENS, TURN_LIFETIME, Head, Lease, Said, Turn, Waiting, turn_key

WAITING = "waiting"
"""Under this the heads with a queue are filed, by the moment from which somebody else may work on them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a conversation is kept, and how long."""

    messages: int
    tokens: int
    lifetime: timedelta
    """Of the head, from its last turn on."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it was read, or one that is about to begin."""

    key: Key
    head: Head
    version: Version | None
    """Of the document where the head is, or will be; None where there is none."""
    stored: bool
    """Whether the document holds this head; a conversation that begins has yet to write it."""

    @property
    def heard(self) -> tuple[str, int]:
        """What the buffer is made of: as long as this is the same, so is what the model would be told."""
        return self.head.thread if self.stored else "", self.head.turns

    def messages(self) -> list[User | Assistant]:
        """The buffer as the model is to see it, oldest first."""
        return [User(said.text, own=not said.strange) if said.role == "user" else Assistant(said.text) for said in self.head.buffer]

    def free(self, now: datetime) -> bool:
        """Whether a turn waits that nobody works on. `now` is the store's clock."""
        return bool(self.head.queue) and (self.head.lease is None or self.head.lease.until <= now)

    def held_by(self, holder: str) -> bool:
        """Whether this holder works on the first turn of the queue."""
        return bool(self.head.queue) and self.head.lease is not None and self.head.lease.holder == holder

    def has(self, turn: Document) -> bool:
        """Whether a turn's document is this conversation's, and not of one that ended under its name."""
        return turn.place is not None and turn.place.parent == self.head.thread

    def twin(self, fingerprint: str | None) -> str | None:
        """The turn that waits with the same question, where neither has a key."""
        return next((waiting.turn_id for waiting in self.head.queue if waiting.asked and waiting.asked == fingerprint), None)

    def kept(self, turn: Turn, limits: Limits, expected: Expected = ABSENT) -> Sequence[Write]:
        """What keeps a turn that ended within its request, where nothing waits. `expected` is what its document is now."""
        put = self._filed(turn, expected)
        if turn.answer is None and self.stored and self.version is not None:
            return [Require(self.key, self.version), put]
        return [self._put(self._after(turn, limits)), put]

    def queued(self, turn: Turn, waiting: Waiting, lease: Lease | None, limits: Limits, expected: Expected = ABSENT) -> Sequence[Write]:
        """What puts a pending turn at the end of the queue; where it is the first, with a lease for whoever is at it."""
        changes = {
            "queue": (*self.head.queue, waiting),
            "lease": self.head.lease if self.head.queue else lease,
            "expires_at": max(self.head.expires_at, turn.asked_at + limits.lifetime),
        }
        return [self._put(self.head.model_copy(update=changes)), self._filed(turn, expected)]

    def claimed(self, lease: Lease) -> Sequence[Write]:
        """What gives the lease on the first turn to somebody who begins on it."""
        return [self._put(_first(self.head, lease, begun=1))]

    def renewed(self, lease: Lease) -> Sequence[Write]:
        """What makes the lease last."""
        return [self._put(_first(self.head, lease, begun=0))]

    def given_back(self) -> Sequence[Write]:
        """What leaves the first turn to others. It is as if nobody had begun: only those who died count."""
        return [self._put(_first(self.head, None, begun=-1))]

    def left_out(self, lease: Lease) -> Sequence[Write]:
        """What takes the first turn out of the queue, of which nothing is stored any more; the lease is then on the next."""
        head = self.head.model_copy(update={"queue": self.head.queue[1:], "lease": None})
        return [self._put(_first(head, lease, begun=1) if head.queue else head)]

    def ended(self, turn: Turn, lease: Lease | None, limits: Limits) -> Sequence[Write]:
        """What ends the first turn of the queue, and gives the lease on the next to somebody in the same breath."""
        head = self._after(turn, limits).model_copy(update={"queue": self.head.queue[1:], "lease": None})
        return [self._put(_first(head, lease, begun=1) if lease and head.queue else head), self._filed(turn, "any")]

    def _after(self, turn: Turn, limits: Limits) -> Head:
        """The head behind a turn that ended: an answered one is in the buffer, a failed one is not."""
        exchange = (Said(role="user", text=turn.query), Said(role="assistant", text=turn.answer)) if turn.answer is not None else ()
        changes = {
            "turns": self.head.turns + (1 if exchange else 0),
            "buffer": within(limits, (*self.head.buffer, *exchange)),
            "expires_at": max(self.head.expires_at, turn.asked_at + limits.lifetime),
        }
        return self.head.model_copy(update=changes)

    def _put(self, head: Head) -> Put:
        place = None
        if head.queue:
            place = Place(WAITING, f"{position_at(head.lease.until.timestamp() if head.lease else 0)}.{self.key.id}")
        return Put(self.key, head.model_dump_json(), self.version or ABSENT, place, head.expires_at + HEAD_GRACE)

    def _filed(self, turn: Turn, expected: Expected) -> Put:
        return Put(turn_key(self.key, turn.turn_id), turn.model_dump_json(), expected, self._place(turn), turn.asked_at + TURN_LIFETIME)

    def _place(self, turn: Turn) -> Place:
        """Where a turn stands in the transcript: a done one at its number, a failed one behind the last that was done, a pending one last.

        So a failure changes nothing of the order and disturbs no turn that runs beside it.
        """
        moment = f"{position_at(turn.asked_at.timestamp())}.{turn.turn_id}"
        numbers = {
            "done": number(self.head.turns + 1),
            "failed": f"{number(self.head.turns)}.{moment}",
            "pending": f"{WAITING}.{moment}",  # Letters stand behind digits.
        }
        return Place(self.head.thread, numbers[turn.status])


def opened(key: Key, document: Document | None, now: datetime) -> Conversation | None:
    """The conversation that lies in its head document, or None where it expired or never was. `now` is the store's clock.

    Raises:
        StoreUnavailable: a newer revision wrote it, and will read it.
    """
    if document is None:
        return None
    head = Head.required(document.body)
    return Conversation(key, head, document.version, stored=True) if now < head.expires_at else None


def begun(key: Key, document: Document | None, now: datetime, thread: str) -> Conversation:
    """A conversation without turns; it replaces what is left of an expired one, and remembers which turns that left behind."""
    earlier = Head.required(document.body).threads if document else ()
    head = Head(thread=thread, turns=0, buffer=(), expires_at=now, earlier=earlier)
    return Conversation(key, head, document.version if document else None, stored=False)


def _first(head: Head, lease: Lease | None, *, begun: int) -> Head:
    """The head with this lease on its first turn, on which somebody has begun so many times more."""
    first, *others = head.queue
    counted = first.model_copy(update={"begun": max(0, first.begun + begun)})
    return head.model_copy(update={"lease": lease, "queue": (counted, *others)})


def number(turns: int) -> str:
    """Where the done turn of this number stands in a transcript."""
    return f"{turns:010}"


def behind(turns: int) -> str:
    """A position behind the done turn of this number and the failures that follow it, and before the next done turn."""
    return f"{number(turns)}.~"


def position_at(timestamp: float) -> str:
    """A moment as text that sorts as time does."""
    return f"{timestamp:017.6f}"


def within(limits: Limits, messages: Sequence[Said]) -> tuple[Said, ...]:
    """The latest messages that fit both limits, whole exchanges only: the first that is left was said by the user.

    An exchange that is too long by itself is kept by its beginnings; else one long question would make the model forget them all.
    """
    kept: list[Said] = []
    tokens = 0
    for said in reversed(messages[-limits.messages :] if limits.messages else ()):
        tokens += said.tokens
        if tokens > limits.tokens:
            break
        kept.append(said)
    while kept and kept[-1].role != "user":
        kept.pop()
    if not kept and limits.messages >= 2 and limits.tokens >= 4 * MESSAGE_TOKENS:
        return tuple(said.begun(limits.tokens // 2) for said in messages[-2:])
    return tuple(reversed(kept))
