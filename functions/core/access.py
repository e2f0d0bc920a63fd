"""What a caller may reach of their own at Google: their grant lives, they let this client use the capability, and Google granted its scopes.

Two records say so, and both have to (infra/decisions/0013): what the user lets the client do, and what Google lets us do for the user. The
scope in a token is no such record: what a client was allowed since, its old token can do, and what was taken back, it cannot.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
        """Pass if the operation may run for this caller.

        Raises:
            Unauthenticated: it needs a signed-in user, or the grant has ended.
            InsufficientScope: the user does not let the client use it, or Google did not grant a scope; a link asks for exactly that.
            Disconnected: Google has withdrawn the grant.
        """
        if not operation.scopes:
            return
        if self.bearer is None:
            raise Unauthenticated(
                f"{operation.name} needs a signed-in user; connect, and allow {operation.capability}.", scope=operation.capability
            )
        await self.require_alive(deadline)
        consent, grant = self._consent(), self._grant()
        if consent is None or operation.capability not in consent.capabilities:
            raise self._lacking(operation, "This client was not allowed to use it.")
        missing = [scope.name for scope in operation.scopes if scope.name not in grant.scopes]
        if missing:
            raise self._lacking(operation, f"Google was not allowed to give: {' '.join(missing)}.")
        await self._used(operation, consent, deadline)

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

    def _lacking(self, operation: Operation, why: str) -> InsufficientScope:
        links = " ".join(f"{beginning}{operation.capability}" for beginning in self.links)
        return InsufficientScope(
            f"{operation.name} needs {operation.capability}. {why} The user can allow it here: {links}", scope=operation.capability
        )

    async def _used(self, operation: Operation, consent: Consent, deadline: Deadline) -> None:
        """Keep when a capability was last used, for the account page; whoever comes between has kept it as well."""
        found, now = self._standing.consent if self._standing else None, self._kept_in.now()
        allowed = consent.capabilities[operation.capability]
        if found is None or (allowed.last_used and now - allowed.last_used < TOLD_EVERY):
            return
        used = {**consent.capabilities, operation.capability: Allowed(since=allowed.since, last_used=now)}
        body = consent.model_copy(update={"capabilities": used}).model_dump_json()
        with suppress(Conflict, StoreUnavailable):
            await self._kept_in.documents.commit([Put(found.key, body, found.version, found.place)], deadline)


def keys(bearer: Bearer) -> Sequence[Key]:
    """What has to be read to know what a caller may: with what a turn reads anyway, it costs no round trip of its own."""
    return [family_key(bearer.family), consent_key(bearer.user, bearer.client_id), google_grant_key(bearer.user)]
