"""Sign-in: who calls, what they may reach, our authorization server, and Google in front of which it stands."""

import time
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from functions.core.settings import InvalidSettings
from functions.wiring.foundation import Foundation, new_secret

if TYPE_CHECKING:
    from pydantic import SecretStr

    from functions.adapters.google_access import GoogleAccess
    from functions.adapters.google_signin import GoogleServer
    from functions.adapters.http.answers import Resource
    from functions.adapters.sealing import AesGcmRing
    from functions.core.access import Accesses
    from functions.core.access_token import Verifier
    from functions.core.account_session import AccountSession
    from functions.core.caller import Callers
    from functions.core.guesses import Guesses
    from functions.core.oauth.account import Accounts
    from functions.core.oauth.authorize import Server
    from functions.core.oauth.directory import Directory
    from functions.core.oauth.issuing import Issuing
    from functions.core.oauth.linking import Linking


class SignIn(Foundation):
    """Where GOOGLE_CLIENT_ID is not set, everybody is a stranger, and nothing of this but that is loaded."""

    def callers(self, *, rest: bool) -> "Callers":
        """Who may call: the REST interface, which takes tokens for either of our resources, or MCP, which takes its own alone."""
        from functions.core.caller import Callers

        server = self._server
        audiences = {server.issuer, server.mcp} if rest else {server.mcp}
        verifier = self._verifier if self._settings.signs_in else None
        return Callers(self._settings, verifier, audiences, time.time, self.accesses, self.guesses)

    @cached_property
    def guesses(self) -> "Guesses":
        """How often callers of this process named conversations that are not there, over whichever interface."""
        from functions.core.guesses import Guesses

        return Guesses(self._settings.unknown_sessions_per_minute)

    @cached_property
    def accesses(self) -> "Accesses":
        """What callers may reach of their own at Google."""
        from functions.core.access import Accesses, Grants

        if not self._settings.signs_in:
            return Accesses(None)
        return Accesses(Grants(self.documents, self._google_access, self._server.issuer, _now))

    @cached_property
    def resource(self) -> "Resource | None":
        """What a caller who is refused is told about signing in; None: one cannot, here."""
        from functions.adapters.http.answers import Resource

        if not self._settings.signs_in:
            return None
        return Resource(f"{self._server.issuer}/.well-known/oauth-protected-resource/mcp", self._server.capabilities)

    @cached_property
    def directory(self) -> "Directory":
        """The clients."""
        from functions.adapters.client_documents import PublicDocuments
        from functions.core.oauth.clients import Client, secret_digest
        from functions.core.oauth.directory import Directory

        client_id, chatgpt = self._settings.chatgpt_client_id, None
        if client_id:
            digest = secret_digest(_needed("CHATGPT_CLIENT_SECRET", self._settings.chatgpt_client_secret))
            chatgpt = Client(client_id=client_id, kind="confidential", name="ChatGPT", secret_digest=digest)
        return Directory(self._records, PublicDocuments(), chatgpt, new_secret)

    @cached_property
    def linking(self) -> "Linking":
        """The browser's way to Google and back."""
        from functions.core.oauth.linking import Linking

        return Linking(
            server=self._server,
            catalogue=self.catalogue,
            records=self._records,
            google=self._google,
            directory=self.directory,
            sealer=self.sealer,
            new_secret=new_secret,
            now=_now,
        )

    @cached_property
    def issuing(self) -> "Issuing":
        """The token endpoint."""
        from functions.adapters.access_tokens import Es256Signer
        from functions.core.oauth.issuing import Issuing

        return Issuing(
            server=self._server,
            records=self._records,
            directory=self.directory,
            signer=Es256Signer(_needed("TOKEN_SIGNING_KEYS", self._settings.token_signing_keys)),
            verifier=self._verifier,
            successors=self.sealer.successors,
            new_secret=new_secret,
            now=_now,
        )

    @cached_property
    def account_session(self) -> "AccountSession":
        """Who looks at the account page."""
        from functions.core.account_session import AccountSession

        return AccountSession(self.sealer, _now)

    @cached_property
    def accounts(self) -> "Accounts":
        """What people see and take back of their accounts."""
        from functions.core.oauth.account import Accounts

        return Accounts(self._records, self._google, self.sealer)

    @cached_property
    def public_keys(self) -> str:
        """The public halves of the keys that sign our access tokens: JWKS."""
        from functions.adapters.access_tokens import public_jwks

        if self._settings.token_public_keys:
            return self._settings.token_public_keys
        return public_jwks(_needed("TOKEN_SIGNING_KEYS", self._settings.token_signing_keys))

    @cached_property
    def _server(self) -> "Server":
        from functions.core.oauth.authorize import Server

        return Server.of(self._settings.public_base_url, self.catalogue)

    @cached_property
    def _verifier(self) -> "Verifier":
        from functions.adapters.access_tokens import Es256Verifier

        return Es256Verifier(self.public_keys, self._server.issuer)

    @cached_property
    def sealer(self) -> "AesGcmRing":
        """What encrypts Google's tokens at rest."""
        from functions.adapters.sealing import AesGcmRing

        return AesGcmRing(_needed("SEALING_KEYS", self._settings.sealing_keys))

    @cached_property
    def _google(self) -> "GoogleServer":
        from functions.adapters.credentials import Fixed
        from functions.adapters.google_signin import GoogleServer

        chosen = self._settings
        return GoogleServer(
            self._outgoing,
            self._google_signed,
            chosen.google_client_id or "",
            Fixed(_needed("GOOGLE_CLIENT_SECRET", chosen.google_client_secret)),
            authorize_url=f"{chosen.google_accounts_url}/o/oauth2/v2/auth",
            token_url=f"{chosen.google_oauth_url}/token",
            revoke_url=f"{chosen.google_oauth_url}/revoke",
        )

    @cached_property
    def _google_access(self) -> "GoogleAccess":
        from functions.adapters.google_access import GoogleAccess

        return GoogleAccess(self._google, self.sealer)


def _needed(variable: str, value: "SecretStr | None") -> str:
    """A secret that sign-in cannot do without in this function.

    Raises:
        InvalidSettings: it is not there.
    """
    if value is None:
        raise InvalidSettings(f"The configuration is wrong:\n  - {variable}: this function needs it for sign-in (GOOGLE_CLIENT_ID is set)")
    return value.get_secret_value()


def _now() -> datetime:
    return datetime.now(UTC)
