"""Google's sign-in, seen from a client of it, where Google does other than its emulator."""

from collections.abc import AsyncIterator

import pytest

from functions.adapters.credentials import Fixed
from functions.adapters.google_keys import GoogleKeys
from functions.adapters.google_signed import GoogleSigned
from functions.adapters.google_signin import GoogleServer
from functions.adapters.outgoing import Outgoing
from functions.core.errors import Upstream
from tests import upstream
from tests.deadlines import soon
from tests.upstream import answer, serving


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def google(outgoing: Outgoing, url: str) -> GoogleServer:
    signed = GoogleSigned(GoogleKeys(outgoing, f"{url}/certs"))
    return GoogleServer(outgoing, signed, "client", Fixed("secret"), f"{url}/auth", f"{url}/token", f"{url}/revoke")


@pytest.mark.parametrize(
    "step",
    [answer({}), upstream.empty, upstream.html, answer({"error": "invalid_token"}, status=400)],
    ids=["an object", "nothing", "a page", "a token that it does not know"],
)
async def test_a_grant_is_given_back_whatever_google_says_to_it(outgoing: Outgoing, step: upstream.Step) -> None:
    async with serving(step) as server:
        await google(outgoing, server.url).revoke("1//refresh", soon())

        assert [(request.path, request.body) for request in server.received] == [("/revoke", b"token=1%2F%2Frefresh")]


async def test_a_grant_that_google_did_not_take_back_is_not_given_back(outgoing: Outgoing) -> None:
    async with serving(answer({}, status=503)) as server:
        with pytest.raises(Upstream):
            await google(outgoing, server.url).revoke("1//refresh", soon(5))
