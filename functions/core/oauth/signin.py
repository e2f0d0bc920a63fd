"""The way over Google: what the user let us ask for, who came back, and what is kept of it.

https://developers.google.com/identity/protocols/oauth2/web-server, https://developers.google.com/identity/openid-connect/openid-connect
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import quote, urlencode

from functions.core.capability import Catalogue
from functions.core.claimed import destination
from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, Delete, Document, Expected, Put, Snapshot, Write
from functions.core.oauth.records import (
    CODE_LIVES,
    Allowed,
    Asked,
    Code,
    Consent,
    GoogleGrant,
    Signin,
    code_key,
    consent_key,
    consent_place,
    family_place,
    google_grant_key,
    google_grant_place,
    signin_key,
    user_of,
)
from functions.core.oauth.tokens import challenge_of
from functions.core.oauth.wire import NotConnected, Turned
from functions.core.sealing import Sealer, Unsealable

IDENTITY = ("openid", "email", "profile")
"""What tells us who it is; Google asks for no consent of its own where these are all."""

ISSUER = "https://accounts.google.com"
"""What Google calls itself wherever it sends a browser back (RFC 9207)."""

REFRESH_PURPOSE = "google refresh token"
"""Bound into the encryption (core/sealing.py)."""


@dataclass(frozen=True, slots=True)
class GoogleAnswer:
    """What Google gave for its code, its id_token verified: issuer, audience, nonce, signature."""

    subject: str
    email: str
    name: str
    scopes: tuple[str, ...]
    """Those that were granted, earlier ones included."""
    refresh_token: str | None = field(repr=False)


class GoogleSignIn(Protocol):
    """Google as the one that knows who somebody is, and that grants scopes."""

    @property
    def authorize_url(self) -> str:
        """Where the browser goes."""

    @property
    def client_id(self) -> str:
        """Ours, at Google."""

    async def redeem(self, code: str, verifier: str, nonce: str, redirect_uri: str, deadline: Deadline) -> GoogleAnswer:
        """What Google gives for a code.

        Raises:
            Turned: it is no code of ours, or the answer is not for this sign-in.
            Upstream, Refused, DeadlinePassed: Google failed, refuses us, or took too long.
        """

    async def revoke(self, refresh_token: str, deadline: Deadline) -> None:
        """Withdraw a grant at Google; one that it does not know is no fault.

        Raises:
            Refused: Google does not do it for us.
            Upstream, DeadlinePassed: Google failed, or took too long.
        """


def scopes(catalogue: Catalogue, capabilities: Iterable[str]) -> tuple[str, ...]:
    """The scopes of Google that these capabilities need, each once."""
    wanted = set(capabilities)
    needed = (scope for operation in catalogue.operations.values() if operation.capability in wanted for scope in operation.scopes)
    return tuple(dict.fromkeys(scope.name for scope in needed))


def begun(signin: Signin, state: str) -> Put:
    """What keeps a way to Google until the browser comes back."""
    return Put(signin_key(state), signin.model_dump_json(), ABSENT, expires_at=signin.expires_at)


def way(google: GoogleSignIn, signin: Signin, state: str, wanted: Sequence[str], redirect_uri: str, login_hint: str = "") -> str:
    """The address at Google. Without prompt=consent, which would ask again what was granted long ago, unless that is what is needed (G2)."""
    asked = {
        "response_type": "code",
        "client_id": google.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join((*IDENTITY, *wanted)),
        "state": state,
        "nonce": signin.nonce,
        "code_challenge": challenge_of(signin.verifier),
        "code_challenge_method": "S256",
        **({"access_type": "offline", "include_granted_scopes": "true"} if signin.asked else {}),
        **({"prompt": "consent"} if signin.consented_again else {}),
        **({"login_hint": login_hint} if login_hint else {}),
    }
    return f"{google.authorize_url}?{urlencode(asked, quote_via=quote)}"


def require_google(parameters: Mapping[str, str]) -> None:
    """Refuse an answer that says another server gave it (RFC 9207 section 2.4): its code is not for Google to see. One that says nothing passes:
    we send browsers nowhere else.

    Raises:
        Turned: another's.
    """
    if parameters.get("iss", ISSUER) != ISSUER:
        raise Turned("This answer does not come from Google. Go back to where you came from and connect again.")


def came_back(found: Snapshot, state: str, browser: str) -> tuple[Signin, Sequence[Write]]:
    """The sign-in that a browser comes back from, and what uses it up: it can be come back from once. `browser` is the digest of its cookie.

    Raises:
        Turned: it is not known, has been used or has expired, or began in another browser.
    """
    document = found.documents.get(signin_key(state))
    signin = Signin.model_validate_json(document.body) if document else None
    here = signin is not None and hmac.compare_digest(browser, signin.browser)
    if document is None or signin is None or signin.expires_at <= found.read_at or not here:
        # One answer to all of them: nobody learns whether a state that is not theirs exists.
        raise Turned(
            "This sign-in has expired, was used already, or began in another browser. Go back to where you came from, and connect again "
            "in one browser from beginning to end."
        )
    return signin, [Delete(document.key, document.version)]


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who came back from Google, and what is written of it."""

    user: str
    lacks_refresh_token: bool
    """Whether Google gave none, and none is kept: then nothing is written, and a second hop asks for consent."""
    writes: Sequence[Write]


def arrived(signin: Signin, answer: GoogleAnswer, found: Snapshot, sealer: Sealer, code: str, family: str) -> Arrival:
    """What is kept of the person, of what Google granted, of what the client may, and the code that it gets.

    Raises:
        NotConnected: one thing more was allowed to a client that this person has not connected.
    """
    user = user_of(answer.subject)
    if signin.purpose == "link" and signin.asked and consent_key(user, signin.asked.client_id) not in found.documents:
        # Nobody is connected by a link of ours that anybody may send them: it never said where the client's answers go.
        raise NotConnected("This program is not connected to this Google account. Connect it from where you use it.")
    kept = found.documents.get(google_grant_key(user))
    known = GoogleGrant.model_validate_json(kept.body) if kept else None
    if signin.asked is None:
        return Arrival(user, False, [_named(user, answer, known, found, _version(kept))])
    # A refresh token stands for the scopes of its day: what was granted since, only a new one opens.
    sealed = known.refresh_token if known and set(answer.scopes) <= set(known.scopes) and _opens(sealer, known) else None
    if answer.refresh_token:
        sealed = sealer.seal(answer.refresh_token, user=user, purpose=REFRESH_PURPOSE)
    if sealed is None and not signin.consented_again:
        return Arrival(user, True, ())
    grant = GoogleGrant(
        user=user,
        email=answer.email,
        name=answer.name,
        scopes=answer.scopes,
        refresh_token=sealed,
        since=known.since if known else found.read_at,
    )
    writes: list[Write] = [
        Put(google_grant_key(user), grant.model_dump_json(), _version(kept), google_grant_place(user)),
        _consented(user, signin, signin.asked, found),
    ]
    if signin.purpose == "client":
        writes.append(_coded(user, signin, signin.asked, code, family, found.read_at))
    return Arrival(user, False, writes)


def _opens(sealer: Sealer, grant: GoogleGrant) -> bool:
    """Whether the grant's refresh token is of any use: its key may have been taken out of the ring."""
    try:
        return sealer.open(grant.refresh_token or "", user=grant.user, purpose=REFRESH_PURPOSE) != ""
    except Unsealable:
        return False


def _named(user: str, answer: GoogleAnswer, known: GoogleGrant | None, found: Snapshot, expected: Expected) -> Put:
    """Who looks at the account page; what Google granted for the clients stays as it is."""
    grant = known or GoogleGrant(user=user, email="", scopes=(), refresh_token=None, since=found.read_at)
    body = grant.model_copy(update={"email": answer.email, "name": answer.name}).model_dump_json()
    return Put(google_grant_key(user), body, expected, google_grant_place(user))


def _consented(user: str, signin: Signin, asked: Asked, found: Snapshot) -> Put:
    """The consent as the page said: what was asked for and is switched off now is withdrawn, what was not asked for stays as it was."""
    key = consent_key(user, asked.client_id)
    document = found.documents.get(key)
    known = Consent.model_validate_json(document.body) if document else None
    before: Mapping[str, Allowed] = known.capabilities if known else {}
    stays = {name: allowed for name, allowed in before.items() if name not in asked.capabilities or name in signin.allowed}
    consent = Consent(
        user=user,
        client_id=asked.client_id,
        client_name=signin.client_name,
        origin=known.origin if known and signin.purpose == "link" else destination(asked.redirect_uri).origin,
        since=known.since if known else found.read_at,
        capabilities={**{name: Allowed(since=found.read_at) for name in signin.allowed}, **stays},
    )
    return Put(key, consent.model_dump_json(), _version(document), consent_place(user, asked.client_id))


def _coded(user: str, signin: Signin, asked: Asked, code: str, family: str, now: datetime) -> Put:
    kept = Code(asked=asked, capabilities=signin.allowed, user=user, family=family, expires_at=now + CODE_LIVES)
    # Until it is redeemed it is listed as its family will be: who takes back what the client may, takes it back, too.
    return Put(code_key(code), kept.model_dump_json(), ABSENT, family_place(user, asked.client_id, family), kept.expires_at)


def _version(document: Document | None) -> Expected:
    return document.version if document else ABSENT
