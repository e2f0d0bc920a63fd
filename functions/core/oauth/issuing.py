"""The token and the revocation endpoint around their rules (core/oauth/tokens.py): read, decide, write, sign."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.core.access_token import AccessClaims, Signer, Verifier
from functions.core.deadline import Deadline
from functions.core.documents import Key, Snapshot, Write
from functions.core.errors import Unauthenticated
from functions.core.oauth import clients, tokens
from functions.core.oauth.authorize import Server
from functions.core.oauth.directory import Directory
from functions.core.oauth.records import ACCESS_LIVES, code_key, family_key, family_of, refresh_key
from functions.core.oauth.tokens import Issued, Successors
from functions.core.oauth.wire import OAuthError
from functions.core.records import Records


@dataclass(frozen=True, slots=True)
class Issuing:
    """What gives tokens, and takes them back."""

    server: Server
    records: Records
    directory: Directory
    signer: Signer
    verifier: Verifier
    successors: Successors
    new_secret: Callable[[], str]
    now: Callable[[], datetime]

    async def token(self, authorization: str | None, parameters: Mapping[str, str], deadline: Deadline) -> Mapping[str, Any]:
        """POST /oauth/token.

        Raises:
            OAuthError: as section 5.2 of RFC 6749 has it.
        """
        client = await self.directory.authenticated(clients.credentials(authorization, parameters), deadline)
        attempt, fresh = self.new_secret(), self.new_secret() + self.new_secret()
        if tokens.grant_type(parameters) == "authorization_code":
            keys: Sequence[Key] = [code_key(parameters["code"])]
        else:
            keys = tokens.refresh_keys(parameters, self.successors)

        async def decided(found: Snapshot) -> tuple[Mapping[str, Any] | OAuthError, Sequence[Write]]:
            if "code" in parameters and parameters["grant_type"] == "authorization_code":
                issued, writes = tokens.redeem(self.server, client, parameters, found, attempt, fresh)
            else:
                issued, writes = tokens.refresh(client, parameters, found, self.successors)
            return (issued if isinstance(issued, OAuthError) else self._told(issued, found.read_at)), writes

        told = await self.records.change(keys, decided, deadline)
        if isinstance(told, OAuthError):
            raise told
        return told

    async def revoke(self, authorization: str | None, parameters: Mapping[str, str], deadline: Deadline) -> None:
        """POST /oauth/revoke: end the family of a token, where it is this client's; what is no token of ours is no fault (RFC 7009 section 2.2).

        Raises:
            OAuthError: the client is not the one that it says it is, or no token is named.
        """
        client = await self.directory.authenticated(clients.credentials(authorization, parameters), deadline)
        if "token" not in parameters:
            raise OAuthError("invalid_request", "token is missing.")
        token = parameters["token"]
        try:
            claims = self.verifier.verify(token, {self.server.issuer, self.server.mcp}, self.now().timestamp())
        except Unauthenticated:
            claims = None
        family = claims.grant if claims else family_of(token)

        async def decided(found: Snapshot) -> tuple[None, Sequence[Write]]:
            ours = claims is not None or refresh_key(token) in found.documents
            return None, tokens.revoked(client, family, found) if ours else ()

        await self.records.change([family_key(family), refresh_key(token)], decided, deadline)

    def _told(self, issued: Issued, now: datetime) -> Mapping[str, Any]:
        """What a client is answered (RFC 6749 section 5.1); ChatGPT wants `bearer` in small letters."""
        ends = min(now + ACCESS_LIVES, issued.family.expires_at)
        scope = " ".join(issued.capabilities)
        claims = AccessClaims(
            iss=self.server.issuer,
            aud=issued.family.resource,
            sub=issued.family.user,
            client_id=issued.family.client_id,
            scope=scope,
            iat=int(now.timestamp()),
            exp=int(ends.timestamp()),
            jti=self.new_secret(),
            grant=issued.family_id,
        )
        return {
            "access_token": self.signer.sign(claims),
            "token_type": "bearer",
            "expires_in": int((ends - now) / timedelta(seconds=1)),
            "refresh_token": issued.refresh_token,
            "scope": scope,
        }
