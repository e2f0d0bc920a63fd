"""What is published to TURNS_TOPIC: that a conversation has turns nobody works on, or that it is time to sweep.

Nothing of the user's is in it, and no token: a conversation is named by its document, and the id alone opens nothing.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from functions.core.documents import Key
from functions.core.shape import Shape
from functions.core.stored import CONVERSATIONS


class Announcement(Shape):
    """One message."""

    model_config = ConfigDict(frozen=True)

    type: Literal["turns", "sweep"]
    conversation: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")] | None = None
    """The id of the head; only with `turns`."""

    @model_validator(mode="after")
    def _complete(self) -> "Announcement":
        if (self.type == "turns") != (self.conversation is not None):
            raise ValueError("turns names a conversation, sweep none")
        return self

    @classmethod
    def of(cls, conversation: Key) -> "Announcement":
        """That turns wait in this conversation."""
        return cls(type="turns", conversation=conversation.id)

    @property
    def key(self) -> Key | None:
        """The conversation in which turns wait; None where it is time to sweep."""
        return Key(CONVERSATIONS, self.conversation) if self.conversation else None
