"""What is asked in a conversation, and what comes of it while the caller waits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from functions.core.documents import Key
from functions.core.stored import Bearer, Turn, conversation_key, digest


def uncounted() -> None:
    """What a question that is no guess does where there is no conversation to adopt: nothing."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller wants answered, and in which conversation."""

    owner: str
    session_id: str
    query: str
    session: Literal["new", "known", "any"]
    """Whether the session token was minted for this question, must be one that we know, or may be one that the caller invented."""
    key: str | None = None
    """The caller's Idempotency-Key: within a session it names one turn, however often it is sent."""
    bearer: Bearer | None = None
    """Whose access token came with it: then the owner is a person, and their limits hold for all their sessions together."""

    adopts: Key | None = None
    """The stranger's conversation of the same session token, which somebody who has signed in since goes on with as their own, once."""
    missed: Callable[[], None] = field(default=uncounted, compare=False, repr=False)
    """Called where that one is not there, before anything is asked: it may refuse the question (core/guesses.py)."""

    @property
    def conversation(self) -> Key:
        """The conversation's head."""
        return conversation_key(self.owner, self.session_id)

    @property
    def spender(self) -> str:
        """Whose limits it counts against: the owner's; a stranger's owner is the session."""
        return self.owner if self.bearer else self.conversation.id

    @property
    def identity(self) -> str | None:
        """What the same request has too, while it runs; None where it cannot be the same."""
        return digest("key", self.key, self.query) if self.key is not None else self.fingerprint

    @property
    def turn_id(self) -> str | None:
        """The turn that the key names."""
        return digest("key", self.key)[:22] if self.key is not None else None

    @property
    def fingerprint(self) -> str | None:
        """What the same question has too, where no key tells whether it is a repetition. None where it cannot be one."""
        return digest("query", self.query) if self.key is None and self.session != "new" else None


@dataclass(frozen=True, slots=True)
class Done:
    """The turn is in the transcript, with its answer."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Pending:
    """The turn is in the transcript and will be answered; ask for it by its id."""

    turn_id: str


Outcome = Done | Pending
