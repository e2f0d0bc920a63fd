"""Two processes on one store: simultaneous turns on one conversation are all kept, one after the other, and nobody sees an error."""

from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.reliability.clients import Clients
from tests.reliability.simultaneous import simultaneous
from tests.world import on_firestore, started

PAIRS = 100  # `make reliability-pairs` runs 1,000
EIGHTS = 10


@pytest.fixture(params=["sqlite", "firestore"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, str]:
    if request.param == "sqlite":
        return {"STORE": f"sqlite:{tmp_path / 'shared.db'}"}
    return on_firestore(request.getfixturevalue("firestore_emulator"))


async def test_two_simultaneous_turns_become_one_after_the_other(store: Mapping[str, str]) -> None:
    outcome = await simultaneous(store, PAIRS)

    assert (outcome.turns, outcome.broken) == (200, [])
    assert 200 < outcome.model_calls <= 300  # Some met, or nothing was tried; who met another asked at most once more.


async def test_eight_simultaneous_turns_become_one_after_the_other(store: Mapping[str, str]) -> None:
    outcome = await simultaneous(store, EIGHTS, size=8)

    assert (outcome.turns, outcome.broken) == (80, [])


async def test_a_crowd_on_one_conversation_is_answered_in_time_and_kept(tmp_path: Path) -> None:
    slow = {"STORE": f"sqlite:{tmp_path / 'shared.db'}", "OPENAI_MODEL": "emulator?latency=500ms"}
    with started(**slow) as one, started(**slow) as other:
        async with aiohttp.ClientSession() as client:
            clients = Clients(client, one.url, other.url, retries=0, keyed=False)
            await clients.talk("crowd", groups=1, size=60)

            kept = (await clients.transcripts(within=30))["crowd"]

    answered = {question.query: question.done.answer for question in clients.asked if question.done}
    refused = clients.codes()
    assert set(clients.errors) <= {"409 session_busy", "429 too_many_turns"}
    assert len(answered) == 60 - refused["409 session_busy"] - refused["429 too_many_turns"] >= 8
    assert {turn.query: turn.answer for turn in kept} == answered
    assert clients.slowest < 5.5
