"""Reading and removing a whole conversation: for people, not for the model."""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.core.conversation import TURNS, Conversation, Turn, conversation_key, opened
from functions.core.deadline import Deadline
from functions.core.documents import ANY, Conflict, Delete, Documents
from functions.core.errors import NotFound

DELETED_AT_ONCE = 100  # the most writes of a commit (core/documents.py)


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn and where it stands."""

    position: str
    turn: Turn


async def page(documents: Documents, owner: str, session_id: str, *, after: str, limit: int, deadline: Deadline) -> Sequence[Entry]:
    """Up to `limit` turns behind `after`, oldest first.

    Raises:
        NotFound: there is no such conversation of this owner, or it has ended.
    """
    conversation = await _open(documents, owner, session_id, deadline)
    found = await documents.list(TURNS, conversation.head.thread, after=after, limit=limit, deadline=deadline)
    return [Entry(document.place.position, Turn.model_validate_json(document.body)) for document in found if document.place]


async def remove(documents: Documents, owner: str, session_id: str, deadline: Deadline) -> None:
    """Delete a conversation with all its turns. The head goes last: what is interrupted can be repeated.

    Raises:
        NotFound: there is no such conversation of this owner, or it has ended.
        StoreUnavailable: the store failed, or time ran out; repeat it.
    """
    while True:
        conversation = await _open(documents, owner, session_id, deadline)
        turns = await documents.list(TURNS, conversation.head.thread, limit=DELETED_AT_ONCE, deadline=deadline)
        deletes = [Delete(turn.key, ANY) for turn in turns]
        if len(turns) == DELETED_AT_ONCE:
            await documents.commit(deletes, deadline)
            continue
        if deletes:
            await documents.commit(deletes, deadline)
        try:
            await documents.commit([Delete(conversation.key, conversation.version or ANY)], deadline)
            return
        except Conflict:
            continue  # A turn was written meanwhile; it belongs to what is to be removed.


async def _open(documents: Documents, owner: str, session_id: str, deadline: Deadline) -> Conversation:
    key = conversation_key(owner, session_id)
    found = await documents.get([key], deadline)
    conversation = opened(key, found.documents.get(key), found.read_at)
    if conversation is None:
        raise NotFound("There is no such session, or it has ended.")
    return conversation
