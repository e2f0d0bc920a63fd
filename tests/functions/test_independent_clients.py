"""Programs that others wrote read what Cantilever publishes, and call it. What runs on Node skips where there is none."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.programs import CLIENTS, node, package, run
from tests.published import FOLDER
from tests.world import World


@pytest.fixture(params=["agreed", "local"])
def document(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Path:
    """A file with an OpenAPI document: the agreed one, or that of the local world, which publishes more."""
    if request.param == "agreed":
        return FOLDER / "openapi.json"
    file = tmp_path / "openapi.json"
    file.write_text(world.http.get("/openapi.json").text, "utf-8")
    return file


def test_langchain_reads_manifest_and_document(world: World, tmp_path: Path) -> None:  # A1, A2
    tool: dict[str, str] = json.loads(run(tmp_path, sys.executable, CLIENTS / "langchain.py", world.url))

    assert tool["name"] == "cantilever"
    assert tool["description"].endswith("Calendar, docs, weather.")
    assert tool["told"].startswith("Usage Guide: list_calendar_events: List the user's calendar events")
    assert "get_weather_forecast: Forecast the weather for a place, day by day, up to 16 days ahead; the first day" in tool["told"]
    assert "'operationId': 'get_weather_forecast'" in tool["told"]


def test_librechat_imports_the_actions_and_calls_them(world: World, tmp_path: Path) -> None:  # B12
    told: dict[str, Any] = json.loads(run(tmp_path, node(), CLIENTS / "librechat.mjs", world.url))

    assert (told["status"], told["message"], told["serverUrl"]) == (True, "OpenAPI spec is valid.", world.url)
    assert told["functions"] == {
        "chat": ["query", "session_id"],
        "get_answer": ["session_id", "turn_id"],
        "get_transcript": ["session_id", "limit", "after"],
        "delete_conversation": ["session_id"],
        "list_calendar_events": ["start", "end", "query", "time_zone", "max_results", "calendar"],
        "find_free_time": ["start", "end", "time_zone", "minutes", "earliest", "latest", "people"],
        "read_document": ["document", "start"],
        "get_weather_forecast": ["place", "days"],
    }
    assert told["consequential"] == ["delete_conversation"]
    assert told["first"]["answer"].startswith("北京")
    assert told["again"] == told["first"]
    assert told["second"]["session_id"] == told["first"]["session_id"]
    assert told["second"]["answer"].startswith("Paris on ")
    assert [told["forecast"]["place"]["country"], len(told["forecast"]["days"])] == ["France", 2]
    assert [turn["query"] for turn in told["transcript"]["turns"]] == ["北京明天天气怎么样"]


def test_the_document_is_valid_openapi_3_1(document: Path) -> None:  # B1
    found = list(OpenAPIV31SpecValidator(json.loads(document.read_text("utf-8"))).iter_errors())

    assert found == []


def test_redocly_finds_nothing_to_mend(document: Path, tmp_path: Path) -> None:  # B1
    told = json.loads(
        run(tmp_path, *package("redocly"), "lint", f"--config={CLIENTS / 'redocly.yaml'}", "--format=json", document),
    )

    assert (told["totals"], told["problems"]) == ({"errors": 0, "warnings": 0, "ignored": 0}, [])


def test_its_types_are_those_that_a_client_expects(document: Path, tmp_path: Path) -> None:  # B1
    shutil.copy(CLIENTS / "typed.ts", tmp_path)
    # Without the option, what has a default counts as given, also in requests.
    run(tmp_path, *package("openapi-typescript"), document, "--default-non-nullable=false", f"--output={tmp_path / 'openapi.ts'}")

    run(tmp_path, *package("tsc"), "--noEmit", "--strict", "--target", "es2022", tmp_path / "typed.ts")
