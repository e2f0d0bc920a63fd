"""Give a text back: the capability that P8 measures, which does next to nothing itself."""

from typing import Annotated

from pydantic import Field

from functions.core.capability import Published, Web, operation


class Note(Published):
    """What was given."""

    text: str
    """The text itself."""
    length: int
    """Its length in characters."""


@operation(apis=[], scopes=[], read_only=True, open_world=False)
async def note(web: Web, text: Annotated[str, Field(min_length=1, max_length=100, description="Any text.")]) -> Note:
    """Give a text back at once."""
    return Note(text=text, length=len(text))
