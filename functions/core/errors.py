"""Every way a request can end without an answer, sorted by what the caller can do about it.

    CantileverError
    ├── ChangeRequest          the caller must send something else
    │   ├── Malformed          the bytes are not the JSON we read
    │   ├── Invalid            JSON, but not of the shape that is asked for
    │   ├── TooLarge           more bytes than we read
    │   │   └── HeadTooLarge   in the address and the headers
    │   ├── UnsupportedMedia   not plain JSON
    │   ├── TooSlow            the body did not arrive in time
    │   ├── Forbidden          a page, a name or an account that may not reach us
    │   ├── InsufficientScope  the user has not allowed it, or Google did not grant it
    │   ├── Unconfirmed        it changes something, and its user has not confirmed that
    │   ├── NotFound           no such thing, or not yours: the two look alike
    │   │   └── NoSuchConversation  a name that leads to no conversation; many of them are guesses
    │   ├── MethodNotAllowed   the path exists, the method does not
    │   ├── KeyReused          an Idempotency-Key that was another question's
    │   └── Filtered           the model's provider refuses this content
    ├── Unauthenticated        the caller must present an authorization, or a new one
    │   └── Disconnected       Google has withdrawn what it granted for this caller
    ├── TryLater               the same request may succeed later
    │   ├── SessionBusy        other questions of the session are being answered
    │   ├── TooManyTurns       one owner asks more at a time than one may
    │   ├── TooOften           one caller or address asks more often than one may
    │   ├── Overloaded         this instance has as many turns as it can carry
    │   ├── OwnerSpent         one owner has used up the day's tokens
    │   ├── DeploymentSpent    everybody together has
    │   ├── DeadlinePassed     the request's own deadline passed
    │   ├── Upstream           a foreign system failed or did not answer
    │   │   └── ClientAway     it is the client's own, which says who the client is
    │   └── StoreUnavailable   the document store failed or did not answer
    │       └── StoreExhausted it refuses for now, and nothing was written
    └── TellOperator           only the deployment's owner can mend it
        ├── Refused            a foreign system refuses us: a key, a quota, a wrong model name
        ├── Abandoned          a turn that ended whoever began to answer it
        └── CapabilityFault    a capability breaks a rule of this house

`code` is stable and goes over the wire, as `retryable` does. Messages are read by people and by models: they say what to do and
never hold a token, an address or conversation text. How each maps to a status is said in adapters/http alone.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar


class CantileverError(Exception):
    """Something that ends a request and that its caller is told about."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        """How long the foreign system asked us to wait; None where it said nothing."""

    def told(self) -> dict[str, Any]:
        """What a caller or a model is told: {"error": {"code", "message", "retryable"}}."""
        return {"error": {"code": self.code, "message": self.message, "retryable": self.retryable}}


class ChangeRequest(CantileverError):
    """The caller must send something else."""


class Malformed(ChangeRequest):
    """The bytes are not the JSON we read (core/strict_json.py says which that is)."""

    code = "malformed"


class Invalid(ChangeRequest):
    """JSON, but not of the shape that is asked for."""

    code = "invalid"


class TooLarge(ChangeRequest):
    """More bytes than we read."""

    code = "too_large"


class HeadTooLarge(TooLarge):
    """An address and headers with more bytes than we read."""

    code = "head_too_large"


class UnsupportedMedia(ChangeRequest):
    """A body that is not plain, unencoded JSON."""

    code = "unsupported_media_type"


class TooSlow(ChangeRequest):
    """The body did not arrive in time; the same bytes sent faster will do."""

    code = "body_timeout"
    retryable = True


class Forbidden(ChangeRequest):
    """A web page, a name of ours, or a known account that may not be used to reach us."""

    code = "forbidden"


class InsufficientScope(ChangeRequest):
    """The user has not allowed this client the capability, or Google did not grant a scope of it; the message has a link that asks for it."""

    code = "insufficient_scope"

    def __init__(self, message: str, *, scope: str = "", google_scopes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.scope = scope
        """The scope of ours that is needed, the name of a capability."""
        self.google_scopes = google_scopes
        """Those of Google's that the operation names."""


class Unconfirmed(ChangeRequest):
    """It changes something, and its user has not confirmed that (core/confirmation.py); nothing was done."""

    code = "unconfirmed"


class NotFound(ChangeRequest):
    """No such thing, or not yours: the two look alike on purpose."""

    code = "not_found"


class NoSuchConversation(NotFound):
    """A name that leads to no conversation of this caller's: mistaken, ended, or a guess (core/guesses.py)."""


class MethodNotAllowed(ChangeRequest):
    """The path exists, the method does not."""

    code = "method_not_allowed"

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class KeyReused(ChangeRequest):
    """The Idempotency-Key belongs to another question of the session."""

    code = "idempotency_key_reused"


class Filtered(ChangeRequest):
    """The model's provider refuses this content; other words may do."""

    code = "content_filtered"


class Unauthenticated(CantileverError):
    """The caller must present an authorization, or a new one."""

    code = "unauthenticated"

    def __init__(self, message: str, *, scope: str | None = None) -> None:
        super().__init__(message)
        self.scope = scope
        """The scope of ours that would do, the name of a capability; None where none does."""


class Disconnected(Unauthenticated):
    """Google has withdrawn what it granted for this caller: they have to connect again, and no repetition helps."""

    code = "disconnected"


class TryLater(CantileverError):
    """The same request may succeed later."""

    retryable = True


class SessionBusy(TryLater):
    """Too many questions of one session are being answered; this one was not begun, and nothing of it is kept."""

    code = "session_busy"


class TooManyTurns(TryLater):
    """One owner has as many turns open as one owner may; this one was not begun."""

    code = "too_many_turns"


class TooOften(TryLater):
    """One caller or address asks for something more often than one may."""

    code = "too_often"


class Overloaded(TryLater):
    """This instance has as many turns open as it can carry; this one was not begun."""

    code = "overloaded"


class OwnerSpent(TryLater):
    """One owner has used up what one owner may in a day."""

    code = "daily_limit_of_caller"


class DeploymentSpent(TryLater):
    """All owners together have used up the deployment's day."""

    code = "daily_limit_of_deployment"


class DeadlinePassed(TryLater):
    """The request's own deadline passed before the work was done."""

    code = "out_of_time"


class Upstream(TryLater):
    """A foreign system failed, was busy, or did not answer."""

    code = "upstream_failed"


class ClientAway(Upstream):
    """The server of a client that is a document failed, was busy, or did not answer: so we do not know who asks."""


class StoreUnavailable(TryLater):
    """The document store failed or did not answer; whether a write was applied is then unknown."""

    code = "store_unavailable"


class StoreExhausted(StoreUnavailable):
    """The document store refuses us for now, over its quota; nothing was written, and asking again at once would make it worse."""


class TellOperator(CantileverError):
    """Only the deployment's owner can mend it."""


class Refused(TellOperator):
    """A foreign system refuses us as we are configured: a key, a quota, a model that does not exist."""

    code = "upstream_refused"


class Abandoned(TellOperator):
    """A turn that ended, several times over, whoever began to answer it."""

    code = "abandoned"


class CapabilityFault(TellOperator):
    """A capability breaks a rule of this house; raised while it is imported, or when it reaches for an API it does not name."""

    code = "capability_fault"


def recalled(code: str, message: str) -> CantileverError:
    """The error that was told under this code before, to be told again; one that this revision does not know is a fault of ours."""
    kinds = [CantileverError]
    for kind in kinds:
        if kind.code == code:
            return kind(message)
        kinds += kind.__subclasses__()
    return CantileverError(message)
