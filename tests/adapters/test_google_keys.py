"""Google's public keys: fetched once for all, kept as long as Google says, and never as often as a stranger likes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from functions.adapters.google_keys import GoogleKeys
from functions.adapters.outgoing import Outgoing
from functions.core.errors import CantileverError, DeadlinePassed, Refused, Upstream
from tests import upstream
from tests.deadlines import soon
from tests.upstream import Step, after, answer, serving


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def jwks(*kids: str, **headers: str) -> Step:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer({"keys": [{"kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB", "use": "sig"} for kid in kids]}, headers=named)


async def test_keys_are_fetched_once_and_kept_as_long_as_google_says(outgoing: Outgoing, clock: Clock) -> None:
    async with serving(jwks("one", Cache_Control="public, max-age=20000, must-revalidate", Age="2000"), jwks("two")) as server:
        keys = GoogleKeys(outgoing, server.url, clock)
        first = await keys.find("one", soon())
        clock.now += 17_999
        kept = await keys.find("one", soon())
        asked = len(server.received)
        clock.now += 2
        later = await keys.find("one", soon())

    assert first is not None
    assert kept == first
    assert asked == 1
    assert later is None
    assert len(server.received) == 2


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [("", 60), ("no-store", 60), ("max-age=0", 60), ("max-age=x", 60), ("s-maxage=99999, max-age=600", 600), ("max-age=999999999", 86_400)],
)
async def test_how_long_keys_are_kept_has_bounds(outgoing: Outgoing, clock: Clock, cache_control: str, seconds: float) -> None:
    async with serving(jwks("one", Cache_Control=cache_control)) as server:
        keys = GoogleKeys(outgoing, server.url, clock)
        await keys.find("one", soon())
        clock.now += seconds - 1
        await keys.find("one", soon())
        asked = len(server.received)
        clock.now += 2
        await keys.find("one", soon())

    assert (asked, len(server.received)) == (1, 2)


async def test_fifty_who_ask_at_once_cause_one_fetch(outgoing: Outgoing) -> None:
    async with serving(after(0.1, jwks("one"))) as server:
        keys = GoogleKeys(outgoing, server.url)
        found = await asyncio.gather(*(keys.find("one", soon()) for _ in range(50)))

    assert None not in found
    assert len(server.received) == 1


async def test_an_unknown_key_is_looked_for_once_a_minute(outgoing: Outgoing, clock: Clock) -> None:
    async with serving(jwks("old", Cache_Control="max-age=20000"), jwks("old", "new", Cache_Control="max-age=20000")) as server:
        keys = GoogleKeys(outgoing, server.url, clock)
        await keys.find("old", soon())
        at_once = [await keys.find(f"invented-{number}", soon()) for number in range(20)]
        asked = len(server.received)
        clock.now += 61
        new = await keys.find("new", soon())
        again = [await keys.find(f"invented-{number}", soon()) for number in range(20)]

    assert at_once + again == [None] * 40
    assert new is not None
    assert (asked, len(server.received)) == (1, 2)


async def test_strangers_cannot_make_us_ask_a_failing_server_again_and_again(outgoing: Outgoing, clock: Clock) -> None:
    async with serving(jwks("one", Cache_Control="max-age=20000"), answer({}, status=404)) as server:
        keys = GoogleKeys(outgoing, server.url, clock)
        await keys.find("one", soon())
        clock.now += 61
        with pytest.raises(Refused):
            await keys.find("invented", soon())
        refused = [await keys.find(f"invented-{number}", soon()) for number in range(20)]
        known = await keys.find("one", soon())

    assert refused == [None] * 20
    assert known is not None
    assert len(server.received) == 2


async def test_without_any_key_a_failing_server_is_asked_again_after_a_second(outgoing: Outgoing, clock: Clock) -> None:
    async with serving(answer({}, status=404), jwks("one")) as server:
        keys = GoogleKeys(outgoing, server.url, clock)
        with pytest.raises(Refused):
            await keys.find("one", soon())
        for _ in range(20):
            with pytest.raises(Upstream, match="a moment ago"):
                await keys.find("one", soon())
        asked = len(server.received)
        clock.now += 1.1
        found = await keys.find("one", soon())

    assert found is not None
    assert (asked, len(server.received)) == (1, 2)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (answer({}, status=503), Upstream),
        (answer({}, status=403), Refused),
        (upstream.redirect("http://127.0.0.1:1/"), Refused),
        (upstream.html, Upstream),
        (answer({}), Upstream),
        (answer([]), Upstream),
        (answer({"keys": {}}), Upstream),
        (answer({"keys": [{"kty": "EC", "kid": "one"}, {"kty": "RSA", "kid": 1}, "one"]}), Upstream),
    ],
    ids=["failing", "refusing", "redirecting", "html", "no keys", "a list", "keys that are none", "keys that we cannot read"],
)
async def test_what_is_no_key_set_is_a_failure_of_googles(outgoing: Outgoing, step: Step, kind: type[CantileverError]) -> None:
    async with serving(step) as server:
        with pytest.raises(kind):
            await GoogleKeys(outgoing, server.url).find("one", soon())


async def test_keys_of_other_kinds_are_passed_over(outgoing: Outgoing) -> None:
    rsa: dict[str, Any] = {"kty": "RSA", "kid": "one", "n": "AQAB", "e": "AQAB"}
    async with serving(answer({"keys": [{"kty": "OKP", "kid": "zero"}, rsa, {"kty": "AKP"}]})) as server:
        keys = GoogleKeys(outgoing, server.url)
        found = [await keys.find(kid, soon()) for kid in ("zero", "one")]

    assert [key is not None for key in found] == [False, True]


async def test_a_caller_who_gives_up_leaves_the_keys_to_the_others(outgoing: Outgoing) -> None:
    async with serving(after(0.3, jwks("one"))) as server:
        keys = GoogleKeys(outgoing, server.url)
        with pytest.raises(DeadlinePassed):
            await keys.find("one", soon(0.1))
        found = await keys.find("one", soon())

    assert found is not None
    assert len(server.received) == 1
