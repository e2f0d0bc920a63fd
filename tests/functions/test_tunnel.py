"""A local world that strangers reach through a tunnel, and one that a page tries to reach by a name of its own."""

import re
from collections.abc import Iterator

import pytest

from functions.routes import ROUTES
from tests.mcp import ERAS, NEW, called, failed, posted
from tests.world import World, started

TUNNEL = "https://tunnel.example"
NAMED = {"Host": "tunnel.example"}


@pytest.fixture(scope="module")
def tunnel() -> Iterator[World]:
    """What `PUBLIC_BASE_URL=https://tunnel.example make run` starts, with the tool `chat`."""
    with started(PUBLIC_BASE_URL=TUNNEL, MCP_CHAT="on") as world:
        yield world


def test_behind_a_tunnel_nobody_names_or_reads_a_conversation(tunnel: World) -> None:
    mine = tunnel.http.post("/chat", json={"query": "Hello"}, headers=NAMED).json()["session_id"]

    invented = tunnel.http.post("/chat", json={"query": "Hello", "session_id": "test123"}, headers=NAMED)
    continued = tunnel.http.post("/chat", json={"query": "Hello", "session_id": mine}, headers=NAMED)
    read = tunnel.http.get(f"/chat/{mine}", headers=NAMED)

    assert (invented.status_code, invented.json()["error"]["code"]) == (404, "not_found")
    assert continued.json()["answer"].endswith("questions seen in this conversation: 2.")
    assert read.status_code == 401
    assert "/chat/{session_id}" not in tunnel.http.get("/openapi.json", headers=NAMED).json()["paths"]


@pytest.mark.parametrize("era", ERAS)
def test_behind_a_tunnel_a_clients_name_for_its_conversation_leads_nowhere(tunnel: World, era: str) -> None:
    one, other = (called(tunnel, era, "chat", {"query": "Hello"}, **{"openai/session": "shared"}) for _ in range(2))
    header = {"openai-conversation-id": "shared"}
    third, fourth = (tunnel.http.post("/chat", json={"query": "Hello"}, headers=NAMED | header).json() for _ in range(2))

    sessions = {told["structuredContent"]["session_id"] for told in (one, other)} | {third["session_id"], fourth["session_id"]}

    assert len(sessions) == 4
    assert failed(called(tunnel, era, "chat", {"query": "Hello", "session_id": "from-shared"}))["code"] == "not_found"


def test_a_token_invented_locally_opens_nothing_where_strangers_call(tunnel: World) -> None:
    with started(STORE=tunnel.environ["STORE"]) as local:
        local.ask("Hello", "invented")

    stranger = tunnel.http.post("/chat", json={"query": "Hello", "session_id": "invented"}, headers=NAMED)

    assert stranger.status_code == 404


@pytest.mark.parametrize("path", [template for templates in ROUTES.values() for template in templates])
@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:8080", "localhost.evil.test", "127.0.0.1.evil.test", "[::2]", "tunnel.example.evil.test"]
)
def test_a_page_that_points_its_own_name_at_us_reads_nothing(tunnel: World, path: str, host: str) -> None:
    asked = re.sub(r"\{\w+\}", "test123", path)

    answer = tunnel.http.get(asked, headers={"Host": host, "Origin": f"http://{host}"})

    assert (answer.status_code, "forbidden" in answer.text) == (403, True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8080", "tunnel.example", "TUNNEL.example:443"])
def test_we_answer_to_our_own_names(tunnel: World, host: str) -> None:
    rest = tunnel.http.get("/openapi.json", headers={"Host": host})
    mcp = posted(tunnel, NEW, "tools/list", Host=host)

    assert (rest.status_code, mcp.status_code) == (200, 200)
