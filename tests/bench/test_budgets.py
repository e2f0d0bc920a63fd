"""Budgets that no machine's speed changes: what is loaded, what is published, what a turn asks of its store, and the fast stack in use."""

import asyncio
import http.client
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.bench import store
from tests.bench.machine import Server
from tests.signin import switched_on
from tests.world import World

ROOT = Path(__file__).parents[2]
FULL = (25, 75)
"""Turns behind the one that is counted; the buffer is full in both, and both numbers have two digits."""


def ran(script: str, **environ: str) -> list[str]:
    """The words that a script prints which has imported main, in a fresh process with this environment alone."""
    told = [sys.executable, "-I", "-c", f"import sys, gc; sys.path.insert(0, {str(ROOT)!r}); import main; {script}"]
    return subprocess.run(told, capture_output=True, text=True, check=True, env=environ, cwd="/").stdout.split()


@pytest.fixture(scope="module")
def on_sqlite() -> store.Costs:
    """What is asked of SQLite, counted once for all tests."""
    return asyncio.run(store.on_sqlite(FULL))


def test_what_is_asked_of_a_conversation_costs_sqlite_its_budget_however_long_it_is(on_sqlite: store.Costs) -> None:
    for kind in store.KINDS:
        shorter, longer = (cost.counts for cost in on_sqlite[kind.name])
        assert (longer, store.within(kind.budget, longer)) == (shorter, True), kind.name


def test_whether_a_grant_still_lives_costs_a_turn_three_documents_and_no_round_trip(on_sqlite: store.Costs) -> None:
    strangers, signed_in = (on_sqlite[name][-1].counts for name in ("fast turn", "fast turn, signed in"))
    assert signed_in["documents read"] == strangers["documents read"] + 3
    assert {name: signed_in[name] - strangers[name] for name in ("reads", "commits", "writes", "lists")} == dict.fromkeys(
        ("reads", "commits", "writes", "lists"), 0
    )


def test_a_fast_turn_costs_sqlite_one_read_and_one_transaction(on_sqlite: store.Costs) -> None:
    longer = on_sqlite["fast turn"][-1].counts

    assert (longer["reads"], longer["documents read"], longer["commits"], longer["writes"], longer["lists"]) == (1, 1, 1, 2, 0)
    assert (longer["SELECT"] + longer["WITH"], longer["BEGIN"], longer["COMMIT"], longer["INSERT"] + longer["UPDATE"]) == (1, 1, 1, 2)
    assert longer["bytes written"] < 12_000


async def test_what_is_asked_of_a_conversation_costs_firestore_its_budget_however_long_it_is(firestore_emulator: str) -> None:
    costs = await store.on_firestore(FULL, firestore_emulator)

    for kind in store.KINDS:
        shorter, longer = (cost.counts for cost in costs[kind.name])
        assert (rpcs(longer), store.within(kind.budget, longer)) == (rpcs(shorter), True), kind.name
        assert abs(longer["bytes sent"] - shorter["bytes sent"]) < 32, kind.name
    assert rpcs(costs["fast turn"][-1].counts) == rpcs(costs["fast turn, signed in"][-1].counts) == {"BatchGetDocuments": 1, "Commit": 1}
    assert costs["fast turn"][-1].counts["bytes sent"] < 13_000


def rpcs(counts: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in store.wire(counts).items() if not name.startswith("bytes")}


SQLITE = {"STORE": "sqlite:/nowhere/a.db"}
FIRESTORE = {"STORE": "firestore", "GOOGLE_CLOUD_PROJECT": "demo-budget"}
MODULES = (
    ("manifest", SQLITE, 620),
    ("chat", SQLITE, 800),
    ("mcp", SQLITE, 960),
    ("plugin", SQLITE, 980),
    ("chat", FIRESTORE, 1_150),
    ("mcp", FIRESTORE, 960),  # It keeps no conversations, so it loads no store.
)
WITH_SIGN_IN = (("manifest", SQLITE, 620), ("auth", FIRESTORE, 1_200), ("chat", FIRESTORE, 1_210), ("mcp", FIRESTORE, 1_430))


@pytest.mark.parametrize(
    ("target", "environ", "most"), [*MODULES, *((target, {**store, **switched_on()}, most) for target, store, most in WITH_SIGN_IN)]
)
def test_a_function_loads_no_more_modules_than_its_budget(target: str, environ: Mapping[str, str], most: int) -> None:
    (loaded,) = ran(f"main.{target}; print(len(sys.modules))", **environ)

    assert int(loaded) <= most


def test_the_collector_does_not_walk_what_was_imported_and_clients_may_pause_for_75_seconds() -> None:
    script = "import gunicorn.config; main.chat; print(gc.get_freeze_count(), gc.get_threshold()[0], gc.isenabled(), gunicorn.config.Keepalive.default)"
    frozen, threshold, enabled, keepalive = ran(script, STORE="sqlite:/nowhere/a.db")

    assert int(frozen) > 50_000
    assert int(threshold) >= 20_000
    assert (enabled, keepalive) == ("True", "75")


def test_the_published_documents_stay_small(world: World) -> None:
    sizes = {path: len(world.http.get(path).content) for path in ("/openapi.json", "/.well-known/ai-plugin.json")}

    assert sizes["/openapi.json"] < 26_000
    assert sizes["/.well-known/ai-plugin.json"] < 2_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells what a process has loaded")
def test_the_server_runs_on_uvloop_and_httptools(world: World) -> None:
    assert world._process is not None

    libraries = Server(world.port, world._process.pid).libraries

    assert "/uvloop/" in libraries
    assert "/httptools/" in libraries


def test_a_connection_outlives_a_pause_of_gunicorns_own_two_seconds(world: World) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=30)
    connection.request("GET", "/openapi.json")
    first = json.loads(connection.getresponse().read())
    kept = connection.sock

    kept.settimeout(2.5)
    with pytest.raises(TimeoutError):  # Nothing comes, no end of the connection either.
        kept.recv(1)
    kept.settimeout(30)
    connection.request("GET", "/openapi.json")

    assert json.loads(connection.getresponse().read()) == first
    assert connection.sock is kept
    connection.close()
