"""The gate before what changes something: it runs only with a token that was issued to this user, in this turn, for this very call.

The gate is code and asks no model. A model does what it reads, and it reads what others wrote; so the token is for the person alone:

- It is issued for what a model called in vain, and travels beside the answer, with what it would do in our words. It stands in no message
  that a model is shown, neither the result of the call nor the conversation.
- The person who confirms sends it back for the same turn, which then goes on; every call of it that is not the confirmed one is refused as
  before. It is good for one call, and not for long. Whoever goes on with the turn after a crash begins with it anew: what a capability
  writes must be such that a repetition changes nothing, as a thing under a name of our own.
- Where only a model reads the answer (`/mcp`, `/tools`), there is nobody to hand it to, and nothing that changes something runs.
"""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from functions.core import strict_json
from functions.core.capability import Operation
from functions.core.errors import Unconfirmed
from functions.core.visible import visible

LIFETIME = timedelta(minutes=10)  # a person reads in between what is to be done

MAX_TOLD = 200  # characters of one argument that a person is asked to confirm


@dataclass(frozen=True, slots=True)
class Write:
    """A call that would change something, as it was made."""

    operation: str
    arguments: str
    """JSON of all arguments, those included that were left out: the same call is always the same text."""
    told: str
    """What it would do, for the person: no model has a hand in these words but in the values, which are cut."""

    @classmethod
    def of(cls, operation: Operation, arguments: bytes | str) -> "Write":
        """The write that a call would be.

        Raises:
            Malformed, Invalid: the arguments are not what the operation takes.
        """
        values = strict_json.read(operation.arguments, arguments).model_dump(mode="json")
        given = [f"{name}: {_cut(value)}" for name, value in values.items()]
        return cls(operation.name, json.dumps(values, sort_keys=True), "\n".join([f"{operation.title}: {operation.description}", *given]))


def issue(secret: bytes, user: str, turn: str, write: Write, until: datetime) -> str:
    """The token by which this user confirms this write in this turn, until then."""
    seconds = int(until.timestamp())
    said = json.dumps([user, turn, write.operation, write.arguments, seconds]).encode()
    digest = hmac.digest(secret, said, "sha256")
    return f"{seconds}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def confirms(token: str, secret: bytes, user: str, turn: str, write: Write, now: datetime) -> bool:
    """Whether a token was issued to this user in this turn for this write, and is good at this moment."""
    seconds, dot, _ = token.partition(".")
    if not (dot and seconds.isascii() and seconds.isdigit() and len(seconds) == 10 and user):
        return False
    until = datetime.fromtimestamp(int(seconds), now.tzinfo)
    return now < until and hmac.compare_digest(token.encode(), issue(secret, user, turn, write, until).encode())


@dataclass(slots=True)
class Gate:
    """What one user may change in one turn. It is made anew for each turn, and for each time that a turn goes on."""

    secret: bytes = field(repr=False)
    user: str
    """Who confirms; empty, for a stranger: nobody can."""
    turn: str
    now: datetime
    """When the turn began, or went on, by the store's clock."""
    tokens: Collection[str] = field(default=(), repr=False)
    """What the user confirmed."""
    asked: list[Write] = field(default_factory=list)
    """What was refused, to be shown to the user with a token for each."""
    _spent: set[str] = field(default_factory=set, init=False, repr=False)

    def require(self, operation: Operation, arguments: bytes | str) -> None:
        """Pass once for each write that the user has confirmed.

        Raises:
            Unconfirmed: they have not, or it was done already; it is kept in `asked`.
            Malformed, Invalid: the arguments are not what the operation takes.
        """
        write = Write.of(operation, arguments)
        for token in self.tokens:
            if token not in self._spent and confirms(token, self.secret, self.user, self.turn, write, self.now):
                self._spent.add(token)
                return
        if write not in self.asked:
            self.asked.append(write)
        raise unconfirmed(operation, "They are asked beside your answer, and confirm it there: tell them so, and what it would do.")

    def token(self, write: Write) -> str:
        """The token for a write of `asked`, to be handed to the user and to nobody else."""
        return issue(self.secret, self.user, self.turn, write, self.now + LIFETIME)


def unconfirmed(operation: Operation, how: str) -> Unconfirmed:
    """What a model is told of a call that its user has not confirmed: it is no step of the model's to do so."""
    return Unconfirmed(
        f"Nothing was done. {operation.name} changes something, which only the user can confirm. {how} Do not call it again in this turn."
    )


def _cut(value: object) -> str:
    text = visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= MAX_TOLD else f"{text[:MAX_TOLD]}… ({len(text)} characters)"
