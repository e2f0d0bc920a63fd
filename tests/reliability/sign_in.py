"""A6 and A9: codes and refresh tokens, used by many at once at two processes."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests import signin
from tests.reliability.report import Row, Section
from tests.reliability.stores import stores
from tests.signin import CALLBACK, Client, SignedIn

REDEMPTIONS, REFRESHES = 50, 20
"""At the same moment."""

GRACE = 10.5
"""Seconds after which what was used before is no repetition of a lost answer any more."""


@dataclass(frozen=True, slots=True)
class Racers:
    """Requests to the token endpoints of several processes, at the same moment."""

    http: aiohttp.ClientSession
    client: Client
    origins: Sequence[str]

    async def race(self, runners: int, **form: str) -> list[tuple[int, Any]]:
        """What each of so many equal requests is answered."""
        return await asyncio.gather(*(self.post(number, **form) for number in range(runners)))

    async def post(self, number: int, **form: str) -> tuple[int, Any]:
        """What one is answered, by the process that its number chooses."""
        url = f"{self.origins[number % len(self.origins)]}/oauth/token"
        async with self.http.post(url, data={"client_id": self.client.client_id, **form}) as response:
            return response.status, await response.json()

    async def refresh(self, number: int, refresh_token: str) -> tuple[int, Any]:
        """What one refresh is answered."""
        return await self.post(number, grant_type="refresh_token", refresh_token=refresh_token)

    async def call(self, number: int, access_token: str) -> int:
        """The status of a call with an access token."""
        url, headers = f"{self.origins[number]}/tools/list_calendar_events", {"Authorization": f"Bearer {access_token}"}
        async with self.http.post(url, json=signin.ARGUMENTS["list_calendar_events"], headers=headers) as response:
            return response.status


async def redeemed(racers: Racers, codes: Sequence[str]) -> list[list[tuple[int, Any]]]:
    """What REDEMPTIONS equal redemptions of each code are answered."""
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": racers.client.verifier}
    return [await racers.race(REDEMPTIONS, code=code, **form) for code in codes]


async def refreshed(racers: Racers, refresh_token: str, races: int) -> tuple[Counter[int], int, Any]:
    """REFRESHES equal refreshes of each newest token: how often each status was answered, in how many races the successors differed, and the
    tokens of the last one."""
    statuses: Counter[int] = Counter()
    differed, newest = 0, {"refresh_token": refresh_token}
    for _ in range(races):
        told = await racers.race(REFRESHES, grant_type="refresh_token", refresh_token=newest["refresh_token"])
        statuses.update(status for status, _ in told)
        given = [body for status, body in told if status == 200]
        differed += len({body["refresh_token"] for body in given}) != 1
        newest = given[0] if given else newest
    return statuses, differed, newest


async def replayed(racers: Racers, firsts: Sequence[str]) -> tuple[int, float]:
    """What comes of a first refresh token that is used again after the grace: how many families any process still serves, and the most seconds
    from the replay until all of them have refused both tokens."""
    thirds = []
    for first in firsts:
        _, second = await racers.refresh(0, first)
        thirds.append((await racers.refresh(1, second["refresh_token"]))[1])
    await asyncio.sleep(GRACE)
    alive, slowest = 0, 0.0
    for first, third in zip(firsts, thirds, strict=True):
        began = time.monotonic()
        told = [(await racers.refresh(0, first))[0]]
        for number in range(len(racers.origins)):
            told += [(await racers.refresh(number, third["refresh_token"]))[0], await racers.call(number, third["access_token"])]
        alive += told != [400, *(400, 401) * len(racers.origins)]
        slowest = max(slowest, time.monotonic() - began)
    return alive, slowest


def codes_of(product: SignedIn, client: Client, count: int) -> list[str]:
    """Codes, each of which a person has allowed."""
    with product.browser() as browser:
        return [client.code(browser) for _ in range(count)]


async def measure(races: int) -> Section:
    """So many races for refresh tokens, and half as many codes, on SQLite and on Google's emulator of Firestore where that is."""
    rows: list[Row] = []
    details: list[str] = []
    with stores(details) as found:
        for name, empty in found.items():
            rows += await raced(name, empty(), races)
    return Section(
        "A6, A9: codes and refresh tokens, by many at once",
        f"make reliability-sign-in SIZE={races}",
        f"Two processes on one store. {REDEMPTIONS} redemptions of one code at once, {REFRESHES} refreshes of one token at once; once a family\n"
        "has ended, no refresh of it is answered with tokens.",
        rows,
        details,
    )


async def raced(name: str, store: Mapping[str, str], races: int) -> Sequence[Row]:
    """What came of the races at two processes on a store."""
    starting = signin.started(**store)
    product = await asyncio.to_thread(starting.__enter__)
    beside = signin.beside(product)
    other = await asyncio.to_thread(beside.__enter__)
    try:
        client = product.client()
        codes = await asyncio.to_thread(codes_of, product, client, races // 2)
        connections = await asyncio.to_thread(lambda: [client.redeem(code).json() for code in codes_of(product, client, races + 1)])
        newest, *firsts = [tokens["refresh_token"] for tokens in connections]
        async with aiohttp.ClientSession() as http:
            racers = Racers(http, client, (product.world.url, other.url))
            told = await redeemed(racers, codes)
            statuses, differed, _ = await refreshed(racers, newest, races)
            alive, slowest = await replayed(racers, firsts)
    finally:
        await asyncio.to_thread(beside.__exit__, None, None, None)
        await asyncio.to_thread(starting.__exit__, None, None, None)
    twice = sum(sum(status == 200 for status, _ in answers) > 1 for answers in told)
    odd = Counter(status for answers in told for status, _ in answers if status not in (200, 400))
    refused = {status: count for status, count in statuses.items() if status != 200}
    return [
        Row(f"{len(codes)} codes, {name}", f"{twice} redeemed twice; other answers: {dict(odd) or 'none'}", twice == 0 and not odd),
        Row(
            f"{races} races for a refresh token, {name}",
            f"{statuses[200]:,} of {races * REFRESHES:,} answered with tokens, {differed} times with different ones; "
            f"other answers: {refused or 'none'}",
            not refused and differed == 0,
        ),
        Row(
            f"{races} replays after the grace, {name}",
            f"{alive} families that a process still served; at most {slowest:.2f} s until both refused both tokens",
            alive == 0 and slowest <= 1,
        ),
    ]
