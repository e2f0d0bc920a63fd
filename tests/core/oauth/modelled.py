"""What an authorization server has to remember, in the plainest form: the model that tests/core/oauth/machine.py holds ours to."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MINUTES, DAYS = timedelta(minutes=1), timedelta(days=1)


@dataclass(eq=False)
class AClient:
    """A client, and whether it may still be used."""

    id: str
    callback: str
    registered_at: datetime | None = None
    """None: it has no end."""
    secret: str | None = None
    used: bool = False
    kept: bool = True
    """Whether the store has not forgotten it."""

    def lives(self, now: datetime) -> bool:
        return self.registered_at is None or (self.kept and (self.used or now < self.registered_at + DAYS))


@dataclass(eq=False)
class Page:
    """A consent page that is open in a browser."""

    sealed: str
    browser: str
    client: AClient
    asked: tuple[str, ...]
    purpose: str
    verifier: str | None
    resource: str
    until: datetime


@dataclass(eq=False)
class Way:
    """A browser on its way over Google."""

    state: str
    nonce: str
    challenge: str
    browser: str
    page: Page | None
    """None: to the account page."""
    allowed: tuple[str, ...]
    again: bool
    until: datetime
    used: bool = False


@dataclass(eq=False)
class Family:
    """What one client got for one user."""

    client: AClient
    user: str
    capabilities: tuple[str, ...]
    resource: str
    until: datetime
    ended: bool = False

    def lives(self, now: datetime) -> bool:
        return not self.ended and now < self.until


@dataclass(eq=False)
class ACode:
    """A code that was handed out."""

    text: str
    page: Page
    user: str
    allowed: tuple[str, ...]
    until: datetime
    family: Family | None = None
    """What it was redeemed for."""
    withdrawn: bool = False


@dataclass(eq=False)
class ARefresh:
    """A refresh token."""

    text: str
    family: Family
    until: datetime
    used_at: datetime | None = None
    successor: "ARefresh | None" = None
    kept: bool = True


@dataclass(eq=False)
class AnAccess:
    """An access token."""

    text: str
    family: Family
    until: datetime


@dataclass
class Model:
    """Everything that was handed out, and what people and time have done since."""

    clients: list[AClient] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    codes: list[ACode] = field(default_factory=list)
    refreshes: list[ARefresh] = field(default_factory=list)
    accesses: list[AnAccess] = field(default_factory=list)
    families: list[Family] = field(default_factory=list)
    consents: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """User and client -> capabilities."""
    google: dict[str, tuple[frozenset[str], bool]] = field(default_factory=dict)
    """User -> the scopes that Google granted, and whether a refresh token is kept."""

    def consent(self, user: str, page: Page, allowed: Collection[str]) -> None:
        """The page says it all: what it asked for and what was left on stays, and what it did not ask for stays as it was."""
        before = self.consents.get((user, page.client.id), set())
        self.consents[user, page.client.id] = (before - set(page.asked)) | set(allowed)
        page.client.used = True

    def issue(self, told: dict[str, str], code: ACode, now: datetime) -> None:
        """A code was redeemed."""
        family = Family(code.page.client, code.user, code.allowed, code.page.resource, now + 365 * DAYS)
        code.family = family
        self.families.append(family)
        self.refreshes.append(ARefresh(told["refresh_token"], family, now + 90 * DAYS))
        self.access(told, family, now)

    def access(self, told: dict[str, str], family: Family, now: datetime) -> None:
        """An access token was given."""
        self.accesses.append(AnAccess(told["access_token"], family, min(now + 30 * MINUTES, family.until)))

    def follow(self, token: ARefresh, text: str, now: datetime) -> None:
        """A refresh token was used for the first time."""
        token.used_at = now
        token.successor = ARefresh(text, token.family, min(now + 90 * DAYS, token.family.until))
        self.refreshes.append(token.successor)

    def withdraw(self, user: str, client: str | None = None) -> None:
        """A person takes back what a client got, and what it might still fetch; None: all clients."""
        for family in self.families:
            family.ended |= family.user == user and client in (None, family.client.id)
        for code in self.codes:
            code.withdrawn |= code.user == user and client in (None, code.page.client.id)

    def forget(self, now: datetime) -> None:
        """The store drops what has ended."""
        for token in self.refreshes:
            token.kept &= token.until >= now
        for client in self.clients:
            client.kept &= client.registered_at is None or client.used or client.registered_at + DAYS >= now
