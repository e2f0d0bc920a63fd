"""The authorization endpoint: whether what a client asks for is in order, and the code that it gets in the end.

RFC 6749 section 4.1, RFC 7636 (PKCE), RFC 8707 (resource), RFC 9207 (iss), RFC 9700 (what may be redirected, and what not).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from functions.core.capability import Catalogue
from functions.core.oauth.clients import Client
from functions.core.oauth.records import Asked
from functions.core.oauth.wire import OAuthError, as_sent, redirect

OFFLINE = frozenset({"openid", "profile", "email", "offline_access"})
"""Scopes that clients ask for by habit; who the user is we learn anyway, and a refresh token everybody gets."""

MAX_STATE = 8192
"""Characters of a `state` as a URL spells it: three for each octet that is no letter. It goes out with the consent page, sealed, and has to fit
into the form that comes back (adapters/http/forms.py)."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""Base64url of a SHA-256, without padding (RFC 7636 section 4.2)."""


@dataclass(frozen=True, slots=True)
class Server:
    """What the rules need to know of this deployment."""

    issuer: str
    """Also the prefix of every endpoint; compared to the letter, so without a slash at its end."""
    capabilities: Sequence[str]
    """Those that need a user's consent; their names are our scopes."""

    @classmethod
    def of(cls, issuer: str, catalogue: Catalogue) -> "Server":
        """The server of these capabilities; those that reach nothing of a user's need no consent."""
        needing = (capability.name for capability in catalogue.capabilities if any(one.scopes for one in capability.operations))
        return cls(issuer, tuple(needing))

    @property
    def mcp(self) -> str:
        """The MCP endpoint as a resource (RFC 9728)."""
        return f"{self.issuer}/mcp"

    def resource(self, asked: str | None) -> str:
        """The resource that a token is for: the one asked for, else the REST interface. Some clients write our origin with a slash.

        Raises:
            OAuthError: it is none of ours.
        """
        known = {None: self.issuer, self.issuer: self.issuer, f"{self.issuer}/": self.issuer, self.mcp: self.mcp}
        if asked not in known:
            raise OAuthError("invalid_target", "resource is none of ours; the protected resource metadata names it.")
        return known[asked]


@dataclass(frozen=True, slots=True)
class SentBack:
    """A refusal that goes to the client, whose address was found to be its own."""

    url: str
    error: OAuthError
    client_name: str
    at_once: bool
    """Whether the browser may be sent there at once. Anybody may register a client, and so make of us a way to anywhere (RFC 9700 section 4.11.2):
    there a page shows first where it leads."""


def client_id(parameters: Mapping[str, str]) -> str:
    """Whom to look up.

    Raises:
        OAuthError: nobody is named.
    """
    if "client_id" not in parameters:
        raise OAuthError("invalid_request", "client_id is missing.")
    return parameters["client_id"]


def authorize(server: Server, client: Client, parameters: Mapping[str, str]) -> Asked | SentBack:
    """What the client asks for, or the refusal that it is sent.

    Raises:
        OAuthError: there is nowhere to send anybody, the address is not one of the client's own. Told on a page of ours.
    """
    uri = parameters.get("redirect_uri")
    if uri is None or not client.redirects_to(uri):
        raise OAuthError("invalid_request", "The address to return to is not one that this client has registered.")
    state = as_sent(parameters.get("state"))
    if state and len(state) > MAX_STATE:  # Told on a page, for the refusal would have to carry it, too.
        raise OAuthError("invalid_request", f"state is longer than {MAX_STATE} characters, as a URL spells it.")
    try:
        _require_code_flow(parameters)
        return Asked(
            client_id=client.client_id,
            redirect_uri=uri,
            state=state,
            capabilities=capabilities(server.capabilities, parameters.get("scope")),
            challenge=_challenge(client, parameters),
            resource=server.resource(parameters.get("resource")),
        )
    except OAuthError as error:
        return SentBack(refusal(server, uri, state, error), error, client.name, at_once=not client.public)


def refusal(server: Server, uri: str, state: str | None, error: OAuthError) -> str:
    """Where the browser takes a refusal; `state` is as `as_sent` has it."""
    return redirect(uri, {"error": error.error, "error_description": error.message}, state=state, issuer=server.issuer)


def accepted(server: Server, asked: Asked, code: str) -> str:
    """Where the browser takes the code."""
    return redirect(asked.redirect_uri, {"code": code}, state=asked.state, issuer=server.issuer)


def capabilities(known: Sequence[str], scope: str | None) -> tuple[str, ...]:
    """The capabilities that a scope names, in our order; where it names none, all.

    Raises:
        OAuthError: it names something else.
    """
    named = set((scope or "").split(" ")) - {""} - OFFLINE
    if named - set(known):
        raise OAuthError("invalid_scope", f"Scopes are the names of capabilities: {', '.join(known) or 'there are none here'}.")
    return tuple(name for name in known if name in named or not named)


def _require_code_flow(parameters: Mapping[str, str]) -> None:
    if "response_type" not in parameters:
        raise OAuthError("invalid_request", "response_type is missing; it is code.")
    if parameters["response_type"] != "code":
        raise OAuthError("unsupported_response_type", "Only response_type=code is offered.")
    if parameters.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "Only response_mode=query is offered.")
    if "none" in parameters.get("prompt", "").split(" "):
        raise OAuthError("interaction_required", "Each connection is consented to by a person, so prompt=none cannot be served.")


def _challenge(client: Client, parameters: Mapping[str, str]) -> str | None:
    """The PKCE challenge. ChatGPT's Actions send none, and their secret stands for it; whoever sends one is held to it (RFC 9700 section 2.1.1)."""
    challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method")
    if challenge is None and method is None and not client.public:
        return None
    if challenge is None or method != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "PKCE is needed: code_challenge with code_challenge_method=S256.")
    return challenge
