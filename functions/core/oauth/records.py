"""What the authorization server keeps. Codes and refresh tokens lie under their hash; of themselves nothing is stored.

signins/{hash of state}        a browser's way to Google and back, 10 minutes
codes/{hash of code}           an answer to a client, 60 seconds
families/{id}                  what one client got for one user: while this document exists, its tokens hold
refresh_tokens/{hash}          one of a family's; only the newest leads on
consents/{user, client}        what the user lets this client do: the capabilities
google_grants/{user}           what Google lets us do for the user, its tokens encrypted
clients/{client_id}            clients that registered themselves
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import ConfigDict

from functions.core.documents import Key, Place
from functions.core.shape import Shape
from functions.core.stored import Stored, digest

CLIENTS, SIGNINS, CODES, FAMILIES, REFRESH_TOKENS, CONSENTS, GOOGLE_GRANTS = COLLECTIONS = (
    "clients", "signins", "codes", "families", "refresh_tokens", "consents", "google_grants",
)  # fmt: skip

SIGNIN_LIVES = timedelta(minutes=10)  # OWASP ASVS 5.0, 10.2; a person reads two pages meanwhile
CODE_LIVES = timedelta(seconds=60)  # ASVS 10.4.3, level 3
REFRESH_LIVES = timedelta(days=90)
"""Without use; RFC 9700 section 4.14.2 asks for an end to tokens that nobody uses."""
FAMILY_LIVES = timedelta(days=365)
"""However much it is used (ASVS 10.4.8)."""
ACCESS_LIVES = timedelta(minutes=30)
REUSE_SECONDS = 10.0
"""How long after its successor was first used an old refresh token still gives that successor: the answer may have been lost."""


class Asked(Shape):
    """What a client asked for at the authorization endpoint, once it was found in order."""

    model_config = ConfigDict(frozen=True)

    client_id: str
    redirect_uri: str
    state: str | None
    """As it goes back into a URL (wire.as_sent)."""
    capabilities: tuple[str, ...]
    """Those that its scope names; where it names none, all."""
    challenge: str | None
    """PKCE's S256 challenge; None only where a confidential client sent none."""
    resource: str


class Signin(Stored):
    """A browser on its way to Google; its key is the hash of the `state` that Google gives back."""

    purpose: Literal["client", "link", "account"]
    """Whether a client waits for a code; or the user allows a connected client one thing more; or only looks at the account page."""
    browser: str
    """Digest of the cookie of the browser that consented: no other may come back (T10)."""
    nonce: str
    verifier: str
    """PKCE's, of our own code at Google. Without the code, which the browser brings, it opens nothing."""
    asked: Asked | None = None
    """What the client waits for; None where the account page asks."""
    client_name: str = ""
    allowed: tuple[str, ...] = ()
    """The capabilities that the user switched on."""
    consented_again: bool = False
    """Whether Google was told to ask for consent: the second hop, after the first brought no refresh token."""
    expires_at: datetime


class Code(Stored):
    """An authorization code that was handed out."""

    asked: Asked
    capabilities: tuple[str, ...]
    """Of those that were asked for, the ones that the user switched on."""
    user: str
    family: str
    """The name of the family that its redemption begins, and that its replay ends."""
    expires_at: datetime
    redeemed_by: str | None = None
    """Which attempt redeemed it: so that this one, its acknowledgement lost, does not take itself for a thief."""


class Family(Stored):
    """What one client got for one user. Deleted: all its tokens are dead, at once and on every instance."""

    user: str
    client_id: str
    capabilities: tuple[str, ...]
    resource: str
    created_at: datetime
    expires_at: datetime


class Refresh(Stored):
    """A refresh token of a family."""

    family: str
    expires_at: datetime
    used_at: datetime | None = None
    """When it was first used; then it has a successor."""
    successor: str | None = None
    """The successor's hash."""


class Allowed(Shape):
    """A capability that the user switched on for a client."""

    model_config = ConfigDict(frozen=True, extra="allow")

    since: datetime
    last_used: datetime | None = None


class Consent(Stored):
    """What a user lets one client do."""

    user: str
    client_id: str
    client_name: str
    origin: str
    """Where its answers go (core/claimed.py)."""
    since: datetime
    capabilities: Mapping[str, Allowed]


class GoogleGrant(Stored):
    """What Google lets us do for a user. The tokens are encrypted (core/sealing.py), with the user and the purpose bound in."""

    user: str
    email: str
    name: str = ""
    scopes: tuple[str, ...]
    """Those that were granted: never what was asked for."""
    refresh_token: str | None
    """Sealed; None: Google has withdrawn it, or the user disconnected. Then only signing in again helps."""
    since: datetime


def user_of(subject: str) -> str:
    """Our name for the person whom Google calls `sub`: stable, opaque, and never an e-mail address, which may pass to somebody else.

    No client_id looks like it: those that we mint are longer, and documents are addresses (RFC 9700 section 4.15).
    """
    return f"u-{digest('google', subject)[:22]}"


def signin_key(state: str) -> Key:
    return Key(SIGNINS, digest("signin", state))


def code_key(code: str) -> Key:
    return Key(CODES, digest("code", code))


def family_key(family: str) -> Key:
    return Key(FAMILIES, digest("family", family))


def families_of(user: str) -> str:
    """Under this the families of a user are listed, and the codes that none has come of yet."""
    return f"families-{user}"


def clients_families(client_id: str) -> str:
    """How the positions of one client's families begin."""
    return f"{digest(client_id)}-"


def family_place(user: str, client_id: str, family: str) -> Place:
    return Place(families_of(user), clients_families(client_id) + family)


def refresh_key(token: str) -> Key:
    return Key(REFRESH_TOKENS, digest("refresh", token))


def consent_key(user: str, client_id: str) -> Key:
    return Key(CONSENTS, digest(user, client_id))


def consents_of(user: str) -> str:
    """Under this the consents of a user are listed."""
    return f"consents-{user}"


def consent_place(user: str, client_id: str) -> Place:
    return Place(consents_of(user), digest(client_id))


def google_grant_key(user: str) -> Key:
    return Key(GOOGLE_GRANTS, user)


ALL_GRANTS = "all"
"""Under this every grant is listed, so that all can be sealed anew (resealing.py)."""


def google_grant_place(user: str) -> Place:
    return Place(ALL_GRANTS, user)


def client_key(client_id: str) -> Key:
    return Key(CLIENTS, digest("client", client_id))


def family_of(refresh_token: str) -> str:
    """The family that a refresh token says it is of; what it says is believed only once its hash is found."""
    return refresh_token.partition(".")[0]
