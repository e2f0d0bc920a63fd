"""The errors of Google's APIs, as JSON.

Two forms: what the front end of all APIs answers, and what Calendar's own server does
(https://developers.google.com/workspace/calendar/api/guides/errors, https://docs.cloud.google.com/apis/design/errors).
"""

from collections.abc import Mapping
from typing import Any

WHERE = {"location": "Authorization", "locationType": "header"}
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"

EXPECTED = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


class Refused(Exception):
    """A request that is answered with an error of this status and body."""

    def __init__(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body["error"]["message"])
        self.status = status
        self.body = body
        self.headers = headers or {}


def backend(status: int, reason: str, message: str, *, domain: str = "global", location: str = "", kind: str = "parameter") -> Refused:
    """What Calendar's server answers: `errors`, and no `status`."""
    where = {"locationType": kind, "location": location} if location else {}
    error = {"domain": domain, "reason": reason, "message": message, **where}
    return Refused(status, {"error": {"errors": [error], "code": status, "message": message}})


def front(status: int, code: str, message: str, **more: Any) -> Refused:
    """What the front end answers: `status`, a name of google.rpc.Code, beside the number."""
    return Refused(status, {"error": {"code": status, "message": message, **more, "status": code}})


def missing_credentials(service: str, method: str) -> Refused:
    """401: no token came."""
    errors = {} if service == DOCS else {"errors": [{"message": "Login Required.", "domain": "global", "reason": "required", **WHERE}]}
    refused = front(401, "UNAUTHENTICATED", f"Request is missing required authentication credential. {EXPECTED}", **errors)
    refused.body["error"]["details"] = [_info("CREDENTIALS_MISSING", service, method)]
    refused.headers = {"www-authenticate": 'Bearer realm="https://accounts.google.com/"'}
    return refused


def invalid_credentials(service: str) -> Refused:
    """401: the token is unknown, expired or revoked."""
    errors = {} if service == DOCS else {"errors": [{"message": "Invalid Credentials", "domain": "global", "reason": "authError", **WHERE}]}
    refused = front(401, "UNAUTHENTICATED", f"Request had invalid authentication credentials. {EXPECTED}", **errors)
    refused.headers = {"www-authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
    return refused


def insufficient_scopes(service: str, method: str, scopes: tuple[str, ...]) -> Refused:
    """403: the token has none of the scopes, one of which the method wants."""
    lacking = {"message": "Insufficient Permission", "domain": "global", "reason": "insufficientPermissions"}
    errors = {} if service == DOCS else {"errors": [lacking]}
    refused = front(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.", **errors)
    refused.body["error"]["details"] = [_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service, method)]
    wanted = f'Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="{" ".join(scopes)}"'
    refused.headers = {"www-authenticate": wanted}
    return refused


def not_found(service: str) -> Refused:
    """404."""
    if service == CALENDAR:
        return backend(404, "notFound", "Not Found")
    message = "Requested entity was not found."
    return front(404, "NOT_FOUND", message, **_errors(service, "notFound", message))


def invalid(service: str, name: str, message: str) -> Refused:
    """400: a parameter, or a field of the body, makes no sense."""
    if service == CALENDAR:
        return backend(400, "invalidParameter", message, location=name)
    return front(400, "INVALID_ARGUMENT", message, **_errors(service, "invalidArgument", message))


def forbidden(service: str, message: str) -> Refused:
    """403: the person may not see this, whatever the token allows."""
    return front(403, "PERMISSION_DENIED", message, **_errors(service, "forbidden", message))


CALENDAR = "calendar-json.googleapis.com"
DOCS = "docs.googleapis.com"
GMAIL = "gmail.googleapis.com"


def _errors(service: str, reason: str, message: str) -> dict[str, Any]:
    """The older list beside the newer `status`; an API as young as Docs has none."""
    return {} if service == DOCS else {"errors": [{"message": message, "domain": "global", "reason": reason}]}


def _info(reason: str, service: str, method: str) -> dict[str, Any]:
    return {"@type": ERROR_INFO, "reason": reason, "domain": "googleapis.com", "metadata": {"service": service, "method": method}}
