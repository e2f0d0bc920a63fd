"""What a caller may reach of their own at Google: their grant lives, they let this client use the capability, and Google granted its scopes.

Two records say so, and both have to (infra/decisions/0013): what the user lets the client do, and what Google lets us do for the user. The
scope in a token is no such record: what a client was allowed since, its old token can do, and what was taken back, it cannot.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlencode

from functions.core.capability import Operation
from functions.core.deadline import Deadline
from functions.core.documents import Conflict, Document, Documents, Key, Put, Require, Snapshot
from functions.core.errors import Disconnected, InsufficientScope, StoreUnavailable, Unauthenticated
from functions.core.oauth.records import (
    Allowed,
    Consent,
    Family,
    GoogleGrant,
    consent_key,
    family_key,
    google_grant_key,
)
from functions.core.sealing import Unsealable
from functions.core.stored import Bearer

FRESH_SECONDS = 5.0
"""How long what was read of a grant is believed: a turn that goes on for minutes is stopped by a disconnection within this."""

TOLD_EVERY = timedelta(hours=1)
"""How exactly the account page tells when a capability was last used: a write for each use would double what a use costs."""


class GoogleTokens(Protocol):
    """Google's access tokens for its users."""

    async def token(self, grant: GoogleGrant, deadline: Deadline, *, refused: str | None) -> str:
        """A token of this grant; where one was refused, another.

        Raises:
            Disconnected: Google has withdrawn the grant.
            Unsealable: what the grant keeps cannot be opened.
            Upstream, Refused, DeadlinePassed: Google failed, refuses us, or took too long.
        """


@dataclass(frozen=True, slots=True)
class Standing:
    """What was read of a grant."""

    family: Document | None
    consent: Document | None
    google: Document | None
    fresh_until: float


@dataclass(frozen=True, slots=True)
class Grants:
    """Where grants are, and what they are worth."""

    documents: Documents
    google: GoogleTokens
    issuer: str
    now: Callable[[], datetime]
    """For when a capability was last used, told to the hour."""


@dataclass(frozen=True, slots=True)
class Accesses:
    """What gives each caller their access."""

    grants: Grants | None
    """None: this deployment has no sign-in."""

    def of(self, bearer: Bearer | None) -> "Access":
        """The access of whoever shows this token; None: of a stranger."""
        return Access(self.grants, bearer)


@dataclass(slots=True)
class Access:
    """One caller's access, for one request or one turn."""

    _grants: Grants | None
    bearer: Bearer | None
    _standing: Standing | None = field(default=None, init=False)

    def saw(self, found: Snapshot, deadline: Deadline) -> None:
        """Take what was read of the grant together with something else.

        Raises:
            Unauthenticated: it has ended.
        """
        if self.bearer is None:
            return
        family, consent, google = (found.documents.get(key) for key in keys(self.bearer))
        self._standing = Standing(family, consent, google, deadline.clock() + FRESH_SECONDS)
        kept = Family.model_validate_json(family.body) if family else None
        if kept is None or kept.expires_at <= found.read_at or (kept.user, kept.client_id) != (self.bearer.user, self.bearer.client_id):
            raise Unauthenticated("This connection has ended, or was disconnected; connect again.")

    @property
    def alive(self) -> Sequence[Require]:
        """What lets a commit stand only as long as the grant lives that was read last."""
        family = self._standing.family if self._standing else None
        return (Require(family.key, family.version),) if family else ()

    async def require_alive(self, deadline: Deadline) -> None:
        """Pass unless a token was shown whose grant has ended.

        Raises:
            Unauthenticated: it has.
            StoreUnavailable, DeadlinePassed: it could not be found out.
        """
        if self.bearer and (self._standing is None or self._standing.fresh_until <= deadline.clock()):
            self.saw(await self._kept_in.documents.get(keys(self.bearer), deadline), deadline)

    async def require(self, operation: Operation, deadline: Deadline) -> None:
        """Pass if the operation may run for this caller; it raises what `allowed` raises."""
        await self.allowed([operation], deadline)

    async def allowed(self, operations: Sequence[Operation], deadline: Deadline) -> Sequence[Operation]:
        """Those of the operations that may run for this caller: at least one.

        Raises:
            Unauthenticated: all need a signed-in user, or the grant has ended.
            InsufficientScope: of none the user lets the client use it, and has Google granted every scope; links ask for exactly these.
            Disconnected: Google has withdrawn the grant.
        """
        free = [operation for operation in operations if not operation.scopes]
        if len(free) == len(operations) or (free and self.bearer is None):
            return free
        if self.bearer is None:
            wanted = [operation.capability for operation in operations]
            raise Unauthenticated(
                f"{operations[0].name} needs a signed-in user; connect, and allow {' or '.join(wanted)}.", scope=" ".join(wanted)
            )
        await self.require_alive(deadline)
        consent, grant = self._consent(), self._grant()
        obstacles = [_obstacle(operation, consent, grant) for operation in operations]
        permitted = [operation for operation, obstacle in zip(operations, obstacles, strict=True) if not obstacle]
        if not permitted:
            raise self._lacking(operations, dict.fromkeys(obstacles))
        if consent:
            await self._used({operation.capability for operation in permitted}, consent, deadline)
        return permitted

    async def person(self, deadline: Deadline) -> GoogleGrant:
        """Who has signed in, as Google told us.

        Raises:
            Unauthenticated: nobody has, or the grant has ended.
            Disconnected: Google has withdrawn it.
        """
        if self.bearer is None:
            raise Unauthenticated("Nobody is signed in; connect first.", scope="openid")
        await self.require_alive(deadline)
        return self._grant()

    async def token(self, deadline: Deadline, *, refused: str | None = None) -> str:
        """The user's access token at Google, for what `require` let pass; where one was refused, another.

        Raises:
            Disconnected: Google has withdrawn the grant, which is kept, so that Google is not asked again; or its key is gone, which is
                not: another instance may have it.
            Upstream, Refused, DeadlinePassed, StoreUnavailable: as their names say.
        """
        await self.require_alive(deadline)
        grant = self._grant()
        try:
            return await self._kept_in.google.token(grant, deadline, refused=refused)
        except Unsealable as error:
            raise Disconnected("The key to this connection is gone; connect Google again.") from error
        except Disconnected:
            if document := self._standing and self._standing.google:
                withdrawn = grant.model_copy(update={"refresh_token": None})
                with suppress(Conflict, StoreUnavailable):  # Somebody has connected again meanwhile; or the next call finds it out.
                    await self._kept_in.documents.commit(
                        [Put(document.key, withdrawn.model_dump_json(), document.version, document.place)], deadline
                    )
            raise

    @property
    def links(self) -> Sequence[str]:
        """How the addresses begin that refusals name: where this client, and no other, is allowed one thing more."""
        if self._grants is None or self.bearer is None:
            return ()
        return (f"{self._grants.issuer}/oauth/allow?{urlencode({'client_id': self.bearer.client_id})}&capability=",)

    @property
    def _kept_in(self) -> Grants:
        if self._grants is None:  # A turn that was asked while there was one, and is answered now.
            raise Unauthenticated("This deployment has no sign-in any more.")
        return self._grants

    def _consent(self) -> Consent | None:
        document = self._standing.consent if self._standing else None
        return Consent.model_validate_json(document.body) if document else None

    def _grant(self) -> GoogleGrant:
        document = self._standing.google if self._standing else None
        grant = GoogleGrant.model_validate_json(document.body) if document else None
        if grant is None or grant.refresh_token is None:
            raise Disconnected("Google is not connected any more; connect again.")
        return grant

    def _lacking(self, operations: Sequence[Operation], why: Iterable[str]) -> InsufficientScope:
        wanted = [operation.capability for operation in operations]
        links = [f"{beginning}{capability}" for capability in wanted for beginning in self.links]
        return InsufficientScope(
            f"{operations[0].name} needs {' or '.join(wanted)}. {' '.join(why)} The user can allow it here: {' or '.join(links)}",
            scope=" ".join(wanted),
        )

    async def _used(self, capabilities: Collection[str], consent: Consent, deadline: Deadline) -> None:
        """Keep when capabilities were last used, for the account page; whoever comes between has kept it as well."""
        standing, now = self._standing, self._kept_in.now()
        used = {
            name: Allowed(since=allowed.since, last_used=now)
            for name, allowed in consent.capabilities.items()
            if name in capabilities and (allowed.last_used is None or now - allowed.last_used >= TOLD_EVERY)
        }
        if standing is None or standing.consent is None or not used:
            return
        found, told = standing.consent, consent.model_copy(update={"capabilities": {**consent.capabilities, **used}}).model_dump_json()
        self._standing = replace(standing, consent=replace(found, body=told))  # What comes next need not tell it again.
        with suppress(Conflict, StoreUnavailable):
            await self._kept_in.documents.commit([Put(found.key, told, found.version, found.place)], deadline)


def _obstacle(operation: Operation, consent: Consent | None, grant: GoogleGrant) -> str:
    """Why the operation may not run, as the two records have it; empty: it may."""
    if not operation.scopes:
        return ""
    if consent is None or operation.capability not in consent.capabilities:
        return "This client was not allowed to use it."
    missing = [scope.name for scope in operation.scopes if scope.name not in grant.scopes]
    return f"Google was not allowed to give: {' '.join(missing)}." if missing else ""


def keys(bearer: Bearer) -> Sequence[Key]:
    """What has to be read to know what a caller may: with what a turn reads anyway, it costs no round trip of its own."""
    return [family_key(bearer.family), consent_key(bearer.user, bearer.client_id), google_grant_key(bearer.user)]
