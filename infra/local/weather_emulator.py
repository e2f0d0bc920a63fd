"""Open-Meteo on loopback: geocoding and forecasts for some forty places, the same for everybody on the same day.

Replies have the form of https://open-meteo.com/en/docs and https://open-meteo.com/en/docs/geocoding-api; the weather is invented from
place and date. Both hosts of the real thing are one here: `/v1/search` and `/v1/forecast`.

    python -m infra.local.weather_emulator --port 9001
"""

import hashlib
import math
import random
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web
from aiohttp.typedefs import Handler

from infra.local.places import PLACES, Place
from infra.local.serving import arguments, serve

CODES = (0, 1, 2, 3, 45, 51, 53, 61, 63, 65, 80, 81, 95)
"""WMO codes without snow, from fair to foul: the emulator's places never freeze and thaw in one day."""
SNOW_CODES = (0, 1, 2, 3, 71, 73, 75, 85)

ELSEWHERE = Place(0, "", "", 0.0, 0.0, 100, "", "", "", "", None, None, "GMT", 0)
"""Stands for coordinates that are near none of our places."""
NEAR_DEGREES = 2.0


class Refused(Exception):
    """A request that Open-Meteo answers with 400 and this text."""


@lru_cache(maxsize=4096)
def temperatures(place: Place, day: date) -> tuple[float, float]:
    """The lowest and the highest temperature of a day, in degrees Celsius: warm near the equator, cold in winter and high up."""
    season = math.cos((day.timetuple().tm_yday - 200) / 365 * math.tau) * math.copysign(1, place.latitude)
    swing = abs(place.latitude) / 4
    warmth = 30 - abs(place.latitude) ** 1.6 / 30 + swing * season - place.elevation / 200
    drift = _dice("temperature", place, day)
    high = warmth + drift.uniform(-3, 3)
    return round(high - drift.uniform(5, 10), 1), round(high, 1)


@lru_cache(maxsize=4096)
def weather_code(place: Place, day: date) -> int:
    """The day's weather as a WMO code; what falls below freezing is snow."""
    codes = SNOW_CODES if temperatures(place, day)[1] < 2 else CODES
    return _dice("code", place, day).choice(codes)


@lru_cache(maxsize=4096)
def precipitation(place: Place, day: date) -> tuple[int, float]:
    """Probability in percent and amount in millimetres, as dry or wet as the day's code says."""
    dice, wet = _dice("precipitation", place, day), weather_code(place, day) >= 50
    return (dice.randrange(55, 100), round(dice.uniform(0.4, 25), 1)) if wet else (dice.randrange(0, 25), 0.0)


@lru_cache(maxsize=4096)
def wind(place: Place, day: date) -> float:
    """The day's strongest wind in kilometres per hour."""
    return round(_dice("wind", place, day).uniform(4, 38), 1)


DAILY: dict[str, tuple[str, Callable[[Place, date], float]]] = {
    "weather_code": ("wmo code", weather_code),
    "temperature_2m_max": ("°C", lambda place, day: temperatures(place, day)[1]),
    "temperature_2m_min": ("°C", lambda place, day: temperatures(place, day)[0]),
    "precipitation_probability_max": ("%", lambda place, day: precipitation(place, day)[0]),
    "precipitation_sum": ("mm", lambda place, day: precipitation(place, day)[1]),
    "wind_speed_10m_max": ("km/h", wind),
    "wind_gusts_10m_max": ("km/h", lambda place, day: round(wind(place, day) * 1.6, 1)),
}
"""The daily variables that are emulated, with Open-Meteo's units."""


def search(name: str, count: int, language: str) -> list[dict[str, Any]]:
    """The places called `name`, the largest first: exact for two characters, by beginning from three on, nothing for fewer."""
    wanted = _plain(name.partition(",")[0])
    if len(wanted) < 2:
        return []
    found = [place for place in PLACES if any(_matches(_plain(known), wanted) for known in (place.name, place.name_zh))]
    return [_result(place, language) for place in sorted(found, key=lambda place: -place.population)[:count]]


def forecast(latitude: float, longitude: float, daily: list[str], timezone: str, days: int, now: datetime) -> dict[str, Any]:
    """The forecast for the place nearest to the coordinates, from `now`'s date in the asked time zone on."""
    place = _nearest(latitude, longitude)
    zone = _zone(place.timezone if timezone == "auto" else timezone)
    local = now.astimezone(zone)
    dates = [local.date() + timedelta(days=ahead) for ahead in range(days)]
    offset = local.utcoffset() or timedelta()
    reply: dict[str, Any] = {
        "latitude": round(latitude * 8) / 8,  # the model's grid, not what was asked for
        "longitude": round(longitude * 8) / 8,
        "generationtime_ms": 0.05,
        "utc_offset_seconds": int(offset.total_seconds()),
        "timezone": zone.key,
        "timezone_abbreviation": local.tzname(),
        "elevation": float(place.elevation),
    }
    if daily:
        reply["daily_units"] = {"time": "iso8601", **{name: DAILY[name][0] for name in daily}}
        reply["daily"] = {"time": [day.isoformat() for day in dates]}
        reply["daily"] |= {name: [DAILY[name][1](place, day) for day in dates] for name in daily}
    return reply


def application() -> web.Application:
    """The emulator as an application; it reads the machine's clock and keeps nothing."""
    app = web.Application(middlewares=[_refusals])
    app.add_routes([web.get("/v1/search", _search), web.get("/v1/forecast", _forecast)])
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return web.json_response({"error": True, "reason": str(refused)}, status=400)


async def _search(request: web.Request) -> web.Response:
    if "name" not in request.query:
        raise Refused("Value was not of type 'String' at path 'name'. No value found for key 'name'")
    count = _number(request, "count", "10")
    if not 1 <= count <= 100:
        raise Refused("Parameter count must be between 1 and 100.")
    results = search(request.query["name"], int(count), request.query.get("language", "en"))
    # The real API writes its reply from protobuf and so leaves out an empty list.
    return web.json_response(({"results": results} if results else {}) | {"generationtime_ms": 0.4})


async def _forecast(request: web.Request) -> web.Response:
    if not request.query.get("latitude") or not request.query.get("longitude"):
        raise Refused("Parameter 'latitude' and 'longitude' must not be empty")
    latitude, longitude, days = _number(request, "latitude"), _number(request, "longitude"), _number(request, "forecast_days", "7")
    if abs(latitude) > 90:
        raise Refused(f"Latitude must be in range of -90 to 90°. Given: {latitude}.")
    if abs(longitude) > 180:
        raise Refused(f"Longitude must be in range of -180 to 180°. Given: {longitude}.")
    if not 0 <= days <= 16:
        raise Refused(f"Forecast days is invalid. Allowed range 0 to 16. Given {int(days)}.")
    daily = [name for listed in request.query.getall("daily", []) for name in listed.split(",") if name]
    for name in daily:
        if name not in DAILY:
            raise Refused(f"Data corrupted at path ''. Cannot initialize ForecastVariableDaily from invalid String value {name}.")
    now = datetime.now(tz=ZoneInfo("UTC"))
    return web.json_response(forecast(latitude, longitude, daily, request.query.get("timezone", "GMT"), int(days), now))


def _dice(topic: str, place: Place, day: date) -> random.Random:
    return random.Random(hashlib.sha256(f"{topic}/{place.id}/{day}".encode()).digest())


def _plain(name: str) -> str:
    """`name` as it is compared: without case, accents and the 市 that a Chinese city may carry."""
    bare = "".join(character for character in unicodedata.normalize("NFD", name) if not unicodedata.combining(character))
    return bare.casefold().strip().removesuffix("市")


def _matches(known: str, wanted: str) -> bool:
    return known == wanted or (len(wanted) > 2 and known.startswith(wanted))


def _result(place: Place, language: str) -> dict[str, Any]:
    chinese = language.startswith("zh")
    return {
        "id": place.id,
        "name": place.name_zh if chinese else place.name,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "elevation": float(place.elevation),
        "feature_code": place.feature_code,
        "country_code": place.country_code,
        "timezone": place.timezone,
        "population": place.population,
        "country": place.country_zh if chinese else place.country,
    } | ({"admin1": place.admin1_zh if chinese else place.admin1} if place.admin1 else {})


def _nearest(latitude: float, longitude: float) -> Place:
    nearest = min(PLACES, key=lambda place: math.dist((place.latitude, place.longitude), (latitude, longitude)))
    return nearest if math.dist((nearest.latitude, nearest.longitude), (latitude, longitude)) < NEAR_DEGREES else ELSEWHERE


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused("Invalid timezone") from error


def _number(request: web.Request, name: str, default: str | None = None) -> float:
    given = request.query.get(name) or default or ""
    try:
        value = float(given)
    except ValueError as error:
        raise Refused(f"Value was not of type 'Float' at path '{name}'. Could not convert '{given}'") from error
    if not math.isfinite(value):
        raise Refused(f"Value was not of type 'Float' at path '{name}'. Could not convert '{given}'")
    return value


if __name__ == "__main__":
    serve(application(), arguments(__doc__).parse_args().port)
