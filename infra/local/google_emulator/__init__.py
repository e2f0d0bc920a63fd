"""Google on loopback: sign-in (OpenID Connect, OAuth 2.0), Calendar v3, Docs v1 and Gmail v1, with two invented people and their data.

    python -m infra.local.google_emulator --port 9003

Google's hosts are one here, and the paths are Google's own. Below the emulator's address

    https://accounts.google.com/o/oauth2/v2/auth             /o/oauth2/v2/auth: choose an account, tick what you allow
    https://oauth2.googleapis.com/token, …/revoke            /token, /revoke
    https://www.googleapis.com/oauth2/v3/certs               /oauth2/v3/certs
    https://openidconnect.googleapis.com/v1/userinfo         /v1/userinfo, and /oauth2/v3/userinfo
    https://www.googleapis.com/calendar/v3                   /calendar/v3: calendarList, events, freeBusy
    https://docs.googleapis.com/v1                           /v1: documents
    https://gmail.googleapis.com/gmail/v1                    /gmail/v1: messages, attachments, labels, profile

It keeps grants and tokens in memory and forgets them when it stops; tokens are random, a person's `sub` never changes, the data is dated
from today on. Google's rules that it keeps: a refresh token only with access_type=offline, and only with the first grant or after
prompt=consent; `scope` in an answer is what was granted, by long names; a token that was revoked, is too old or lacks the scope is
refused in Google's words. Its own: every client must send a PKCE challenge of method S256, and unknown parameters are errors.

--fail NAME makes it fail, everywhere or at the paths that begin with --on PATH, always or for --fail-first N requests:

    401 429 500 503 html                                     the status, in the form of the API; a web page with 502
    rateLimitExceeded userRateLimitExceeded quotaExceeded    403, as Calendar says it
    slow hang                                                an answer after --latency SECONDS; none at all
    invalid_grant internal_failure                           a refresh is refused with 400; fails with 500
    invalid_client                                           401, as the token endpoint says it
"""

import time
from collections.abc import Callable, Iterable, Sequence

from aiohttp import web

from infra.local.google_emulator import calendar, docs, gmail
from infra.local.google_emulator.accounts import Accounts, Client
from infra.local.google_emulator.apis import Answer, Method, route
from infra.local.google_emulator.faults import Fault, failing
from infra.local.google_emulator.identity import Keys
from infra.local.google_emulator.people import PEOPLE, Person
from infra.local.google_emulator.signin import SignIn

CLIENT_ID = "100000000000-cantilever.apps.googleusercontent.com"
CLIENT_SECRET = "secret-of-the-local-world"  # noqa: S105 - it opens nothing but this emulator

METHODS: Sequence[tuple[Method, Answer]] = (*calendar.METHODS, *docs.METHODS, *gmail.METHODS)


class Emulator:
    """One emulated Google. A test may look at its accounts, add clients, change faults and turn its clock while it serves."""

    def __init__(
        self,
        clients: Iterable[Client] = (),
        *,
        people: Iterable[Person] = PEOPLE,
        faults: Iterable[Fault] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.faults = list(faults)
        self.keys = Keys()
        self.accounts = Accounts(clients, people, clock)
        self._clock = clock

    def application(self) -> web.Application:
        """It as an application, to be served by the caller."""
        app = web.Application(middlewares=[failing(self.faults)])
        app.add_routes(SignIn(self.accounts, self.keys, self._clock).routes())
        app.add_routes([route(method, answer, self.accounts, self._clock) for method, answer in METHODS])
        return app
