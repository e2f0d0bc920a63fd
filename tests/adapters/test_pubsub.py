"""Publishing: against a server that misbehaves, and with Google's own emulator, which pushes what was published."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from functions.adapters.credentials import Fixed
from functions.adapters.outgoing import Outgoing
from functions.adapters.pubsub import PubSubTopic
from functions.core.errors import DeadlinePassed, Refused, Upstream
from functions.core.settings import Settings
from functions.wiring import Services
from tests import upstream
from tests.catalogue import CATALOGUE
from tests.deadlines import soon
from tests.push import Pushed
from tests.upstream import Server, Step, after, answer, serving

TOPIC = "projects/demo/topics/turns"
PUBLISHED = answer({"messageIds": ["1"]})
NO_CONTENT = answer(b"", status=204)


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def topic(outgoing: Outgoing, server: Server, token: str = "") -> PubSubTopic:
    return PubSubTopic(outgoing, Fixed(token), TOPIC, emulator_host=server.url.removeprefix("http://"))


class Announced:
    """A step of a server that tells when it is taken."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._taken = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self._taken.set()
        return await self._step(request)

    async def taken(self) -> None:
        async with asyncio.timeout(30):
            await self._taken.wait()


async def test_a_message_is_published_as_pub_sub_wants_it(outgoing: Outgoing) -> None:
    async with serving(PUBLISHED) as server:
        await topic(outgoing, server, "ya29.token").publish('{"type": "sweep", "why": "é"}', soon())

    (request,) = server.received
    assert (request.method, request.path, request.headers["Authorization"]) == ("POST", f"/v1/{TOPIC}:publish", "Bearer ya29.token")
    assert list(request.json) == ["messages"]
    assert [b64decode(message["data"]).decode() for message in request.json["messages"]] == ['{"type": "sweep", "why": "é"}']


async def test_without_a_token_none_is_shown(outgoing: Outgoing) -> None:
    async with serving(PUBLISHED) as server:
        await topic(outgoing, server).publish("{}", soon())

    assert "Authorization" not in server.received[0].headers


async def test_a_passing_failure_is_published_over(outgoing: Outgoing) -> None:
    async with serving(answer({}, status=503), PUBLISHED) as server:
        await topic(outgoing, server).publish("{}", soon())

    assert len(server.received) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_pub_sub_that_fails_for_good_is_an_upstreams_failure(outgoing: Outgoing, status: int) -> None:
    async with serving(answer({"error": {"message": "backendError"}}, status=status)) as server:
        deadline = soon()

        with pytest.raises(Upstream):
            await topic(outgoing, server).publish("{}", deadline)

    assert len(server.received) == 3
    assert deadline.left() > 0


async def test_an_attempt_that_hangs_takes_no_more_than_a_second(outgoing: Outgoing) -> None:
    async with serving(upstream.hang, PUBLISHED) as server:
        await topic(outgoing, server).publish("{}", soon())

    first, second = (received.at for received in server.received)
    assert 1.0 <= second - first <= 1.0 + 0.5 + 0.2  # The attempt, the longest pause, and what a busy machine adds.


@pytest.mark.parametrize("fault", [upstream.hang, upstream.drip, answer({}, status=503), after(3600, PUBLISHED)])
async def test_the_deadline_holds(outgoing: Outgoing, fault: upstream.Step) -> None:
    async with serving(fault) as server:
        deadline = soon(0.25)

        with pytest.raises((DeadlinePassed, Upstream)):
            await topic(outgoing, server).publish("{}", deadline)

    assert deadline.clock() - deadline.at <= 0.3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "check TURNS_TOPIC"),
        (401, "check the function's service account"),
        (403, "roles/pubsub.publisher on TURNS_TOPIC"),
        (404, "correct TURNS_TOPIC"),
        (302, "check TURNS_TOPIC"),
    ],
)
async def test_what_only_the_owner_can_mend_is_said_once_and_without_the_token(outgoing: Outgoing, status: int, words: str) -> None:
    async with serving(answer({"error": {"message": "ya29.token"}}, status=status)) as server:
        with pytest.raises(Refused) as caught:
            await topic(outgoing, server, "ya29.token").publish("{}", soon())

    assert words in caught.value.message
    assert "ya29" not in caught.value.message
    assert len(server.received) == 1


async def test_what_is_published_is_pushed(pubsub_emulator: str) -> None:
    arrival = Announced(NO_CONTENT)
    async with serving(arrival) as server:
        pushed = await asyncio.to_thread(Pushed.to, f"{server.url}/pubsub", pubsub_emulator)
        services = Services(Settings.read(pushed.environ), CATALOGUE)
        assert services.topic is not None

        await services.topic.publish('{"type":"sweep"}', soon())
        await arrival.taken()
        await services._outgoing.close()

    (request,) = server.received
    assert (request.method, request.path, request.headers["Content-Type"]) == ("POST", "/pubsub", "application/json")
    assert b64decode(request.json["message"]["data"]) == b'{"type":"sweep"}'
    assert "Authorization" not in request.headers  # Unlike in production: the local worker cannot check an identity.


async def test_a_topic_that_the_emulator_lacks_is_refused(outgoing: Outgoing, pubsub_emulator: str) -> None:
    missing = PubSubTopic(outgoing, Fixed(""), "projects/demo-nothing/topics/missing", emulator_host=pubsub_emulator)

    with pytest.raises(Refused, match="no such topic"):
        await missing.publish("{}", soon())


async def test_a_push_that_is_refused_five_times_is_held_in_the_dead_letter_topic(pubsub_emulator: str) -> None:
    async with serving(answer({}, status=503)) as server:
        pushed = await asyncio.to_thread(Pushed.to, f"{server.url}/pubsub", pubsub_emulator)
        await asyncio.to_thread(pushed.publish, '{"type":"poison"}')

        dead: list[str] = []
        until = soon(60)
        while not dead and until.left():
            await asyncio.sleep(0.5)
            dead = await asyncio.to_thread(pushed.dead)

    assert dead == ['{"type":"poison"}']
    assert len(server.received) == 5
    assert len({request.json["message"]["messageId"] for request in server.received}) == 1


async def test_a_push_that_failed_once_comes_again(pubsub_emulator: str) -> None:
    again = Announced(NO_CONTENT)
    async with serving(answer({}, status=503), again) as server:
        pushed = await asyncio.to_thread(Pushed.to, f"{server.url}/pubsub", pubsub_emulator)
        await asyncio.to_thread(pushed.publish, "{}")

        await again.taken()
        await asyncio.sleep(1.5)  # The emulator's next attempt would come within it.

    assert len(server.received) == 2
    assert await asyncio.to_thread(pushed.dead) == []
