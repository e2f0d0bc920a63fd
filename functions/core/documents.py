"""What we ask of a document store: small JSON documents, read together, written together, each write saying what it expects.

Two stores implement `Documents` (adapters/firestore.py, adapters/sqlite.py); tests/contracts/test_documents.py holds both to it.
There are preconditions instead of transactions: nothing is locked while a model thinks (infra/decisions/0003).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NewType, Protocol

from functions.core.deadline import Deadline

Version = NewType("Version", str)
"""Opaque: equal only to itself, never reused for the same key, not even after a delete."""

ABSENT: Final = "absent"
ANY: Final = "any"
Expected = Version | Literal["absent", "any"]
"""What a write requires of the document it replaces: that it does not exist, nothing at all, or exactly the version that was read."""

MAX_BODY_BYTES: Final = 900_000
"""Firestore refuses documents over 1 MiB (https://firebase.google.com/docs/firestore/quotas); the rest is for names and indexes."""


@dataclass(frozen=True, slots=True)
class Key:
    """The name of a document: `id` is unique within its collection, URL-safe, at most 200 characters."""

    collection: str
    id: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where `list` finds a document: under `parent`, in the order of `position` by code point. Neither may hold a "/"."""

    parent: str
    position: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was read."""

    key: Key
    body: str
    version: Version
    updated_at: datetime
    place: Place | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Documents that were read together; a key that has none is missing. `read_at` is the store's clock, aware, UTC."""

    read_at: datetime
    documents: Mapping[Key, Document]


@dataclass(frozen=True, slots=True)
class Put:
    """Write `body` (JSON text) whole. `expires_at` only lets the store clean up, some day after it: readers check expiry themselves."""

    key: Key
    body: str
    expected: Expected
    place: Place | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a document; with ANY, removing what does not exist is no fault."""

    key: Key
    expected: Expected


@dataclass(frozen=True, slots=True)
class Require:
    """Write nothing, but let the commit stand only if the document is still at this version."""

    key: Key
    expected: Version


Write = Put | Delete | Require


class Conflict(Exception):
    """A commit found a document other than it expected; nothing of that commit was written."""


class Documents(Protocol):
    """A store of documents. Every method ends by its deadline and raises StoreUnavailable when the store failed or did not answer."""

    async def get(self, keys: Sequence[Key], deadline: Deadline) -> Snapshot:
        """Read 1 to 100 documents in one round trip, all as of one moment."""

    async def list(self, collection: str, parent: str, *, after: str = "", limit: int, deadline: Deadline) -> Sequence[Document]:
        """Up to `limit` documents placed under `parent`, in order, beginning behind the position `after`."""

    async def expired(self, collection: str, before: datetime, *, limit: int, deadline: Deadline) -> Sequence[Document]:
        """Up to `limit` documents whose `expires_at` is before a moment, the oldest first, as far as the store still has them."""

    async def commit(self, writes: Sequence[Write], deadline: Deadline) -> None:
        """Apply up to 100 writes, all or none, in one round trip.

        Raises:
            Conflict: an expectation did not hold; nothing was written.
            StoreUnavailable: the outcome is unknown; read back what you wrote to learn it.
        """
