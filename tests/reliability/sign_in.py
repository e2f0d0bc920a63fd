"""A6 and A9: codes and refresh tokens, used by many at once at two processes."""

import asyncio
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
        tokens = (await asyncio.to_thread(lambda: client.redeem(codes_of(product, client, 1)[0]))).json()
        async with aiohttp.ClientSession() as http:
            racers = Racers(http, client, (product.world.url, other.url))
            told = await redeemed(racers, codes)
            statuses, differed, _ = await refreshed(racers, tokens["refresh_token"], races)
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
    ]
