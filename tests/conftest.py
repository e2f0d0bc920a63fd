"""What many tests share."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator

import pytest

from tests import emulators
from tests.world import World, started


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The only loop the product runs on."""
    return "asyncio"


LONGEST = "test_experiments.py"
"""It takes minutes, and begins first: at the end one process would be alone with it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and give every async test the one loop."""
    items.sort(key=lambda item: item.path.name != LONGEST)
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "one_loop")


@pytest.fixture(scope="session")
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """One event loop for all tests: gRPC's queue is one for a process, and still speaks to loops that were closed meanwhile."""
    yield
    await asyncio.sleep(0.2)  # What is left in the queue is for this loop.


@pytest.fixture(scope="session")
def firestore_emulator() -> Iterator[str]:
    """The `host:port` of one emulator for all tests; a project name of its own isolates each of them."""
    try:
        with emulators.firestore() as address:
            yield address
    except emulators.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def pubsub_emulator() -> Iterator[str]:
    """The `host:port` of one emulator for all tests; a project of its own isolates each of them (tests/push.py)."""
    try:
        with emulators.pubsub() as address:
            yield address
    except emulators.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """One running product for all tests that only ask it something; who changes or stops it starts its own."""
    with started() as world:
        yield world
