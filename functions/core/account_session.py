"""Who looks at the account page: a sealed cookie for ten minutes, and in each form of the page a token that only this cookie's owner got."""

from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import ConfigDict

from functions.core.errors import Forbidden
from functions.core.sealing import Sealer, Unsealable
from functions.core.shape import Shape

SESSION_LIVES = timedelta(minutes=10)

COOKIE, FORM = "account session", "account form"


class _Session(Shape):
    model_config = ConfigDict(frozen=True)

    user: str
    expires_at: datetime


class AccountSession:
    """Nothing of it is kept on our side: it ends by itself, and opens nothing but the page."""

    def __init__(self, sealer: Sealer, now: Callable[[], datetime]) -> None:
        self._sealer = sealer
        self._now = now

    def opened(self, user: str) -> str:
        """The cookie of somebody whom Google has just named."""
        session = _Session(user=user, expires_at=self._now() + SESSION_LIVES)
        return self._sealer.seal(session.model_dump_json(), user="", purpose=COOKIE)

    def user(self, cookie: str | None) -> str | None:
        """Whose session it is; None: nobody's, or not any more."""
        try:
            session = _Session.model_validate_json(self._sealer.open(cookie or "", user="", purpose=COOKIE))
        except Unsealable:
            return None
        return session.user if self._now() < session.expires_at else None

    def form_token(self, cookie: str) -> str:
        """What a form of the page sends back."""
        return self._sealer.seal("", user=cookie, purpose=FORM)

    def of_form(self, form_token: str, cookie: str | None) -> str:
        """Whose page a form was on.

        Raises:
            Forbidden: nobody's whose session lasts, or another's.
        """
        user = self.user(cookie)
        try:
            self._sealer.open(form_token, user=cookie or "", purpose=FORM)
        except Unsealable as error:
            raise Forbidden("This page belongs to another session; open the account page again.") from error
        if user is None:
            raise Forbidden("The session has ended; sign in again.")
        return user
