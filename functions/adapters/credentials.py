"""What proves to a foreign system who we are: a fixed key, or one that is fetched, kept, and fetched again."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from functions.adapters.single_flight import SingleFlight
from functions.core.deadline import Deadline


class Credential(Protocol):
    """A secret that may change while we run."""

    async def token(self, deadline: Deadline, *, refused: str | None = None) -> str:
        """The current token; with `refused`, a newer one if there is one, else the same. Empty: we have none to show.

        Raises:
            Refused: it is kept from us.
            Upstream: its keeper failed or did not answer.
            DeadlinePassed: the deadline passed.
        """


@dataclass(frozen=True, slots=True)
class Fixed:
    """A key that never changes."""

    value: str = field(repr=False)

    async def token(self, deadline: Deadline, *, refused: str | None = None) -> str:
        """The key."""
        return self.value


@dataclass(frozen=True, slots=True)
class Token:
    """A fetched secret. `fresh_until` is on the event loop's clock."""

    value: str = field(repr=False)
    fresh_until: float = math.inf


class Fetched:
    """A token that `fetch` gives, kept while it is fresh and not refused. However many ask at once, it is fetched once.

    `fetch` bounds its own time: the first who asks may give up, and the others still want the token.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Token]]) -> None:
        self._fetch = fetch
        self._last: Token | None = None
        self._renewal = SingleFlight(self._renew, "The credential for a foreign system")

    async def token(self, deadline: Deadline, *, refused: str | None = None) -> str:
        """`Credential.token`."""
        last = self._last
        if last is not None and last.value != refused and asyncio.get_running_loop().time() < last.fresh_until:
            return last.value
        return (await self._renewal.result(deadline)).value

    async def _renew(self) -> Token:
        self._last = await self._fetch()
        return self._last
