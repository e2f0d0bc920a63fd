"""The weather emulator answers as Open-Meteo does.

Open-Meteo publishes an OpenAPI file for its forecast and none for its geocoding. The file is not ours to commit and no package carries
it: where `make test` could fetch it, replies are checked against it; everywhere they are checked against the fields that the
documentation names (https://open-meteo.com/en/docs, https://open-meteo.com/en/docs/geocoding-api, read in November 2026).
"""

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import jsonschema
import pytest
import yaml

from infra.local.places import PLACES
from infra.local.serving import serving
from infra.local.weather_emulator import DAILY, application, forecast, temperatures

PUBLISHED = Path(__file__).parents[2] / ".cache/open-meteo-forecast.yml"
PUBLISHED_SHA256 = "fdd3195d66fade678924c1df99d32de4f1d6aa7c954c5bc7ff1646ed8c558def"  # open-meteo/open-meteo at ba13de1c

NUMBER, TEXT = {"type": "number"}, {"type": "string"}
DOCUMENTED_FORECAST = {
    "type": "object",
    "required": ["latitude", "longitude", "elevation", "generationtime_ms", "utc_offset_seconds", "timezone", "timezone_abbreviation"],
    "additionalProperties": False,
    "properties": {
        "latitude": NUMBER,
        "longitude": NUMBER,
        "elevation": NUMBER,
        "generationtime_ms": NUMBER,
        "utc_offset_seconds": {"type": "integer"},
        "timezone": TEXT,
        "timezone_abbreviation": TEXT,
        "daily_units": {"type": "object", "required": ["time"], "additionalProperties": TEXT},
        "daily": {
            "type": "object",
            "required": ["time"],
            "properties": {"time": {"type": "array", "items": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}}},
            "additionalProperties": {"type": "array", "items": {"type": ["number", "null"]}},
        },
    },
}
DOCUMENTED_SEARCH = {
    "type": "object",
    "required": ["generationtime_ms"],
    "additionalProperties": False,
    "properties": {
        "generationtime_ms": NUMBER,
        "results": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "name", "latitude", "longitude", "elevation", "timezone", "feature_code", "country_code", "country"],
                "additionalProperties": False,
                "properties": {
                    "id": {"type": "integer"},
                    "name": {"type": "string", "minLength": 1},
                    "latitude": {"type": "number", "minimum": -90, "maximum": 90},
                    "longitude": {"type": "number", "minimum": -180, "maximum": 180},
                    "elevation": NUMBER,
                    "timezone": TEXT,
                    "feature_code": TEXT,
                    "country_code": {"type": "string", "pattern": "^[A-Z]{2}$"},
                    "country": TEXT,
                    "country_id": {"type": "integer"},
                    "population": {"type": "integer"},
                    "postcodes": {"type": "array", "items": TEXT},
                    **{f"admin{level}": TEXT for level in (1, 2, 3, 4)},
                    **{f"admin{level}_id": {"type": "integer"} for level in (1, 2, 3, 4)},
                },
            },
        },
    },
}
DOCUMENTED_ERROR = {
    "type": "object",
    "required": ["error", "reason"],
    "additionalProperties": False,
    "properties": {"error": {"const": True}, "reason": TEXT},
}

BEIJING = {"latitude": "39.9075", "longitude": "116.39723"}
EVERYTHING = BEIJING | {"daily": ",".join(DAILY), "timezone": "auto", "forecast_days": "16"}


async def get(path: str, **query: str) -> tuple[int, Any]:
    async with (
        serving(application()) as origin,
        aiohttp.ClientSession() as session,
        session.get(f"{origin}/v1/{path}", params=query) as response,
    ):
        return response.status, await response.json()


def closed(schema: Any) -> Any:
    """`schema` with every object closed: the published file names every field and forbids none."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    return {**inner, "additionalProperties": False} if schema.get("type") == "object" and "properties" in schema else inner


@pytest.fixture(scope="module")
def published_openapi() -> Any:
    if not PUBLISHED.exists():
        pytest.skip("no copy of Open-Meteo's OpenAPI file: `make open-meteo` fetches it")
    assert hashlib.sha256(PUBLISHED.read_bytes()).hexdigest() == PUBLISHED_SHA256
    return yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))["paths"]["/v1/forecast"]["get"]


def response_schema(operation: Any, status: str) -> Any:
    return closed(operation["responses"][status]["content"]["application/json"]["schema"])


async def test_a_forecast_is_what_the_published_openapi_file_says(published_openapi: Any) -> None:
    status, reply = await get("forecast", **EVERYTHING)

    assert status == 200
    jsonschema.validate(reply, response_schema(published_openapi, "200"), cls=jsonschema.Draft202012Validator)


async def test_an_error_is_what_the_published_openapi_file_says(published_openapi: Any) -> None:
    status, reply = await get("forecast", **BEIJING, forecast_days="17")

    assert status == 400
    jsonschema.validate(reply, response_schema(published_openapi, "400"), cls=jsonschema.Draft202012Validator)


def test_every_variable_and_the_limit_of_days_are_in_the_published_openapi_file(published_openapi: Any) -> None:
    parameters = {parameter["name"]: parameter["schema"] for parameter in published_openapi["parameters"]}

    assert set(DAILY) <= set(parameters["daily"]["items"]["enum"])
    assert (parameters["forecast_days"]["minimum"], parameters["forecast_days"]["maximum"]) == (0, 16)


async def test_a_forecast_has_the_documented_fields_and_one_value_for_each_day() -> None:
    status, reply = await get("forecast", **EVERYTHING)

    assert status == 200
    jsonschema.validate(reply, DOCUMENTED_FORECAST, cls=jsonschema.Draft202012Validator)
    assert reply["daily"].keys() == reply["daily_units"].keys() == {"time", *DAILY}
    assert {len(values) for values in reply["daily"].values()} == {16}
    assert reply["daily_units"]["temperature_2m_max"] == "°C"
    assert (reply["timezone"], reply["utc_offset_seconds"]) == ("Asia/Shanghai", 28800)


async def test_without_daily_variables_there_is_no_daily_part() -> None:
    _, reply = await get("forecast", **BEIJING)

    assert "daily" not in reply
    assert "daily_units" not in reply


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_place_is_found_by_both_its_names(language: str) -> None:
    async with serving(application()) as origin, aiohttp.ClientSession(f"{origin}/v1/") as session:
        for place in PLACES:
            for name in (place.name, place.name_zh):
                async with session.get("search", params={"name": name, "count": "1", "language": language, "format": "json"}) as response:
                    reply = await response.json()

                jsonschema.validate(reply, DOCUMENTED_SEARCH, cls=jsonschema.Draft202012Validator)
                assert reply["results"][0]["id"] == place.id
                assert reply["results"][0]["name"] == (place.name_zh if language == "zh" else place.name)


def test_every_place_lies_in_a_time_zone_that_exists() -> None:
    zones = {ZoneInfo(place.timezone).key for place in PLACES}

    assert len(zones) > 20


@pytest.mark.parametrize(
    ("name", "found"), [("beijing", "Beijing"), ("北京市", "Beijing"), ("Zurich", "Zürich"), ("San Fran", "San Francisco")]
)
async def test_names_are_found_without_case_accents_or_their_end(name: str, found: str) -> None:
    _, reply = await get("search", name=name)

    assert [result["name"] for result in reply["results"]] == [found]


@pytest.mark.parametrize("name", ["Atlantis", "x", ""])
async def test_an_unknown_place_leaves_the_results_out(name: str) -> None:
    status, reply = await get("search", name=name)

    assert status == 200
    assert reply.keys() == {"generationtime_ms"}


@pytest.mark.parametrize(
    ("path", "query", "reason"),
    [
        ("forecast", BEIJING | {"forecast_days": "17"}, "Forecast days is invalid. Allowed range 0 to 16. Given 17."),
        ("forecast", BEIJING | {"latitude": "91"}, "Latitude must be in range of -90 to 90°. Given: 91.0."),
        ("forecast", BEIJING | {"longitude": "-181"}, "Longitude must be in range of -180 to 180°. Given: -181.0."),
        ("forecast", BEIJING | {"timezone": "Mars/Olympus"}, "Invalid timezone"),
        ("forecast", {"latitude": "1"}, "Parameter 'latitude' and 'longitude' must not be empty"),
        ("search", {"name": "Rome", "count": "0"}, "Parameter count must be between 1 and 100."),
    ],
)
async def test_what_is_out_of_range_is_refused_with_open_meteos_words(path: str, query: dict[str, str], reason: str) -> None:
    status, reply = await get(path, **query)

    assert status == 400
    assert reply == {"error": True, "reason": reason}
    jsonschema.validate(reply, DOCUMENTED_ERROR)


@pytest.mark.parametrize("query", [BEIJING | {"daily": "temprature"}, BEIJING | {"forecast_days": "many"}, BEIJING | {"latitude": "nan"}])
async def test_what_makes_no_sense_is_refused(query: dict[str, str]) -> None:
    status, reply = await get("forecast", **query)

    assert status == 400
    jsonschema.validate(reply, DOCUMENTED_ERROR)


def test_days_begin_with_today_at_the_place() -> None:
    now = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)  # the 23rd in Beijing, still the 22nd in New York

    beijing = forecast(39.9, 116.4, ["weather_code"], "auto", 3, now)
    new_york = forecast(40.7, -74.0, ["weather_code"], "America/New_York", 1, now)

    assert beijing["daily"]["time"] == ["2026-11-23", "2026-11-24", "2026-11-25"]
    assert new_york["daily"]["time"] == ["2026-11-22"]


def test_the_weather_of_a_day_is_the_same_whenever_it_is_asked() -> None:
    monday, tuesday = datetime(2026, 11, 23, 4, tzinfo=UTC), datetime(2026, 11, 24, 4, tzinfo=UTC)

    earlier = forecast(39.9, 116.4, list(DAILY), "auto", 2, monday)["daily"]
    later = forecast(39.9, 116.4, list(DAILY), "auto", 1, tuesday)["daily"]

    assert {name: values[1] for name, values in earlier.items()} == {name: values[0] for name, values in later.items()}


def test_it_is_never_colder_at_noon_than_at_night_and_nowhere_absurd() -> None:
    days = [date(2026, month, 15) for month in range(1, 13)]

    ranges = [temperatures(place, day) for place in PLACES for day in days]

    assert all(-35 < low < high < 45 for low, high in ranges)
