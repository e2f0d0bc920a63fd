"""The outside world as one operation sees it."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from yarl import URL

from functions.adapters.outgoing import Outgoing
from functions.adapters.web import BoundWeb, Kept
from functions.core.capability import Api, Operation, Published, Scope, Web, operation
from functions.core.errors import CantileverError, CapabilityFault, DeadlinePassed, Refused, Upstream
from functions.core.settings import Settings
from tests import upstream
from tests.deadlines import soon
from tests.upstream import answer, serving

WEATHER = Api("weather", "http://127.0.0.1:1/v1", "apikey", "WEATHER_KEY")
MAPS = Api("maps", "http://127.0.0.1:1/v1")
PLACES = Api("places", "http://127.0.0.1:1/v1", reusable=timedelta(milliseconds=200))
SOON = {"retry-after-ms": "1"}


class Nothing(Published):
    """Nothing at all."""


def asking(*apis: Api, scopes: Sequence[Scope] = ()) -> Operation:
    """An operation that names these."""

    @operation(apis=apis, scopes=scopes, read_only=True, open_world=False)
    async def look(web: Web) -> Nothing:
        """Look."""
        return Nothing()

    return look


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def web_at(url: str, outgoing: Outgoing, *apis: Api, seconds: float = 5, **environ: str) -> BoundWeb:
    """The world of an operation that names `apis`, or else the weather, whose address is `url`."""
    settings = Settings.read({"WEATHER_URL": f"{url}/v1", **environ}, [WEATHER, MAPS])
    return BoundWeb(outgoing, Kept(), asking(*(apis or [WEATHER])), soon(seconds), urls=settings.api_urls, keys=settings.api_keys)


async def test_a_get_arrives_below_the_configured_address(outgoing: Outgoing) -> None:
    async with serving(answer({"results": [1]})) as server:
        found = await web_at(server.url, outgoing).get(
            WEATHER, "places/search", name="北京 & 上海", count=1, wind=0.5, daily=("low", "high")
        )

    (received,) = server.received
    assert found == {"results": [1]}
    assert (received.method, received.path) == ("GET", "/v1/places/search")
    assert received.query == {"name": "北京 & 上海", "count": "1", "wind": "0.5", "daily": "low,high"}
    assert received.body == b""


async def test_the_moment_is_told_in_utc(outgoing: Outgoing) -> None:
    before = datetime.now(UTC)

    now = web_at("http://127.0.0.1:1", outgoing).now()

    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


async def test_without_a_setting_the_apis_own_address_is_used(outgoing: Outgoing) -> None:
    async with serving(answer([])) as server:
        web = BoundWeb(outgoing, Kept(), asking(api := Api("weather", f"{server.url}/v2")), soon(5), urls={}, keys={})
        await web.get(api, "forecast")

    assert server.received[0].path == "/v2/forecast"


async def test_the_key_goes_to_the_api_that_takes_one(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        web = web_at(server.url, outgoing, WEATHER, MAPS, WEATHER_KEY="secret-key", MAPS_URL=server.url)
        await web.get(WEATHER, "forecast")
        await web.get(MAPS, "route")

    assert [received.query for received in server.received] == [{"apikey": "secret-key"}, {}]


async def test_an_api_that_is_not_named_is_out_of_reach(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        with pytest.raises(CapabilityFault) as caught:
            await web_at(server.url, outgoing, WEATHER, MAPS_URL=server.url).get(MAPS, "route")

        assert "maps" in caught.value.message
        assert server.received == []


@pytest.mark.parametrize("path", ["../admin", "a/../../admin", "/admin", "a//b", "", "./a", "a/.."])
async def test_a_path_cannot_leave_the_address(outgoing: Outgoing, path: str) -> None:
    async with serving(answer({})) as server:
        with pytest.raises(CapabilityFault):
            await web_at(server.url, outgoing).get(WEATHER, path)

        assert server.received == []


async def test_an_identifier_in_a_path_stays_one_segment(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        await web_at(server.url, outgoing).get(WEATHER, "places/a?b=c#d %2e%2e@e:f")

    assert server.received[0].path == "/v1/places/a?b=c#d %2e%2e@e:f"
    assert server.received[0].query == {}


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "WEATHER_KEY"),
        (403, "WEATHER_KEY"),
        (400, "correct the operation"),
        (404, "WEATHER_URL"),
        (422, "correct the operation"),
        (302, "WEATHER_URL"),
    ],
)
async def test_a_refusal_is_not_repeated_and_says_what_to_do(outgoing: Outgoing, status: int, advice: str) -> None:
    async with serving(answer({"reason": "private words"}, status=status, headers={"Location": "/"})) as server:
        with pytest.raises(Refused) as caught:
            await web_at(server.url, outgoing, WEATHER_KEY="secret-key").get(WEATHER, "forecast", name="private words")

        assert len(server.received) == 1
        assert advice in caught.value.message
        assert "private words" not in caught.value.message


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_failure_is_repeated_and_then_told(outgoing: Outgoing, status: int) -> None:
    async with serving(answer({}, status=status, headers=SOON)) as server:
        with pytest.raises(Upstream):
            await web_at(server.url, outgoing).get(WEATHER, "forecast")

        assert len(server.received) == 3


async def test_the_requests_of_an_operation_share_one_deadline(outgoing: Outgoing) -> None:
    async with serving(upstream.after(0.3, answer({}))) as server:
        web = web_at(server.url, outgoing, seconds=0.5)
        await web.get(WEATHER, "search")

        with pytest.raises(DeadlinePassed):
            await web.get(WEATHER, "forecast")


@pytest.mark.parametrize("fault", [upstream.end_at_once, upstream.no_http, upstream.long_line, upstream.html, upstream.cut_by_length])
async def test_no_error_holds_the_key_or_the_address(outgoing: Outgoing, fault: upstream.Step) -> None:
    async with serving(fault) as server:
        web = web_at(server.url, outgoing, seconds=0.3, WEATHER_KEY="secret-key")

        with pytest.raises(CantileverError) as caught:
            await web.get(WEATHER, "forecast")

    told = "".join(traceback.format_exception(caught.value))
    assert "secret-key" not in told
    assert server.url not in told


async def test_what_may_be_given_again_is_asked_once_until_it_is_old(outgoing: Outgoing) -> None:
    async with serving(answer({"at": [1]}), answer({"at": [2]}), answer({"at": [3]})) as server:
        web = BoundWeb(outgoing, Kept(), asking(PLACES), soon(5), urls={"places": server.url}, keys={})
        first = await web.get(PLACES, "search", name="北京")
        first["at"].append("changed by whoever got it")
        again = await web.get(PLACES, "search", name="北京")
        other = await web.get(PLACES, "search", name="Paris")
        await asyncio.sleep(0.25)
        later = await web.get(PLACES, "search", name="北京")

    assert (again, other, later) == ({"at": [1]}, {"at": [2]}, {"at": [3]})
    assert len(server.received) == 3


async def test_what_may_not_be_given_again_or_failed_is_asked_anew(outgoing: Outgoing) -> None:
    async with serving(answer({}, status=400), answer({"at": 1}), answer({"at": 2}), answer({"at": 3})) as server:
        web = BoundWeb(outgoing, Kept(), asking(PLACES, MAPS), soon(5), urls={"places": server.url, "maps": server.url}, keys={})
        with pytest.raises(Refused):
            await web.get(PLACES, "search", name="北京")

        found = [await web.get(PLACES, "search", name="北京"), await web.get(MAPS, "route"), await web.get(MAPS, "route")]

    assert found == [{"at": 1}, {"at": 2}, {"at": 3}]


async def test_no_more_is_kept_than_a_thousand_answers() -> None:
    kept = Kept()

    for number in range(1001):
        kept.keep(URL(f"http://places/{number}"), number, until=10)

    assert kept.find(URL("http://places/0"), now=0) is None
    assert [kept.find(URL(f"http://places/{number}"), now=0) for number in (1, 1000)] == [1, 1000]
