"""What a worker does with a message: finish the turns that wait in a conversation, or sweep; and what makes no sense it sets aside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from functions.core import strict_json
from functions.core.announcement import Announcement
from functions.core.backlog import Backlog
from functions.core.deadline import Deadline
from functions.core.documents import ANY, Key, Put, Snapshot, Write
from functions.core.errors import Invalid, Malformed
from functions.core.stored import digest
from functions.core.sweep import Sweep

QUARANTINE = "quarantine"

KEPT = timedelta(days=30)  # time enough for the owner to look; Pub/Sub itself would keep it for a week

MAX_KEPT = 64 * 1024  # characters of a message that is set aside


@dataclass(frozen=True, slots=True)
class Announced:
    """The worker's part."""

    backlog: Backlog
    sweep: Sweep

    async def act(self, text: str, deadline: Deadline) -> str:
        """Do what the message says; gives what was done, for the log. When it returns, the message is done with.

        Raises:
            StoreUnavailable, Overloaded: the message shall come again.
        """
        try:
            announcement = strict_json.read(Announcement, text)
        except (Malformed, Invalid):
            return await self.set_aside(text, deadline)
        if announcement.key:
            await self.backlog.take_over(announcement.key, deadline.clock)
        else:
            await self.sweep.run(deadline)
        return announcement.type

    async def set_aside(self, text: str, deadline: Deadline) -> str:
        """Keep a message that nobody understands, once however often it comes: coming again would not mend it."""
        key = Key(QUARANTINE, digest(text))

        async def decide(found: Snapshot) -> tuple[str, Sequence[Write]]:
            return QUARANTINE, [Put(key, text[:MAX_KEPT], ANY, expires_at=found.read_at + KEPT)]

        return await self.backlog.records.change([key], decide, deadline)
