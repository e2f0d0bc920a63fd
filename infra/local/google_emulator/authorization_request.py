"""The request that brings a person to Google, read as strictly as Google reads it, and more: PKCE is wanted of everybody."""

import re
from collections.abc import Sequence

from infra.local.google_emulator import scopes
from infra.local.google_emulator.accounts import Accounts, Asked, Client

PARAMETERS = (
    "client_id redirect_uri response_type scope state nonce access_type include_granted_scopes prompt login_hint "
    "code_challenge code_challenge_method hd display enable_granular_consent"
).split()
"""What Google documents; others it ignores, as RFC 6749 §3.1 wants it."""

PROMPTS = {"none", "consent", "select_account"}


class Blocked(Exception):
    """A request that Google answers with a page of its own, and never with a redirect."""

    def __init__(self, error: str, detail: str, status: int = 400) -> None:
        super().__init__(f"{error}: {detail}")
        self.error = error
        self.detail = detail
        self.status = status


def read(pairs: Sequence[tuple[str, str]], accounts: Accounts) -> Asked:
    """What a request asks for.

    Raises:
        Blocked: it is none that Google would go on with.
    """
    query = dict(pairs)
    repeated = [name for name in PARAMETERS if sum(name == given for given, _ in pairs) > 1]
    if repeated:
        raise Blocked("invalid_request", f"OAuth 2 parameters can only have a single value: {repeated[0]}")
    client = _client(query, accounts)
    _require_form(query)
    return Asked(
        client,
        query["redirect_uri"],
        _scopes(query),
        query["code_challenge"],
        state=query.get("state"),
        nonce=query.get("nonce"),
        offline=_one_of(query, "access_type", "online", "offline") == "offline",
        combined=_one_of(query, "include_granted_scopes", "false", "true") == "true",
        prompts=_prompts(query),
        login_hint=query.get("login_hint"),
    )


def _client(query: dict[str, str], accounts: Accounts) -> Client:
    client = accounts.client(_required(query, "client_id"))
    if client is None:
        raise Blocked("invalid_client", "The OAuth client was not found.", 401)
    if _required(query, "redirect_uri") not in client.redirect_uris:
        registered = ", ".join(sorted(client.redirect_uris)) or "none"
        raise Blocked("redirect_uri_mismatch", f"redirect_uri={query['redirect_uri']} is not registered; registered: {registered}")
    return client


def _require_form(query: dict[str, str]) -> None:
    """The code flow, with the challenge that RFC 9700 §2.1.1 wants of every client; Google itself does without."""
    if _required(query, "response_type") != "code":
        raise Blocked("unsupported_response_type", f"Emulator: response_type={query['response_type']}; it knows code alone.")
    if not re.fullmatch(r"[\w-]{43}", query.get("code_challenge", ""), re.A) or query.get("code_challenge_method") != "S256":
        raise Blocked("invalid_request", "Emulator: a code_challenge of method S256 is wanted here, 43 characters of base64url.")


def _scopes(query: dict[str, str]) -> tuple[str, ...]:
    asked = scopes.read(_required(query, "scope"))
    unknown = [scope for scope in asked if scope not in scopes.SCOPES]
    if unknown or not asked:
        valid = ", ".join(scope for scope in asked if scope not in unknown)
        raise Blocked("invalid_scope", f"Some requested scopes were invalid. {{valid=[{valid}], invalid=[{', '.join(unknown)}]}}")
    return asked


def _prompts(query: dict[str, str]) -> frozenset[str]:
    prompts = frozenset(query.get("prompt", "").split())
    if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise Blocked("invalid_request", f"Invalid parameter value for prompt: {query['prompt']}")
    return prompts


def _required(query: dict[str, str], name: str) -> str:
    if not query.get(name):
        raise Blocked("invalid_request", f"Missing required parameter: {name}")
    return query[name]


def _one_of(query: dict[str, str], name: str, default: str, other: str) -> str:
    value = query.get(name, default)
    if value not in (default, other):
        raise Blocked("invalid_request", f"Invalid parameter value for {name}: {value}")
    return value
