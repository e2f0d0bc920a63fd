"""A browser's way from a client to our consent page, to Google, and back: look up, read, let the rules decide, write what they say.

All state is in the store, so that any instance can answer any step. What a page has to remember between two requests of one browser goes
out sealed, bound to that browser by its cookie, and is written only once the user has consented.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from functions.core.capability import Catalogue
from functions.core.deadline import Deadline
from functions.core.documents import Snapshot, Write
from functions.core.oauth import authorize, signin
from functions.core.oauth.authorize import SentBack, Server
from functions.core.oauth.clients import Client
from functions.core.oauth.directory import Directory, staying
from functions.core.oauth.records import (
    SIGNIN_LIVES,
    Asked,
    Signin,
    client_key,
    code_key,
    consent_key,
    google_grant_key,
    signin_key,
    user_of,
)
from functions.core.oauth.signin import GoogleAnswer, GoogleSignIn
from functions.core.oauth.wire import Declined, OAuthError, Turned, as_sent
from functions.core.records import Records
from functions.core.sealing import Sealer, Unsealable
from functions.core.shape import Shape
from functions.core.stored import digest

FORM = "consent form"


class Form(Shape):
    """What the consent page is about; it comes back with the user's choice."""

    model_config = ConfigDict(frozen=True)

    purpose: Literal["client", "link"] = "client"
    asked: Asked
    client_name: str
    at_once: bool
    """Whether a refusal may be sent to the client without a page of ours in between."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Tab:
    """One way to Google in one browser. Two tabs are two: each has a cookie of its own name, and neither takes the other's."""

    name: str
    """In front of the form's token and of the `state`, so that the cookie can be found by it."""
    secret: str | None
    """What the cookie holds; None: this browser has none of that name."""

    @property
    def digest(self) -> str:
        """What is kept of the secret."""
        return digest("tab", self.secret or "")


@dataclass(frozen=True, slots=True)
class Consenting:
    """A request that was found in order, and what the consent page is to show and to send back."""

    client: Client
    asked: Asked
    leads_to: Sequence[str]
    """Where the client's answers go: its redirect URI; or all that it has, where none is named."""
    sealed: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A browser that came back from Google, and where it goes now."""

    url: str | None
    """None: to the account page."""
    user: str


@dataclass(frozen=True)
class Linking:
    """The way of a browser from a client to Google and back."""

    server: Server
    catalogue: Catalogue
    records: Records
    google: GoogleSignIn
    directory: Directory
    sealer: Sealer
    new_secret: Callable[[], str]
    """At least 128 random bits, URL-safe."""
    now: Callable[[], datetime]
    """For what never met the store: how long a page may lie open."""

    @property
    def callback(self) -> str:
        """Where Google sends the browser."""
        return f"{self.server.issuer}/oauth/callback"

    async def authorize(self, parameters: Mapping[str, str], tab: Tab, deadline: Deadline) -> Consenting | SentBack:
        """GET /oauth/authorize.

        Raises:
            OAuthError: there is nowhere to send the browser; a page of ours says why.
            CantileverError: the store, or the server of the client's document, failed.
        """
        client = await self.directory.named(authorize.client_id(parameters), deadline)
        asked = authorize.authorize(self.server, client, parameters)
        if isinstance(asked, SentBack):
            return asked
        form = Form(asked=asked, client_name=client.name, at_once=client.kind == "confidential", expires_at=self.now() + SIGNIN_LIVES)
        return Consenting(
            client, asked, [asked.redirect_uri], self.sealer.seal(form.model_dump_json(), user=tab.secret or "", purpose=FORM)
        )

    async def allow(self, parameters: Mapping[str, str], tab: Tab, deadline: Deadline) -> Consenting:
        """GET /oauth/allow: one capability more for a client that is connected. Nobody waits for an answer: it ends at the account page.

        Raises:
            OAuthError: the client or the capability is not known.
        """
        client = await self.directory.named(authorize.client_id(parameters), deadline)
        wanted = parameters.get("capability", "")
        if wanted not in self.server.capabilities:
            raise OAuthError("invalid_scope", "There is no such capability here.")
        asked = Asked(
            client_id=client.client_id,
            redirect_uri=f"{self.server.issuer}/account",
            state=None,
            capabilities=(wanted,),
            challenge=None,
            resource=self.server.issuer,
        )
        form = Form(purpose="link", asked=asked, client_name=client.name, at_once=False, expires_at=self.now() + SIGNIN_LIVES)
        return Consenting(client, asked, client.addresses, self.sealer.seal(form.model_dump_json(), user=tab.secret or "", purpose=FORM))

    async def consented(self, sealed: str, tab: Tab, allowed: Collection[str], deadline: Deadline) -> str:
        """The user has allowed something: the address at Google.

        Raises:
            Turned: the page was another browser's, or lay open for too long.
        """
        form = self._form(sealed, tab)
        chosen = tuple(name for name in form.asked.capabilities if name in allowed)
        return await self._sent_to_google(
            Signin(
                purpose=form.purpose,
                browser=tab.digest,
                nonce=self.new_secret(),
                verifier=self.new_secret() + self.new_secret(),
                asked=form.asked,
                client_name=form.client_name,
                allowed=chosen,
                expires_at=self.now() + SIGNIN_LIVES,
            ),
            tab,
            "",
            deadline,
        )

    def denied(self, sealed: str, tab: Tab) -> SentBack:
        """The user has allowed nothing: what the client is told.

        Raises:
            Turned: as `consented`.
        """
        form = self._form(sealed, tab)
        return self._refused(form.asked, form.client_name, form.at_once, OAuthError("access_denied", "The user has not allowed it."))

    async def to_account(self, tab: Tab, deadline: Deadline) -> str:
        """The user wants to see what is connected: the address at Google that tells us who it is."""
        return await self._sent_to_google(
            Signin(
                purpose="account",
                browser=tab.digest,
                nonce=self.new_secret(),
                verifier=self.new_secret() + self.new_secret(),
                expires_at=self.now() + SIGNIN_LIVES,
            ),
            tab,
            "",
            deadline,
        )

    async def came_back(self, parameters: Mapping[str, str], tab: Tab, deadline: Deadline) -> Arrived | SentBack:
        """GET /oauth/callback: Google sends the browser back.

        Raises:
            Turned: it is no way that we know, or has been used, or it is another server's answer.
            CantileverError: Google or the store failed; the way has been used, and has to be begun anew.
        """
        signin.require_google(parameters)
        state = as_sent(parameters.get("state")) or ""  # Ours it leaves as they are; what is no text becomes one, and is none of ours.

        async def used_up(found: Snapshot) -> tuple[Signin, Sequence[Write]]:
            return signin.came_back(found, state, tab.digest)

        begun = await self.records.change([signin_key(state)], used_up, deadline)
        if "error" in parameters or "code" not in parameters:
            if begun.asked is None:
                raise Declined("Google was not allowed to say who you are, so there is nothing to show. Sign in again if you like.")
            denied = OAuthError("access_denied", "The user has not allowed it at Google.")
            return self._refused(begun.asked, begun.client_name, self._at_once(begun.asked), denied)
        answer = await self.google.redeem(parameters["code"], begun.verifier, begun.nonce, self.callback, deadline)
        return await self._arrived(begun, tab, answer, deadline)

    async def _sent_to_google(self, begun: Signin, tab: Tab, login_hint: str, deadline: Deadline) -> str:
        state = f"{tab.name}~{self.new_secret()}"

        async def decided(found: Snapshot) -> tuple[None, Sequence[Write]]:
            return None, [] if signin_key(state) in found.documents else [signin.begun(begun, state)]

        await self.records.change([signin_key(state)], decided, deadline)
        return signin.way(self.google, begun, state, signin.scopes(self.catalogue, begun.allowed), self.callback, login_hint)

    async def _arrived(self, begun: Signin, tab: Tab, answer: GoogleAnswer, deadline: Deadline) -> Arrived:
        user, code, family = user_of(answer.subject), self.new_secret() + self.new_secret(), self.new_secret()
        keys = [google_grant_key(user), code_key(code)]
        if begun.asked:
            keys += [consent_key(user, begun.asked.client_id), client_key(begun.asked.client_id)]

        async def decided(found: Snapshot) -> tuple[bool, Sequence[Write]]:
            if code_key(code) in found.documents:
                return False, ()  # It was written, and only the acknowledgement was lost.
            arrival = signin.arrived(begun, answer, found, self.sealer, code, family)
            stays = staying(found.documents.get(client_key(begun.asked.client_id))) if begun.asked and arrival.writes else ()
            return arrival.lacks_refresh_token, [*arrival.writes, *stays]

        if await self.records.change(keys, decided, deadline):
            again = begun.model_copy(update={"consented_again": True, "nonce": self.new_secret(), "expires_at": self.now() + SIGNIN_LIVES})
            return Arrived(await self._sent_to_google(again, tab, answer.email, deadline), user)
        return Arrived(authorize.accepted(self.server, begun.asked, code) if begun.asked and begun.purpose == "client" else None, user)

    def _form(self, sealed: str, tab: Tab) -> Form:
        try:
            form = Form.model_validate_json(self.sealer.open(sealed, user=tab.secret or "", purpose=FORM))
        except Unsealable as error:
            raise Turned("This page belongs to another browser. Connect again, in one browser from beginning to end.") from error
        if form.expires_at <= self.now() or not tab.secret:
            raise Turned("This page has been open for too long. Go back to where you came from and connect again.")
        return form

    def _at_once(self, asked: Asked) -> bool:
        return (chatgpt := self.directory.confidential) is not None and asked.client_id == chatgpt.client_id

    def _refused(self, asked: Asked, client_name: str, at_once: bool, error: OAuthError) -> SentBack:
        return SentBack(authorize.refusal(self.server, asked.redirect_uri, asked.state, error), error, client_name, at_once)
