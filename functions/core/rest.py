"""The shapes of the REST interface: what a caller sends and gets. core/openapi.py publishes them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from functions.core.shape import Shape
from functions.core.stored import Failure, SessionId, Step, Tokens, TranscriptTurn, Turn, TurnId
from functions.core.transcript import Entry

MAX_QUERY = 8_000  # characters; as JSON spells control characters that is 48,000, and ChatGPT drops answers of 100,000
MAX_PAGE = 100  # turns
PAGE_CHARACTERS = 90_000  # of a page of the transcript; ChatGPT drops answers of 100,000 (wire.md 2.2 and 2.8)


class ChatRequest(Shape):
    """A question, perhaps in a conversation that goes on."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[
        str, Field(min_length=1, max_length=MAX_QUERY, pattern=r"^[^\x00]*$", description="What the user asks, in their own words.")
    ]
    session_id: SessionId | None = Field(None, description="The session token of an earlier answer, to go on; leave it out to begin anew.")


class AnswerRequest(Shape):
    """Asks for the answer of a turn that was pending."""

    model_config = ConfigDict(extra="forbid")

    session_id: SessionId = Field(description="The session token of the answer that was pending.")
    turn_id: TurnId


class ChatAnswer(Shape):
    """An answer, and the session token that continues the conversation."""

    session_id: str = Field(description="Send it with the next question to continue this conversation. Whoever has it can.")
    turn_id: str = Field(description="The name of this turn in the transcript.")
    status: Literal["done"]
    answer: str
    finish_reason: Literal["stop", "length", "content_filter", "refusal"] = Field(
        description="Why the answer ends: it is complete, was cut at a limit, was withheld in part, or declines."
    )
    operations: tuple[Step, ...] = Field(description="The operations that were called for it, in order.")
    usage: Tokens

    @classmethod
    def of(cls, session_id: str, turn: Turn) -> "ChatAnswer":
        """What is told of a turn that was done."""
        return cls.model_validate({"session_id": session_id, **turn.model_dump(include=set(cls.model_fields))})


class PendingAnswer(Shape):
    """There is no answer yet; it will be there under these names."""

    session_id: str = Field(description="Whoever has it can continue this conversation, and get the answer.")
    turn_id: str = Field(description="Send it with the session_id to get the answer.")
    status: Literal["pending"] = "pending"
    poll_after_ms: int = Field(default=1000, description="How long to wait before asking, in milliseconds.")


class Transcript(Shape):
    """A page of a conversation, oldest turn first."""

    session_id: str
    turns: tuple[TranscriptTurn, ...]
    next: str | None = Field(None, description="Send it as `after` for the page behind this one; absent on the last.")

    @classmethod
    def of(cls, session_id: str, entries: Sequence[Entry], limit: int) -> "Transcript":
        """As many of `entries` as `limit` and a page's size allow, at least one; what is left over follows behind `next`."""
        turns: list[TranscriptTurn] = []
        characters = 0
        for entry in entries[:limit]:
            characters += len(entry.turn.model_dump_json())
            if turns and characters > PAGE_CHARACTERS:
                break
            turns.append(entry.turn)
        return cls(session_id=session_id, turns=tuple(turns), next=entries[len(turns) - 1].position if len(turns) < len(entries) else None)


class PageRequest(Shape):
    """Which part of a transcript is wanted."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, description="How many turns at most.")] = 20
    after: Annotated[str, Field(pattern=r"^[0-9A-Za-z_.-]{0,64}$", description="The `next` of the page before.")] = ""


class ErrorAnswer(Shape):
    """What every answer says that is not a success."""

    error: Failure
