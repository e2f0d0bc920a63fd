"""Names of conversations that are not there: whoever sends many of them is guessing, and is told to wait (infra/decisions/0005).

Only a name that leads nowhere is counted, and only such a name is refused. A conversation that is there answers whoever may open it, so that
nobody loses theirs to a guesser who shares their network address, as all of ChatGPT's anonymous users do.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from functions.core.errors import NoSuchConversation, TooOften
from functions.core.rate import Rate
from functions.core.stored import digest

WINDOW = timedelta(minutes=1)

SHARED = 10
"""How many callers' worth of guesses one network address has: many may sit behind it."""

MINTED = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
"""How the session tokens look that we mint, 128 bits in base64url (wiring/foundation.py): what looks otherwise is no guess at one."""


@dataclass
class Naming:
    """One request that names a conversation."""

    _too_many: Callable[[], bool]
    _missed: bool = False

    def missed(self) -> None:
        """There is no such conversation. That counts once, however often the request looks for it.

        Raises:
            TooOften: it is one too many. Which name it was changes nothing of the answer, not even the wait.
        """
        if self._missed:
            return
        self._missed = True
        if self._too_many():
            raise TooOften(
                "Too many sessions that are not there were named. Wait a minute; a session that is there, or a question without session_id, "
                "is answered meanwhile.",
                retry_after=WINDOW,
            )

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count it where what is done inside finds no conversation of that name.

        Raises:
            TooOften: in place of NoSuchConversation.
        """
        try:
            yield
        except NoSuchConversation:
            self.missed()
            raise


@dataclass
class Guesses:
    """Counts them, for each caller and for each network address that strangers call from. By this process alone, as Rate does."""

    most: int
    """Of one caller within WINDOW."""
    _callers: Rate = field(init=False)
    _addresses: Rate = field(init=False)

    def __post_init__(self) -> None:
        """Begin with none."""
        self._callers = Rate(self.most, WINDOW.total_seconds())
        self._addresses = Rate(SHARED * self.most, WINDOW.total_seconds())

    def of_user(self, user: str, clock: Callable[[], float]) -> Naming:
        """What somebody who signed in names, from wherever."""
        return Naming(lambda: self._callers.wait(digest("user", user), clock()) is not None)

    def of_stranger(self, address: str, hint: str | None, clock: Callable[[], float]) -> Naming:
        """What somebody names whom we do not know: told from others at the same address by their client's own name for its conversation.

        Anybody can send any such name. So what each of them has left is counted for the address as well.
        """
        caller = digest("stranger", address, hint or "")
        return Naming(lambda: self._callers.wait(caller, clock()) is not None or self._addresses.wait(address, clock()) is not None)
