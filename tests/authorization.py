"""The authorization server in this process, without HTTP: real rules, store, sealing and signing, a Google that says what a test wants,
and a clock that the test turns."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from functions.adapters.access_tokens import Es256Signer, Es256Verifier, new_jwks, public_jwks
from functions.adapters.sealing import AesGcmRing, new_key
from functions.adapters.sqlite import SqliteDocuments
from functions.capabilities import calendar, docs, gmail, weather
from functions.core.access import Grants
from functions.core.capability import collect
from functions.core.deadline import Deadline
from functions.core.documents import Delete, Document, Documents, Key, Snapshot, Write
from functions.core.errors import Disconnected, Invalid
from functions.core.oauth.account import Accounts
from functions.core.oauth.authorize import Server
from functions.core.oauth.clients import Client, secret_digest
from functions.core.oauth.directory import Directory
from functions.core.oauth.issuing import Issuing
from functions.core.oauth.linking import Linking
from functions.core.oauth.records import GoogleGrant
from functions.core.oauth.signin import GoogleAnswer
from functions.core.oauth.tokens import challenge_of
from functions.core.oauth.wire import Turned
from functions.core.records import Records
from tests.fakes import Meddling

CATALOGUE = collect([calendar, docs, gmail, weather])
"""One capability that needs no consent, and three that do, of which one needs two scopes."""

ISSUER = "https://plugin.example.com"
CHATGPT_ID, CHATGPT_SECRET = "chatgpt", "secret-of-chatgpt-in-the-tests-of-this"
CHATGPT_CALLBACK = "https://chatgpt.com/aip/g-0123456789abcdef/oauth/callback"
DOCUMENT = "https://client.example.net/oauth/metadata.json"
CALLBACK = "https://app.example.com/cb"
KEPT = ("signins", "codes", "refresh_tokens", "families", "clients")
"""The collections whose documents have an end."""


@dataclass
class Clock:
    """The time, everywhere: it stands still until it is turned."""

    now: datetime = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Timed:
    """A store whose clock is the test's, and which forgets what has an end when it is told to, as Firestore does some day."""

    documents: Documents
    clock: Clock

    async def get(self, keys: Sequence[Key], deadline: Deadline) -> Snapshot:
        return replace(await self.documents.get(keys, deadline), read_at=self.clock())

    async def list(self, collection: str, parent: str, *, after: str = "", limit: int, deadline: Deadline) -> Sequence[Document]:
        return await self.documents.list(collection, parent, after=after, limit=limit, deadline=deadline)

    async def expired(self, collection: str, before: datetime, *, limit: int, deadline: Deadline) -> Sequence[Document]:
        return await self.documents.expired(collection, before, limit=limit, deadline=deadline)

    async def commit(self, writes: Sequence[Write], deadline: Deadline) -> None:
        await self.documents.commit(writes, deadline)

    async def forget(self, deadline: Deadline) -> None:
        """Delete what ended before now."""
        for collection in KEPT:
            while found := await self.documents.expired(collection, self.clock(), limit=100, deadline=deadline):
                await self.documents.commit([Delete(document.key, document.version) for document in found], deadline)


@dataclass
class SaidByGoogle:
    """What a code of Google's is worth, and the sign-in that it belongs to."""

    answer: GoogleAnswer
    nonce: str
    challenge: str


@dataclass
class ObedientGoogle:
    """`GoogleSignIn` and `GoogleTokens` that redeem what the test has put there, once."""

    authorize_url: str = "https://accounts.google.com/o/oauth2/v2/auth"
    client_id: str = "google-client"
    codes: dict[str, SaidByGoogle] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)

    async def redeem(self, code: str, verifier: str, nonce: str, redirect_uri: str, deadline: Deadline) -> GoogleAnswer:
        said = self.codes.pop(code, None)
        if said is None or said.nonce != nonce or said.challenge != challenge_of(verifier):
            raise Turned("Google does not confirm this sign-in.")
        return said.answer

    async def revoke(self, refresh_token: str, deadline: Deadline) -> None:
        self.revoked.append(refresh_token)

    async def token(self, grant: GoogleGrant, deadline: Deadline, *, refused: str | None) -> str:
        if grant.refresh_token is None:
            raise Disconnected("Google has withdrawn this connection.")
        return "ya29.token"


class OneDocument:
    """`ClientDocuments` on a web with one client in it."""

    async def fetch(self, url: str, deadline: Deadline) -> bytes:
        if url != DOCUMENT:
            raise Invalid("There is no client at that address.")
        return f'{{"client_id": "{DOCUMENT}", "client_name": "Document", "redirect_uris": ["{CALLBACK}"]}}'.encode()


def new_secret() -> str:
    return secrets.token_urlsafe(16)


class AuthorizationServer:
    """All of it, on one store."""

    def __init__(self, store: Documents) -> None:
        self.clock = Clock()
        self.timed = Timed(store, self.clock)
        self.documents = Meddling(self.timed)
        self.google = ObedientGoogle()
        self.server = Server.of(ISSUER, CATALOGUE)
        self.keys = [new_key("k1")]
        jwks = new_jwks("s1")
        self.public_jwks = public_jwks(jwks)
        self.signer, self.verifier = Es256Signer(jwks), Es256Verifier(self.public_jwks, ISSUER)
        self.records = Records(self.documents, below=lambda most: 0)
        chatgpt = Client(client_id=CHATGPT_ID, kind="confidential", name="ChatGPT", secret_digest=secret_digest(CHATGPT_SECRET))
        self.directory = Directory(self.records, OneDocument(), chatgpt, new_secret)
        self.grants = Grants(self.documents, self.google, ISSUER, self.clock)

    def rotate(self) -> None:
        """Seal with a new key from now on, and still open what the older ones sealed."""
        self.keys.insert(0, new_key(f"k{len(self.keys) + 1}"))

    @property
    def sealer(self) -> AesGcmRing:
        return AesGcmRing(",".join(self.keys))

    @property
    def linking(self) -> Linking:
        return Linking(
            server=self.server,
            catalogue=CATALOGUE,
            records=self.records,
            google=self.google,
            directory=self.directory,
            sealer=self.sealer,
            new_secret=new_secret,
            now=self.clock,
        )

    @property
    def issuing(self) -> Issuing:
        return Issuing(
            server=self.server,
            records=self.records,
            directory=self.directory,
            signer=self.signer,
            verifier=self.verifier,
            successors=self.sealer.successors,
            new_secret=new_secret,
            now=self.clock,
        )

    @property
    def accounts(self) -> Accounts:
        return Accounts(self.records, self.google, self.sealer)

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now += timedelta(seconds=seconds)


@contextmanager
def on_sqlite() -> Iterator[SqliteDocuments]:
    """A store in a file of its own; whoever opens it closes it."""
    with TemporaryDirectory() as folder:
        yield SqliteDocuments(Path(folder) / "documents.db")
