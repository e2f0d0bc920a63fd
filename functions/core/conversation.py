"""A conversation as it is stored: a head that the next turn needs, and a document for each turn.

The session token is the durable part: whoever holds it (and is its owner) goes on, from any process and any device. The buffer is
the bounded part: the last messages, kept in the head, so that a turn costs the same however long the conversation is.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.core.documents import ABSENT, Document, Key, Place, Put, Require, Version, Write
from functions.core.model import Assistant, User

CONVERSATIONS = "conversations"
TURNS = "turns"

SCHEMA = 1
"""Of what is stored; a revision that stores something else than this one reads counts on."""

TURN_LIFETIME = timedelta(weeks=57)
"""When the store may drop a turn for good. Turns can be read only while their head lives, so this bounds storage, not privacy:
long enough that a conversation which goes on every day for a year keeps its beginning."""

MESSAGE_TOKENS = 8
"""What a chat format adds to a message (role, separators): 3 to 5 tokens in the published ones (ChatML, Llama 3, Gemma)."""

SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$", description="The session token of an earlier answer.")]


class Stored(BaseModel):
    """What lies in a document. During a deploy old and new revisions run side by side: what a newer one added is kept as it is."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_number: int = SCHEMA


class Said(BaseModel):
    """One message of the buffer, as it was said."""

    model_config = ConfigDict(frozen=True, extra="allow")

    role: Literal["user", "assistant"]
    text: str

    @property
    def tokens(self) -> int:
        """At least as many as any byte-level tokenizer makes of it: each token stands for one byte or more."""
        return len(self.text.encode()) + MESSAGE_TOKENS

    def begun(self, tokens: int) -> "Said":
        """The message, or as much of its beginning as has so few tokens."""
        return self.model_copy(update={"text": self.text.encode()[: max(0, tokens - MESSAGE_TOKENS)].decode(errors="ignore")})


class Head(Stored):
    """What the next turn needs to know of a conversation."""

    thread: str
    """Under this the turns are filed. A conversation that expired and begins again under its old name gets another."""
    turns: int
    """How many turns were done."""
    buffer: tuple[Said, ...]
    expires_at: datetime


class Failure(BaseModel):
    """Why something was not done; `error` of every answer that is not a success."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="Stable name of the fault.")
    message: str = Field(description="What to do about it.")
    retryable: bool = Field(description="Whether the same request may succeed later.")


class Step(BaseModel):
    """One call of an operation."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The operation, as the model called it.")
    ok: bool = Field(description="Whether it gave a result.")
    milliseconds: int = Field(description="How long it took.")


class Tokens(BaseModel):
    """Tokens of all model calls of a turn, as the provider counted them."""

    model_config = ConfigDict(frozen=True)

    input_tokens: int
    output_tokens: int


class TranscriptTurn(BaseModel):
    """A question and what came of it: done with an answer, or failed with an error."""

    model_config = ConfigDict(frozen=True)

    turn_id: str
    status: Literal["done", "failed"]
    query: str
    answer: str | None = None
    finish_reason: Literal["stop", "length", "content_filter", "refusal"] | None = None
    error: Failure | None = None
    operations: tuple[Step, ...] = ()
    usage: Tokens
    asked_at: datetime = Field(description="By the store's clock.")
    milliseconds: int = Field(description="From the first read to the answer, waiting for other turns of the conversation left out.")


class Turn(TranscriptTurn, Stored):
    """A turn as it is stored."""

    @property
    def spent(self) -> dict[str, int]:
        """What it cost, for a log line."""
        return {"operations": len(self.operations), **self.usage.model_dump()}

    @classmethod
    def read(cls, body: str) -> "Turn | None":
        """The turn in a document; None where a newer revision wrote what this one cannot read."""
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            if Stored.model_validate_json(body).schema_number > SCHEMA:
                return None
            raise


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

    def messages(self) -> list[User | Assistant]:
        """The buffer as the model is to see it, oldest first."""
        return [User(said.text) if said.role == "user" else Assistant(said.text) for said in self.head.buffer]

    def place(self, turn: Turn) -> Place:
        """Where a turn stands in the transcript: a done one at its number, a failed one behind the last that was done.

        So a failure changes nothing in the head and disturbs no turn that runs beside it.
        """
        if turn.status == "done":
            return Place(self.head.thread, f"{self.head.turns + 1:010}")
        return Place(self.head.thread, f"{self.head.turns:010}.{turn.asked_at.timestamp():017.6f}.{turn.turn_id}")

    def writes(self, turn: Turn, limits: Limits) -> Sequence[Write]:
        """What keeps a turn, provided that nobody wrote the head since it was read: neither another turn nor a removal."""
        kept = Put(turn_key(self.key, turn.turn_id), turn.model_dump_json(), ABSENT, self.place(turn), turn.asked_at + TURN_LIFETIME)
        if turn.answer is None and self.stored and self.version is not None:
            return [Require(self.key, self.version), kept]
        exchange = (Said(role="user", text=turn.query), Said(role="assistant", text=turn.answer)) if turn.answer is not None else ()
        changes = {
            "turns": self.head.turns + (1 if exchange else 0),
            "buffer": within(limits, (*self.head.buffer, *exchange)),
            "expires_at": turn.asked_at + limits.lifetime,
        }
        head = self.head.model_copy(update=changes)
        return [Put(self.key, head.model_dump_json(), self.version or ABSENT, expires_at=head.expires_at), kept]


def conversation_key(owner: str, session_id: str) -> Key:
    """The name of a conversation's head. Owner and token together: nobody can open another's conversation even with its token."""
    return Key(CONVERSATIONS, _digest(owner, session_id))


def turn_key(conversation: Key, turn_id: str) -> Key:
    """The name of a turn's document; without its conversation a turn id opens nothing."""
    return Key(TURNS, _digest(conversation.id, turn_id))


def opened(key: Key, document: Document | None, now: datetime) -> Conversation | None:
    """The conversation that lies in its head document, or None where it expired or never was. `now` is the store's clock."""
    if document is None:
        return None
    head = Head.model_validate_json(document.body)
    return Conversation(key, head, document.version, stored=True) if now < head.expires_at else None


def begun(key: Key, document: Document | None, now: datetime, thread: str) -> Conversation:
    """A conversation without turns; it replaces what is left of an expired one."""
    head = Head(thread=thread, turns=0, buffer=(), expires_at=now)
    return Conversation(key, head, document.version if document else None, stored=False)


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


def _digest(*parts: str) -> str:
    """43 URL-safe characters; each part's length is hashed with it, so that ("ab", "c") and ("a", "bc") differ."""
    hashed = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        hashed.update(len(encoded).to_bytes(8, "big") + encoded)
    return urlsafe_b64encode(hashed.digest()).rstrip(b"=").decode("ascii")
