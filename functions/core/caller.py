"""Who calls, and which conversations they may reach."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from functions.core.access import Access, Accesses
from functions.core.access_token import Verifier
from functions.core.errors import Unauthenticated
from functions.core.guesses import MINTED, Guesses, Naming
from functions.core.question import Question, uncounted
from functions.core.settings import Settings
from functions.core.stored import Bearer, conversation_key, digest

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
    stranger: str = ANONYMOUS
    """Whose they were before they signed in."""
    access: Access = field(default_factory=lambda: Access(None, None))
    """What they may reach of their own at Google; a stranger, nothing."""

    @property
    def bearer(self) -> Bearer | None:
        """Whose access token they showed; None where they are nobody that we know by a sign-in."""
        return self.access.bearer

    def question(
        self,
        query: str,
        session_id: str | None,
        hint: str | None,
        new_id: Callable[[], str],
        key: str | None = None,
        missed: Callable[[], None] = uncounted,
    ) -> Question:
        """What they ask, in the conversation they mean.

        `hint` is the client's own name for its conversation (`openai-conversation-id`, `_meta["openai/session"]`): whoever we know may
        forget our token and still go on. It is never an identity: the conversation's key is made of the owner as well. `key` is their
        Idempotency-Key: a conversation that begins with it is the same when it is sent again; but a stranger's may be anybody's. `missed` is
        told of a token that could be one of ours and is none: names of their own may be as many as they like.
        """
        if session_id is not None:
            adopts = conversation_key(self.stranger, session_id) if self.bearer else None
            heard = missed if MINTED.fullmatch(session_id) else uncounted
            return Question(self.owner, session_id, query, "any" if self.known else "known", key, self.bearer, adopts, heard)
        if self.known and (name := hint or key):
            return Question(self.owner, _named_after("hint" if hint else "key", name), query, "any", key, self.bearer)
        return Question(self.owner, new_id(), query, "new", key, self.bearer)


@dataclass(frozen=True, slots=True)
class Callers:
    """Tells callers apart by their Authorization header. Neither the store nor Google is asked: whether a grant still lives is read with
    what the request reads anyway (core/access.py)."""

    settings: Settings
    verifier: Verifier | None
    """None: there is no sign-in."""
    audiences: Collection[str]
    """The resources that a token may be for, to be good here."""
    now: Callable[[], float]
    """Seconds since 1970, as a token's `exp` counts them."""
    accesses: Accesses
    guesses: Guesses

    def identified(self, authorization: str | None) -> Caller:
        """Who calls.

        Raises:
            Unauthenticated: what is shown is not valid here.
        """
        if authorization is None:
            return Caller(LOCAL, known=True) if self.settings.local else Caller(ANONYMOUS, known=False)
        if self.verifier is None:
            raise Unauthenticated("This deployment has no sign-in, so no token is valid here; call without Authorization.")
        shown = re.fullmatch(r"(?i:bearer) +(\S+)", authorization)  # RFC 6750 §2.1: the scheme's case does not matter.
        if shown is None:
            raise Unauthenticated("Authorization is not of the form: Bearer, then an access token.")
        claims = self.verifier.verify(shown[1], self.audiences, self.now())
        bearer = Bearer(user=claims.sub, client_id=claims.client_id, family=claims.grant)
        return Caller(claims.sub, known=True, stranger=LOCAL if self.settings.local else ANONYMOUS, access=self.accesses.of(bearer))

    def admitted(self, authorization: str | None) -> Caller:
        """Who calls, where callers without a token may be refused: whatever spends the model's tokens.

        Raises:
            Unauthenticated: they may not.
        """
        caller = self.identified(authorization)
        self.require_admitted(caller)
        return caller

    def require_admitted(self, caller: Caller) -> None:
        """Pass if this caller may spend the model's tokens.

        Raises:
            Unauthenticated: they may not.
        """
        if caller.bearer is None and not self.settings.anonymous:
            raise Unauthenticated("Anonymous callers are not served here; connect first.")

    def naming(self, caller: Caller, address: str, hint: str | None, clock: Callable[[], float]) -> Naming:
        """What counts it where this caller names a conversation that is not there; `hint` as `Caller.question` has it.

        The one person of a local world has nobody's to guess.
        """
        if caller.bearer:
            return self.guesses.of_user(caller.owner, clock)
        return Naming(lambda: False) if caller.known else self.guesses.of_stranger(address, hint, clock)


def _named_after(kind: str, name: str) -> str:
    """A session token that follows from a client's name for its conversation, whatever characters that has."""
    return "from-" + digest(kind, name)
