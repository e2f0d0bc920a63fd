"""Google's authorization server, seen from a client of it: who came back, what was granted, a fresh access token, revocation.

https://developers.google.com/identity/protocols/oauth2/web-server
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.adapters.credentials import Credential
from functions.adapters.google_signed import Claims, GoogleSigned
from functions.adapters.outgoing import Answer, Outgoing, Request
from functions.core import strict_json
from functions.core.deadline import Deadline
from functions.core.errors import ChangeRequest, Disconnected, Refused, Unauthenticated, Upstream
from functions.core.oauth.signin import GoogleAnswer
from functions.core.oauth.wire import Turned
from functions.core.shape import Shape

SERVER = "Google's sign-in"

ATTEMPT_SECONDS = 3.0

INTERRUPTED = "Google does not confirm this sign-in. Go back to where you came from and connect again."


class _IdToken(Claims):
    sub: str
    nonce: str = ""
    azp: str | None = None
    email: str = ""
    email_verified: bool = False
    name: str = ""


class _Tokens(Shape):
    """What the token endpoint answers; more may be there."""

    access_token: str
    expires_in: float
    scope: str = ""
    refresh_token: str | None = None
    id_token: str = ""


@dataclass(frozen=True, slots=True)
class GoogleServer:
    """`GoogleSignIn` (core/oauth/signin.py)."""

    outgoing: Outgoing
    signed: GoogleSigned
    client_id: str
    secret: Credential
    authorize_url: str
    token_url: str
    revoke_url: str

    async def redeem(self, code: str, verifier: str, nonce: str, redirect_uri: str, deadline: Deadline) -> GoogleAnswer:
        """`GoogleSignIn.redeem`."""
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect_uri}
        tokens = await self._tokens(form, Turned(INTERRUPTED), deadline)
        try:
            person = await self.signed.claims(_IdToken, tokens.id_token, deadline)
        except Unauthenticated as error:
            raise Turned(INTERRUPTED) from error
        if person.aud != self.client_id or person.azp not in (None, self.client_id) or person.nonce != nonce:
            raise Turned(INTERRUPTED)
        email = person.email if person.email_verified else ""
        return GoogleAnswer(person.sub, email, person.name, tuple(tokens.scope.split()), tokens.refresh_token)

    async def refresh(self, refresh_token: str, deadline: Deadline) -> tuple[str, float]:
        """An access token, and for how many seconds it is good.

        Raises:
            Disconnected: Google has withdrawn the grant (`invalid_grant`); asking again is no use.
            Upstream, Refused, DeadlinePassed: Google failed, refuses us, or took too long.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        withdrawn = Disconnected("Google has withdrawn this connection; connect Google again.")
        tokens = await self._tokens(form, withdrawn, deadline)
        return tokens.access_token, tokens.expires_in

    async def revoke(self, refresh_token: str, deadline: Deadline) -> None:
        """`GoogleSignIn.revoke`. Google answers 400 to a token that it does not know; then there is nothing left to revoke. What else it says
        counts for nothing (RFC 7009 section 2.2), and need not be JSON."""
        request = Request(SERVER, "POST", self.revoke_url, ATTEMPT_SECONDS, form={"token": refresh_token}, status_suffices=True)
        await self.outgoing.send(request, _require_revoked, deadline)

    async def _tokens(self, form: Mapping[str, str], invalid_grant: Exception, deadline: Deadline) -> _Tokens:
        secret = await self.secret.token(deadline)
        request = Request(
            SERVER, "POST", self.token_url, ATTEMPT_SECONDS, form={**form, "client_id": self.client_id, "client_secret": secret}
        )
        return await self.outgoing.send(request, lambda answer: _read(answer, invalid_grant), deadline)


def _require_revoked(answer: Answer) -> None:
    answer.require_served()
    if answer.status not in (200, 400):
        raise Refused(f"{SERVER} does not revoke a grant for this deployment (status {answer.status}): check GOOGLE_OAUTH_URL.")


def _read(answer: Answer, invalid_grant: Exception) -> _Tokens:
    answer.require_served()
    said: Any = answer.json if isinstance(answer.json, dict) else {}
    if answer.status >= 300:
        if said.get("error") == "invalid_grant":
            raise invalid_grant
        raise Refused(
            f"{SERVER} refuses this deployment (status {answer.status}): check GOOGLE_CLIENT_ID, its secret and its redirect URI."
        )
    try:
        return strict_json.model_of(_Tokens, said)
    except ChangeRequest:  # Not chained: what it says may quote a name out of the answer.
        raise Upstream(f"{SERVER} answered in a form that we do not know.") from None
