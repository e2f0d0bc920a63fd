"""`search` and `fetch` over real processes and an emulated Google, in both revisions of the protocol (checklist D11; wire.md 3.3)."""

import json
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import jsonschema
import pytest
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client

from infra.local.google_emulator import sample_docs
from infra.local.google_emulator.people import JONAS, MEI, Person
from infra.local.google_emulator.sample_mail import POISON_TEXT
from tests import signin
from tests.google import EVENTS, MESSAGES, PRIMARY, Google
from tests.mcp import ERAS, failed, posted, result
from tests.oauth_clients import MEETING
from tests.signin import Browser, Client, SignedIn, form_token

pytestmark = pytest.mark.usefixtures("known_to_google")

DOCUMENT = f"https://docs.google.com/document/d/{sample_docs.PLAN}/edit"
APIS = {"calendar": "/calendar/", "docs": "/v1/documents", "gmail": "/gmail/"}
"""Capability -> how the paths begin of what it asks of Google."""


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started(ENABLED_CAPABILITIES="gmail") as started:
        yield started


@pytest.fixture
def browser(product: SignedIn) -> Iterator[Browser]:
    with product.browser() as opened:
        yield opened


@pytest.fixture
def client(product: SignedIn) -> Client:
    """A client that nobody has allowed anything."""
    return product.client(resource=f"{product.world.url}/mcp")


@pytest.fixture(scope="module")
def mei(product: SignedIn) -> str:
    """The token of a client that Mei has allowed everything."""
    with product.browser() as browser:
        return connected(product.client(resource=f"{product.world.url}/mcp"), browser)


def connected(client: Client, browser: Browser, person: Person = MEI, **choices: Any) -> str:
    return str(client.connect(browser, person, **choices)["access_token"])


def called(product: SignedIn, era: str, token: str | None, tool: str, **arguments: Any) -> httpx.Response:
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    return posted(product.world, era, "tools/call", {"name": tool, "arguments": arguments}, **bearer)


def told(response: httpx.Response) -> Any:
    """What a tool gives, which is the same in both of its forms."""
    found = response.json()["result"]
    assert not found.get("isError"), found
    ((kind, text),) = [(item["type"], item["text"]) for item in found["content"]]
    assert (kind, json.loads(text)) == ("text", found["structuredContent"])
    return found["structuredContent"]


def asked(product: SignedIn, began: int) -> set[str]:
    """The capabilities that have asked Google for something since."""
    paths = [request.path for request in product.google.received[began:]]
    return {name for name, beginning in APIS.items() if any(path.startswith(beginning) for path in paths)}


@asynccontextmanager
async def speaking(product: SignedIn, era: str, token: str) -> AsyncIterator[McpClient]:
    """The official SDK's client, in a revision of the protocol."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60) as http,
        McpClient(streamable_http_client(f"{product.world.url}/mcp", http_client=http), mode={ERAS[1]: "legacy"}.get(era, era)) as client,
    ):
        yield client


@pytest.mark.parametrize("era", ERAS)
def test_the_two_tools_are_listed_with_all_that_a_client_wants_to_know(product: SignedIn, era: str) -> None:
    tools = {tool["name"]: tool for tool in result(product.world, era, "tools/list")["tools"]}

    for name, taken in (("search", "query"), ("fetch", "id")):
        assert tools[name]["annotations"] == {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}
        assert tools[name]["securitySchemes"] == [{"type": "oauth2", "scopes": ["calendar", "docs", "gmail"]}]
        assert (list(tools[name]["inputSchema"]["properties"]), tools[name]["inputSchema"]["required"]) == ([taken], [taken])
        assert tools[name]["inputSchema"]["properties"][taken]["type"] == "string"


@pytest.mark.parametrize("era", ERAS)
def test_what_was_allowed_is_searched_and_every_result_can_be_fetched_and_cited(product: SignedIn, mei: str, era: str) -> None:
    schemas = {tool["name"]: tool["outputSchema"] for tool in result(product.world, era, "tools/list")["tools"]}

    found = told(called(product, era, mei, "search", query="budget"))
    texts = [told(called(product, era, mei, "fetch", id=source["id"])) for source in found["results"]]

    jsonschema.validate(found, schemas["search"])
    assert list(found) == ["results"]
    assert all(set(source) == {"id", "title", "url"} for source in found["results"])
    assert [source["id"].partition(":")[0] for source in found["results"][:3]] == ["calendar", "gmail", "gmail"]
    assert MEETING in found["results"][0]["title"]
    for source, text in zip(found["results"], texts, strict=True):
        jsonschema.validate(text, schemas["fetch"])
        assert set(text) == {"id", "title", "text", "url", "metadata"}
        assert (text["id"], text["title"], text["url"]) == (source["id"], source["title"], source["url"])
        assert text["url"].startswith("https://")
        assert "budget" in (text["title"] + text["text"]).casefold()


@pytest.mark.parametrize("era", ERAS)
async def test_the_sdk_searches_and_fetches(product: SignedIn, mei: str, era: str) -> None:
    async with speaking(product, era, mei) as client:
        searched = await client.call_tool("search", {"query": f"What does {DOCUMENT} say?"})
        (source,) = searched.structured_content["results"]
        fetched = await client.call_tool("fetch", {"id": source["id"]})

    assert source == {"id": f"docs:{sample_docs.PLAN}", "title": fetched.structured_content["title"], "url": DOCUMENT}
    assert "灯塔项目计划" in fetched.structured_content["text"]
    for found in (searched, fetched):
        (text,) = found.content
        assert (found.is_error, text.type, json.loads(text.text)) == (False, "text", found.structured_content)


@pytest.mark.parametrize("era", ERAS)
def test_a_long_document_is_fetched_in_parts(product: SignedIn, mei: str, era: str) -> None:
    first = told(called(product, era, mei, "fetch", id=f"docs:{sample_docs.LONG}"))
    where = first["text"].rpartition("[… it goes on: fetch ")[2].removesuffix("]")

    second = told(called(product, era, mei, "fetch", id=where))

    assert second["id"] == where
    assert second["title"] == first["title"]
    assert second["text"][:50] != first["text"][:50]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("allow", "without", "capabilities"),
    [(["calendar"], [], {"calendar"}), (["docs"], [], {"docs"}), (["calendar", "gmail"], [EVENTS], {"gmail"})],
    ids=["calendar alone", "documents alone", "mail, and of the calendar not what Google would have to grant"],
)
def test_only_what_was_allowed_is_asked(
    product: SignedIn,
    browser: Browser,
    client: Client,
    era: str,
    allow: Collection[str],
    without: Collection[str],
    capabilities: set[str],
) -> None:
    product.google.disconnect(JONAS)
    token = connected(client, browser, JONAS, allow=allow, without=without)
    began = len(product.google.received)

    told(called(product, era, token, "search", query=f"budget {DOCUMENT}"))

    assert asked(product, began) == capabilities


@pytest.mark.parametrize("era", ERAS)
def test_a_consent_that_was_taken_back_holds_at_once(product: SignedIn, browser: Browser, client: Client, era: str) -> None:
    token = connected(client, browser, allow=["calendar", "gmail"])
    mail = next(one for one in told(called(product, era, token, "search", query="budget"))["results"] if one["id"].startswith("gmail:"))
    browser.account()

    taken_back(browser, client, "gmail")
    began = len(product.google.received)
    found = told(called(product, era, token, "search", query="budget"))
    refused = called(product, era, token, "fetch", id=mail["id"])
    taken_back(browser, client, "calendar")
    nothing = called(product, era, token, "search", query="budget")

    assert {one["id"].partition(":")[0] for one in found["results"]} == {"calendar"}
    assert failed(refused.json()["result"])["code"] == "insufficient_scope"
    assert 'scope="gmail"' in challenge(refused)
    assert asked(product, began) == {"calendar"}
    assert failed(nothing.json()["result"])["code"] == "insufficient_scope"
    assert 'scope="calendar docs gmail"' in challenge(nothing)


def taken_back(browser: Browser, client: Client, capability: str) -> None:
    """The person takes a capability back, on the account page."""
    token = form_token(browser.open("/account"))
    fields = {"do": "remove_capability", "client": client.client_id, "capability": capability, "form_token": token}
    assert browser.post("/account", [*fields.items()]).status_code == 303


def challenge(response: httpx.Response) -> str:
    (told,) = response.json()["result"]["_meta"]["mcp/www_authenticate"]
    return str(told)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments", "scope"),
    [("search", {"query": "budget"}, "calendar docs gmail"), ("fetch", {"id": "gmail:18c1"}, "gmail")],
)
def test_a_stranger_is_told_where_to_sign_in_and_for_what(
    product: SignedIn, era: str, tool: str, arguments: dict[str, str], scope: str
) -> None:
    response = called(product, era, None, tool, **arguments)

    assert failed(response.json()["result"])["code"] == "unauthenticated"
    assert challenge(response).startswith(f'Bearer resource_metadata="{product.world.url}/.well-known/oauth-protected-resource/mcp"')
    assert challenge(response).endswith(f'scope="{scope}"')


@pytest.fixture
def ailing(product: SignedIn, mei: str) -> Iterator[Google]:
    """A Google that may fail: behind the test all is well again, and the product knows it."""
    yield product.google
    product.google.heal()
    until = time.monotonic() + 30
    while called(product, ERAS[0], mei, "search", query="budget").json()["result"].get("isError"):
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize(("era", "fault"), [(ERAS[0], "500"), (ERAS[1], "html"), (ERAS[0], "hang")])
def test_one_api_that_fails_does_not_lose_the_others_results_and_is_logged(
    product: SignedIn, ailing: Google, mei: str, era: str, fault: str
) -> None:
    ailing.fail(fault, MESSAGES)

    found = told(called(product, era, mei, "search", query="budget"))

    assert {one["id"].partition(":")[0] for one in found["results"]} == {"calendar"}
    line = product.world.log_lines()[-1]
    assert (line["operation"], list(line["not_searched"]), line["status"]) == ("search", ["gmail"], 200)
    assert "budget" not in json.dumps(line)


@pytest.mark.parametrize("era", ERAS)
def test_where_every_api_fails_that_is_told(product: SignedIn, ailing: Google, mei: str, era: str) -> None:
    ailing.fail("500", MESSAGES)
    ailing.fail("500", PRIMARY)

    error = failed(called(product, era, mei, "search", query="budget").json()["result"])

    assert (error["code"], error["retryable"]) == ("upstream_failed", True)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("name", "code", "advice"),
    [
        ("x", "invalid", "Search first"),
        ("weather:Paris", "invalid", "Search first"),
        ("gmail:../18c1", "invalid", "Search first"),
        ("calendar:primary/events", "invalid", "Search first"),
        ("calendar:neverheard0f", "not_found", "Search for it again"),
        ("gmail:ffffffffffffffff", "not_found", "Search for it again"),
        (f"docs:{sample_docs.DIARY}", "not_found", "Ask for its address, or for access"),
        (f"docs:{sample_docs.WORD_FILE}", "invalid", "Open it in Google Docs"),
        (f"docs:{sample_docs.PLAN}#9999999", "invalid", "beyond the end"),
    ],
)
def test_an_id_of_nothing_is_told_with_what_to_do(product: SignedIn, mei: str, era: str, name: str, code: str, advice: str) -> None:
    error = failed(called(product, era, mei, "fetch", id=name).json()["result"])

    assert error["code"] == code
    assert advice in error["message"]


@pytest.mark.parametrize("era", ERAS)
def test_what_others_wrote_comes_without_what_nobody_sees(product: SignedIn, mei: str, era: str) -> None:
    (parcel,) = told(called(product, era, mei, "search", query="subject:parcel"))["results"]

    mail = told(called(product, era, mei, "fetch", id=parcel["id"]))
    document = told(called(product, era, mei, "fetch", id=f"docs:{sample_docs.POISONED}"))

    assert POISON_TEXT[:40] not in mail["text"]
    assert "Track it" in mail["text"]
    for text in (mail["text"], document["text"]):
        assert not any(0xE0000 <= ord(character) <= 0xE007F or character in "\u200b\u202e\u2060" for character in text)


def test_they_are_tools_of_mcp_alone(product: SignedIn, mei: str) -> None:
    bearer = {"Authorization": f"Bearer {mei}"}

    product.world.http.post("/chat", json={"query": "What is new?"}, headers=bearer)
    known = {tool["function"]["name"] for tool in product.world.model_requests[-1].json["tools"]}
    paths = product.world.http.get("/openapi.json").json()["paths"]

    assert "search_mail" in known
    assert {"search", "fetch"} & known == {"/tools/search", "/tools/fetch"} & paths.keys() == set()
    assert product.call("search", mei, query="budget").status_code == 404


@pytest.mark.parametrize("era", ERAS)
def test_without_a_sign_in_there_is_nothing_to_find(deployed: Any, era: str) -> None:
    names = [tool["name"] for tool in result(deployed, era, "tools/list")["tools"]]

    assert names
    assert {"search", "fetch"} & set(names) == set()


def test_of_all_that_was_searched_the_log_says_nothing(product: SignedIn, mei: str) -> None:
    for name in ("灯塔 canary-4711", DOCUMENT):
        called(product, ERAS[0], mei, "search", query=name)
    called(product, ERAS[0], mei, "fetch", id=f"docs:{sample_docs.PLAN}")

    assert product.world.log_lines()[-1]["operation"] == "fetch"
    for words in ("canary-4711", "灯塔", "Lighthouse", sample_docs.PLAN):
        assert words not in product.world.output
