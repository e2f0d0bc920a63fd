"""The edge seen from outside: methods, headers that lie, faults of our own, and the log line of each request."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from functions.adapters.http import Edge, Incoming
from functions.routes import ROUTES
from tests.published import CONFIGURATION
from tests.world import World, copied, started

DOCUMENTS = ROUTES["manifest"]
ALLOWED = {
    **dict.fromkeys(DOCUMENTS, "GET, HEAD, OPTIONS"),
    "/chat": "OPTIONS, POST",
    "/chat/some-session": "DELETE, GET, HEAD, OPTIONS",
    "/tools/get_weather_forecast": "OPTIONS, POST",
}
"""Every path, with the methods that it takes."""
NOT_ALLOWED = [
    (method, path)
    for path, allowed in ALLOWED.items()
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    if method not in allowed.split(", ")
]

BREAKABLE = '''"""Breakage: a capability whose code has a bug."""

from typing import Annotated

from pydantic import Field

from functions.core.capability import Published, Web, operation


class Nothing(Published):
    """What is never returned."""


@operation(apis=[], scopes=[], read_only=True, open_world=False)
async def break_down(
    web: Web, place: Annotated[str, Field(description="Anything.")], days: Annotated[int, Field(description="Any.")] = 1
) -> Nothing:
    """Break down."""
    raise RuntimeError(f"token=CANARY-IN-AN-EXCEPTION {place}")
'''


def faulted(body: bytes) -> str:
    """The code of an error answer, which has the published shape."""
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "retryable"}
    return str(error["code"])


# Methods


@pytest.mark.parametrize(("method", "path"), NOT_ALLOWED)
def test_a_method_that_a_path_does_not_take_is_refused_with_those_that_it_takes(world: World, path: str, method: str) -> None:
    refused = world.http.request(method, path)

    assert (refused.status_code, refused.headers["allow"]) == (405, ALLOWED[path])
    assert method == "HEAD" or faulted(refused.content) == "method_not_allowed"


@pytest.mark.parametrize("path", ALLOWED)
def test_options_tells_the_methods(world: World, path: str) -> None:
    told = world.http.options(path)

    assert (told.status_code, told.headers["allow"], told.content) == (204, ALLOWED[path], b"")


@pytest.mark.parametrize("path", DOCUMENTS)
def test_head_is_get_without_the_body(world: World, path: str) -> None:
    whole, head = world.http.get(path), world.http.head(path)

    assert head.status_code == whole.status_code
    assert head.content == b""
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "LOCK"])
def test_methods_that_the_framework_does_not_route_are_refused_by_it(world: World, method: str) -> None:
    """In plain text and without a log line: its router answers before any function is asked, and has no option for it."""
    refused = world.http.request(method, "/chat")

    assert (refused.status_code, refused.text) == (405, "Method Not Allowed")
    assert "POST" in refused.headers["allow"]


def test_a_path_that_nobody_serves_is_not_found(world: World) -> None:
    for path in ("/", "/chat/", "//chat", "/chat/a/b", "/CHAT", "/tools", "/tools/", "/.env", "/chat%2Fa", "/%00", "/..%2f..%2fetc/passwd"):
        refused = world.http.post(path, json={"query": "hello"})

        assert (path, refused.status_code) == (path, 404 if path != "/chat%2Fa" else 405)
        assert faulted(refused.content) in ("not_found", "method_not_allowed")


# Headers that lie, and what is echoed

FORWARDED = [
    {name: value}
    for name in ("X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Server")
    for value in ("https", "evil.test", "host=evil.test;proto=https;for=6.6.6.6")
]  # fmt: skip


@pytest.mark.parametrize("path", ["/.well-known/ai-plugin.json", "/openapi.json", "/legal"])
def test_no_header_changes_what_is_published(world: World, path: str) -> None:
    honest = world.http.get(path)

    answers = [world.http.get(path, headers=headers) for headers in FORWARDED]

    assert len(FORWARDED) == 27
    assert {(answer.status_code, answer.content, answer.headers["etag"]) for answer in answers} == {
        (200, honest.content, honest.headers["etag"])
    }
    assert b"evil.test" not in b"".join(str(answer.headers).encode() for answer in answers)


def test_deployed_the_name_by_which_we_are_called_changes_nothing() -> None:
    with started("manifest", **CONFIGURATION) as deployed:
        for path in ("/.well-known/ai-plugin.json", "/openapi.json", "/legal"):
            answers = [deployed.http.get(path, headers={"Host": host}) for host in ("plugin.example.com", "evil.test", "a-b.run.app:443")]

            assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
            assert b"evil.test" not in answers[1].content


SPLITTING = (
    "%0d%0aSet-Cookie:%20a=b",
    "%0aSet-Cookie:%20a=b",
    "%00",
    "%0d%0a%0d%0a<script>",
    "\u560d\u560aSet-Cookie: a=b",
    "%E5%98%8D%E5%98%8A",
)


@pytest.mark.parametrize("text", SPLITTING)
def test_nothing_that_comes_in_becomes_a_header(world: World, text: str) -> None:
    plain = text.replace("%0d", "\r").replace("%0a", "\n").replace("%00", "\0")
    answers = [
        world.http.get(f"/chat/{text}"),
        world.http.delete(f"/chat/{text}"),
        world.http.post(f"/tools/{text}", json={}),
        world.http.get(f"/chat/some-session?limit={text}"),
        world.http.get(f"/chat/some-session?after={text}"),
        world.http.get(f"/chat/some-session?{text}=1"),
        world.http.post("/chat", json={"query": "hello", "session_id": plain}),
        world.http.post("/chat", json={"query": "hello", plain: 1}),
        world.http.post("/tools/get_weather_forecast", json={"place": plain.replace("\0", "")}),
        world.http.get("/openapi.json", headers={"Origin": f"https://chatgpt.com{text}".encode(), "If-None-Match": f'"{text}"'.encode()}),
    ]

    assert {answer.status_code for answer in answers} <= {200, 400, 404, 422}
    assert not [answer for answer in answers if "set-cookie" in answer.headers or "access-control-allow-origin" in answer.headers]


SQL = [
    f"{begun}{close} {words} {comment}".strip()
    for begun in ("", "'", '"', "\\'", "%'", "`", "x'00'")
    for close in ("", ")", ";")
    for words in ("OR 1=1", "UNION SELECT body FROM documents", "; DROP TABLE documents", "AND randomblob(1)", "' OR '1'='1", '" OR ""="')
    for comment in ("", "--", "/*")
]
"""Every way out of a text that a statement would leave open, with what would be done outside, and what hides the rest of the statement."""


def test_sql_is_only_text(world: World) -> None:
    session, logged = secrets.token_hex(8), len(world.output)
    said = [world.ask(text, session)["turn_id"] for text in SQL]

    for text in SQL:
        refused = world.http.post("/chat", json={"query": "hello", "session_id": text})
        found = [world.http.request(method, f"/chat/{quote(text.replace('/', ''))}").status_code for method in ("GET", "DELETE")]
        page = world.http.get(f"/chat/{session}", params={"after": text})
        assert (refused.status_code, found, page.status_code) == (422, [404, 404], 422), text

    assert len(SQL) > 200
    assert whole(world, session) == list(zip(said, SQL, strict=True))
    assert "sqlite" not in world.output[logged:]
    assert "syntax error" not in world.output[logged:]


def whole(world: World, session: str) -> list[tuple[str, str]]:
    """A conversation, page by page: each turn's name and question."""
    turns: list[tuple[str, str]] = []
    after: str | None = ""
    while after is not None:
        page = world.http.get(f"/chat/{session}", params={"after": after}).json()
        turns += [(turn["turn_id"], turn["query"]) for turn in page["turns"]]
        after = page.get("next")
    return turns


# Faults of our own


@pytest.mark.parametrize("key", ["", '""', "\u00e9", "x" * 256, f'"{"x" * 256}"', "a\tb"])
def test_an_idempotency_key_that_cannot_be_told_from_others_is_refused(world: World, key: str) -> None:
    refused = world.http.post("/chat", json={"query": "hello"}, headers={"Idempotency-Key": key.encode()})

    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid")


def test_an_idempotency_key_is_the_same_with_quotes_and_without(world: World) -> None:
    keys = ["x" * 255, f'"{"x" * 255}"', '"k"', "k", 'k"']
    answers = [world.http.post("/chat", json={"query": "hello", "session_id": "keys"}, headers={"Idempotency-Key": key}) for key in keys]

    turns = [answer.json()["turn_id"] for answer in answers]
    assert turns[0] == turns[1]
    assert turns[2] == turns[3]
    assert len(set(turns)) == 3


@pytest.fixture
def breakable(tmp_path: Path) -> Iterator[World]:
    """A copy of the product with a capability that breaks, and a model that calls it in every turn."""
    with started(source=copied(tmp_path, breakage=BREAKABLE), OPENAI_MODEL="emulator?fail=endless_calls") as world:
        yield world


def test_a_bug_in_a_capability_is_told_by_its_place_and_not_by_its_words(breakable: World) -> None:
    called = breakable.http.post("/tools/break_down", json={"place": "CANARY-IN-A-QUESTION"})
    asked = breakable.http.post("/chat", json={"query": "CANARY-IN-A-QUESTION", "session_id": "bug"})

    logged = breakable.log_lines()
    turn = breakable.http.get("/chat/bug").json()["turns"][0]
    for answer, line in zip((called, asked), logged, strict=True):
        assert (answer.status_code, faulted(answer.content)) == (500, "capability_fault")
        assert (line["severity"], line["status"], line["exception"]) == ("ERROR", 500, "RuntimeError")
        assert line["where"].endswith("break_down")
        assert "break_down has a bug" in answer.json()["error"]["message"]
    assert (turn["status"], turn["error"]["code"]) == ("failed", "capability_fault")
    assert "CANARY" not in breakable.output + called.text + asked.text
    assert "Traceback" not in breakable.output


async def test_a_bug_of_ours_is_told_by_a_number_and_not_by_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(incoming: Incoming) -> Response:
        raise RuntimeError("token=CANARY")

    edge = Edge("broken", {"/": {"GET": broken}}, budget_seconds=5, project=None)
    application = Starlette(routes=[Route("/", edge.__call__)])

    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test") as client:
        answer = await client.get("/")

    line = json.loads(capsys.readouterr().out)
    assert (answer.status_code, faulted(answer.content), line["error"], line["exception"]) == (500, "internal", "internal", "RuntimeError")
    assert line["where"].endswith(" broken")
    assert line["error_id"] in answer.json()["error"]["message"]
    assert "CANARY" not in answer.text + json.dumps(line)


# The log


@pytest.mark.parametrize("with_execution_ids", ["false", "true"])
def test_each_request_is_one_line_of_json_without_anybodys_words(with_execution_ids: str) -> None:
    agent = "CANARY {{7*7}} %s \\r\\n é " + "a" * 1000
    with started(GOOGLE_CLOUD_PROJECT="demo-log", OPENAI_API_KEY="CANARY-KEY", LOG_EXECUTION_ID=with_execution_ids) as world:
        headers: Any = {"User-Agent": agent.encode(), "Referer": "https://canary.test/CANARY", "Cookie": "a=CANARY"}
        answers = [
            world.http.request(method, path, headers=headers | more, **body)
            for method, path, more, body in [
                ("POST", "/chat", {}, {"json": {"query": "CANARY 北京明天天气怎么样\r\n{}\x1b[31m", "session_id": "CANARY"}}),
                ("POST", "/chat", {}, {"json": {"query": "CANARY", "CANARY": 1}}),
                ("POST", "/chat", {}, {"content": b"CANARY"}),
                ("POST", "/chat", {"Authorization": "Bearer CANARY"}, {"json": {"query": "CANARY"}}),
                ("POST", "/tools/get_weather_forecast", {}, {"json": {"place": "CANARY"}}),
                ("POST", "/tools/CANARY", {}, {"json": {}}),
                ("GET", "/chat/CANARY", {}, {}),
                ("GET", "/chat/CANARY?after=CANARY!", {}, {}),
                ("PUT", "/chat/CANARY", {}, {}),
                ("DELETE", "/chat/CANARY", {}, {}),
                ("GET", "/CANARY?CANARY=CANARY", {}, {}),
                ("GET", "/openapi.json", {"Origin": "https://canary.test"}, {}),
            ]
        ]
        lines = [json.loads(line) for line in world.output.splitlines()]

    assert [line["status"] for line in lines] == [answer.status_code for answer in answers]
    assert [line["status"] for line in lines] == [200, 422, 415, 401, 404, 404, 200, 422, 405, 204, 404, 200]
    assert {line["message"] for line in lines} == {"request"}
    assert "canary" not in json.dumps(lines).lower()


def test_a_model_that_refuses_the_key_does_not_show_it() -> None:
    with started(OPENAI_API_KEY="CANARY-KEY", OPENAI_MODEL="emulator?fail=401") as world:
        refused = world.http.post("/chat", json={"query": "CANARY", "session_id": "key"})

        transcript = world.http.get("/chat/key")
        assert refused.status_code == 502
        assert "CANARY" not in world.output + refused.text
        assert "CANARY-KEY" not in transcript.text


TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_trace_is_named_as_google_wants_it() -> None:
    with started(GOOGLE_CLOUD_PROJECT="demo-log") as world:
        for headers in (
            {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
            {"X-Cloud-Trace-Context": f"{TRACE}/1234;o=1"},
            {"X-Cloud-Trace-Context": f"{TRACE}/1234"},
            {"traceparent": "00-CANARY-b7ad6b7169203331-01"},
            {"X-Cloud-Trace-Context": f"{TRACE}"[:-1] + "/1"},
            {},
        ):
            world.http.get("/openapi.json", headers=headers)

        traces = [line.get("logging.googleapis.com/trace") for line in world.log_lines()]
    assert traces == [f"projects/demo-log/traces/{TRACE}"] * 3 + [None] * 3
