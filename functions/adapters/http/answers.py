"""What goes out: answers, documents, and every fault in the shape that its caller expects."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from functions.core import errors
from functions.core.errors import CantileverError, MethodNotAllowed, TooLarge, TooSlow
from functions.core.oauth.wire import OAuthError, Turned

STATUS: Mapping[type[CantileverError], int] = {
    OAuthError: 400,
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    Turned: 403,
    errors.Forbidden: 403,
    errors.InsufficientScope: 403,
    errors.Unconfirmed: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.TooSlow: 408,
    errors.SessionBusy: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.Invalid: 422,
    errors.KeyReused: 422,
    errors.Filtered: 422,
    errors.TooManyTurns: 429,
    errors.TooOften: 429,
    errors.OwnerSpent: 429,
    errors.HeadTooLarge: 431,
    errors.TellOperator: 500,
    errors.Refused: 502,
    errors.Upstream: 502,
    errors.Overloaded: 503,
    errors.DeploymentSpent: 503,
    errors.StoreUnavailable: 503,
    errors.DeadlinePassed: 504,
}
"""A class that is not named has the status of its base."""

FAULTS: Mapping[str, str] = {
    "400": "Not JSON, or not a request that everybody reads alike.",
    "401": "An authorization is needed.",
    "404": "There is no such thing.",
    "408": "The body did not arrive in time.",
    "409": "Other questions of this session are being answered; try again.",
    "413": "The body is too large.",
    "415": "The body is not plain JSON.",
    "422": "Not of this shape, or refused by the model's provider.",
    "429": "One caller asks too much at a time or for a day, or too often for what is not there.",
    "500": "A fault on our side.",
    "502": "A foreign system failed.",
    "503": "The store failed, or there is no room; try again.",
    "504": "Not done in time; try again.",
}
"""What each means on the REST interface, for the published document; 405 is for what the document does not name."""

PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603
"""JSON-RPC 2.0 section 5.1."""

UNGUESSED = {"X-Content-Type-Options": "nosniff"}
"""No browser may take an answer for something else than it says it is."""

PAGE_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""What our pages may do: show the logo and their own style."""


def answer(body: BaseModel) -> Response:
    """200 with a model as JSON, not to be cached: answers are one caller's."""
    return json_text(body.model_dump_json(exclude_none=True))


def json_text(text: str | bytes, status: int = 200) -> Response:
    """JSON text as it is, not to be cached."""
    return Response(text, status, {"Cache-Control": "no-store", **UNGUESSED}, "application/json")


def tokens(told: Mapping[str, Any]) -> Response:
    """Tokens for a client, to be kept by no cache, however old it is (RFC 6749 §5.1)."""
    response = json_text(json.dumps(told))
    response.headers["Pragma"] = "no-cache"
    return response


def document(content: bytes, media_type: str, etag: str, request: Request) -> Response:
    """A public document, or 304 where the caller has it already (RFC 9110 §13.1.2)."""
    headers = {"ETag": etag, "Cache-Control": "public, max-age=300", "Content-Security-Policy": PAGE_POLICY, **UNGUESSED}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, media_type)


def accepted(body: BaseModel, retry_after: timedelta) -> Response:
    """202: it will be done, and the body says where to look; not before `retry_after`."""
    response = json_text(body.model_dump_json(exclude_none=True), 202)
    response.headers["Retry-After"] = _seconds(retry_after)
    return response


def health(lacking: Sequence[str]) -> Response:
    """200 where nothing is lacking, else 503: alive, and not ready."""
    told = {"alive": True, "ready": not lacking} | ({"waiting_for": list(lacking)} if lacking else {})
    return json_text(json.dumps(told), 503 if lacking else 200)


def nothing() -> Response:
    """204: done, and there is nothing to tell."""
    return Response(status_code=204)


def failure(error: CantileverError) -> Response:
    """A fault of the REST interface: {"error": {"code", "message", "retryable"}}."""
    return _refusal(error, status_of(error), error.told())


def rpc_failure(error: CantileverError, *, code: int | None = None, request_id: int | str | None = None) -> Response:
    """A fault of a request that never became a call, as MCP's callers expect it: a JSON-RPC error.

    They know 400 for every message that is none, and tell the reasons apart by JSON-RPC's codes.
    """
    status = 400 if isinstance(error, errors.Invalid) else status_of(error)
    usual = PARSE_ERROR if isinstance(error, errors.Malformed) else INVALID_REQUEST if status < 500 else INTERNAL_ERROR
    told = {"code": code or usual, "message": error.message, "data": {"code": error.code, "retryable": error.retryable}}
    return _refusal(error, status, {"jsonrpc": "2.0", "id": request_id, "error": told})


def status_of(error: CantileverError) -> int:
    """The status that tells this error."""
    return next((STATUS[base] for base in type(error).__mro__ if base in STATUS), 500)


def oauth_failure(error: CantileverError) -> Response:
    """A fault of the authorization server, as OAuth's clients expect it (RFC 6749 section 5.2, RFC 7591 section 3.2.2)."""
    if isinstance(error, OAuthError):
        response = _refusal(error, 401 if error.error == "invalid_client" else status_of(error), error.told())
        if error.error == "invalid_client":
            response.headers["WWW-Authenticate"] = 'Basic realm="token endpoint"'
        return response
    status = status_of(error)
    name = "temporarily_unavailable" if isinstance(error, errors.TryLater) else "invalid_request" if status < 500 else "server_error"
    return _refusal(error, status, {"error": name, "error_description": _described(error)})


@dataclass(frozen=True, slots=True)
class Resource:
    """What a caller who is refused is told about signing in here."""

    metadata: str
    """Where its document is (RFC 9728)."""
    scopes: Sequence[str]
    """What to ask for where a refusal names nothing in particular."""

    def challenge(self, error: errors.Unauthenticated | errors.InsufficientScope) -> str:
        """A `WWW-Authenticate` value that tells a client where to sign in, and for what (RFC 6750 §3, RFC 9728 §5.1).

        ChatGPT starts signing in only where `error` and `error_description` are there too (https://developers.openai.com/plugins/build/auth).
        """
        name = "insufficient_scope" if error.scope else "invalid_token"
        wanted = error.scope or " ".join(self.scopes)
        scope = f', scope="{wanted}"' if wanted else ""
        return f'Bearer resource_metadata="{self.metadata}", error="{name}", error_description="{_described(error)}"{scope}'


def _refusal(error: CantileverError, status: int, told: Mapping[str, Any]) -> Response:
    response = json_text(json.dumps(told, ensure_ascii=False), status)
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, errors.Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 6750 §3; where one can sign in, the edge says so (Resource).
    if error.retry_after is not None:
        response.headers["Retry-After"] = _seconds(error.retry_after)
    elif status == 503:
        response.headers["Retry-After"] = "1"
    if isinstance(error, TooLarge | TooSlow):
        response.headers["Connection"] = "close"  # What is left of the body is not read as another request.
    return response


def _described(error: CantileverError) -> str:
    """The message in the characters that an `error_description` may have (RFC 6749 §5.2, RFC 6750 §3): no quotes, no backslash, ASCII."""
    return re.sub(r"[^ !#-\[\]-~]", "'", error.message)


def _seconds(wait: timedelta) -> str:
    """Whole seconds, as Retry-After has them (RFC 9110 §10.2.3); never zero, which would be at once."""
    return str(max(1, round(wait.total_seconds())))
