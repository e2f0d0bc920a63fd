"""Google sign-in: the pages and endpoints of accounts.google.com, oauth2.googleapis.com and openidconnect.googleapis.com.

https://developers.google.com/identity/protocols/oauth2/web-server and https://developers.google.com/identity/openid-connect/openid-connect
"""

import base64
import binascii
from collections.abc import Callable, Collection
from urllib.parse import unquote_plus, urlencode, urlsplit

from aiohttp import web

from infra.local.google_emulator import pages, scopes
from infra.local.google_emulator.accounts import ACCESS_SECONDS, Accounts, Asked, Client, OAuthRefused, Tokens
from infra.local.google_emulator.authorization_request import PARAMETERS, Blocked, read
from infra.local.google_emulator.identity import ISSUER, Keys, at_hash
from infra.local.google_emulator.people import Person

HTML_HEADERS = {"cache-control": "no-store", "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
NO_STORE = {"cache-control": "no-cache, no-store, max-age=0, must-revalidate", "pragma": "no-cache"}

CERTS_SECONDS = 20_000
"""How long Google lets its keys be kept; its answers say 5 to 7 hours."""


class SignIn:
    """The endpoints over one state."""

    def __init__(self, accounts: Accounts, keys: Keys, clock: Callable[[], float]) -> None:
        self._accounts = accounts
        self._keys = keys
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """At Google's own paths, below one address in place of its several."""
        return [
            web.get("/.well-known/openid-configuration", self.configuration),
            web.get("/o/oauth2/v2/auth", self.authorize),
            web.get("/signin/oauth/consent", self.consent),
            web.post("/signin/oauth/consent", self.answer),
            web.post("/token", self.token),
            web.post("/revoke", self.revoke),
            web.get("/oauth2/v3/certs", self.certs),
            web.get("/v1/userinfo", self.userinfo),
            web.get("/oauth2/v3/userinfo", self.userinfo),
        ]

    async def configuration(self, request: web.Request) -> web.Response:
        """OpenID Connect Discovery 1.0, with the endpoints where the emulator is."""
        here = f"{request.scheme}://{request.host}"
        return web.json_response(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{here}/o/oauth2/v2/auth",
                "token_endpoint": f"{here}/token",
                "userinfo_endpoint": f"{here}/v1/userinfo",
                "revocation_endpoint": f"{here}/revoke",
                "jwks_uri": f"{here}/oauth2/v3/certs",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "code_challenge_methods_supported": ["S256"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
            }
        )

    async def authorize(self, request: web.Request) -> web.Response:
        """Let a person choose the account; who is named by login_hint has chosen."""
        pairs = list(request.query.items())
        try:
            asked = read(pairs, self._accounts)
        except Blocked as wrong:
            return _blocked(wrong)
        person = self._accounts.person(asked.login_hint)
        if "none" in asked.prompts:
            silently = person is not None and self._accounts.granted(asked.client, person).issuperset(asked.scopes)
            return self._granted(asked, person, ()) if person and silently else _redirect(asked, error="interaction_required")
        if person and "select_account" not in asked.prompts:
            return web.Response(status=302, headers={"location": _consent_link(person, pairs)})
        accounts = [(one, _consent_link(one, pairs)) for one in self._accounts.people]
        return _html(pages.account_chooser(asked.client.name, accounts))

    async def consent(self, request: web.Request) -> web.Response:
        """Ask a person for what is not granted yet; for nothing, where all of it is and nobody insists."""
        pairs = [(name, value) for name, value in request.query.items() if name in PARAMETERS]
        person = self._accounts.person(request.query.get("account"))
        try:
            asked = read(pairs, self._accounts)
        except Blocked as wrong:
            return _blocked(wrong)
        if person is None:
            return _blocked(Blocked("invalid_request", "There is no such account."))
        granted = self._accounts.granted(asked.client, person)
        if granted.issuperset(asked.scopes) and "consent" not in asked.prompts:
            return self._granted(asked, person, ())
        other = "/o/oauth2/v2/auth?" + urlencode([(name, value) for name, value in pairs if name != "login_hint"])
        return _html(pages.consent(asked.client.name, person, asked.scopes, granted, [("account", person.email), *pairs], other))

    async def answer(self, request: web.Request) -> web.Response:
        """What the person said on the consent page."""
        form = await request.post()
        pairs = [(name, str(value)) for name, value in form.items() if name in PARAMETERS]
        person = self._accounts.person(str(form.get("account")))
        try:
            asked = read(pairs, self._accounts)
        except Blocked as wrong:
            return _blocked(wrong)
        if person is None or form.get("answer") != "allow":
            return _redirect(asked, error="access_denied")
        allowed = {str(value) for value in form.getall("allowed", [])} | scopes.SIGN_IN | self._accounts.granted(asked.client, person)
        if not allowed.intersection(asked.scopes):
            return _redirect(asked, error="access_denied")
        return self._granted(asked, person, allowed, "consent")

    def _granted(self, asked: Asked, person: Person, allowed: Collection[str], prompt: str = "none") -> web.Response:
        code, carried = self._accounts.grant(asked, person, allowed)
        short = [name for name, scope in scopes.SHORT_NAMES.items() if scope in carried]
        return _redirect(asked, code=code, scope=" ".join([*short, *sorted(carried)]), authuser="0", prompt=prompt)

    async def token(self, request: web.Request) -> web.Response:
        """Tokens for a code or for a refresh token."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            client_id, secret = _credentials(request, form)
            tokens = self._tokens(self._accounts.authenticate(client_id, secret), form)
        except OAuthRefused as refused:
            return _refused(refused)
        return web.json_response(self._answer(tokens), headers=NO_STORE)

    def _tokens(self, client: Client, form: dict[str, str]) -> Tokens:
        match form.get("grant_type"):
            case "authorization_code":
                code, redirect_uri = _required(form, "code"), _required(form, "redirect_uri")
                return self._accounts.redeem(client, code, redirect_uri, form.get("code_verifier", ""))
            case "refresh_token":
                return self._accounts.refresh(client, _required(form, "refresh_token"), scopes.read(form.get("scope", "")))
            case kind:
                raise OAuthRefused("unsupported_grant_type", f"Invalid grant_type: {kind or ''}")

    def _answer(self, tokens: Tokens) -> dict[str, object]:
        access = tokens.access
        answer: dict[str, object] = {"access_token": tokens.access_token, "expires_in": ACCESS_SECONDS}
        if tokens.refresh_token:
            answer["refresh_token"] = tokens.refresh_token
        # In no order that a client asked in: nobody promises one (RFC 6749 §3.3).
        answer |= {"scope": " ".join(sorted(access.scopes)), "token_type": "Bearer"}
        if scopes.OPENID in access.scopes:
            answer["id_token"] = self._keys.signed(self._claims(tokens))
        return answer

    def _claims(self, tokens: Tokens) -> dict[str, object]:
        access, now = tokens.access, int(self._clock())
        return (
            {"iss": ISSUER, "azp": access.client.id, "aud": access.client.id}
            | _shown(access.person, access.scopes)
            | {"at_hash": at_hash(tokens.access_token), "iat": now, "exp": now + ACCESS_SECONDS + 1}
            | ({"nonce": tokens.nonce} if tokens.nonce is not None else {})
        )

    async def revoke(self, request: web.Request) -> web.Response:
        """End a grant by one of its tokens (RFC 7009)."""
        form = await request.post()
        try:
            self._accounts.revoke(_required({name: str(value) for name, value in form.items()} | dict(request.query), "token"))
        except OAuthRefused as refused:
            return _refused(refused)
        return web.json_response({}, headers=NO_STORE)

    async def certs(self, request: web.Request) -> web.Response:
        """The keys that verify an ID token."""
        return web.json_response(
            self._keys.published(), headers={"cache-control": f"public, max-age={CERTS_SECONDS}, must-revalidate, no-transform"}
        )

    async def userinfo(self, request: web.Request) -> web.Response:
        """Who the bearer of an access token acts for (OpenID Connect Core §5.3)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        access = self._accounts.access(token) if scheme.lower() == "bearer" else None
        if access is None or scopes.OPENID not in access.scopes:
            return web.json_response({"error": "invalid_request", "error_description": "Invalid Credentials"}, status=401)
        return web.json_response(_shown(access.person, access.scopes))


def _shown(person: Person, granted: Collection[str]) -> dict[str, object]:
    shown: dict[str, object] = {"sub": person.sub}
    if scopes.EMAIL in granted:
        shown |= {"email": person.email, "email_verified": True}
    if scopes.PROFILE in granted:
        shown |= person.claims
    return shown


def _credentials(request: web.Request, form: dict[str, str]) -> tuple[str, str]:
    """The client's id and secret, from the form or from Basic (RFC 6749 §2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return _required(form, "client_id"), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OAuthRefused("invalid_client", "The OAuth client was not found.", 401) from error
    return unquote_plus(client_id), unquote_plus(secret)


def _required(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise OAuthRefused("invalid_request", f"Missing required parameter: {name}")
    return form[name]


def _refused(refused: OAuthRefused) -> web.Response:
    body = {"error": refused.error, "error_description": refused.description}
    return web.json_response(body, status=refused.status, headers=NO_STORE)


def _blocked(wrong: Blocked) -> web.Response:
    return _html(pages.blocked(wrong.status, wrong.error, wrong.detail), wrong.status)


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=HTML_HEADERS)


def _consent_link(person: Person, pairs: Collection[tuple[str, str]]) -> str:
    return "/signin/oauth/consent?" + urlencode([("account", person.email), *(pair for pair in pairs if pair[0] in PARAMETERS)])


def _redirect(asked: Asked, **answer: str) -> web.Response:
    """Back to the client, by the address as it wrote it: `state` and Google's own `iss` (RFC 9207) first, as Google has them."""
    state = {} if asked.state is None else {"state": asked.state}
    query = urlencode({**state, "iss": ISSUER, **answer})
    location = asked.redirect_uri + ("&" if urlsplit(asked.redirect_uri).query else "?") + query
    return web.Response(status=302, headers={"location": location} | NO_STORE)
