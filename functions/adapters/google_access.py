"""Google's access tokens for its users: fetched by a refresh token, kept in this process while they are good, once for all who ask."""

import asyncio
from collections import OrderedDict

from functions.adapters.credentials import Fetched, Token
from functions.adapters.google_signin import GoogleServer
from functions.core.deadline import Deadline
from functions.core.oauth.records import GoogleGrant
from functions.core.oauth.signin import REFRESH_PURPOSE
from functions.core.sealing import Sealer

MAX_KEPT = 1000
"""Users whose tokens one process keeps; each is half a kilobyte, and the one that was used longest ago goes."""

EARLY_SECONDS = 300.0
"""How long before its end a token is renewed: it has to last for the request that it goes with, and the clocks differ."""

FETCH_SECONDS = 5.0


class GoogleAccess:
    """`GoogleTokens` (core/access.py). A grant that was given anew has another refresh token, and so another place here."""

    def __init__(self, server: GoogleServer, sealer: Sealer) -> None:
        self._server = server
        self._sealer = sealer
        self._kept: OrderedDict[tuple[str, str, tuple[str, ...]], Fetched] = OrderedDict()

    async def token(self, grant: GoogleGrant, deadline: Deadline, *, refused: str | None) -> str:
        """`GoogleTokens.token`."""
        sealed = grant.refresh_token or ""
        place = (grant.user, sealed, grant.scopes)  # What Google has granted since, an earlier token does not open.
        kept = self._kept.get(place)
        if kept is None:
            kept = self._kept[place] = Fetched(lambda: self._fetch(grant.user, sealed))
        self._kept.move_to_end(place)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return await kept.token(deadline, refused=refused)

    async def _fetch(self, user: str, sealed: str) -> Token:
        clock = asyncio.get_running_loop().time
        refresh_token = self._sealer.open(sealed, user=user, purpose=REFRESH_PURPOSE)
        value, good_for = await self._server.refresh(refresh_token, Deadline.after(FETCH_SECONDS, clock))
        return Token(value, clock() + good_for - EARLY_SECONDS)
