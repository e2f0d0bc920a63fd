"""Google's sign-in from a client's side: who came back is who Google's own signed token says, for this very sign-in and for us (T12, T14);
and what was given back is, whatever Google says to it."""

import time
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

from functions.adapters.credentials import Fixed
from functions.adapters.google_keys import GoogleKeys
from functions.adapters.google_signed import GoogleSigned
from functions.adapters.google_signin import GoogleServer
from functions.adapters.outgoing import Outgoing
from functions.core.errors import Upstream
from functions.core.oauth.signin import GoogleAnswer
from functions.core.oauth.wire import Turned
from tests import upstream
from tests.deadlines import soon
from tests.upstream import answer, serving

US = "1-us.apps.googleusercontent.com"
OTHERS = "2-others.apps.googleusercontent.com"
GOOGLES, STRANGERS = RSAKey.generate_key(2048, {"kid": "googles"}), RSAKey.generate_key(2048, {"kid": "googles"})


def claims(lives: float = 3600, **changed: Any) -> dict[str, Any]:
    """What Google says of a person, for so many seconds from now; None takes a claim away."""
    usual = {
        "iss": "https://accounts.google.com",
        "aud": US,
        "azp": US,
        "sub": "1001",
        "email": "mei@example.com",
        "email_verified": True,
        "name": "Mei",
        "nonce": "the-nonce",
        "exp": time.time() + lives,
    }
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def signed(key: RSAKey = GOOGLES, **changed: Any) -> str:
    return jwt.encode({"alg": "RS256", "kid": "googles"}, claims(**changed), key)


@dataclass
class SaidToken:
    """Google as the test wants it: its code is worth this id_token."""

    server: GoogleServer
    id_token: str = ""

    async def redeem(self, id_token: str) -> GoogleAnswer:
        self.id_token = id_token
        return await self.server.redeem("code", "verifier", "the-nonce", "https://plugin.example.com/oauth/callback", soon())

    async def step(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/certs":
            return web.json_response({"keys": [GOOGLES.as_dict(private=False) | {"use": "sig", "alg": "RS256"}]})
        tokens = {"access_token": "ya29.x", "expires_in": 3599, "scope": "openid email", "id_token": self.id_token}
        return web.json_response(tokens)


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def google_at(url: str, outgoing: Outgoing) -> GoogleServer:
    signed_by = GoogleSigned(GoogleKeys(outgoing, f"{url}/certs"))
    return GoogleServer(outgoing, signed_by, US, Fixed("secret"), f"{url}/auth", f"{url}/token", f"{url}/revoke")


@pytest.fixture
async def google(outgoing: Outgoing) -> AsyncIterator[SaidToken]:
    async def step(request: web.Request) -> web.StreamResponse:
        return await said.step(request)

    async with serving(step) as place:
        said = SaidToken(google_at(place.url, outgoing))
        yield said


@pytest.mark.parametrize("changed", [{}, {"iss": "accounts.google.com"}, {"azp": None}, {"lives": -30}], ids=str)
async def test_whom_google_names_for_this_sign_in_is_who_came_back(google: SaidToken, changed: dict[str, Any]) -> None:
    told = await google.redeem(signed(**changed))

    assert (told.subject, told.email, told.scopes) == ("1001", "mei@example.com", ("openid", "email"))


async def test_an_address_that_google_did_not_verify_is_nobodys(google: SaidToken) -> None:
    told = await google.redeem(signed(email_verified=False))

    assert (told.subject, told.email) == ("1001", "")


WRONG = {
    "of another sign-in": signed(nonce="anothers-nonce"),
    "of no sign-in": signed(nonce=None),
    "of another issuer": signed(iss="https://evil.example.net"),
    "of an issuer that begins like Google": signed(iss="https://accounts.google.com.evil.example.net"),
    "of no issuer": signed(iss=None),
    "for another client": signed(aud=OTHERS),
    "for another client that asked for it to be ours": signed(azp=OTHERS),
    "for several clients": signed(aud=[US, OTHERS]),
    "for nobody": signed(aud=None),
    "expired": signed(lives=-61),
    "without an end": signed(exp=None),
    "of nobody": signed(sub=None),
    "signed by a stranger": signed(STRANGERS),
    "not signed": f"{signed().rpartition('.')[0]}.",
    "none": "",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_no_other_token_says_who_came_back(google: SaidToken, wrong: str) -> None:
    with pytest.raises(Turned) as told:
        await google.redeem(wrong)

    assert "1001" not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize(
    "step",
    [answer({}), upstream.empty, upstream.html, answer({"error": "invalid_token"}, status=400)],
    ids=["an object", "nothing", "a page", "a token that it does not know"],
)
async def test_a_grant_is_given_back_whatever_google_says_to_it(outgoing: Outgoing, step: upstream.Step) -> None:
    async with serving(step) as server:
        await google_at(server.url, outgoing).revoke("1//refresh", soon())

        assert [(request.path, request.body) for request in server.received] == [("/revoke", b"token=1%2F%2Frefresh")]


async def test_a_grant_that_google_did_not_take_back_is_not_given_back(outgoing: Outgoing) -> None:
    async with serving(answer({}, status=503)) as server:
        with pytest.raises(Upstream):
            await google_at(server.url, outgoing).revoke("1//refresh", soon(5))
