"""Retry manners over HTTP: what is asked again, what is left alone, and what each side sees of it (reliability.md F1 to F4, A16)."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from functions.adapters.outgoing import Answer, LeftAlone, Outgoing, Request
from functions.core.errors import DeadlinePassed, Upstream
from tests import upstream
from tests.deadlines import soon
from tests.upstream import Server, Step, answer, serving

UP = answer({"ok": True})
DOWN = answer({}, status=500)
DOWN_FOR_GOOD = answer({}, status=500, headers={"x-should-retry": "false"})
"""Down in a way that ends a request after one attempt."""


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def served(answer: Answer) -> Any:
    answer.require_served()
    return answer.json


def request(url: str, attempt_seconds: float = 10, **more: Any) -> Request:
    return Request("The other side", "POST", url, attempt_seconds, **more)


def failing_first(fault: Step) -> Step:
    """Do `fault` with the first request of each turn, and answer the next; the body tells turns apart."""
    seen: set[bytes] = set()

    async def step(request: web.Request) -> web.StreamResponse:
        turn = await request.read()
        is_first = turn not in seen
        seen.add(turn)
        return await (fault if is_first else UP)(request)

    return step


async def fifty_turns(outgoing: Outgoing, server: Server, at_a_time: int) -> list[list[float]]:
    """Ask for fifty turns, all of which must be answered; the moments at which the server was asked for each."""
    numbers = iter(range(50))

    async def ask() -> None:
        for number in numbers:
            assert await outgoing.send(request(server.url, json={"turn": number}), served, soon(3.8)) == {"ok": True}

    await asyncio.gather(*(ask() for _ in range(at_a_time)))
    calls = defaultdict(list)
    for received in server.received:
        calls[received.json["turn"]].append(received.at)
    assert len(calls) == 50
    return list(calls.values())


async def test_fifty_turns_that_each_fail_once_are_all_answered_by_a_second_call(outgoing: Outgoing) -> None:
    async def calls(fault: Step) -> set[int]:
        async with serving(failing_first(fault)) as server:
            return {len(moments) for moments in await fifty_turns(outgoing, server, at_a_time=8)}

    faults = [DOWN, answer({}, status=502), answer({}, status=503), upstream.reset]

    assert await asyncio.gather(*map(calls, faults)) == [{2}] * 4


async def test_fifty_turns_that_must_wait_a_second_are_all_answered_and_none_comes_too_early(outgoing: Outgoing) -> None:
    async with serving(failing_first(answer({}, status=429, headers={"Retry-After": "1"}))) as server:
        calls = await fifty_turns(outgoing, server, at_a_time=25)

    assert {len(moments) for moments in calls} == {2}
    assert min(second - first for first, second in calls) >= 1


class Switched:
    """A server that is up or down, as the test says."""

    def __init__(self, step: Step) -> None:
        self.step = step

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        return await self.step(request)


async def ask(outgoing: Outgoing, server: Server, seconds: float = 5, **more: Any) -> str:
    """How asking once ends."""
    try:
        await outgoing.send(request(server.url, **more), served, soon(seconds))
    except LeftAlone:
        return "left alone"
    except Upstream:
        return "failed"
    except DeadlinePassed:
        return "cancelled"
    return "answered"


async def ask_for(seconds: float, once: Callable[[], Awaitable[str]]) -> list[str]:
    """How asking again and again ends, every 20 ms."""
    loop, ends = asyncio.get_running_loop(), []
    until = loop.time() + seconds
    while loop.time() < until:
        ends.append(await once())
        await asyncio.sleep(0.02)
    return ends


async def until_left_alone(once: Callable[[], Awaitable[str]]) -> None:
    for _ in range(50):
        if await once() == "left alone":
            return
        await asyncio.sleep(0.08)  # Some ten failures: the retry budget stays far from spent.
    pytest.fail("The upstream is not left alone.")


async def test_an_upstream_that_is_down_is_asked_once_a_second_and_found_again(outgoing: Outgoing) -> None:
    async with serving(switched := Switched(DOWN_FOR_GOOD)) as server:
        await until_left_alone(partial(ask, outgoing, server))
        before, switched.step = len(server.received), DOWN
        ends = await ask_for(2.5, partial(ask, outgoing, server))
        probes = server.received[before:]
        switched.step = UP
        again = await ask_for(1.2, partial(ask, outgoing, server))

    assert before >= 10
    assert ends.count("failed") == len(probes)  # A probe that fails is not tried again.
    assert 2 <= len(probes) <= 3
    assert all(second.at - first.at >= 0.99 for first, second in pairwise(probes))
    assert again == sorted(again, reverse=True)  # Left alone until one was answered, and answered from then on.
    assert again.count("answered") > 5


async def test_who_is_not_let_through_is_told_at_once_what_to_do(outgoing: Outgoing) -> None:
    async with serving(DOWN_FOR_GOOD) as server:
        await until_left_alone(partial(ask, outgoing, server))
        deadline = soon(5)

        with pytest.raises(LeftAlone) as caught:
            await outgoing.send(request(server.url), served, deadline)

        assert deadline.left() >= 4.9
        assert caught.value.retry_after == timedelta(seconds=1)
        assert caught.value.message == (
            "The other side has failed again and again and is asked only once a second until it answers; try again later."
        )


async def test_what_was_not_sent_spends_no_retries(outgoing: Outgoing) -> None:
    async with serving(switched := Switched(DOWN_FOR_GOOD)) as server:
        await until_left_alone(partial(ask, outgoing, server))
        withheld = [await ask(outgoing, server) for _ in range(100)]
        switched.step = UP
        again = await ask_for(1.2, partial(ask, outgoing, server))
        switched.step = failing_first(DOWN)

        assert withheld.count("left alone") >= 99
        assert again[-1] == "answered"
        assert await ask(outgoing, server, json={"turn": 1}) == "answered"


async def test_forty_that_fail_at_once_are_tried_again(outgoing: Outgoing) -> None:
    async with serving(*[DOWN] * 40, UP) as server:
        ends = await asyncio.gather(*(ask(outgoing, server) for _ in range(40)))

        assert ends == ["answered"] * 40
        assert len(server.received) == 80


async def test_a_server_that_speaks_is_not_left_alone(outgoing: Outgoing) -> None:
    async def ends(status: int) -> set[str]:
        async with serving(answer({}, status=status, headers={"x-should-retry": "false"})) as server:
            ends = await ask_for(1.3, partial(ask, outgoing, server))
            assert len(server.received) == len(ends) > 10
            return set(ends)

    told = await asyncio.gather(*map(ends, [400, 404, 408, 409, 429]))

    assert told == [{"answered"}, {"answered"}, {"failed"}, {"failed"}, {"failed"}]


async def test_who_asks_for_too_much_does_not_close_the_upstream_to_others(outgoing: Outgoing) -> None:
    async with serving(answer(b'"' + b"x" * 2_200_000 + b'"')) as server:
        ends = await ask_for(1.3, partial(ask, outgoing, server))

    assert set(ends) == {"failed"}
    assert len(ends) > 10


async def test_a_probe_that_hangs_or_is_cancelled_holds_nobody_back(outgoing: Outgoing) -> None:
    async def last_end(seconds: float) -> str:
        async with serving(switched := Switched(DOWN_FOR_GOOD)) as server:
            await until_left_alone(partial(ask, outgoing, server))
            arrived = asyncio.Event()

            async def hang(request: web.Request) -> web.StreamResponse:
                arrived.set()
                return await upstream.hang(request)

            switched.step = hang
            asking = asyncio.create_task(ask_for(30, partial(ask, outgoing, server, seconds)))
            await arrived.wait()
            switched.step = UP
            again = await ask_for(1.2, partial(ask, outgoing, server))
            asking.cancel()
            return again[-1]

    assert await asyncio.gather(last_end(0.1), last_end(30)) == ["answered"] * 2


async def test_attempts_that_their_deadline_ended_say_nothing_of_the_upstream(outgoing: Outgoing) -> None:
    async with serving(switched := Switched(upstream.hang)) as server:
        ends = await ask_for(1.3, partial(ask, outgoing, server, 0.05))
        switched.step = UP

        assert set(ends) == {"cancelled"}
        assert await ask(outgoing, server) == "answered"


async def test_attempts_that_took_too_long_do(outgoing: Outgoing) -> None:
    async with serving(upstream.hang) as server:
        ends = await ask_for(2.0, partial(ask, outgoing, server, attempt_seconds=0.05, patience_seconds=0))

    assert "left alone" in ends


async def test_an_answer_with_more_in_it_than_we_read_closes_the_upstream_to_nobody(outgoing: Outgoing) -> None:
    async with serving(answer([0] * 100_001)) as server:
        ends = await ask_for(1.3, partial(ask, outgoing, server))

        assert set(ends) == {"failed"}
        assert len(server.received) == len(ends), "asking again would bring the same"


async def test_one_upstream_at_a_server_may_be_down_while_another_is_not(outgoing: Outgoing) -> None:
    async def step(request: web.Request) -> web.StreamResponse:
        return await (UP if (await request.json())["model"] == "small" else DOWN_FOR_GOOD)(request)

    async with serving(step) as server:
        large, small = (partial(ask, outgoing, server, upstream=f"model {size}", json={"model": size}) for size in ("large", "small"))
        await until_left_alone(large)

        assert await large() == "left alone"
        assert await small() == "answered"


async def test_first_attempts_are_never_withheld_and_retries_end_with_the_budget(outgoing: Outgoing) -> None:
    async with serving(answer({}, status=429, headers={"retry-after-ms": "1"})) as server:
        for _ in range(100):
            await ask(outgoing, server)

        # Sixteen requests of three attempts, one of two, whose second spends the fiftieth token, and 83 of one.
        assert len(server.received) == 16 * 3 + 2 + 83


async def test_the_budget_of_one_upstream_is_not_anothers(outgoing: Outgoing) -> None:
    busy = answer({}, status=429, headers={"retry-after-ms": "1"})
    async with serving(busy) as server, serving(busy) as another:
        for _ in range(20):
            await ask(outgoing, server)
        await ask(outgoing, another)

        assert len(another.received) == 3


async def test_no_attempt_begins_when_patience_has_ended(outgoing: Outgoing) -> None:
    async with serving(answer({}, status=503, headers={"Retry-After": "1"})) as server:
        deadline = soon(5)
        assert await ask(outgoing, server, patience_seconds=0.9) == "failed"
        assert deadline.left() >= 4.5
        assert len(server.received) == 1

    async with serving(upstream.hang) as server:
        assert await ask(outgoing, server, attempt_seconds=0.3, patience_seconds=0.2) == "failed"
        assert len(server.received) == 1


async def test_an_opened_connection_serves_the_next_request(outgoing: Outgoing) -> None:
    async with serving(answer({}, status=401), UP) as server:
        await outgoing.open("The other side", f"{server.url}/v1/chat?key=secret", soon(5))
        await outgoing.send(request(f"{server.url}/v1/chat"), served, soon(5))

    opening, asking = server.received
    assert (opening.method, opening.path, opening.query, opening.body) == ("HEAD", "/", {}, b"")
    assert opening.port == asking.port


async def test_an_unused_connection_is_kept_for_a_minute(outgoing: Outgoing) -> None:
    connector = outgoing._session().connector

    assert connector is not None
    assert connector._keepalive_timeout == 60


async def test_a_connection_that_cannot_be_opened_is_told(outgoing: Outgoing) -> None:
    async with serving(UP) as server:
        pass
    with pytest.raises(Upstream):
        await outgoing.open("The other side", server.url, soon(5))

    async with serving(upstream.hang) as server:
        with pytest.raises(DeadlinePassed):
            await outgoing.open("The other side", server.url, soon(0.2))
        assert len(server.received) == 1


async def test_opening_neither_asks_nor_tells_the_breaker(outgoing: Outgoing) -> None:
    async with serving(switched := Switched(DOWN_FOR_GOOD)) as server:
        await until_left_alone(partial(ask, outgoing, server))
        switched.step = UP
        before = len(server.received)

        await outgoing.open("The other side", server.url, soon(5))

        assert len(server.received) == before + 1
        assert await ask(outgoing, server) == "left alone"
