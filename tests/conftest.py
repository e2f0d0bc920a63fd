"""What many tests share."""

from collections.abc import Iterator

import pytest

from tests import emulators
from tests.world import World, started


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The only loop the product runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def firestore_emulator() -> Iterator[str]:
    """The `host:port` of one emulator for all tests; a project name of its own isolates each of them."""
    try:
        with emulators.firestore() as address:
            yield address
    except emulators.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """One running product for all tests that only ask it something; who changes or stops it starts its own."""
    with started() as world:
        yield world
