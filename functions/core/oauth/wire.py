"""What OAuth's requests and answers look like: pairs of a query, a form or a JSON object; redirects; refusals in the protocol's words.

RFC 6749 unless another is named.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlencode

from functions.core import strict_json
from functions.core.errors import ChangeRequest

Pairs = Sequence[tuple[str, str]]
"""Names and values in the order in which they came; a name may stand there twice, which `single` refuses."""

MAX_PARAMETERS = 40  # of one request; ours and the clients' own are under 15
MAX_VALUE = (
    2048  # bytes; some clients' state holds a whole URL. It travels through a form of 16 KB, spelled in up to three characters a byte
)

_TEXT = re.compile(r"[ -~]*")
"""What every value but `state` consists of (appendix A): visible ASCII and the space."""


class OAuthError(ChangeRequest):
    """A request that OAuth refuses under a name of its own: section 4.1.2.1 at the authorization endpoint, 5.2 at the token endpoint.

    The message goes out as `error_description`, so it is ASCII without quotes or backslashes, and holds nothing that the caller sent.
    """

    code = "oauth_refused"

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error

    def told(self) -> dict[str, Any]:
        """{"error", "error_description"}."""
        return {"error": self.error, "error_description": self.message}


class Turned(ChangeRequest):
    """A browser's way over Google that cannot go on; it has to begin anew. Told on a page."""

    code = "signin_interrupted"


class Declined(Turned):
    """The person did not let Google say who they are."""


class NotConnected(Turned):
    """One thing more was allowed to a client that this person has not connected."""


def form_pairs(encoded: bytes) -> Pairs:
    """The pairs of a query or of an `application/x-www-form-urlencoded` body.

    A value that is not UTF-8 keeps its bytes as lone surrogates: only `state` may have such, and it goes back byte for byte.

    Raises:
        OAuthError: too many, or a name that is not UTF-8.
    """
    parts = [part for part in encoded.split(b"&") if part]
    if len(parts) > MAX_PARAMETERS:
        raise OAuthError("invalid_request", "There are too many parameters.")
    split = (part.replace(b"+", b" ").partition(b"=") for part in parts)
    try:
        return [(unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode(errors="surrogateescape")) for name, _, value in split]
    except UnicodeDecodeError as error:
        raise OAuthError("invalid_request", "The name of a parameter is not UTF-8.") from error


def json_pairs(body: bytes) -> Pairs:
    """The pairs of a JSON object of texts, as ChatGPT's classic plugins send one; what is no text is refused.

    Raises:
        OAuthError: it is not such an object.
        Malformed: it is not JSON; a repeated name is none.
    """
    value = strict_json.loads(body)
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()) or len(value) > MAX_PARAMETERS:
        raise OAuthError("invalid_request", "The body must be one JSON object whose values are texts.")
    return list(value.items())


def refuse_in_address(query: bytes) -> None:
    """Refuse a request whose address has parameters that belong into its body (RFC 6749 sections 2.3.1 and 3.2): in an address a secret stands
    in every log on its way, and of one that stands in both two readers may believe either.

    Raises:
        OAuthError: it has.
    """
    if not {name for name, _ in form_pairs(query)}.isdisjoint(KNOWN):
        raise OAuthError("invalid_request", "Parameters of this endpoint belong into the body, and not into the address.")


def single(pairs: Pairs) -> Mapping[str, str]:
    """Each parameter once; one without a value counts as left out (section 3.1). Names that we do not know are kept and not looked at.

    Raises:
        OAuthError: one is repeated, too long, or not text that OAuth allows.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            error = "invalid_target" if name == "resource" else "invalid_request"
            raise OAuthError(error, "A parameter is repeated; each may be there once.")
        if len(value.encode(errors="surrogateescape")) > MAX_VALUE:
            raise OAuthError("invalid_request", f"A parameter is longer than {MAX_VALUE} bytes.")
        found[name] = value
    odd = [name for name in KNOWN if name != "state" and not _TEXT.fullmatch(found.get(name, ""))]
    if odd:
        raise OAuthError("invalid_request", f"{odd[0]} may hold only the visible characters of ASCII.")
    return {name: value for name, value in found.items() if value}


KNOWN = (
    "client_id", "client_secret", "code", "code_challenge", "code_challenge_method", "code_verifier", "grant_type", "prompt", "redirect_uri",
    "refresh_token", "resource", "response_mode", "response_type", "scope", "state", "token", "token_type_hint",
)  # fmt: skip
"""The parameters that we look at."""


def as_sent(state: str | None) -> str | None:
    """A `state` in the one spelling that a URL can carry whatever its bytes are; it is kept and given back so."""
    return None if state is None else quote(state.encode(errors="surrogateescape"), safe="")


def redirect(uri: str, answers: Mapping[str, str], *, state: str | None, issuer: str) -> str:
    """`uri` with the answers behind it, and with `state` and `iss`, which no answer may miss (section 4.1.2, RFC 9207).

    What is registered stays as it is to the letter: it is appended to and never read and written anew. `state` is as `as_sent` has it.
    """
    told = urlencode({**answers, "iss": issuer}, quote_via=quote, safe="")
    return f"{uri}{'&' if '?' in uri else '?'}{told}{'' if state is None else f'&state={state}'}"
