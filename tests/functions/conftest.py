"""What several tests of the functions share."""

from collections.abc import Iterator

import pytest

from tests.deployed import DEPLOYED
from tests.discovery import problems
from tests.signin import SignedIn
from tests.world import World, started


@pytest.fixture(scope="session")
def deployed() -> Iterator[World]:
    """The MCP function as Google runs it, with no word about anonymous callers. Nothing that is asked reaches a store."""
    with started("mcp", **DEPLOYED) as world:
        yield world


@pytest.fixture
def known_to_google(product: SignedIn) -> Iterator[None]:
    """Whatever the test asks of the product's Google, which is well again, is in Google's own documents."""
    product.google.heal()
    began = len(product.google.received)
    yield
    assert problems(product.google.received[began:]) == []
