"""Who may push to the worker: Google's token for one account and one audience, and nothing that only looks like it (T43)."""

import hashlib
import hmac
import json
import traceback
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from functions.adapters.google_keys import GoogleKeys
from functions.adapters.google_signed import GoogleSigned
from functions.adapters.outgoing import Outgoing
from functions.adapters.push_identity import PushIdentity
from functions.core.errors import CantileverError, Forbidden, Unauthenticated, Upstream
from tests.deadlines import soon
from tests.upstream import Server, answer, serving

AUDIENCE = "https://plugin-worker-123456789012.us-central1.run.app"
ACCOUNT = "plugin-invoker@my-project.iam.gserviceaccount.com"
NOW = 1_795_000_000

GOOGLES = RSAKey.generate_key(2048, {"kid": "googles"})
STRANGERS = RSAKey.generate_key(2048, {"kid": "strangers"})


def claims(**changed: Any) -> dict[str, Any]:
    """What Google says of the account; None takes a claim away."""
    usual = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "sub": "104567890123456789012",
        "azp": "104567890123456789012",
        "email": ACCOUNT,
        "email_verified": True,
        "iat": NOW,
        "exp": NOW + 3600,
    }
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def signed(key: RSAKey = GOOGLES, kid: str = "googles", **changed: Any) -> str:
    return jwt.encode({"alg": "RS256", "kid": kid}, claims(**changed), key)


def spelled(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def by_hand(header: Any, signature: Callable[[bytes], bytes], payload: Any = None) -> str:
    """A token that no library would write."""
    signing = f"{spelled(header)}.{spelled(claims() if payload is None else payload)}"
    return f"{signing}.{urlsafe_b64encode(signature(signing.encode())).rstrip(b'=').decode()}"


def by_public_key(signing: bytes) -> bytes:
    """Google's public key, taken for a shared secret."""
    return hmac.digest(GOOGLES.as_pem(private=False), signing, hashlib.sha256)


@pytest.fixture
async def google() -> AsyncIterator[Server]:
    keys = [key.as_dict(private=False) | {"use": "sig", "alg": "RS256"} for key in (RSAKey.generate_key(2048, {"kid": "next"}), GOOGLES)]
    async with serving(answer({"keys": keys}, headers={"Cache-Control": "public, max-age=20000"})) as server:
        yield server


@pytest.fixture
async def identity(google: Server) -> AsyncIterator[PushIdentity]:
    outgoing = Outgoing()
    yield PushIdentity(GoogleSigned(GoogleKeys(outgoing, google.url), now=lambda: NOW), AUDIENCE, ACCOUNT)
    await outgoing.close()


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {signed()}",
        f"bearer {signed(iss='accounts.google.com')}",
        f"Bearer {signed(exp=NOW - 59)}",
    ],
    ids=["as Google writes it", "its other issuer", "expired within the leeway"],
)
async def test_the_subscriptions_own_account_may_push(identity: PushIdentity, authorization: str) -> None:
    await identity.require(authorization, soon())


NOT_GOOGLES_TOKEN = {
    "no header": None,
    "an empty header": "",
    "another scheme": f"Basic {signed()}",
    "no scheme": signed(),
    "two tokens": f"Bearer {signed()} {signed()}",
    "for another service": f"Bearer {signed(aud='https://other.run.app')}",
    "for another service too": f"Bearer {signed(aud=[AUDIENCE, 'https://other.run.app'])}",
    "for nobody": f"Bearer {signed(aud=None)}",
    "for ours with a slash": f"Bearer {signed(aud=AUDIENCE + '/')}",
    "expired": f"Bearer {signed(exp=NOW - 60)}",
    "without an end": f"Bearer {signed(exp=None)}",
    "with an end that is text": f"Bearer {signed(exp=str(NOW + 3600))}",
    "of another issuer": f"Bearer {signed(iss='https://accounts.google.com.evil.example')}",
    "of no issuer": f"Bearer {signed(iss=None)}",
    "signed with the public key as a secret": f"Bearer {by_hand({'alg': 'HS256', 'kid': 'googles'}, by_public_key)}",
    "not signed": f"Bearer {by_hand({'alg': 'none', 'kid': 'googles'}, lambda signing: b'')}",
    "not signed, with something for a signature": f"Bearer {by_hand({'alg': 'none', 'kid': 'googles'}, lambda signing: b'x')}",
    "signed by a stranger under a name of its own": f"Bearer {signed(STRANGERS, 'strangers')}",
    "signed by a stranger under Google's name": f"Bearer {signed(STRANGERS, 'googles')}",
    "signed by a key without a name": f"Bearer {jwt.encode({'alg': 'RS256'}, claims(), GOOGLES)}",
    "bringing its own key": "Bearer "
    + jwt.encode({"alg": "RS256", "kid": "googles", "jwk": STRANGERS.as_dict(private=False)}, claims(), STRANGERS),
    "changed after it was signed": f"Bearer {signed()[:-8]}AAAAAAAA",
    "with another's claims": "Bearer " + ".".join((signed().split(".")[0], spelled(claims(sub="1")), signed().split(".")[2])),
    "giant": f"Bearer {signed(padding='x' * 9000)}",
    "a giant header": "Bearer " + "x" * 8_000_000,
    "no base64": "Bearer a!.b.c",
    "no JSON": "Bearer aaaa.bbbb.cccc",
    "a header that is a list": f"Bearer {by_hand(['RS256'], lambda signing: b'x')}",
    "a header that says alg twice": "Bearer "
    + urlsafe_b64encode(b'{"alg":"HS256","alg":"RS256","kid":"googles"}').decode().rstrip("=")
    + "."
    + ".".join(signed().split(".")[1:]),
    "beyond ASCII": "Bearer é.é.é",
}


@pytest.mark.parametrize("authorization", NOT_GOOGLES_TOKEN.values(), ids=NOT_GOOGLES_TOKEN)
async def test_what_is_not_googles_token_for_us_is_unauthenticated(identity: PushIdentity, authorization: str | None) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await identity.require(authorization, soon())

    assert_untold(caught.value, authorization)


SOMEBODY_ELSE = {
    "another service account": signed(email="other@my-project.iam.gserviceaccount.com"),
    "the same name in another project": signed(email="plugin-invoker@other.iam.gserviceaccount.com"),
    "a person": signed(email="person@gmail.com", email_verified=None),
    "a person who calls himself so": signed(email_verified=None),
    "a person who calls himself so, unverified": signed(email_verified=False),
    "an account in other letters": signed(email=ACCOUNT.upper()),
    "nobody that is named": signed(email=None),
}


@pytest.mark.parametrize("token", SOMEBODY_ELSE.values(), ids=SOMEBODY_ELSE)
async def test_somebody_else_with_a_token_of_googles_is_forbidden(identity: PushIdentity, token: str) -> None:
    with pytest.raises(Forbidden) as caught:
        await identity.require(f"Bearer {token}", soon())

    assert_untold(caught.value, token)


@pytest.mark.parametrize("verified", [1, "true", [True]])
async def test_only_true_is_verified(identity: PushIdentity, verified: Any) -> None:
    with pytest.raises((Unauthenticated, Forbidden)):
        await identity.require(f"Bearer {signed(email_verified=verified)}", soon())


@pytest.mark.parametrize(
    "authorization",
    [None, f"Bearer {signed()}{'A' * 8000}", f"Bearer {by_hand({'alg': 'HS256', 'kid': 'new'}, by_public_key)}"],
    ids=["none", "giant", "HS256"],
)
async def test_what_cannot_be_a_token_does_not_reach_google(identity: PushIdentity, google: Server, authorization: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await identity.require(authorization, soon())

    assert google.received == []


async def test_without_googles_keys_nobody_may_push_and_pub_sub_shall_try_again() -> None:
    outgoing = Outgoing()
    async with serving(answer({}, status=503)) as google:
        with pytest.raises(Upstream):
            await PushIdentity(GoogleSigned(GoogleKeys(outgoing, google.url)), AUDIENCE, ACCOUNT).require(f"Bearer {signed()}", soon())
    await outgoing.close()


async def test_a_thousand_pushes_ask_google_once(identity: PushIdentity, google: Server) -> None:
    token = f"Bearer {signed()}"

    for _ in range(1000):
        await identity.require(token, soon())

    assert len(google.received) == 1


def assert_untold(error: CantileverError, authorization: str | None) -> None:
    """Nothing of the token is in the error, nor in what a log would show of it: not even a part of eight letters."""
    told = "".join(traceback.format_exception(error, limit=0)) + error.message
    token = (authorization or "")[:2000].removeprefix("Bearer ")
    assert not [start for start in range(len(token) - 7) if token[start : start + 8] in told]
    assert ACCOUNT not in told
    assert error.__suppress_context__ or error.__context__ is None
