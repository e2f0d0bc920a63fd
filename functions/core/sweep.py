"""What nobody else sees to: turns whose holder died, and what ended conversations leave behind."""

from dataclasses import dataclass

from functions.core.backlog import Backlog
from functions.core.conversation import WAITING, opened, position_at
from functions.core.deadline import Deadline
from functions.core.documents import Key
from functions.core.records import Records
from functions.core.stored import CONVERSATIONS, HEAD_GRACE, Head
from functions.core.transcript import remove_ended

AT_ONCE = 100  # conversations in one page
MOST_ENDED = 1000  # conversations that one sweep removes; the next goes on

CLOCK = Key(CONVERSATIONS, "clock")
"""A document that never is: reading it tells the store's time."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Done once a minute, by whoever comes to it: doing it twice harms nothing. What a newer revision wrote is left to it."""

    records: Records
    backlog: Backlog

    async def run(self, deadline: Deadline) -> dict[str, int]:
        """Announce every conversation in which a turn waits that nobody works on, and remove those that have ended; how many of each."""
        return {"announced": await self._announce(deadline), "removed": await self._remove_ended(deadline)}

    async def _announce(self, deadline: Deadline) -> int:
        documents, now = self.records.documents, (await self.records.documents.get([CLOCK], deadline)).read_at
        announced, after, due = 0, "", position_at(now.timestamp())
        while True:
            page = await documents.list(CONVERSATIONS, WAITING, after=after, limit=AT_ONCE, deadline=deadline)
            for document in page:
                if document.place is None or document.place.position > due:
                    return announced
                after = document.place.position
                conversation = opened(document.key, document, now) if Head.read(document.body) else None
                if conversation and conversation.free(now):
                    await self.backlog.hand_over(document.key, deadline)
                    announced += 1
            if len(page) < AT_ONCE:
                return announced

    async def _remove_ended(self, deadline: Deadline) -> int:
        documents, now = self.records.documents, (await self.records.documents.get([CLOCK], deadline)).read_at
        removed = 0
        while removed < MOST_ENDED:
            page = await documents.expired(CONVERSATIONS, now + HEAD_GRACE, limit=AT_ONCE, deadline=deadline)
            # An older revision wrote heads without the grace: they are found early.
            ended = [document for document in page if Head.read(document.body) and opened(document.key, document, now) is None]
            for document in ended:
                await remove_ended(documents, document, deadline)
            removed += len(ended)
            if len(ended) < AT_ONCE:
                break
        return removed
