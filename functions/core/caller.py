"""Who calls, and which conversations they may reach."""

from collections.abc import Callable
from dataclasses import dataclass

from functions.core.errors import Unauthenticated
from functions.core.question import Question
from functions.core.settings import Settings
from functions.core.stored import digest

ANONYMOUS = ""
"""The owner of conversations that nobody signed in for: the session token alone opens them."""

LOCAL = "local"
"""The owner of a local world's conversations, where tokens may be invented; elsewhere they open nothing."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in."""

    owner: str
    """Whose conversations are theirs."""
    known: bool
    """Whether we know who it is: a signed-in user, or the one person of a local world. Only those may name a conversation themselves;
    a stranger goes on with a token that we minted, which is a secret."""

    @property
    def signed_in(self) -> bool:
        """Whether they are a person that we know by their sign-in."""
        return self.owner not in (ANONYMOUS, LOCAL)

    def question(self, query: str, session_id: str | None, hint: str | None, new_id: Callable[[], str], key: str | None = None) -> Question:
        """What they ask, in the conversation they mean.

        `hint` is the client's own name for its conversation (`openai-conversation-id`, `_meta["openai/session"]`): whoever we know may
        forget our token and still go on. It is never an identity: the conversation's key is made of the owner as well. `key` is their
        Idempotency-Key: a conversation that begins with it is the same when it is sent again; but a stranger's may be anybody's.
        """
        if session_id is not None:
            return Question(self.owner, session_id, query, "any" if self.known else "known", key, self.signed_in)
        if self.known and (name := hint or key):
            return Question(self.owner, _named_after("hint" if hint else "key", name), query, "any", key, self.signed_in)
        return Question(self.owner, new_id(), query, "new", key, self.signed_in)


def identified(settings: Settings, authorization: str | None) -> Caller:
    """Who calls, by the Authorization header.

    Raises:
        Unauthenticated: it is not valid here.
    """
    if authorization is not None:
        raise Unauthenticated("This deployment has no sign-in, so no token is valid here; call without Authorization.")
    return Caller(LOCAL, known=True) if settings.local else Caller(ANONYMOUS, known=False)


def admitted(settings: Settings, authorization: str | None) -> Caller:
    """Who calls, where callers without a token may be refused: whatever spends the model's tokens.

    Raises:
        Unauthenticated: they may not.
    """
    caller = identified(settings, authorization)
    if caller.owner in (ANONYMOUS, LOCAL) and not settings.anonymous:
        raise Unauthenticated("This deployment does not serve anonymous callers; its owner can set ANONYMOUS_CHAT=on.")
    return caller


def _named_after(kind: str, name: str) -> str:
    """A session token that follows from a client's name for its conversation, whatever characters that has."""
    return "from-" + digest(kind, name)
