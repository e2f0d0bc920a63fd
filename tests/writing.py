"""Notes to others: a capability that changes something, for tests alone."""

from typing import Annotated

from pydantic import Field

from functions.core.capability import Api, Published, Scope, Web, operation

NOTES = Api("notes", "https://notes.googleapis.com/v1", google=True)
WRITE = Scope("https://www.googleapis.com/auth/notes", {"en": "Send notes in your name"})

sent: list[tuple[str, str]] = []
"""Every note that was sent: to whom, and what."""


class Sent(Published):
    """A note is on its way."""

    to: str


@operation(apis=[NOTES], scopes=[WRITE], read_only=False, open_world=True, destructive=True)
async def send_note(
    web: Web,
    to: Annotated[str, Field(description="To whom.")],
    text: Annotated[str, Field(description="What it says.")] = "Hello",
) -> Sent:
    """Send a note to somebody."""
    sent.append((to, text))
    return Sent(to=to)
