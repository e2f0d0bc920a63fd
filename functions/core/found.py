"""What the tools `search` and `fetch` take and give, and what of it a capability gives: core/finding.py makes the one of the other.

The shapes are OpenAI's, for company knowledge and deep research: https://developers.openai.com/api/docs/mcp
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Annotated

from pydantic import ConfigDict, Field

from functions.core.capability import Published
from functions.core.excerpt import as_many_as_fit, excerpt
from functions.core.shape import Shape

MAX_EACH = 10
"""Results of one capability. Three capabilities make a list that a model reads whole."""

UNTITLED = "(no title)"

Words = Annotated[
    str, Field(min_length=1, max_length=600, pattern=r"\S", description="What to look for: words, or the address of a document.")
]
Url = Annotated[str, Field(min_length=1, description="Where a person reads it; it is what an answer cites.")]


class SearchRequest(Shape):
    """What is looked for."""

    model_config = ConfigDict(extra="forbid")

    query: Words


class FetchRequest(Shape):
    """Which of the results is wanted."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[
        str, Field(min_length=1, max_length=1200, description="The id of a result of search, or where a text says that it goes on.")
    ]


class Source(Published):
    """Something that was found."""

    id: str
    """What fetch wants."""
    title: str
    """What it is called."""
    url: Url


class Sources(Published):
    """What was found."""

    results: tuple[Source, ...]
    """The best of each capability first."""

    @classmethod
    def of(cls, found: Iterable[Source]) -> "Sources":
        """What a capability gives of what it found: the first MAX_EACH, as far as they fit into an answer."""
        return cls(results=tuple(as_many_as_fit(islice(found, MAX_EACH))))


class Fetched(Published):
    """The text of something that was found."""

    id: str
    """As it was asked for."""
    title: str
    """What it is called."""
    text: str
    """As its reader sees it. Where it is only a part, its last line says what to fetch for the rest."""
    url: Url
    metadata: dict[str, str]
    """What else is known of it: who wrote it, when."""


class Part(Published):
    """What a capability gives of something that was found: its text, or as much as fits into an answer."""

    title: str
    text: str
    url: Url
    metadata: dict[str, str]
    next_start: int | None
    """Where the rest of the text begins; None: there is none."""

    @classmethod
    def of(cls, text: str, start: int, *, title: str | None, url: str, **metadata: str | None) -> "Part":
        """The part that begins at character `start`; metadata that is None is left out.

        Raises:
            Invalid: the text ends before.
        """
        part, rest = excerpt(text, start)
        known = {name: value for name, value in metadata.items() if value}
        return cls(title=title or UNTITLED, text=part, url=url, metadata=known, next_start=rest)


def headed(head: Mapping[str, str | None], text: str) -> str:
    """A text below the lines of its head, those that have something to say: "Where: Room 5"."""
    return "\n".join([*(f"{name}: {value}" for name, value in head.items() if value), "", text]).strip()
