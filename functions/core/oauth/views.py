"""What the pages of sign-in show, in the person's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from functions.core.browser_views import AccountView, Choice, ConnectedClient, ConsentView, DeniedView, Granted, ShownClient
from functions.core.capability import Capability, Catalogue
from functions.core.claimed import destination
from functions.core.oauth.account import Account
from functions.core.oauth.authorize import SentBack
from functions.core.oauth.linking import Consenting
from functions.core.oauth.records import Consent


@dataclass(frozen=True)
class Views:
    """The pages of these capabilities."""

    catalogue: Catalogue

    @cached_property
    def _capabilities(self) -> Mapping[str, Capability]:
        return {capability.name: capability for capability in self.catalogue.capabilities}

    def consent(self, asking: Consenting, form_token: str, language: str) -> ConsentView:
        """The question whether a client may use what."""
        client = asking.client
        return ConsentView(
            client=ShownClient(client.client_id, client.name, destination(asking.asked.redirect_uri), known=not client.public),
            first_time=None,
            person=None,
            choices=[self._choice(self._capabilities[name], language) for name in asking.asked.capabilities],
            form_token=form_token,
            action="/oauth/consent",
        )

    def denied(self, back: SentBack) -> DeniedView:
        """The way back to a client that learns of a refusal only there."""
        return DeniedView(ShownClient("", back.client_name, destination(back.url), known=False), back.url)

    def account(self, account: Account | None, form_token: str, language: str) -> AccountView:
        """What is connected; None: nobody is signed in."""
        google = account.google if account else None
        return AccountView(
            person=(google.email or google.name or google.user) if google else None,
            clients=[self._connected(consent, language) for consent in account.consents] if account and google else [],
            google=google is not None and google.refresh_token is not None,
            form_token=form_token,
            action="/account",
        )

    def _choice(self, capability: Capability, language: str) -> Choice:
        scopes = [scope.text(language) for scope in capability.scopes]
        return Choice(capability.name, capability.title(language), capability.text(language), scopes, chosen=True)

    def _connected(self, consent: Consent, language: str) -> ConnectedClient:
        allowed = [(self._capabilities[name], use) for name, use in consent.capabilities.items() if name in self._capabilities]
        return ConnectedClient(
            ShownClient(consent.client_id, consent.client_name, destination(consent.origin), known=False),
            consent.since,
            [Granted(found.name, found.title(language), found.text(language), use.last_used) for found, use in allowed],
        )
