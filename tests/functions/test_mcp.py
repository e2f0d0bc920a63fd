"""POST /mcp as any client may send it: both revisions of the protocol, versions, methods, tokens, foreign pages and names."""

import json
from collections.abc import Iterator

import pytest

from tests.deployed import DEPLOYED
from tests.mcp import ERAS, FORECAST, NEW, OLD, envelope, headers, message, posted, refusal, result
from tests.world import World, started

OURS = "https://inspector.example"
"""An origin that the owner lets in."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The function by itself, in a local world."""
    with started("mcp", MCP_ALLOWED_ORIGINS=OURS) as world:
        yield world


# The protocol


def test_a_version_that_is_not_spoken_is_refused_with_those_that_are(world: World) -> None:
    unknown = "2030-01-01"
    sent = message(NEW, "tools/list", {"_meta": envelope(unknown)})

    answer = world.http.post("/mcp", json=sent, headers=headers(NEW, sent) | {"MCP-Protocol-Version": unknown})

    error = refusal(answer)
    assert (answer.status_code, error["code"]) == (400, -32022)
    assert error["data"]["supported"] == [NEW]


@pytest.mark.parametrize(
    "lie",
    [{"Mcp-Method": "tools/list"}, {"Mcp-Name": "another_tool"}, {"MCP-Protocol-Version": "2030-01-01"}],
    ids=lambda lie: next(iter(lie)),
)
def test_a_header_that_contradicts_the_body_is_refused(world: World, lie: dict[str, str]) -> None:
    answer = posted(world, NEW, "tools/call", {"name": FORECAST, "arguments": {"place": "Paris"}}, **lie)

    assert (answer.status_code, refusal(answer)["code"]) == (400, -32020)


@pytest.mark.parametrize(
    "lie",
    [
        [(b"mcp-protocol-version", OLD.encode())],
        [],
        [(b"mcp-protocol-version", OLD.encode()), (b"mcp-protocol-version", NEW.encode())],
        [(b"mcp-protocol-version", NEW.encode()), (b"mcp-protocol-version", NEW.encode())],
    ],
    ids=["older", "absent", "both", "twice"],
)
def test_a_request_that_could_be_meant_by_either_revision_is_refused(world: World, lie: list[tuple[bytes, bytes]]) -> None:
    sent = message(NEW, "tools/call", {"name": FORECAST, "arguments": {"place": "Paris"}})
    asked = len(world.weather_requests)
    others = [(name.lower().encode(), value.encode()) for name, value in headers(NEW, sent).items() if name != "MCP-Protocol-Version"]

    answer = world.http.post("/mcp", content=json.dumps(sent), headers=[*others, *lie])

    assert (answer.status_code, refusal(answer)["code"], answer.json()["id"]) == (400, -32020, 1)
    assert len(world.weather_requests) == asked


def test_an_unknown_method_is_not_found(world: World) -> None:
    new, old = posted(world, NEW, "tools/launch"), posted(world, OLD, "tools/launch")

    assert (new.status_code, refusal(new)["code"]) == (404, -32601)
    assert (old.status_code, refusal(old)["code"]) == (200, -32601)


@pytest.mark.parametrize("era", ERAS)
def test_an_unknown_tool_is_told_with_those_that_there_are(world: World, era: str) -> None:
    answer = posted(world, era, "tools/call", {"name": "launch_rocket", "arguments": {}})

    assert refusal(answer)["code"] == -32602
    assert FORECAST in refusal(answer)["message"]


def test_a_ping_of_the_old_revision_is_answered(world: World) -> None:
    assert result(world, OLD, "ping") == {}


@pytest.mark.parametrize("era", ERAS)
def test_a_batch_is_refused_whole(world: World, era: str) -> None:
    single = message(era, "tools/call", {"name": FORECAST, "arguments": {"place": "Paris"}})
    asked = len(world.weather_requests)

    answer = world.http.post("/mcp", json=[single, single], headers=headers(era, single))

    assert (answer.status_code, refusal(answer)["code"]) == (400, -32600)
    assert len(world.weather_requests) == asked


@pytest.mark.parametrize("era", ERAS)
def test_a_notification_is_accepted_without_a_word(world: World, era: str) -> None:
    sent = {"jsonrpc": "2.0", "method": "notifications/initialized"}

    answer = world.http.post("/mcp", json=sent, headers=headers(era, sent))

    assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_not_post_is_refused_at_once(world: World, method: str) -> None:
    answer = world.http.request(method, "/mcp", headers={"Accept": "text/event-stream"}, timeout=2)

    assert (answer.status_code, answer.headers["allow"], refusal(answer)["code"]) == (405, "OPTIONS, POST", -32600)


@pytest.mark.parametrize("era", ERAS)
def test_a_slash_at_the_end_changes_nothing(world: World, era: str) -> None:
    sent = message(era, "tools/list")

    plain, slashed = (world.http.post(path, json=sent, headers=headers(era, sent)) for path in ("/mcp", "/mcp/"))

    assert (slashed.status_code, slashed.json()) == (200, plain.json())


@pytest.mark.parametrize("era", ERAS)
def test_no_session_is_made(world: World, era: str) -> None:
    sent = {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}

    first = posted(world, era, *(("server/discover",) if era == NEW else ("initialize", sent)))
    invented = posted(world, era, "tools/list", **{"Mcp-Session-Id": "invented"})

    assert (first.status_code, invented.status_code) == (200, 200)
    assert "mcp-session-id" not in {**first.headers, **invented.headers}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("token", ["Bearer anything", "Bearer", "", "Basic YTpi"])
@pytest.mark.parametrize("place", ["world", "deployed"])
def test_a_token_is_refused_where_nobody_can_sign_in(request: pytest.FixtureRequest, place: str, era: str, token: str) -> None:
    answer = posted(request.getfixturevalue(place), era, "tools/list", Authorization=token)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert refusal(answer)["data"] == {"code": "unauthenticated", "retryable": False}


# Pages and names


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://chatgpt.com.evil.test", "http://chatgpt.com", "https://chatgpt.com:444", "http://localhost.evil.test", "http://[", "file://"])  # fmt: skip
@pytest.mark.parametrize("place", ["world", "deployed"])
def test_a_foreign_origin_is_refused(request: pytest.FixtureRequest, place: str, origin: str) -> None:
    answer = posted(request.getfixturevalue(place), NEW, "tools/list", Origin=origin)

    assert (answer.status_code, refusal(answer)["data"]["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in answer.headers


def test_our_own_origin_and_those_that_the_owner_names_are_welcome(world: World, deployed: World) -> None:
    local = [world.url, "https://chatgpt.com", "https://chat.openai.com", OURS, "http://localhost:6274", "http://127.0.0.1:6274"]
    public = [DEPLOYED["PUBLIC_BASE_URL"], "https://chatgpt.com", "https://chat.openai.com"]

    answers = [
        posted(place, NEW, "tools/list", Origin=origin) for place, origins in ((world, local), (deployed, public)) for origin in origins
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert [answer.headers["access-control-allow-origin"] for answer in answers] == local + public


def test_what_is_welcome_locally_is_foreign_where_deployed(deployed: World) -> None:
    for origin in ("http://localhost:6274", OURS):
        assert posted(deployed, NEW, "tools/list", Origin=origin).status_code == 403


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8080", "localhost.evil.test", "127.0.0.1.evil.test", "169.254.169.254", "["])
def test_a_page_cannot_reach_a_local_world_by_a_name_of_its_own(world: World, host: str) -> None:
    answer = posted(world, OLD, "tools/list", Host=host)

    assert (answer.status_code, refusal(answer)["data"]["code"]) == (403, "forbidden")


def test_a_local_world_answers_to_its_own_names() -> None:
    with started("mcp", PUBLIC_BASE_URL="https://quiet-river.tunnel.example") as world:
        names = ["localhost", f"localhost:{world.port}", "127.0.0.1:1", "[::1]:8080", "quiet-river.tunnel.example", "LOCALHOST"]

        assert {name: posted(world, NEW, "tools/list", Host=name).status_code for name in names} == dict.fromkeys(names, 200)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("host", ["plugin-mcp-4f6xyz-ew.a.run.app", "cantilever.example", "another-domain.example:443", "127.0.0.1"])
def test_deployed_any_name_that_google_lets_through_is_answered(deployed: World, era: str, host: str) -> None:
    assert posted(deployed, era, "tools/list", Host=host).status_code == 200


def test_a_browser_is_told_what_an_inspector_may_do(world: World) -> None:
    asked = "authorization,content-type,mcp-method,mcp-name,mcp-protocol-version"
    request = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}

    told = world.http.options("/mcp", headers={"Origin": OURS, **request})
    foreign = world.http.options("/mcp", headers={"Origin": "https://evil.test", **request})
    answer = posted(world, NEW, "tools/list", Origin=OURS)

    assert (told.status_code, told.headers["access-control-allow-origin"], told.headers["vary"]) == (204, OURS, "Origin")
    assert told.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert told.headers["access-control-allow-headers"] == "*, Authorization"
    assert answer.headers["access-control-expose-headers"] == "WWW-Authenticate, MCP-Protocol-Version, Retry-After"
    assert "access-control-allow-credentials" not in told.headers
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers
