"""What Google remembers of people and clients: grants, codes and tokens. In memory, without I/O; the clock is an argument.

Where Google does not say what it does, this is the less convenient of what has been reported, so that whoever can live with this can
live with Google: a refresh token comes with the first grant and after `prompt=consent` only, it keeps the scopes that it was made with,
and an answer that nobody fetched was a first grant all the same.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from infra.local.google_emulator.people import Person

ACCESS_SECONDS = 3599  # what Google's answers say
CODE_SECONDS = 600.0
LIVE_REFRESH_TOKENS = 100
"""Per person and client; the oldest is dropped without a word (https://developers.google.com/identity/protocols/oauth2#expiration)."""


class OAuthRefused(Exception):
    """A request that the token endpoint refuses, in RFC 6749's words and with Google's explanation."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


@dataclass
class Client:
    """A registered client of the kind "Web application"."""

    id: str
    secret: str
    redirect_uris: set[str] = field(default_factory=set)
    """Compared character by character; looked at on every request, so that a test can add one."""
    name: str = "Cantilever"
    """What people see."""


@dataclass(frozen=True)
class Asked:
    """What an authorization request asks for."""

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    challenge: str
    """PKCE, S256."""
    state: str | None = None
    nonce: str | None = None
    offline: bool = False
    combined: bool = False
    """Whether the tokens are to carry everything that was granted to this client before (include_granted_scopes)."""
    prompts: frozenset[str] = frozenset()
    login_hint: str | None = None


@dataclass(frozen=True)
class _Code:
    asked: Asked
    person: Person
    scopes: frozenset[str]
    refreshable: bool
    until: float


@dataclass(frozen=True)
class Access:
    """What a token stands for."""

    client: Client
    person: Person
    scopes: frozenset[str]
    until: float = 0.0
    """For an access token only; a refresh token lives until it is revoked or dropped."""


@dataclass(frozen=True)
class Tokens:
    """What a client gets for a code or a refresh token."""

    access_token: str
    refresh_token: str | None
    access: Access
    nonce: str | None = None


class Accounts:
    """Everything that the authorization server keeps."""

    def __init__(self, clients: Iterable[Client], people: Iterable[Person], clock: Callable[[], float]) -> None:
        self.people = tuple(people)
        self._clients = {client.id: client for client in clients}
        self._clock = clock
        self._granted: dict[tuple[str, str], frozenset[str]] = {}
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, Access] = {}
        self._refresh: dict[str, Access] = {}

    def client(self, client_id: str) -> Client | None:
        """The client of that id."""
        return self._clients.get(client_id)

    def person(self, hint: str | None) -> Person | None:
        """The person of that e-mail address or `sub`."""
        return next((person for person in self.people if hint in (person.email, person.sub)), None)

    def granted(self, client: Client, person: Person) -> frozenset[str]:
        """What the person has granted to the client so far."""
        return self._granted.get((client.id, person.sub), frozenset())

    def grant(self, asked: Asked, person: Person, allowed: Collection[str]) -> tuple[str, frozenset[str]]:
        """Remember that the person allows these of the asked scopes; gives the code, and the scopes that its tokens will carry."""
        before = self.granted(asked.client, person)
        scopes = frozenset(asked.scopes) & (frozenset(allowed) | before)
        self._granted[asked.client.id, person.sub] = before | scopes
        code = f"4/0A{secrets.token_urlsafe(48)}"
        refreshable = asked.offline and (not before or "consent" in asked.prompts)
        carried = scopes | before if asked.combined else scopes
        self._codes[code] = _Code(asked, person, carried, refreshable, self._clock() + CODE_SECONDS)
        return code, carried

    def authenticate(self, client_id: str, secret: str) -> Client:
        """The client, if it is one and knows its secret.

        Raises:
            OAuthRefused: it is none, or does not.
        """
        client = self.client(client_id)
        if client is None:
            raise OAuthRefused("invalid_client", "The OAuth client was not found.", 401)
        if not secret:
            raise OAuthRefused("invalid_request", "client_secret is missing.")
        if not hmac.compare_digest(client.secret.encode(), secret.encode()):
            raise OAuthRefused("invalid_client", "The provided client secret is invalid.", 401)
        return client

    def redeem(self, client: Client, code: str, redirect_uri: str, verifier: str) -> Tokens:
        """Tokens for a code, once.

        Raises:
            OAuthRefused: the code is unknown, used, late or another client's; or what came with it does not belong to it.
        """
        kept = self._codes.get(code)
        if kept is None or kept.asked.client.id != client.id:
            raise OAuthRefused("invalid_grant", "Malformed auth code.")
        if kept.asked.redirect_uri != redirect_uri:
            raise OAuthRefused("redirect_uri_mismatch", "Bad Request")
        if not verifier:
            raise OAuthRefused("invalid_grant", "Missing code verifier.")
        if not proves(verifier, kept.asked.challenge):
            raise OAuthRefused("invalid_grant", "Invalid code verifier.")
        del self._codes[code]
        if kept.until < self._clock():
            raise OAuthRefused("invalid_grant", "Bad Request")
        refresh_token = self._new_refresh(Access(client, kept.person, kept.scopes)) if kept.refreshable else None
        return self._issued(Access(client, kept.person, kept.scopes), refresh_token, kept.asked.nonce)

    def refresh(self, client: Client, refresh_token: str, scopes: Collection[str] = ()) -> Tokens:
        """A new access token; the refresh token stays what it is. `scopes` narrows it (RFC 6749 §6); empty: it may what it could.

        Raises:
            OAuthRefused: the refresh token is unknown, revoked or another client's; or the scopes are more than it has.
        """
        kept = self._refresh.get(refresh_token)
        if kept is None or kept.client.id != client.id:
            raise OAuthRefused("invalid_grant", "Token has been expired or revoked.")
        if not kept.scopes.issuperset(scopes):
            raise OAuthRefused("invalid_scope", "Bad Request")
        return self._issued(Access(client, kept.person, frozenset(scopes) or kept.scopes), None, None)

    def revoke(self, token: str) -> None:
        """End the whole grant that an access or a refresh token belongs to: of one client and one person, with every token.

        Raises:
            OAuthRefused: the token is unknown, or was revoked before.
        """
        kept = self._refresh.get(token) or self.access(token)
        if kept is None:
            raise OAuthRefused("invalid_token", "Token expired or revoked")
        self.disconnect(kept.person, kept.client)

    def disconnect(self, person: Person, client: Client | None = None) -> None:
        """What a person does at https://myaccount.google.com/permissions: end the grants to one client, or to all."""
        for granted_to, sub in list(self._granted):
            if sub == person.sub and client in (None, self._clients[granted_to]):
                del self._granted[granted_to, sub]
        for tokens in (self._access, self._refresh):
            for token, kept in list(tokens.items()):
                if kept.person.sub == person.sub and client in (None, kept.client):
                    del tokens[token]
        for code, waiting in list(self._codes.items()):
            if waiting.person.sub == person.sub and client in (None, waiting.asked.client):
                del self._codes[code]

    def access(self, token: str) -> Access | None:
        """What an access token stands for while it lives."""
        kept = self._access.get(token)
        return kept if kept and self._clock() < kept.until else None

    def _issued(self, access: Access, refresh_token: str | None, nonce: str | None) -> Tokens:
        token = f"ya29.a0{secrets.token_urlsafe(64)}"
        self._access[token] = Access(access.client, access.person, access.scopes, self._clock() + ACCESS_SECONDS)
        return Tokens(token, refresh_token, self._access[token], nonce)

    def _new_refresh(self, access: Access) -> str:
        same = [
            token for token, kept in self._refresh.items() if (kept.client.id, kept.person.sub) == (access.client.id, access.person.sub)
        ]
        for oldest in same[: max(0, len(same) + 1 - LIVE_REFRESH_TOKENS)]:
            del self._refresh[oldest]
        token = f"1//0{secrets.token_urlsafe(64)}"
        self._refresh[token] = access
        return token


def proves(verifier: str, challenge: str) -> bool:
    """Whether `verifier` is the secret behind an S256 `challenge` (RFC 7636 §4.6)."""
    digest = hashlib.sha256(verifier.encode("ascii", "replace")).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), challenge.encode("ascii", "replace"))
