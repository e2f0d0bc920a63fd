"""How often one address may do what costs us something before anybody has signed in, and one caller what looks like guessing."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta

from functions.core.errors import TooOften

MAX_ADDRESSES = 10_000
"""That are remembered; beyond them the one that was seen longest ago is forgotten, so that a flood from everywhere costs no memory."""


@dataclass
class Rate:
    """At most `most` in each `seconds`, for each address. Counted by this process alone: another instance allows as many again."""

    most: int
    seconds: float
    _windows: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def require(self, address: str, now: float) -> None:
        """Count one more; `now` is in seconds, on any clock that does not go back.

        Raises:
            TooOften: it is one too many; it says when the next may come.
        """
        if wait := self.wait(address, now):
            raise TooOften(f"Only {self.most} of these are served to one address in {self.seconds:g} seconds.", retry_after=wait)

    def wait(self, address: str, now: float) -> timedelta | None:
        """Count one more; None where it may come, else how long it is until the next may."""
        began, count = self._windows.pop(address, (now, 0))
        if now >= began + self.seconds:
            began, count = now, 0
        self._windows[address] = (began, min(count + 1, self.most + 1))
        if len(self._windows) > MAX_ADDRESSES:
            self._windows.popitem(last=False)
        return timedelta(seconds=began + self.seconds - now) if count >= self.most else None
