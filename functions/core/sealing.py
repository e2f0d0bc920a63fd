"""What is encrypted at rest, or goes out and has to come back unread: for one user and one purpose, so that no text can stand in for another."""

from typing import Protocol

from functions.core.errors import TellOperator


class Unsealable(TellOperator):
    """A sealed text that cannot be opened: its key is gone, it was changed, or it was sealed for another user or purpose."""

    code = "unsealable"


class Sealer(Protocol):
    """Seals and opens texts."""

    def seal(self, plain: str, *, user: str, purpose: str) -> str:
        """`plain`, readable by nobody and changeable by nobody: URL-safe characters and dots."""

    def open(self, sealed: str, *, user: str, purpose: str) -> str:
        """What was sealed for this user and this purpose.

        Raises:
            Unsealable: it cannot be opened.
        """

    def stale(self, sealed: str) -> bool:
        """Whether it was sealed with an older key than the one that seals now, and should be sealed anew."""
