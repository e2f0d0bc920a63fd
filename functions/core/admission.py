"""How many turns may be open in this process: more would only make all of them late."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from functions.core.errors import Overloaded, TooManyTurns

SOON = timedelta(seconds=1)  # turns end all the time


@dataclass
class Admission:
    """Counts the open turns: those of requests, and those that go on behind them."""

    most: int
    most_per_owner: int
    _open: Counter[str] = field(default_factory=Counter)

    def enter(self, owner: str) -> Callable[[], None]:
        """Let one more turn in; gives what lets it out again, which may be called more than once.

        Raises:
            Overloaded, TooManyTurns: it may not come in; nothing was begun.
        """
        if self._open.total() >= self.most:
            raise Overloaded("This instance answers as many questions as it can; ask again in a moment.", retry_after=SOON)
        if self._open[owner] >= self.most_per_owner:
            raise TooManyTurns(f"{self.most_per_owner} of your questions are still being answered; wait for one.", retry_after=SOON)
        self._open[owner] += 1
        inside = [owner]
        return lambda: self._leave(inside)

    def _leave(self, inside: list[str]) -> None:
        for owner in inside:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
        inside.clear()
