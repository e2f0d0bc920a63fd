"""What a person sees of their account, and takes back: clients, capabilities, Google, everything."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from functions.core import transcript
from functions.core.deadline import Deadline
from functions.core.documents import ANY, Delete, Document, Key, Put, Snapshot, Write
from functions.core.errors import Refused
from functions.core.oauth.records import (
    CODES,
    CONSENTS,
    FAMILIES,
    Consent,
    GoogleGrant,
    clients_families,
    consent_key,
    consents_of,
    families_of,
    google_grant_key,
)
from functions.core.oauth.signin import REFRESH_PURPOSE, GoogleSignIn
from functions.core.records import Records
from functions.core.sealing import Sealer, Unsealable
from functions.core.stored import CONVERSATIONS, OWNED, TranscriptTurn, owned_by

AT_ONCE = 100  # documents that are listed and deleted together (core/documents.py)

BESIDE = 20
"""Conversations that are read or removed side by side: each takes a handful of round trips, and a request has seconds for all of them."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    """A person, as far as we know them."""

    google: GoogleGrant | None
    consents: Sequence[Consent]


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of a deployment. Each method may be repeated: what is gone already is no fault."""

    records: Records
    google: GoogleSignIn
    sealer: Sealer

    async def read(self, user: str, deadline: Deadline) -> Account:
        """What is kept of a person."""
        found = await self.records.documents.get([google_grant_key(user)], deadline)
        document = found.documents.get(google_grant_key(user))
        consents = await self._listed(CONSENTS, consents_of(user), deadline)
        return Account(
            GoogleGrant.model_validate_json(document.body) if document else None,
            [Consent.model_validate_json(consent.body) for consent in consents],
        )

    async def remove_capability(self, user: str, client_id: str, capability: str, deadline: Deadline) -> None:
        """Let a client use a capability no longer."""
        key = consent_key(user, client_id)

        async def decided(found: Snapshot) -> tuple[None, Sequence[Write]]:
            document = found.documents.get(key)
            consent = Consent.model_validate_json(document.body) if document else None
            if document is None or consent is None or capability not in consent.capabilities:
                return None, ()
            kept = {name: allowed for name, allowed in consent.capabilities.items() if name != capability}
            body = consent.model_copy(update={"capabilities": kept}).model_dump_json()
            return None, [Put(key, body, document.version, document.place)]

        await self.records.change([key], decided, deadline)

    async def remove_client(self, user: str, client_id: str, deadline: Deadline) -> None:
        """Let a client use nothing any more: its tokens are dead on every instance when this returns."""
        # The tokens first: what is interrupted can be repeated, as long as the page still shows the client.
        await self._end_families(user, deadline, client_id)
        await self.records.documents.commit([Delete(consent_key(user, client_id), ANY)], deadline)

    async def disconnect_google(self, user: str, deadline: Deadline) -> bool:
        """Give back what Google granted, there and here; every client has to connect anew.

        False: it has ended here, and Google cannot be told; only the person can end it there.

        Raises:
            Upstream, DeadlinePassed: Google did not take it back; nothing is lost here, so that it can be tried again.
        """
        taken_back = await self._give_back(user, deadline)
        await self.records.documents.commit([Delete(google_grant_key(user), ANY)], deadline)
        return taken_back

    async def remove(self, user: str, deadline: Deadline) -> bool:
        """Forget a person: Google's grant, the clients and what they were allowed, every conversation. False: as `disconnect_google`.

        Raises:
            Upstream, DeadlinePassed, StoreUnavailable: not all of it is gone. Their page still shows them, so that it can be done again.
        """
        taken_back = await self._give_back(user, deadline)
        await _beside(await self._listed(OWNED, owned_by(user), deadline), lambda owned: self._forget(owned, deadline))
        for consent in await self._listed(CONSENTS, consents_of(user), deadline):
            await self.records.documents.commit([Delete(consent.key, ANY)], deadline)
        await self.records.documents.commit([Delete(google_grant_key(user), ANY)], deadline)
        return taken_back

    async def export(self, user: str, deadline: Deadline) -> dict[str, Any]:
        """What is kept of a person, without what opens anything."""
        account = await self.read(user, deadline)
        owned = await self._listed(OWNED, owned_by(user), deadline)
        return {
            "user": user,
            "google": json.loads(account.google.model_dump_json(exclude={"refresh_token", "schema_number"})) if account.google else None,
            "clients": [json.loads(consent.model_dump_json(exclude={"schema_number", "user"})) for consent in account.consents],
            "conversations": await _beside(owned, lambda one: self._conversation(one, deadline)),
        }

    async def _conversation(self, owned: Document, deadline: Deadline) -> list[Any]:
        """All turns of a conversation, as the transcript has them."""
        turns: list[Any] = []
        after = ""
        while page := await transcript.page_at(
            self.records.documents, Key(CONVERSATIONS, owned.key.id), after=after, limit=AT_ONCE, deadline=deadline
        ):
            turns += (json.loads(entry.turn.model_dump_json(include=set(TranscriptTurn.model_fields), exclude_none=True)) for entry in page)
            after = page[-1].position
        return turns

    async def _forget(self, owned: Document, deadline: Deadline) -> None:
        """Delete a conversation with all its turns."""
        await transcript.remove_at(self.records.documents, Key(CONVERSATIONS, owned.key.id), deadline)
        await self.records.documents.commit([Delete(owned.key, ANY)], deadline)

    async def _give_back(self, user: str, deadline: Deadline) -> bool:
        """End a person's grant at Google, and what all clients got by it. False: Google could not be told."""
        key = google_grant_key(user)
        document = (await self.records.documents.get([key], deadline)).documents.get(key)
        taken_back = document is None or await self._revoke(GoogleGrant.model_validate_json(document.body), deadline)
        await self._end_families(user, deadline)
        return taken_back

    async def _revoke(self, grant: GoogleGrant, deadline: Deadline) -> bool:
        """Whether Google holds nothing of it any more."""
        if grant.refresh_token is None:
            return True
        try:
            token = self.sealer.open(grant.refresh_token, user=grant.user, purpose=REFRESH_PURPOSE)
            await self.google.revoke(token, deadline)
        except (Unsealable, Refused):  # The key that sealed it is gone; or Google does not revoke for us. Trying again would not help.
            return False
        return True

    async def _end_families(self, user: str, deadline: Deadline, client_id: str | None = None) -> None:
        """End what a client got for a user; None: what all clients got."""
        prefix = "" if client_id is None else clients_families(client_id)
        # The codes first: what is redeemed meanwhile is a family by then, and what is not can be redeemed no more.
        for collection in (CODES, FAMILIES):
            found = await self._listed(collection, families_of(user), deadline, after=prefix)
            ended = [document.key for document in found if document.place and document.place.position.startswith(prefix)]
            for start in range(0, len(ended), AT_ONCE):
                await self.records.documents.commit([Delete(key, ANY) for key in ended[start : start + AT_ONCE]], deadline)

    async def _listed(self, collection: str, parent: str, deadline: Deadline, after: str = "") -> Sequence[Document]:
        """All documents under a parent, from a position on."""
        listed: list[Document] = []
        while page := await self.records.documents.list(collection, parent, after=after, limit=AT_ONCE, deadline=deadline):
            listed += page
            last = page[-1].place
            if len(page) < AT_ONCE or last is None:
                break
            after = last.position
        return listed


async def _beside(conversations: Sequence[Document], act: Callable[[Document], Awaitable[T]]) -> list[T]:
    """What comes of acting on each, in their order."""
    done: list[T] = []
    for start in range(0, len(conversations), BESIDE):
        done += await asyncio.gather(*map(act, conversations[start : start + BESIDE]))
    return done
