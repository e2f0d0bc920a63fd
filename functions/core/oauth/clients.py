"""Who may ask for tokens: ChatGPT's confidential client, clients that registered themselves, and clients that are a document on the web.

RFC 6749 section 2, RFC 7591 (registration), https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/ (CIMD).
"""

import binascii
import hmac
import ipaddress
import re
from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import unquote_plus

from pydantic import ConfigDict, Field

from functions.core import strict_json
from functions.core.deadline import Deadline
from functions.core.errors import ChangeRequest
from functions.core.oauth.wire import OAuthError
from functions.core.shape import Shape
from functions.core.stored import Stored
from functions.core.visible import visible

MAX_METADATA = 8 * 1024  # bytes of a registration
MAX_REDIRECT_URIS = 10
UNUSED_LIVES = timedelta(hours=24)
"""How long a registered client lives that nobody has signed in with yet (T35): registration is open to everybody."""

METHODS = ("none", "client_secret_post", "client_secret_basic")
"""How a client may show at the token endpoint who it is (RFC 7591 section 2). Secrets are the confidential client's alone."""

CHATGPT_CALLBACK = re.compile(r"https://(?:chat\.openai\.com|chatgpt\.com)/aip/(?:g|plugin)-[0-9A-Za-z-]{1,128}/oauth/callback")
"""Where ChatGPT's Actions and classic plugins want their answer. The name in the middle changes with every edit of a GPT's settings
(https://developers.openai.com/api/docs/actions/authentication), so that this one client cannot be held to a string."""

CHATGPT = "https://chatgpt.com/"

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_REST = r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
_HTTPS = re.compile(rf"https://({_HOST})(?::([1-9]\d{{0,4}}))?{_REST}")
_LOOPBACK = re.compile(rf"http://(127\.0\.0\.1|\[::1\]|localhost)(?::([1-9]\d{{0,4}}))?({_REST})")


class Client(Stored):
    """A client as the rules see it."""

    client_id: str
    kind: Literal["confidential", "registered", "document"]
    name: str
    redirect_uris: tuple[str, ...] = ()
    """None for the confidential client, which CHATGPT_CALLBACK is for."""
    secret_digest: str | None = None
    """SHA-256 of its secret, in hex; None: it is public."""
    registered_at: datetime | None = None
    used: bool = False
    """Whether anybody has signed in with it; until then it has an end (UNUSED_LIVES)."""

    @property
    def public(self) -> bool:
        """Whether it has no secret: then PKCE is what ties the code to it."""
        return self.secret_digest is None

    @property
    def addresses(self) -> Sequence[str]:
        """Where its answers may go."""
        return self.redirect_uris or (CHATGPT,)

    def redirects_to(self, uri: str) -> bool:
        """Whether answers may go to `uri`: one that it named, to the letter; of a loopback address the port is free (RFC 8252 section 7.3)."""
        if self.kind == "confidential":
            return CHATGPT_CALLBACK.fullmatch(uri) is not None
        return uri in self.redirect_uris or (_portless(uri) is not None and _portless(uri) in map(_portless, self.redirect_uris))


class ClientDocuments(Protocol):
    """The documents that some clients are."""

    async def fetch(self, url: str, deadline: Deadline) -> bytes:
        """What lies at a URL that anybody may have named.

        Raises:
            Invalid: we do not fetch from there, or what lies there is none; the message says why.
            Upstream: the server failed or did not answer in time.
            DeadlinePassed: the deadline passed.
        """


class Metadata(Shape):
    """What a client says of itself (RFC 7591 section 2); what we do not look at may be anything."""

    model_config = ConfigDict(extra="ignore")

    redirect_uris: Annotated[tuple[Annotated[str, Field(max_length=2000)], ...], Field(min_length=1, max_length=MAX_REDIRECT_URIS)]
    client_name: Annotated[str, Field(max_length=200)] = ""
    grant_types: tuple[str, ...] = ("authorization_code",)
    response_types: tuple[str, ...] = ("code",)
    client_id: str | None = None
    token_endpoint_auth_method: str | None = None
    """The one that it likes best."""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    """All that it can, where it says so (https://openid.net/specs/openid-connect-rp-metadata-choices-1_0.html): ChatGPT's document likes
    `private_key_jwt` best, and names `none` here."""

    @property
    def methods(self) -> Collection[str]:
        """How it can show who it is; empty where it does not say."""
        return {*self.token_endpoint_auth_methods_supported, *filter(None, [self.token_endpoint_auth_method])}


def registered(body: bytes, client_id: str, now: datetime) -> Client:
    """The client that a registration asks for. It is public also where it asks for a secret: one that everybody may fetch is none.

    Raises:
        OAuthError: under RFC 7591's names.
        Malformed: it is not JSON.
    """
    metadata = _metadata(body)
    _require_method(metadata, METHODS)
    return _client(metadata, client_id, "registered", now)


def documented(url: str, document: bytes) -> Client:
    """The client that the document at `url` is.

    Raises:
        OAuthError: it is another's, or wrong.
    """
    metadata = _metadata(document)
    if metadata.client_id != url:
        raise OAuthError("invalid_client", "The client's document names another client_id than the address it lies at.")
    _require_method(metadata, ["none"])  # A secret in a public document is none, and the draft forbids it (section 4.1).
    return _client(metadata, url, "document", None)


def is_document(client_id: str) -> bool:
    """Whether a client_id is the address of a document: https, with a path, nothing that two readers could understand in two ways."""
    found = _HTTPS.fullmatch(client_id)
    path = client_id[8:].partition("/")[2]
    return found is not None and path != "" and not {".", ".."} & set(path.split("/"))


def answered(client: Client) -> dict[str, Any]:
    """What a registration is answered (RFC 7591 section 3.2.1)."""
    return {
        "client_id": client.client_id,
        "client_id_issued_at": int(client.registered_at.timestamp()) if client.registered_at else 0,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request to the token endpoint shows of its client."""

    client_id: str
    secrets: tuple[str, ...] = field(repr=False)
    """Empty where it shows none; two where what it shows can be read in two ways."""
    basic: bool
    """Whether it came in the Authorization header: then a refusal is told with a challenge (section 5.2)."""


def credentials(authorization: str | None, parameters: Mapping[str, str]) -> Credentials:
    """Who the client says it is: by HTTP Basic or in the body, not both.

    Raises:
        OAuthError: nobody, or in two ways.
    """
    named, secret = parameters.get("client_id"), parameters.get("client_secret")
    if authorization is None:
        if named is None:
            raise OAuthError("invalid_client", "Name the client: client_id in the body, or HTTP Basic.")
        return Credentials(named, () if secret is None else (secret,), basic=False)
    client_id, shown = _basic(authorization)
    if secret is not None or named not in (None, client_id):
        raise OAuthError("invalid_request", "The client authenticates in one way only: HTTP Basic, or in the body.")
    return Credentials(client_id, shown, basic=True)


def authenticate(client: Client | None, shown: Credentials) -> Client:
    """The client, once it is known to be the one that it says it is. An unknown client and a wrong secret are not told apart.

    Raises:
        OAuthError: it is not.
    """
    expected = (client and client.secret_digest) or secret_digest("")  # Of a public client: that it shows no secret.
    right = [hmac.compare_digest(secret_digest(secret), expected) for secret in shown.secrets or ("",)]
    if client is None or not any(right):
        raise OAuthError("invalid_client", "The client is unknown, or its secret is wrong.")
    return client


def secret_digest(secret: str) -> str:
    """What is kept of a secret: its SHA-256, in hex. Ours are 128 random bits or more, so nothing slower is needed."""
    return sha256(secret.encode()).hexdigest()


def _basic(authorization: str) -> tuple[str, tuple[str, ...]]:
    """client_id and secret out of HTTP Basic, each spelled as a form spells it (section 2.3.1). Many clients, curl and Python's requests among
    them, send the secret as it is: so it may be either, or a `+` or `%` in it would shut them out.
    """
    found = re.fullmatch(r"(?i:basic) +([A-Za-z0-9+/=]+)", authorization)
    try:
        name, colon, secret = b64decode(found[1], validate=True).decode().partition(":") if found else ("", "", "")
        client_id, shown = unquote_plus(name, errors="strict"), (unquote_plus(secret, errors="replace"), secret)
    except (binascii.Error, ValueError):  # Not chained: what they say comes from the header.
        client_id = colon = secret = ""
    if not (client_id and colon):
        raise OAuthError("invalid_client", "The Authorization header is not HTTP Basic with client_id and secret.")
    return client_id, shown if secret else ()


def _metadata(body: bytes) -> Metadata:
    if len(body) > MAX_METADATA:
        raise OAuthError("invalid_client_metadata", f"A client may say at most {MAX_METADATA} bytes of itself.")
    try:
        return strict_json.read(Metadata, body)
    except ChangeRequest:
        raise OAuthError(
            "invalid_client_metadata",
            f"Send one JSON object with redirect_uris (1 to {MAX_REDIRECT_URIS}) and client_name, as RFC 7591 has them.",
        ) from None


def _client(metadata: Metadata, client_id: str, kind: Literal["registered", "document"], now: datetime | None) -> Client:
    if not all(map(may_redirect, metadata.redirect_uris)):
        raise OAuthError("invalid_redirect_uri", "A redirect URI is https without a fragment, or http on 127.0.0.1, [::1] or localhost.")
    if "authorization_code" not in metadata.grant_types or "code" not in metadata.response_types:
        raise OAuthError("invalid_client_metadata", "Only the grant authorization_code with the response type code is offered.")
    name = " ".join(visible(metadata.client_name).split())[:100]
    return Client(client_id=client_id, kind=kind, name=name, redirect_uris=metadata.redirect_uris, registered_at=now)


def _require_method(metadata: Metadata, offered: Collection[str]) -> None:
    if metadata.methods and not {*metadata.methods} & {*offered}:
        raise OAuthError(
            "invalid_client_metadata",
            "The client authenticates at the token endpoint only in ways that are not offered here, such as private_key_jwt. Name the method "
            "none, in token_endpoint_auth_method or in token_endpoint_auth_methods_supported; PKCE then ties the code to the client.",
        )


def may_redirect(uri: str) -> bool:
    """Whether a client may name this address: https with a host by name, or http on this machine; visible ASCII, no user, no fragment."""
    found = _HTTPS.fullmatch(uri) or _LOOPBACK.fullmatch(uri)
    return found is not None and int(found[2] or 1) <= 65535 and not _is_address(found[1])


def _is_address(host: str) -> bool:
    """Whether a host is an IP address of another machine, in any spelling that some reader takes for one."""
    if host in ("127.0.0.1", "[::1]"):
        return False
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return re.fullmatch(r"(?:0[xX][0-9A-Fa-f]+|\d+)(?:\.(?:0[xX][0-9A-Fa-f]+|\d+))*", host) is not None
    return True


def _portless(uri: str) -> str | None:
    """A loopback address by number without its port; None where it is no such address."""
    found = _LOOPBACK.fullmatch(uri)
    return f"{found[1]}{found[3]}" if found and found[1] != "localhost" else None
