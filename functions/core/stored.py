"""What lies in the store: a conversation's head, and a document for each of its turns.

During a deploy old and new revisions run side by side: each model is read tolerantly, and what a newer revision added is kept as it is.
"""

import hashlib
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from functions.core.documents import Key
from functions.core.errors import StoreUnavailable
from functions.core.shape import Shape

CONVERSATIONS = "conversations"
TURNS = "turns"
OWNED = "owned_conversations"
"""A document for each conversation of somebody who signed in, so that theirs can be found: to be shown to them, and to be deleted."""

SCHEMA = 2
"""Of what is stored; a revision that stores something else than this one reads counts on. 2: turns may be pending, heads have a queue."""

TURN_LIFETIME = timedelta(weeks=57)
"""When the store may drop a turn for good. Turns can be read only while their head lives, so this bounds storage, not privacy:
long enough that a conversation which goes on every day for a year keeps its beginning."""

HEAD_GRACE = timedelta(days=7)
"""How much longer than a conversation lives the store keeps its head: the sweep finds by it the turns that are to be deleted."""

MESSAGE_TOKENS = 8
"""What a chat format adds to a message (role, separators): 3 to 5 tokens in the published ones (ChatML, Llama 3, Gemma)."""

SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$", description="The session token of an earlier answer.")]
TurnId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The turn_id of an answer that is pending.")]


class Stored(Shape):
    """What lies in a document."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_number: int = SCHEMA

    @classmethod
    def read(cls, body: str) -> Self | None:
        """What is in a document; None where a newer revision wrote what this one cannot read."""
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            if Stored.model_validate_json(body).schema_number > SCHEMA:
                return None
            raise

    @classmethod
    def required(cls, body: str) -> Self:
        """What is in a document, for whom nothing else will do.

        Raises:
            StoreUnavailable: a newer revision wrote it, and will read it.
        """
        found = cls.read(body)
        if found is None:
            raise StoreUnavailable("A newer revision wrote what is asked for, and will read it; try again in a moment.")
        return found


class Said(Shape):
    """One message of the buffer, as it was said."""

    model_config = ConfigDict(frozen=True, extra="allow")

    role: Literal["user", "assistant"]
    text: str
    strange: bool = False
    """Whether it was said by nobody whom we know, before somebody who signed in went on with the conversation."""

    @property
    def tokens(self) -> int:
        """At least as many as any byte-level tokenizer makes of it: each token stands for one byte or more."""
        return len(self.text.encode()) + MESSAGE_TOKENS

    def begun(self, tokens: int) -> "Said":
        """The message, or as much of its beginning as has so few tokens."""
        return self.model_copy(update={"text": self.text.encode()[: max(0, tokens - MESSAGE_TOKENS)].decode(errors="ignore")})


class Lease(Shape):
    """Who works on the first turn of a queue, and until when nobody else may. By the store's clock: a skewed instance steals nothing."""

    model_config = ConfigDict(frozen=True, extra="allow")

    holder: str
    """New for each claim, so that whoever lost the lease cannot mistake a later one for its own."""
    until: datetime


class Waiting(Shape):
    """A turn that was accepted and has not ended."""

    model_config = ConfigDict(frozen=True, extra="allow")

    turn_id: str
    asked: str | None = None
    """A fingerprint of the question, where its caller gave no key: the same question again is then a repetition of this one."""
    begun: int = 0
    """How often somebody has begun to answer it."""


class Bearer(Shape):
    """Who showed an access token of ours, and of which grant it is."""

    model_config = ConfigDict(frozen=True)

    user: str
    client_id: str
    family: str


class Head(Stored):
    """What the next turn needs to know of a conversation."""

    thread: str
    """Under this the turns are filed. A conversation that expired and begins again under its old name gets another."""
    turns: int
    """How many turns were done."""
    buffer: tuple[Said, ...]
    expires_at: datetime
    queue: tuple[Waiting, ...] = ()
    """The turns that wait, in the order in which they will be answered."""
    lease: Lease | None = None
    """Who works on the first of them; None: nobody does."""
    earlier: tuple[str, ...] = ()
    """The threads of conversations that ended under this name and were not removed before it began anew: their turns go when these go."""

    @property
    def threads(self) -> tuple[str, ...]:
        """All that is filed under this head."""
        return (*self.earlier, self.thread)


class Failure(Shape):
    """Why something was not done; `error` of every answer that is not a success."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="Stable name of the fault.")
    message: str = Field(description="What to do about it.")
    retryable: bool = Field(description="Whether the same request may succeed later.")


class Step(Shape):
    """One call of an operation."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The operation, as the model called it.")
    ok: bool = Field(description="Whether it gave a result.")
    milliseconds: int = Field(description="How long it took.")


class Tokens(Shape):
    """Tokens of all model calls of a turn, as the provider counted them."""

    model_config = ConfigDict(frozen=True)

    input_tokens: int = 0
    output_tokens: int = 0


class TranscriptTurn(Shape):
    """A question and what came of it: done with an answer, failed with an error, or pending."""

    turn_id: str
    status: Literal["done", "failed", "pending"]
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

    keyed: bool = False
    """Whether it was asked under an Idempotency-Key."""
    spender: str = ""
    """Whose limits it counts against."""
    bearer: Bearer | None = None
    """Whose access its operations have, whoever ends it: read anew, for it may have ended."""

    @property
    def spent(self) -> dict[str, int]:
        """What it cost, for a log line."""
        return {"operations": len(self.operations), **self.usage.model_dump()}


def conversation_key(owner: str, session_id: str) -> Key:
    """The name of a conversation's head. Owner and token together: nobody can open another's conversation even with its token."""
    return Key(CONVERSATIONS, digest(owner, session_id))


def owned_key(conversation: Key) -> Key:
    """The name of the document that says whose a conversation is."""
    return Key(OWNED, conversation.id)


def owned_by(user: str) -> str:
    """Under this those of a user are listed."""
    return f"owned-{user}"


def turn_key(conversation: Key, turn_id: str) -> Key:
    """The name of a turn's document; without its conversation a turn id opens nothing."""
    return Key(TURNS, digest(conversation.id, turn_id))


def digest(*parts: str) -> str:
    """43 URL-safe characters; each part's length is hashed with it, so that ("ab", "c") and ("a", "bc") differ."""
    hashed = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        hashed.update(len(encoded).to_bytes(8, "big") + encoded)
    return urlsafe_b64encode(hashed.digest()).rstrip(b"=").decode("ascii")
