"""What a day may cost: tokens of the model, for each owner and for the deployment.

Each process counts for itself and adds its sum to the store now and then, so that a turn writes no more for it than without. A cap is
therefore overrun by what was spent since, and by the turns that are open when it is reached.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, Document, Key, Put, Snapshot, Write
from functions.core.errors import CantileverError, DeploymentSpent, OwnerSpent
from functions.core.model import Usage
from functions.core.records import Records
from functions.core.stored import Turn, digest

SPEND = "spend"

DEPLOYMENT = Key(SPEND, "deployment")

KEPT = timedelta(days=2)  # a day's sum, from its last change on

SETTLED_EVERY = 2.0  # seconds; a document takes about one write a second for long (reliability.md 1.4), and many instances write this one

MAX_AT_ONCE = 50  # owners in one commit


@dataclass
class Ledger:
    """The day's sums, and what this process has yet to add to them. Where nothing is capped, nothing is read and nothing is written."""

    records: Records
    per_owner: int | None
    together: int | None
    _unsettled: Counter[tuple[Key, date]] = field(default_factory=Counter)
    _settled_at: float = 0.0
    _settling: bool = False

    def keys(self, owner: str) -> Sequence[Key]:
        """The documents that `require` wants to see."""
        return [*([_key(owner)] if self.per_owner else []), *([DEPLOYMENT] if self.together else [])]

    def require(self, owner: str, found: Snapshot) -> None:
        """Pass unless the day's tokens are used up.

        Raises:
            OwnerSpent, DeploymentSpent: whose; they may ask again when the day ends, by UTC.
        """
        midnight = datetime.combine(found.read_at.date() + timedelta(days=1), time(), found.read_at.tzinfo)
        caps: Sequence[tuple[Key, int | None, Callable[..., CantileverError], str]] = (
            (_key(owner), self.per_owner, OwnerSpent, "You have"),
            (DEPLOYMENT, self.together, DeploymentSpent, "All users of this deployment together have"),
        )
        for key, cap, error, who in caps:
            if cap is not None and self._spent(key, found) >= cap:
                raise error(f"{who} used up the day's {cap:,} tokens; ask again after midnight UTC.", retry_after=midnight - found.read_at)

    def add(self, turn: Turn, usage: Usage) -> None:
        """Count what asking for a turn has cost, once it is over here: also in vain, and where another process goes on."""
        tokens, day = usage.input_tokens + usage.output_tokens, turn.asked_at.date()
        if tokens:
            self._unsettled.update({(key, day): tokens for key in self.keys(turn.spender)})

    async def settle(self, deadline: Deadline, *, now: bool = False) -> None:
        """Add to the store what was counted here, where that is due; or all of it now. What the store does not take, it is offered again."""
        if not self._unsettled or self._settling or (not now and deadline.clock() < self._settled_at + SETTLED_EVERY):
            return
        self._settling, self._settled_at = True, deadline.clock()
        try:
            await self._settle_most(deadline)
            while now and self._unsettled:
                await self._settle_most(deadline)
        except CantileverError:
            pass  # It is offered again.
        finally:
            self._settling = False

    async def _settle_most(self, deadline: Deadline) -> None:
        """Settle for those who spent most, as many as one commit takes."""
        due = Counter(dict(self._unsettled.most_common(MAX_AT_ONCE)))

        async def decide(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            today = found.read_at.date()  # What is left of a day that is over limits nobody, and must not replace today's sum.
            return True, [_added(key, day, tokens, found) for (key, day), tokens in due.items() if day == today]

        await self.records.change([key for key, _ in due], decide, deadline)
        self._unsettled -= due  # Only now: in between it counts twice rather than not at all.

    def _spent(self, key: Key, found: Snapshot) -> int:
        day = found.read_at.date()
        return _stored(found.documents.get(key), day) + self._unsettled[key, day]


def _key(owner: str) -> Key:
    return Key(SPEND, digest("owner", owner))


def _stored(document: Document | None, day: date) -> int:
    """The day's sum in a document; another day's is over."""
    spent = json.loads(document.body) if document else {}
    return int(spent["tokens"]) if spent.get("day") == day.isoformat() else 0


def _added(key: Key, day: date, tokens: int, found: Snapshot) -> Put:
    document = found.documents.get(key)
    body = json.dumps({"day": day.isoformat(), "tokens": _stored(document, day) + tokens})
    return Put(key, body, document.version if document else ABSENT, expires_at=found.read_at + KEPT)
