"""What a stranger reads of a deployment: manifest, OpenAPI, logo, legal pages, and that they are true. Ids: wire.md section 8."""

import difflib
import html
import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from functions.routes import ROUTES
from tests.emulators import free_port
from tests.mcp import ERAS, result
from tests.published import CONFIGURATION, FILES, FOLDER, derived
from tests.world import World, command, started

CHALLENGE = "oac_7Rk-3.~!=vQ"
"""Every kind of character that a token of OpenAI's may have."""

PAGES = ("/legal", "/privacy", "/terms", "/support")
DOCUMENTS = ("/.well-known/ai-plugin.json", "/manifest.json", "/openapi.json", "/logo.png", *PAGES)

ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "chat": {"query": "北京明天天气怎么样"},
    "get_weather_forecast": {"place": "Paris"},
    "list_calendar_events": {"start": "2026-12-01", "end": "2026-12-07"},
    "find_free_time": {"start": "2026-12-01", "end": "2026-12-07", "time_zone": "UTC"},
    "read_document": {"document": "1AbC"},
}
"""Published operation -> a body that it takes."""

MANIFEST_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "schema_version",
        "name_for_human",
        "name_for_model",
        "description_for_human",
        "description_for_model",
        "auth",
        "api",
        "logo_url",
        "contact_email",
        "legal_info_url",
    ],
    "properties": {
        "schema_version": {"const": "v1"},
        "name_for_human": {"type": "string", "minLength": 1, "maxLength": 20},
        "name_for_model": {"type": "string", "pattern": "^[A-Za-z0-9_]{1,50}$"},
        "description_for_human": {"type": "string", "minLength": 1, "maxLength": 100},
        "description_for_model": {"type": "string", "minLength": 1, "maxLength": 8000},
        "auth": {"const": {"type": "none"}},
        "api": {
            "type": "object",
            "additionalProperties": False,
            "required": ["type", "url"],
            "properties": {"type": {"const": "openapi"}, "url": {"$ref": "#/$defs/url"}},
        },
        "logo_url": {"$ref": "#/$defs/url"},
        "contact_email": {"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$"},
        "legal_info_url": {"$ref": "#/$defs/url"},
    },
    "$defs": {"url": {"type": "string", "pattern": "^https://plugin\\.example\\.com/"}},
}
"""Schema v1 as the final documentation of 2023 has it (wire.md 1.2), in a deployment without sign-in."""


@pytest.fixture(scope="module")
def published() -> Iterator[World]:
    """The manifest function of the agreed configuration."""
    with started("manifest", **CONFIGURATION, OPENAI_APPS_CHALLENGE=CHALLENGE, OPENAI_BASE_URL="https://api.openai.com/v1") as world:
        yield world


@pytest.fixture(scope="module")
def manifest(published: World) -> Any:
    return published.http.get("/.well-known/ai-plugin.json").json()


@pytest.fixture(scope="module")
def openapi(published: World) -> Any:
    return published.http.get("/openapi.json").json()


def operations(document: Any) -> list[tuple[str, str, Any]]:
    """Method, path and operation object of everything that can be called."""
    return [(method, path, found) for path, item in document["paths"].items() for method, found in item.items()]


def within(value: Any, name: str) -> Iterator[Any]:
    """Every value called `name`, at any depth."""
    if isinstance(value, dict):
        yield from (child for key, child in value.items() if key == name)
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from within(child, name)


def difference(name: str, published: str) -> str:
    """What was agreed under `name`, against what is published now; empty where they agree."""
    agreed = (FOLDER / name).read_text("utf-8").splitlines()
    lines = "\n".join(difflib.unified_diff(agreed, published.splitlines(), f"tests/published/{name}", "as published", lineterm=""))
    return lines and f"If this is wanted, run `python -m tests.published` and say why in the commit.\n{lines}"


@pytest.mark.parametrize("name", FILES)
def test_what_is_published_is_what_was_agreed(published: World, name: str) -> None:
    served = published.http.get(FILES[name]).text

    assert not difference(name, served)


@pytest.mark.parametrize("name", derived())
def test_what_is_derived_is_what_was_agreed(name: str) -> None:
    text = derived()[name]

    assert not difference(name, text)


@pytest.mark.parametrize("era", ERAS)
def test_the_tools_that_were_agreed_are_what_a_client_gets(era: str) -> None:
    agreed = json.loads((FOLDER / "mcp-tools.json").read_text("utf-8"))

    with started("mcp", **CONFIGURATION) as deployed:
        listed = result(deployed, era, "tools/list")["tools"]

    assert listed == agreed


def test_nothing_is_agreed_that_nobody_publishes() -> None:
    agreed = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}

    assert agreed == {*FILES, *derived()}


def test_the_manifest_is_json_at_its_well_known_place(published: World) -> None:  # A1
    response = published.http.get("/.well-known/ai-plugin.json")

    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert published.http.get("/manifest.json").content == response.content


def test_the_manifest_has_the_ten_keys_of_v1_within_their_limits(manifest: Any) -> None:  # A2, A3, A4, A6
    jsonschema.validate(manifest, MANIFEST_SCHEMA)


def test_contact_and_legal_page_are_of_the_plugins_own_domain(manifest: Any) -> None:  # A7
    assert manifest["contact_email"].rpartition("@")[2] == "example.com"
    assert (urlsplit(manifest["legal_info_url"]).hostname or "").endswith(".example.com")


def test_whatever_the_manifest_names_is_there(published: World, manifest: Any) -> None:  # A8, A10
    for url, media_type in (
        (manifest["api"]["url"], "application/json"),
        (manifest["logo_url"], "image/png"),
        (manifest["legal_info_url"], "text/html; charset=utf-8"),
    ):
        response = published.http.get(urlsplit(url).path)

        assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    assert published.http.get("/logo.png").content.startswith(b"\x89PNG\r\n\x1a\n")


def test_no_header_moves_what_is_published(published: World) -> None:  # A6, T50
    names = ("Host", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Original-Host", "X-Forwarded-Server")
    values = ("evil.example", "evil.example:443", "plugin.example.com.evil.example", "plugin.example.com@evil.example", "host=evil.example")
    agreed = {path: published.http.get(path).content for path in DOCUMENTS}

    for (name, value), path in itertools.product(itertools.product(names, values), DOCUMENTS):
        response = published.http.get(path, headers={name: value})

        assert response.content == agreed[path], f"{name}: {value} changed {path}"
        assert "evil" not in str(response.headers)


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize("origin", ["https://chat.openai.com", "https://chatgpt.com"])
def test_chatgpts_front_ends_may_read_the_documents(published: World, path: str, origin: str) -> None:  # A9
    got = published.http.get(path, headers={"Origin": origin})
    asked = published.http.options(
        path, headers={"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-anything"}
    )

    for response in (got, asked):
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in response.headers
    assert (asked.status_code, asked.headers["access-control-allow-headers"]) == (204, "*")
    assert "GET" in asked.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://chatgpt.com", "https://chatgpt.com.evil.example", "https://chatgpt.com:8443"]
)
def test_no_other_page_may_read_them(published: World, origin: str) -> None:  # A9
    for method in ("GET", "OPTIONS"):
        response = published.http.request(method, "/.well-known/ai-plugin.json", headers={"Origin": origin})

        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["vary"] == "Origin"


def test_a_document_is_there_within_a_second(published: World) -> None:  # A11
    for path in DOCUMENTS:
        assert published.http.get(path).elapsed.total_seconds() < 1


def test_a_setting_withholds_the_classic_manifest() -> None:
    with started("manifest", CLASSIC_MANIFEST="off") as world:
        statuses = {path: world.http.get(path).status_code for path in DOCUMENTS}

    assert statuses == dict.fromkeys(DOCUMENTS, 200) | {"/.well-known/ai-plugin.json": 404, "/manifest.json": 404}


def test_there_is_one_server_and_it_is_ours(openapi: Any) -> None:  # B1, B2
    assert openapi["openapi"] == "3.1.0"
    assert openapi["servers"] == [{"url": "https://plugin.example.com"}]


def test_every_operation_has_a_name_of_its_own(openapi: Any) -> None:  # B3, B5
    names = [operation["operationId"] for _, _, operation in operations(openapi)]

    assert len(set(names)) == len(names) <= 30
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)


def test_descriptions_are_as_short_as_chatgpt_reads_them(openapi: Any) -> None:  # B4
    for _, _, operation in operations(openapi):
        assert 0 < len(operation["summary"]) <= 300
        assert len(operation.get("description", "")) <= 300
    for text in within(openapi, "description"):
        assert isinstance(text, str)
        assert 0 < len(text) <= 700


def test_only_what_changes_something_asks_first(world: World, openapi: Any) -> None:  # B6
    local = world.http.get("/openapi.json").json()

    consequential = {found["operationId"]: found.get("x-openai-isConsequential") for _, _, found in operations(local)}

    assert consequential == {
        "chat": False,
        "get_answer": False,
        "get_transcript": None,
        "delete_conversation": True,
        "list_calendar_events": False,
        "find_free_time": False,
        "read_document": False,
        "get_weather_forecast": False,
    }
    assert all("x-openai-isConsequential" in found for method, _, found in operations(openapi) if method != "get")


def test_no_answer_is_longer_than_chatgpt_reads(world: World) -> None:  # B7
    session_id = world.ask('"' * 8000)["session_id"]
    for _ in range(7):
        world.ask('"' * 8000, session_id)

    pages, after = [], ""
    while not pages or after:
        page = world.http.get(f"/chat/{session_id}", params={"limit": 100, "after": after})
        pages.append(page.text)
        after = page.json().get("next", "")

    assert [len(json.loads(page)["turns"]) for page in pages] == [5, 3]
    assert max(map(len, pages)) < 100_000


def test_no_header_is_asked_for_or_needed(world: World, openapi: Any) -> None:  # B10
    assert "header" not in list(within(openapi, "in"))
    assert "cookie" not in list(within(openapi, "in"))
    assert world.http.post("/tools/get_weather_forecast", json={"place": "Paris"}).status_code == 200


OPENAI_HEADERS = {
    "openai-ephemeral-user-id": "user-1",
    "openai-conversation-id": "conversation-0",
    "openai-subdivision-1-iso-code": "US-CA",
    "openai-gpt-id": "g-1",
}


@pytest.mark.parametrize("count", range(len(OPENAI_HEADERS) + 1))
def test_openais_headers_are_hints_that_select_nobody(world: World, count: int) -> None:  # B13
    headers = {name: value.replace("-0", f"-{count}") for name, value in list(OPENAI_HEADERS.items())[:count]}

    first = world.http.post("/chat", json={"query": "Hello"}, headers=headers).json()
    # The same person elsewhere: only ChatGPT's name for the conversation differs, where there is one (infra/decisions/0009).
    elsewhere = headers | {name: f"another-{count}" for name in headers if name == "openai-conversation-id"}
    stranger = world.http.post("/chat", json={"query": "Hello"}, headers=elsewhere).json()
    again = world.http.post("/chat", json={"query": "Hello", "session_id": first["session_id"]}).json()

    assert first["answer"] == "I am the local model emulator and know only the weather; questions seen in this conversation: 1."
    assert stranger["answer"] == first["answer"]
    assert again["answer"] == "I am the local model emulator and know only the weather; questions seen in this conversation: 2."


@pytest.mark.parametrize("deployment", ["agreed", "local"])
def test_whatever_is_published_can_be_called(world: World, openapi: Any, manifest: Any, deployment: str) -> None:  # H3
    document = openapi if deployment == "agreed" else world.http.get("/openapi.json").json()
    asked = world.ask("Hello")
    arguments = {**ARGUMENTS, "get_answer": {name: asked[name] for name in ("session_id", "turn_id")}}

    statuses = {
        found["operationId"]: world.http.request(
            method, path.format(session_id=asked["session_id"]), json=arguments.get(found["operationId"])
        ).status_code
        for method, path, found in operations(document)
    }

    by_token = {"get_transcript": 200, "delete_conversation": 204} if deployment == "local" else {}
    for_users = {"list_calendar_events": 401, "find_free_time": 401, "read_document": 401}
    assert statuses == {"chat": 200, "get_answer": 200, "get_weather_forecast": 200} | for_users | by_token
    assert set(re.findall(r"^(\w+):", manifest["description_for_model"], re.M)) == {"get_weather_forecast", *for_users}


def test_openais_challenge_is_answered_to_the_letter(published: World, world: World) -> None:  # H1
    response = published.http.get("/.well-known/openai-apps-challenge")

    assert (response.status_code, response.content) == (200, CHALLENGE.encode())
    assert response.headers["content-type"].partition(";")[0] == "text/plain"
    assert world.http.get("/.well-known/openai-apps-challenge").status_code == 404


@pytest.mark.parametrize(
    "told",
    [
        "Example, Inc. answers for Cantilever. Privacy requests: privacy@example.com.",
        "The questions you ask through ChatGPT, and the answers",  # categories
        "A random session token",
        "A log line for each request",
        "To answer you, to go on with a conversation where it was left",  # purposes
        "no advertising, no sale, no profiles, no training",
        "The language model behind api.openai.com receives your question and the latest part of the conversation.",  # recipients
        "(asks 127.0.0.1)",  # where the settings say that the source is
        "Google Cloud stores the conversations",
        "until 24 hours after its last question",  # retention
        "about 399 days after it was written",
        "To have a conversation deleted sooner, write to privacy@example.com",  # controls
    ],
)
def test_the_privacy_page_tells_what_becomes_of_words(published: World, told: str) -> None:  # H2
    page = published.http.get("/privacy").text
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())

    assert told in text


def test_every_page_names_who_answers_for_it(published: World) -> None:  # H2
    for path, name in {"/legal": "Example, Inc.", "/terms": "Example, Inc.", "/support": "help@example.com"}.items():
        assert name in published.http.get(path).text


def test_what_a_setting_says_is_text_and_no_markup() -> None:
    with started("manifest", PUBLISHER_NAME="<script>alert(1)</script> & Co. ${title}", PLUGIN_NAME="<b>&'\"") as world:
        pages = [world.http.get(path).text for path in PAGES]

    assert not [page for page in pages if "<script" in page or "<b>&'" in page]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Co. ${title}" in pages[0]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_what_a_client_has_already_is_not_sent_again(published: World, path: str) -> None:
    first = published.http.get(path)
    etag = first.headers["etag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = published.http.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = published.http.get(path, headers={"If-None-Match": '"other"'})

    assert (other.status_code, other.content) == (200, first.content)
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    assert first.headers["cache-control"] == "public, max-age=300"


@pytest.mark.parametrize("path", DOCUMENTS)
def test_head_tells_what_get_would_send(published: World, path: str) -> None:
    got, head = published.http.get(path), published.http.head(path)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "cache-control"):
        assert head.headers[name] == got.headers[name]


def test_documents_that_differ_have_tags_that_differ(published: World) -> None:
    etags = {published.http.get(path).headers["etag"] for path in DOCUMENTS}

    assert len(etags) == len(DOCUMENTS) - 1  # /manifest.json is the manifest.


def test_a_path_that_nobody_serves_is_told_so_in_json(published: World) -> None:
    response = published.http.get("/.well-known/nothing")

    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    assert response.headers["cache-control"] == "no-store"


def test_every_path_of_the_manifest_function_is_tried_here() -> None:
    assert {*ROUTES["manifest"]} == {*DOCUMENTS, "/.well-known/openai-apps-challenge"}


@pytest.mark.parametrize("target", ["manifest", "chat", "plugin"])
def test_a_wrong_configuration_stops_the_start_and_tells_every_fault(target: str, tmp_path: Path) -> None:
    wrong = {
        "K_SERVICE": "plugin",
        "PUBLIC_BASE_URL": "http://plugin.example.com",
        "PLUGIN_NAME": "Far more than twenty characters",
        "PLUGIN_NAME_FOR_MODEL": "with spaces",
        "PUBLISHER_NAME": "Example, Inc.",
        "CONTACT_EMAIL": "nobody",
        "CHAT_BUDGET_SECONDS": "60",
        "ANONYMOUS_CHAT": "perhaps",
        "STORE": "sqlite:x.db",
        "OPEN_METEO_FORECAST_URL": "ftp://weather.example.com",
        "OPENAI_API_KEY": "sk-canary",
        "OPENAI_API_KEY_SECRET": "projects/p/secrets/s/versions/latest",
    }

    ended = subprocess.run(
        command(target, free_port()),
        env={"PATH": os.environ["PATH"], "FUNCTION_USE_ASGI": "true", **wrong},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )

    faults = re.findall(r"^  - ([A-Z0-9_, ]+): ", ended.stdout, re.M)
    assert set(faults) == {
        "ANONYMOUS_CHAT",
        "CHAT_BUDGET_SECONDS",
        "CONTACT_EMAIL",
        "OPENAI_API_KEY",
        "OPEN_METEO_FORECAST_URL",
        "PLUGIN_NAME",
        "PLUGIN_NAME_FOR_MODEL",
        "PRIVACY_EMAIL",
        "PUBLIC_BASE_URL",
        "STORE",
    }
    assert ended.returncode != 0
    assert ended.stdout.count("The configuration is wrong:") == 1
    assert "Traceback" not in ended.stdout
    assert "sk-canary" not in ended.stdout
