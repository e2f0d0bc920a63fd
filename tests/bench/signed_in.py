"""People who have signed in: what the authorization server writes of them, and the tokens that it gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from functions.adapters.access_tokens import Es256Signer
from functions.adapters.firestore import FirestoreDocuments
from functions.adapters.sqlite import SqliteDocuments
from functions.core.access_token import AccessClaims
from functions.core.documents import ANY, Documents, Put, Write
from functions.core.oauth.records import (
    Allowed,
    Consent,
    Family,
    GoogleGrant,
    consent_key,
    consent_place,
    family_key,
    family_place,
    google_grant_key,
    google_grant_place,
    user_of,
)
from functions.core.stored import Bearer
from tests import signin
from tests.deadlines import soon

ISSUER = "http://localhost:8080"
MCP = f"{ISSUER}/mcp"
CLIENT = "c-bench"
LIVES = timedelta(hours=2)
AT_ONCE = 100
"""People in one commit: Firestore takes 500 writes."""


@dataclass(frozen=True)
class People:
    """Some people, each with a connection of their own."""

    environment: Mapping[str, str]
    """What a product that knows them is started with."""
    tokens: Sequence[str]

    @property
    def shown(self) -> Mapping[str, str]:
        """What the first of them sends."""
        return {"Authorization": f"Bearer {self.tokens[0]}"}


NOBODY = People({}, ())


def person(number: int) -> Bearer:
    """Who one of them is."""
    return Bearer(user=user_of(f"person {number}"), client_id=CLIENT, family=f"f-{number}")


async def signed_in(documents: Documents, many: int, resource: str = ISSUER) -> People:
    """Let so many people connect, on this store; their tokens are for `resource`."""
    environment = {**signin.switched_on(), "PUBLIC_BASE_URL": ISSUER}
    signer, now = Es256Signer(environment["TOKEN_SIGNING_KEYS"]), datetime.now(UTC)
    bearers = [person(number) for number in range(many)]
    for first in range(0, many, AT_ONCE):
        writes = [write for bearer in bearers[first : first + AT_ONCE] for write in _records(bearer, now)]
        await documents.commit(writes, soon(60))
    return People(environment, [signer.sign(claims(bearer, now, resource)) for bearer in bearers])


async def on_sqlite(folder: Path, many: int) -> People:
    """The same, on a store of their own in a folder, which `environment` names."""
    path = folder / "people.db"
    documents = SqliteDocuments(path)
    try:
        people = await signed_in(documents, many)
    finally:
        await documents.close()
    return People({**people.environment, "STORE": f"sqlite:{path}"}, people.tokens)


async def on_firestore(store: Mapping[str, str], many: int, resource: str = ISSUER) -> People:
    """The same, on a Firestore as `machine.firestore` names it."""
    documents = FirestoreDocuments(store["GOOGLE_CLOUD_PROJECT"], emulator_host=store["FIRESTORE_EMULATOR_HOST"])
    try:
        return await signed_in(documents, many, resource)
    finally:
        await documents.close()


def claims(bearer: Bearer, now: datetime, resource: str = ISSUER) -> AccessClaims:
    """What the token of somebody says."""
    return AccessClaims(
        iss=ISSUER,
        aud=resource,
        sub=bearer.user,
        client_id=bearer.client_id,
        scope="calendar docs",
        exp=int((now + LIVES).timestamp()),
        iat=int(now.timestamp()),
        jti=bearer.family,
        grant=bearer.family,
    )


def _records(bearer: Bearer, now: datetime) -> Sequence[Write]:
    user, client = bearer.user, bearer.client_id
    allowed = {name: Allowed(since=now, last_used=now) for name in signin.EVERYTHING}
    consent = Consent(user=user, client_id=client, client_name="Bench", origin="http://127.0.0.1", since=now, capabilities=allowed)
    scopes = ("openid", "https://www.googleapis.com/auth/calendar.events.readonly", "https://www.googleapis.com/auth/documents.readonly")
    google = GoogleGrant(user=user, email=f"{user}@example.com", name="Mei Lin", scopes=scopes, refresh_token="sealed" * 40, since=now)
    family = Family(user=user, client_id=client, capabilities=tuple(allowed), resource=ISSUER, created_at=now, expires_at=now + LIVES)
    return [
        Put(consent_key(user, client), consent.model_dump_json(), ANY, consent_place(user, client)),
        Put(google_grant_key(user), google.model_dump_json(), ANY, google_grant_place(user)),
        Put(family_key(bearer.family), family.model_dump_json(), ANY, family_place(user, client, bearer.family), now + LIVES),
    ]
