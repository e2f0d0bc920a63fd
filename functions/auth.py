"""/oauth/* and /account: our authorization server, and Google behind it.

Clients get JSON in OAuth's words, people get pages. The rules are in core/oauth; nothing is kept in this process but how often an address
has asked.
"""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import wiring
from functions.adapters.http import FORM, Edge, Incoming, Life, address_of, json_text, oauth_failure, tokens
from functions.adapters.http.browser import Browser
from functions.adapters.http.forms import Form
from functions.capabilities import CATALOGUE
from functions.core.account_session import AccountSession
from functions.core.browser_views import GoodbyeView
from functions.core.capability import Catalogue
from functions.core.claimed import destination
from functions.core.errors import CantileverError, Invalid, NotFound
from functions.core.oauth.account import Accounts
from functions.core.oauth.authorize import SentBack
from functions.core.oauth.clients import is_document
from functions.core.oauth.directory import Directory
from functions.core.oauth.issuing import Issuing
from functions.core.oauth.linking import Consenting, Linking, Tab
from functions.core.oauth.views import Views
from functions.core.oauth.wire import Pairs, Turned, form_pairs, json_pairs, refuse_in_address, single
from functions.core.rate import Rate
from functions.core.settings import Settings
from functions.routes import ROUTES

ASSETS = Path(__file__).parent / "assets" / "browser"

SESSION = "account"
"""The cookie that says who looks at the account page."""

TAB = re.compile(r"([A-Za-z0-9_-]{22})~(.+)", re.DOTALL)
"""How a form's token and a `state` begin: with the name of the way to Google that they belong to. Its cookie has that name too, so that two tabs
do not take each other's."""

COOKIE_LIVES = timedelta(minutes=10)

TOKEN_PATHS = frozenset({"/oauth/token", "/oauth/revoke", "/oauth/register", "/oauth/jwks"})
"""What programs call; the other paths are a browser's."""

MAX_OAUTH_BODY = 16 * 1024


class Auth:
    """The endpoints."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        directory: Directory,
        linking: Linking,
        issuing: Issuing,
        accounts: Accounts,
        session: AccountSession,
        jwks: str,
        browser: Browser,
        life: Life,
    ) -> None:
        self._settings = settings
        self._views = Views(catalogue)
        self._directory = directory
        self._linking = linking
        self._issuing = issuing
        self._accounts = accounts
        self._jwks = jwks
        self._browser = browser
        self._session = session
        self._life = life
        self._registrations = Rate(10, 60.0)
        self._fetches = Rate(30, 60.0)

    def edge(self) -> Edge:
        """The function's HTTP."""
        return Edge(
            "auth",
            {
                "/oauth/authorize": {"GET": self.authorize},
                "/oauth/consent": {"POST": self.consent},
                "/oauth/allow": {"GET": self.allow},
                "/oauth/callback": {"GET": self.callback},
                "/oauth/token": {"POST": self.token},
                "/oauth/revoke": {"POST": self.revoke},
                "/oauth/register": {"POST": self.register},
                "/oauth/jwks": {"GET": self.jwks},
                "/account": {"GET": self.account, "POST": self.change_account},
            },
            budget_seconds=self._settings.chat_budget_seconds,
            project=self._settings.google_cloud_project,
            names=self._settings.names,
            open=TOKEN_PATHS,
            failure=self._failure,
            life=self._life,
        )

    async def authorize(self, incoming: Incoming) -> Response:
        """GET /oauth/authorize: the consent page, for everything that is in order (core/oauth/authorize.py)."""
        parameters = single(form_pairs(incoming.request.scope["query_string"]))
        self._count_fetch(parameters, incoming)
        tab = _new_tab()
        found = await self._linking.authorize(parameters, tab, incoming.deadline)
        return self._consent_page(found, tab, incoming) if isinstance(found, Consenting) else self._sent_back(found, incoming)

    async def allow(self, incoming: Incoming) -> Response:
        """GET /oauth/allow: the consent page for one capability, for a client that is connected already."""
        parameters = single(form_pairs(incoming.request.scope["query_string"]))
        self._count_fetch(parameters, incoming)
        tab = _new_tab()
        return self._consent_page(await self._linking.allow(parameters, tab, incoming.deadline), tab, incoming)

    async def consent(self, incoming: Incoming) -> Response:
        """POST /oauth/consent: what the user has decided."""
        form = await self._browser.form(incoming)
        tab, sealed = self._tab(form.fields.get("form_token", ""), incoming.request)
        allowed = form.switches["capability"]
        if form["decision"] == "allow" and allowed:
            return self._kept(self._browser.see_other(await self._linking.consented(sealed, tab, allowed, incoming.deadline)), tab)
        return self._sent_back(self._linking.denied(sealed, tab), incoming)

    async def callback(self, incoming: Incoming) -> Response:
        """GET /oauth/callback: Google sends the browser back."""
        parameters = single(form_pairs(incoming.request.scope["query_string"]))
        tab, _ = self._tab(parameters.get("state", ""), incoming.request)
        found = await self._linking.came_back(parameters, tab, incoming.deadline)
        if isinstance(found, SentBack):
            return self._sent_back(found, incoming)
        if found.url is not None:
            return self._kept(self._browser.see_other(found.url), tab)  # It may be Google's once more.
        response = self._browser.see_other("/account")
        self._browser.cookies.keep(response, SESSION, self._session.opened(found.user), COOKIE_LIVES)
        return response

    async def token(self, incoming: Incoming) -> Response:
        """POST /oauth/token."""
        parameters = single(await _pairs(incoming))
        told = await self._issuing.token(incoming.request.headers.get("authorization"), parameters, incoming.deadline)
        return tokens(told)

    async def revoke(self, incoming: Incoming) -> Response:
        """POST /oauth/revoke (RFC 7009)."""
        parameters = single(await _pairs(incoming))
        await self._issuing.revoke(incoming.request.headers.get("authorization"), parameters, incoming.deadline)
        return json_text("{}")

    async def register(self, incoming: Incoming) -> Response:
        """POST /oauth/register (RFC 7591)."""
        self._count(self._registrations, incoming)
        return json_text(json.dumps(await self._directory.register(await incoming.body(MAX_OAUTH_BODY), incoming.deadline)), 201)

    async def jwks(self, _: Incoming) -> Response:
        """GET /oauth/jwks: what verifies our access tokens."""
        return json_text(self._jwks)

    async def account(self, incoming: Incoming) -> Response:
        """GET /account."""
        session = self._browser.cookies.kept(incoming.request, SESSION)
        user = self._session.user(session)
        found = await self._accounts.read(user, incoming.deadline) if user else None
        token = self._session.form_token(session) if found and session else ""
        view = self._views.account(found, token, self._browser.language(incoming.request))
        return self._browser.page(view, incoming.request, form_goes_to=[self._linking.google.authorize_url])

    async def change_account(self, incoming: Incoming) -> Response:
        """POST /account: something is taken back."""
        form, session = await self._browser.form(incoming), self._browser.cookies.kept(incoming.request, SESSION)
        deed = form["do"]
        if deed == "sign_in":
            tab = _new_tab()
            return self._kept(self._browser.see_other(await self._linking.to_account(tab, incoming.deadline)), tab)
        user = self._session.of_form(form.fields.get("form_token", ""), session)
        return await self._taken_back(deed, user, form, incoming)

    async def _taken_back(self, deed: str, user: str, form: Form, incoming: Incoming) -> Response:
        accounts, deadline, client = self._accounts, incoming.deadline, form.fields.get("client", "")
        match deed:
            case "remove_capability":
                for capability in sorted(form.switches["capability"]):
                    await accounts.remove_capability(user, client, capability, deadline)
            case "remove_client":
                await accounts.remove_client(user, client, deadline)
            case "export":
                exported = await accounts.export(user, deadline)
                return self._browser.download(json.dumps(exported, ensure_ascii=False, indent=1), "my-data.json")
            case "disconnect_google":
                return self._gone(GoodbyeView("google", not await accounts.disconnect_google(user, deadline)), incoming)
            case "delete" if form.fields.get("sure") == "yes":
                return self._gone(GoodbyeView("everything", not await accounts.remove(user, deadline)), incoming)
            case _:
                raise Invalid("The form asks for something that this page does not do.")
        return self._browser.see_other("/account")

    def _consent_page(self, asking: Consenting, tab: Tab, incoming: Incoming) -> Response:
        """The question; its form may end at Google, or where the client waits."""
        view = self._views.consent(asking, f"{tab.name}~{asking.sealed}", self._browser.language(incoming.request))
        targets = [self._linking.google.authorize_url, asking.asked.redirect_uri]
        return self._kept(self._browser.page(view, incoming.request, form_goes_to=targets), tab)

    def _sent_back(self, back: SentBack, incoming: Incoming) -> Response:
        """A refusal: to a client that the deployment's owner named at once, to others by a page that shows where it leads."""
        if back.at_once:
            return self._browser.see_other(back.url)
        if back.error.error == "access_denied":
            return self._browser.page(self._views.denied(back), incoming.request)
        incoming.failed(back.error)
        return self._browser.problem(back.error, incoming.request, "client", wanted=destination(back.url))

    def _gone(self, view: GoodbyeView, incoming: Incoming) -> Response:
        response = self._browser.page(view, incoming.request)
        self._browser.cookies.forget(response, SESSION)
        return response

    def _kept(self, response: Response, tab: Tab) -> Response:
        self._browser.cookies.keep(response, f"signin-{tab.name}", tab.secret or "", COOKIE_LIVES)
        return response

    def _tab(self, text: str, request: Request) -> tuple[Tab, str]:
        """The way to Google that a form's token or a `state` belongs to, and what stands behind its name.

        Raises:
            Turned: it belongs to none.
        """
        found = TAB.fullmatch(text)
        if found is None:
            raise Turned("This is no way to sign in that we know. Go back to where you came from and connect again.")
        return Tab(found[1], self._browser.cookies.kept(request, f"signin-{found[1]}")), found[2]

    def _count_fetch(self, parameters: Mapping[str, str], incoming: Incoming) -> None:
        """A client that is a document makes us fetch it, from wherever the caller likes."""
        if is_document(parameters.get("client_id", "")):
            self._count(self._fetches, incoming)

    def _count(self, rate: Rate, incoming: Incoming) -> None:
        rate.require(address_of(incoming.request, self._settings.hops), incoming.deadline.clock())

    def _failure(self, error: CantileverError, request: Request) -> Response:
        """JSON for programs, a page for people."""
        if request.scope["path"] in TOKEN_PATHS:
            return oauth_failure(error)
        return self._browser.problem(error, request)


def _new_tab() -> Tab:
    return Tab(wiring.new_secret(), wiring.new_secret())


async def _pairs(incoming: Incoming) -> Pairs:
    """The parameters in a body: a form, as OAuth has it, or JSON, as ChatGPT's classic plugins send it."""
    refuse_in_address(incoming.request.scope["query_string"])
    if incoming.media_type == FORM:
        return form_pairs(await incoming.body(MAX_OAUTH_BODY, FORM))
    return json_pairs(await incoming.body(MAX_OAUTH_BODY))


async def _no_sign_in(_: Incoming) -> Response:
    raise NotFound("This deployment has no sign-in; its owner can set GOOGLE_CLIENT_ID.")


def _edge() -> Edge:
    settings, services = wiring.settings(CATALOGUE.apis), wiring.services(CATALOGUE)
    if not settings.signs_in:
        paths = {path: {"GET": _no_sign_in, "POST": _no_sign_in} for path in ROUTES["auth"]}
        return Edge("auth", paths, settings.chat_budget_seconds, settings.google_cloud_project, settings.names, life=services.life)
    browser = Browser(ASSETS, settings.plugin_name, settings.public_base_url)
    return Auth(
        settings,
        services.catalogue,
        services.directory,
        services.linking,
        services.issuing,
        services.accounts,
        services.account_session,
        services.public_keys,
        browser,
        services.life,
    ).edge()


EDGE = _edge()


@functions_framework.aio.http
async def auth(request: Request) -> Response:
    """The entry point."""
    return await EDGE(request)
