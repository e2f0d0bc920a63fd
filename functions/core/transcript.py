"""Reading and removing a whole conversation: for people, not for the model."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from functions.core.conversation import opened
from functions.core.deadline import Deadline
from functions.core.documents import ANY, Conflict, Delete, Document, Documents, Key
from functions.core.errors import NoSuchConversation
from functions.core.stored import TURNS, Head, Turn, conversation_key, owned_key

DELETED_AT_ONCE = 100  # the most writes of a commit (core/documents.py)


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn and where it stands."""

    position: str
    turn: Turn


async def page(documents: Documents, owner: str, session_id: str, *, after: str, limit: int, deadline: Deadline) -> Sequence[Entry]:
    """Up to `limit` turns behind `after`, oldest first.

    Raises:
        NoSuchConversation: there is no such conversation of this owner, or it has ended.
    """
    found = await page_at(documents, conversation_key(owner, session_id), after=after, limit=limit, deadline=deadline)
    if found is None:
        raise NoSuchConversation("There is no such session, or it has ended.")
    return found


async def page_at(documents: Documents, key: Key, *, after: str, limit: int, deadline: Deadline) -> Sequence[Entry] | None:
    """A page of the conversation of this key; None where there is none that lives."""
    snapshot = await documents.get([key], deadline)
    conversation = opened(key, snapshot.documents.get(key), snapshot.read_at)
    if conversation is None:
        return None
    found = await documents.list(TURNS, conversation.head.thread, after=after, limit=limit, deadline=deadline)
    return [Entry(document.place.position, turn) for document in found if document.place and (turn := Turn.read(document.body))]


async def remove(documents: Documents, owner: str, session_id: str, deadline: Deadline) -> None:
    """Delete a conversation with all its turns, one that has ended included.

    Raises:
        NoSuchConversation: there is no such conversation of this owner.
        StoreUnavailable: the store failed, or time ran out; repeat it.
    """
    if not await remove_at(documents, conversation_key(owner, session_id), deadline):
        raise NoSuchConversation("There is no such session.")


async def remove_at(documents: Documents, key: Key, deadline: Deadline) -> bool:
    """Delete the conversation of this key; whether there was one. The head goes last: what is interrupted can be repeated."""
    while True:
        document = (await documents.get([key], deadline)).documents.get(key)
        if document is None:
            return False
        await _empty(documents, document, deadline)
        try:
            await documents.commit([Delete(key, document.version), Delete(owned_key(key), ANY)], deadline)
        except Conflict:
            continue  # A turn was written meanwhile; it belongs to what is to be removed.
        # A failed turn may have come between; now that there is no head, no other can.
        await _empty(documents, document, deadline)
        return True


async def remove_ended(documents: Documents, head: Document, deadline: Deadline) -> None:
    """Delete a conversation that has ended, with all its turns; one that began again meanwhile is left."""
    await _empty(documents, head, deadline)
    with suppress(Conflict):
        await documents.commit([Delete(head.key, head.version), Delete(owned_key(head.key), ANY)], deadline)


async def _empty(documents: Documents, head: Document, deadline: Deadline) -> None:
    """Delete all turns that are filed under a head."""
    for thread in Head.required(head.body).threads:
        while turns := await documents.list(TURNS, thread, limit=DELETED_AT_ONCE, deadline=deadline):
            await documents.commit([Delete(turn.key, ANY) for turn in turns], deadline)
