"""What Google's APIs mean by a refusal: the same status stands for a full quota, for a scope that is missing, and for somebody else's file.

Two forms of error are in use, and both may come in one: a list of `errors` with a `reason` each, and `status` with `details`
(https://developers.google.com/workspace/calendar/api/guides/errors, https://docs.cloud.google.com/apis/design/errors).
"""

from collections.abc import Iterator
from typing import Any

from functions.adapters.outgoing import Answer
from functions.core.capability import Api, Operation
from functions.core.errors import CantileverError, InsufficientScope, Invalid, NotFound, Refused

BUSY = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "RATE_LIMIT_EXCEEDED"})
"""Too much within a minute or so: the same request will do later."""

SCOPE = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})
"""The token does not reach so far."""

PROJECT = frozenset(
    {
        "accessNotConfigured", "dailyLimitExceeded", "dailyLimitExceededUnreg", "keyInvalid", "keyExpired", "ipRefererBlocked",
        "SERVICE_DISABLED", "BILLING_DISABLED", "CONSUMER_INVALID", "CONSUMER_SUSPENDED", "API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED",
    }
)  # fmt: skip
"""Our own project at Google is at fault, whoever the user is (google/api/error_reason.proto, and the older names)."""

PRECONDITION = frozenset({"FAILED_PRECONDITION", "failedPrecondition"})
"""The thing is there, and is not of the kind that the method is for: a Word file among Google's documents, an account without mail."""


class TokenRefused(Refused):
    """Google does not take the token that came with the request: it has expired, or the user has withdrawn it."""


def refusal(answer: Answer, api: Api, operation: Operation) -> CantileverError:
    """What to raise for an answer below 500 that is no success, to a request that carried the user's token."""
    reasons = set(_reasons(answer.json))
    if reasons & BUSY:
        return answer.busy()
    if answer.status == 401:
        return TokenRefused(f"{api.name} does not take the user's token.")
    if reasons & SCOPE or 'error="insufficient_scope"' in answer.headers.get("WWW-Authenticate", ""):
        return lacking(operation)
    if reasons & PROJECT:
        return Refused(f"{api.name} refuses this deployment ({min(reasons & PROJECT)}): enable the API in GOOGLE_CLIENT_ID's project.")
    if reasons & PRECONDITION:
        return Invalid(f"{api.name} cannot do this with what was named.")
    if answer.status in (403, 404, 410):
        return NotFound(f"{api.name} has no such thing, or does not show it to the user's account.")
    return Refused(f"{api.name} refuses what the operation asks (status {answer.status}): correct the operation, or {api.url_setting}.")


def lacking(operation: Operation) -> InsufficientScope:
    """What to raise where Google wants more than the user has allowed; whether it is one of these or all of them it does not say."""
    names = [scope.name for scope in operation.scopes]
    wanted = " and ".join(f"“{scope.text('en')}”" for scope in operation.scopes)
    return InsufficientScope(
        f"{operation.name} needs more than was allowed at Google: {wanted} ({' '.join(names)}). The user has to connect again and allow it.",
        scope=operation.capability,
        google_scopes=names,
    )


def _reasons(body: Any) -> Iterator[str]:
    """Every reason that an error names, in either form."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return
    listed = [item for name in ("errors", "details") if isinstance(error.get(name), list) for item in error[name]]
    for reason in (error.get("status"), *(item.get("reason") for item in listed if isinstance(item, dict))):
        if isinstance(reason, str):
            yield reason
