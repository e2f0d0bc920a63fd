"""What several tests of the functions share."""

from collections.abc import Iterator

import pytest

from tests.deployed import DEPLOYED
from tests.world import World, started


@pytest.fixture(scope="session")
def deployed() -> Iterator[World]:
    """The MCP function as Google runs it, with no word about anonymous callers. Nothing that is asked reaches a store."""
    with started("mcp", **DEPLOYED) as world:
        yield world
