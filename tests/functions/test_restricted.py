"""A restricted capability in a running product: off, unless its owner enables it."""

import pytest

from tests.mcp import NEW, result
from tests.world import started

MAIL = {"search_mail", "read_mail"}


@pytest.mark.parametrize(("enabled", "offered"), [("", set()), ("gmail", MAIL)])
def test_it_is_offered_where_it_is_enabled_and_nowhere_else(enabled: str, offered: set[str]) -> None:
    with started("plugin", ENABLED_RESTRICTED=enabled) as world:
        tools = {tool["name"] for tool in result(world, NEW, "tools/list")["tools"]}
        paths = {path.removeprefix("/tools/") for path in world.http.get("/openapi.json").json()["paths"]}
        told = world.http.get("/manifest.json").json()["description_for_model"]
        refused = world.http.post("/tools/search_mail", json={"query": "x"}).status_code

    assert tools & MAIL == paths & MAIL == {name for name in MAIL if name in told} == offered
    assert refused == (401 if offered else 404)


@pytest.mark.parametrize("enabled", ["calendar", "post"])
def test_what_is_not_restricted_cannot_be_enabled(enabled: str) -> None:
    with (
        pytest.raises(RuntimeError, match=f"ENABLED_RESTRICTED: No restricted capability is called {enabled}; there are: gmail"),
        started("manifest", ENABLED_RESTRICTED=enabled),
    ):
        pass
