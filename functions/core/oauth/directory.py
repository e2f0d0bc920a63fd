"""The clients of this deployment: looked up, authenticated, registered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, Document, Put, Snapshot, Write
from functions.core.errors import ChangeRequest, ClientAway, TryLater, Upstream
from functions.core.oauth import clients
from functions.core.oauth.clients import UNUSED_LIVES, Client, ClientDocuments, Credentials
from functions.core.oauth.records import client_key
from functions.core.oauth.wire import OAuthError
from functions.core.records import Records


@dataclass(frozen=True, slots=True)
class Directory:
    """Of three kinds: one that the owner named, those that registered themselves, and those that are a document on the web."""

    records: Records
    documents: ClientDocuments
    confidential: Client | None
    """ChatGPT's, where this deployment has one."""
    new_secret: Callable[[], str]

    async def named(self, client_id: str, deadline: Deadline) -> Client:
        """The client, to be sent answers by the browser."""
        if clients.is_document(client_id):
            try:
                return clients.documented(client_id, await self.documents.fetch(client_id, deadline))
            except Upstream as error:
                raise ClientAway(error.message, retry_after=error.retry_after) from error
            except TryLater:
                raise
            except ChangeRequest as error:
                raise OAuthError("invalid_client", error.message) from error
        client = await self._known(client_id, deadline)
        if client is None:
            raise OAuthError("invalid_client", "This client is not known here; let it register again.")
        return client

    async def _known(self, client_id: str, deadline: Deadline) -> Client | None:
        if self.confidential and client_id == self.confidential.client_id:
            return self.confidential
        found = await self.records.documents.get([client_key(client_id)], deadline)
        document = found.documents.get(client_key(client_id))
        client = Client.model_validate_json(document.body) if document else None
        return client if client and _lives(client, found.read_at) else None

    async def authenticated(self, shown: Credentials, deadline: Deadline) -> Client:
        """The client at the token endpoint. A document is not fetched again: its codes are bound to its name and to PKCE."""
        if clients.is_document(shown.client_id):
            client: Client | None = Client(client_id=shown.client_id, kind="document", name="")
        else:
            client = await self._known(shown.client_id, deadline)
        return clients.authenticate(client, shown)

    async def register(self, body: bytes, deadline: Deadline) -> Mapping[str, Any]:
        """POST /oauth/register (RFC 7591).

        Raises:
            OAuthError: under that RFC's names.
        """
        client_id = f"c-{self.new_secret()}"
        key = client_key(client_id)

        async def decided(found: Snapshot) -> tuple[Client, Sequence[Write]]:
            client = clients.registered(body, client_id, found.read_at)
            if key in found.documents:
                return client, ()
            return client, [Put(key, client.model_dump_json(), ABSENT, expires_at=found.read_at + UNUSED_LIVES)]

        return clients.answered(await self.records.change([key], decided, deadline))


def staying(document: Document | None) -> Sequence[Write]:
    """What makes a client stay that somebody has signed in with."""
    client = Client.model_validate_json(document.body) if document else None
    if document is None or client is None or client.used:
        return ()
    return [Put(document.key, client.model_copy(update={"used": True}).model_dump_json(), document.version)]


def _lives(client: Client, now: datetime) -> bool:
    """Whether a client that registered itself may still be used: nobody keeps what nobody has signed in with."""
    return client.used or client.registered_at is None or now < client.registered_at + UNUSED_LIVES
