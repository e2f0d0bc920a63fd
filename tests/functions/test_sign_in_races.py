"""Two processes, one store: what may be used once is used once, and clients that refresh in parallel lose nothing (A6, A9)."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import signin
from tests.reliability.sign_in import REDEMPTIONS, REFRESHES, Racers, codes_of, redeemed, refreshed, replayed
from tests.signin import CALLBACK, Client, SignedIn
from tests.world import World, on_firestore

CODES, RACES, REPLAYS = 10, 20, 5  # `make reliability-sign-in` has 100, 200 and 200


@pytest.fixture(scope="module", params=["sqlite", "firestore"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    if request.param == "sqlite":
        return {"STORE": f"sqlite:{tmp_path_factory.mktemp('races') / 'shared.db'}"}
    return on_firestore(request.getfixturevalue("firestore_emulator"))


@pytest.fixture(scope="module")
def product(store: Mapping[str, str]) -> Iterator[SignedIn]:
    with signin.started(**store) as started:
        yield started


@pytest.fixture(scope="module")
def other(product: SignedIn) -> Iterator[World]:
    with signin.beside(product) as started:
        yield started


async def test_no_code_is_redeemed_twice(product: SignedIn, other: World) -> None:
    client = product.client()
    codes = await asyncio.to_thread(codes_of, product, client, CODES)
    async with aiohttp.ClientSession() as http:
        racers = Racers(http, client, (product.world.url, other.url))
        told = await redeemed(racers, codes)
        alive = [
            await racers.post(number, grant_type="refresh_token", refresh_token=body["refresh_token"])
            for number, answers in enumerate(told)
            for status, body in answers
            if status == 200
        ]

    statuses = [Counter(status for status, _ in answers) for answers in told]
    assert all(counted[200] <= 1 and counted[200] + counted[400] == REDEMPTIONS for counted in statuses), statuses
    assert {body["error"] for answers in told for status, body in answers if status == 400} == {"invalid_grant"}
    assert [status for status, _ in alive] == [400] * len(alive), "a replay ends what the first began"


async def test_parallel_refreshes_get_the_same_successor_and_end_no_family(product: SignedIn, other: World) -> None:
    client = product.client()
    tokens = await asyncio.to_thread(_connect, product, client)
    async with aiohttp.ClientSession() as http:
        racers = Racers(http, client, (product.world.url, other.url))
        statuses, differed, newest = await refreshed(racers, tokens["refresh_token"], RACES)

    assert (statuses, differed) == ({200: RACES * REFRESHES}, 0)
    assert product.call("list_calendar_events", newest["access_token"]).status_code == 200


async def test_a_replay_ends_the_family_on_both_processes(product: SignedIn, other: World) -> None:
    client = product.client()
    firsts = [(await asyncio.to_thread(_connect, product, client))["refresh_token"] for _ in range(REPLAYS)]
    async with aiohttp.ClientSession() as http:
        alive, _ = await replayed(Racers(http, client, (product.world.url, other.url)), firsts)

    assert alive == 0


def test_what_one_process_revoked_the_other_refuses_within_five_seconds(product: SignedIn, other: World) -> None:
    client = product.client()
    tokens = _connect(product, client)
    call = {"json": signin.ARGUMENTS["list_calendar_events"], "headers": {"Authorization": f"Bearer {tokens['access_token']}"}}
    places = (product.world, other)
    assert [place.http.post("/tools/list_calendar_events", **call).status_code for place in places] == [200, 200]
    began = time.monotonic()

    revoked = product.world.http.post("/oauth/revoke", data={"token": tokens["refresh_token"], "client_id": client.client_id})

    assert revoked.status_code == 200
    assert [place.http.post("/tools/list_calendar_events", **call).status_code for place in places] == [401, 401]
    assert time.monotonic() - began < 5


def _connect(product: SignedIn, client: Client) -> dict[str, Any]:
    with product.browser() as browser:
        return client.connect(browser)


def test_state_of_a_sign_in_is_in_the_store_alone(product: SignedIn, other: World, tmp_path: Path) -> None:
    client = product.client()
    with product.browser() as browser:
        page = browser.open(client.authorize_url())
        browser.http.base_url = other.url
        to_google = browser.decide(page)
        back = product.google.sign_in(to_google.headers["location"])
        answer = browser.http.get(back)  # PUBLIC_BASE_URL's process: the first.
        assert answer.status_code == 303, signin.said(answer)
    code = signin.answered(answer)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": client.verifier}
    told = other.http.post("/oauth/token", data=form | {"client_id": client.client_id})
    assert told.status_code == 200, told.text
    assert secrets.compare_digest(told.json()["token_type"], "bearer")
