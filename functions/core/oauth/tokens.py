"""The token endpoint: a code becomes tokens, a refresh token its successor; and revocation.

RFC 6749 section 5, RFC 7636 section 4.6, RFC 7009, RFC 9700 section 4.14. Each function is given what was read, and gives what came
of it with what is to be written; whoever calls commits that under the versions that were read, and asks again when it loses the race.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from functions.core.documents import ABSENT, ANY, Delete, Key, Put, Snapshot, Write
from functions.core.oauth.authorize import Server, capabilities
from functions.core.oauth.clients import Client
from functions.core.oauth.records import (
    FAMILY_LIVES,
    REFRESH_LIVES,
    REUSE_SECONDS,
    Code,
    Family,
    Refresh,
    code_key,
    family_key,
    family_of,
    family_place,
    refresh_key,
)
from functions.core.oauth.wire import OAuthError

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 section 4.1

Successors = Callable[[str], Sequence[str]]
"""The refresh tokens that may follow a refresh token, the newest key's first: derived, so that of two racers both give the same, and nothing
that opens anything is stored. The prefix that names the family stays."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What a client gets: what its access token is to say, and its refresh token."""

    family_id: str
    family: Family
    capabilities: tuple[str, ...]
    refresh_token: str = field(repr=False)


Decided = tuple[Issued | OAuthError, Sequence[Write]]
"""What came of it, and what is to be written either way."""


def grant_type(parameters: Mapping[str, str]) -> str:
    """Which of the two grants is asked for.

    Raises:
        OAuthError: neither.
    """
    asked = parameters.get("grant_type")
    if asked is None:
        raise OAuthError("invalid_request", "grant_type is missing.")
    if asked not in ("authorization_code", "refresh_token"):
        raise OAuthError("unsupported_grant_type", "Only authorization_code and refresh_token are offered.")
    wanted = "code" if asked == "authorization_code" else "refresh_token"
    if wanted not in parameters:
        raise OAuthError("invalid_request", f"{wanted} is missing.")
    return asked


def redeem(server: Server, client: Client, parameters: Mapping[str, str], found: Snapshot, attempt: str, refresh_token: str) -> Decided:
    """The tokens that a code is worth. `found` has the code's document; `refresh_token` is fresh but for the family's name in front.

    A code that comes a second time ends what the first time began (section 4.1.2): one of the two was a thief.
    """
    key = code_key(parameters["code"])
    document = found.documents.get(key)
    code = Code.model_validate_json(document.body) if document else None
    if document is None or code is None or code.asked.client_id != client.client_id:
        return _unknown("The code is not known, or another client's."), ()
    if code.redeemed_by not in (None, attempt):
        return _unknown("The code has been used; what it was worth is withdrawn. Sign in again."), [Delete(family_key(code.family), ANY)]
    if code.expires_at <= found.read_at:
        return _unknown("The code has expired; it lives for a minute. Sign in again."), ()
    if refused := _mismatch(server, code, parameters):
        return refused, ()
    family = Family(
        user=code.user,
        client_id=client.client_id,
        capabilities=code.capabilities,
        resource=code.asked.resource,
        created_at=found.read_at,
        expires_at=found.read_at + FAMILY_LIVES,
    )
    token = f"{code.family}.{refresh_token}"
    issued = Issued(code.family, family, family.capabilities, token)
    if code.redeemed_by == attempt:
        return issued, ()
    used = code.model_copy(update={"redeemed_by": attempt})
    return issued, [
        # It is kept as long as a thief may try it; then its family is told by nothing else. And where it was: it names its user.
        Put(key, used.model_dump_json(), document.version, document.place, found.read_at + FAMILY_LIVES),
        _put_family(code.family, family),
        _put_refresh(token, code.family, family, found.read_at),
    ]


def refresh_keys(parameters: Mapping[str, str], successors: Successors) -> Sequence[Key]:
    """What `refresh` is to be given."""
    token = parameters["refresh_token"]
    return [refresh_key(token), family_key(family_of(token)), *(refresh_key(successor) for successor in successors(token))]


def refresh(client: Client, parameters: Mapping[str, str], found: Snapshot, successors: Successors) -> Decided:
    """The tokens that follow. Again and again the same, until the successor was used, and for REUSE_SECONDS after: an answer may be lost, and
    clients refresh in parallel. Whoever comes later with a token that has led on may have stolen it: then the whole family ends.
    """
    token = parameters["refresh_token"]
    key, family_id = refresh_key(token), family_of(token)
    document, family_document = found.documents.get(key), found.documents.get(family_key(family_id))
    if document is None or family_document is None:
        return _unknown("The refresh token is not known, or was withdrawn. Sign in again."), ()
    kept, family = Refresh.model_validate_json(document.body), Family.model_validate_json(family_document.body)
    if family.client_id != client.client_id or kept.family != family_id:
        return _unknown("The refresh token is another client's."), ()
    if min(kept.expires_at, family.expires_at) <= found.read_at:
        return _unknown("The refresh token has expired. Sign in again."), ()
    wanted = capabilities(family.capabilities, parameters.get("scope"))
    if parameters.get("resource", family.resource).rstrip("/") != family.resource:
        return OAuthError("invalid_target", "The refresh token is for another resource."), ()
    if kept.used_at is None:
        successor = successors(token)[0]
        used = kept.model_copy(update={"used_at": found.read_at, "successor": refresh_key(successor).id})
        return Issued(family_id, family, wanted, successor), [
            Put(key, used.model_dump_json(), document.version, expires_at=kept.expires_at),
            _put_refresh(successor, family_id, family, found.read_at),
        ]
    taken = next((successor for successor in successors(token) if refresh_key(successor).id == kept.successor), None)
    if taken is not None:
        following = found.documents.get(refresh_key(taken))
        if following is None:
            # One commit wrote both, so what was read is not of one moment: this commit finds that out, and it is read again.
            return Issued(family_id, family, wanted, taken), [_put_refresh(taken, family_id, family, found.read_at)]
        used_at = Refresh.model_validate_json(following.body).used_at
        if used_at is None or (found.read_at - used_at).total_seconds() <= REUSE_SECONDS:
            return Issued(family_id, family, wanted, taken), ()
    return _unknown("The refresh token has been used before; what it was worth is withdrawn. Sign in again."), [
        Delete(family_key(family_id), family_document.version)
    ]


def revoked(client: Client, family_id: str, found: Snapshot) -> Sequence[Write]:
    """What ends a family, where it is this client's (RFC 7009 section 2.1); a token that is not known is no fault."""
    document = found.documents.get(family_key(family_id))
    if document is None or Family.model_validate_json(document.body).client_id != client.client_id:
        return ()
    return [Delete(document.key, document.version)]


def challenge_of(verifier: str) -> str:
    """S256 of a PKCE verifier."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def _mismatch(server: Server, code: Code, parameters: Mapping[str, str]) -> OAuthError | None:
    """What a redemption says otherwise than the request that the code answers."""
    # Where PKCE binds the code to its request already, OAuth 2.1 has no redirect_uri here (draft-ietf-oauth-v2-1 section 10.2).
    said = parameters.get("redirect_uri", code.asked.redirect_uri if code.asked.challenge else None)
    if said != code.asked.redirect_uri:
        return _unknown("redirect_uri is not the one that the code was sent to.")
    if "resource" in parameters:
        try:
            other = server.resource(parameters["resource"]) != code.asked.resource
        except OAuthError as error:
            return error
        if other:
            return OAuthError("invalid_target", "The code is for another resource.")
    verifier = parameters.get("code_verifier")
    if code.asked.challenge is None:
        # A verifier without a challenge: somebody took the challenge off the request (RFC 9700 section 2.1.1).
        return _unknown("There was no code_challenge, so there may be no code_verifier.") if verifier is not None else None
    if verifier is None or not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(challenge_of(verifier), code.asked.challenge):
        return _unknown("code_verifier does not fit the code_challenge.")
    return None


def _unknown(message: str) -> OAuthError:
    return OAuthError("invalid_grant", message)


def _put_family(family_id: str, family: Family) -> Put:
    place = family_place(family.user, family.client_id, family_id)
    return Put(family_key(family_id), family.model_dump_json(), ABSENT, place, family.expires_at)


def _put_refresh(token: str, family_id: str, family: Family, now: datetime) -> Put:
    ends = min(now + REFRESH_LIVES, family.expires_at)
    return Put(refresh_key(token), Refresh(family=family_id, expires_at=ends).model_dump_json(), ABSENT, expires_at=ends)
