"""Weather forecasts for any place, from Open-Meteo.

https://open-meteo.com/en/docs and https://open-meteo.com/en/docs/geocoding-api; data under CC BY 4.0, to be attributed. The free
hosts are for non-commercial use; customers set both addresses to their `customer-…` hosts and OPEN_METEO_API_KEY to their key.
"""

from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import Field

from functions.core.capability import Api, Example, Published, Web, operation
from functions.core.errors import NotFound, Upstream

TITLES = {"zh": "天气"}
TRANSLATIONS = {"zh": "任何地点的天气预报，数据来自 Open-Meteo。"}

CREDIT = "Weather data by Open-Meteo.com (CC BY 4.0)"

GEOCODING = Api(
    "open-meteo-geocoding",
    "https://geocoding-api.open-meteo.com/v1",
    "apikey",
    "OPEN_METEO_API_KEY",
    CREDIT,
    reusable=timedelta(hours=1),  # Places stay where they are.
)
FORECAST = Api(
    "open-meteo-forecast",
    "https://api.open-meteo.com/v1",
    "apikey",
    "OPEN_METEO_API_KEY",
    CREDIT,
    links=("https://open-meteo.com/",),
)

DAILY = ("weather_code", "temperature_2m_min", "temperature_2m_max", "precipitation_probability_max", "wind_speed_10m_max")
"""What is asked of a day, in the order of `Day`'s fields behind its date."""

# WMO code table 4677 as Open-Meteo condenses it (https://open-meteo.com/en/docs, "WMO Weather interpretation codes").
WEATHER = {
    0: "clear sky", 1: "mainly clear", 2: "partly cloudy", 3: "overcast", 45: "fog", 48: "rime fog",
    51: "light drizzle", 53: "drizzle", 55: "dense drizzle", 56: "light freezing drizzle", 57: "freezing drizzle",
    61: "light rain", 63: "rain", 65: "heavy rain", 66: "light freezing rain", 67: "freezing rain",
    71: "light snow", 73: "snow", 75: "heavy snow", 77: "snow grains", 80: "light showers", 81: "showers", 82: "violent showers",
    85: "light snow showers", 86: "snow showers", 95: "thunderstorm", 96: "thunderstorm with hail", 99: "thunderstorm with heavy hail",
}  # fmt: skip


class Place(Published):
    """The place that was found for a name."""

    name: str
    region: str | None
    """State or province, where the place has one."""
    country: str | None
    timezone: str
    """IANA time zone; the dates of the forecast are in it."""


class Day(Published):
    """The forecast for one day. A value is null where the forecast reaches no further."""

    date: date
    weather: str | None
    """In words: "partly cloudy"."""
    low: float | None
    """Degrees Celsius."""
    high: float | None
    """Degrees Celsius."""
    precipitation_probability: float | None
    """Percent."""
    wind: float | None
    """The day's strongest, kilometres per hour."""


class Forecast(Published):
    """A forecast for a place, day by day."""

    place: Place
    days: tuple[Day, ...]
    """Today at the place first, then the days after it."""
    source: str = CREDIT


@operation(apis=[GEOCODING, FORECAST], scopes=[], read_only=True, open_world=False, title="Forecast the weather")
async def get_weather_forecast(
    web: Web,
    place: Annotated[str, Field(min_length=1, max_length=100, description="City or other place, in any language: Paris, 北京.")],
    days: Annotated[int, Field(ge=1, le=16, description="How many days, today included: 1 is today, 2 reaches tomorrow.")] = 3,
) -> Forecast:
    """Forecast the weather for a place, day by day, up to 16 days ahead; the first day is today at the place."""
    language = "zh" if any("\u4e00" <= character <= "\u9fff" for character in place) else "en"
    found = await web.get(GEOCODING, "search", name=place, count=1, language=language, format="json")
    try:
        where = found["results"][0] if found.get("results") else None
        there = where and {name: where[name] for name in ("latitude", "longitude")} | {"timezone": where.get("timezone") or "auto"}
    except (LookupError, TypeError, AttributeError) as error:
        raise _unknown_form() from error
    if not there:
        raise NotFound("No place of that name was found. Ask for a larger town nearby, or for another spelling.")
    return _forecast(where, await web.get(FORECAST, "forecast", **there, daily=DAILY, forecast_days=days))


def _forecast(where: Any, forecast: Any) -> Forecast:
    """What Open-Meteo answered, as we publish it.

    Raises:
        Upstream: it is not of the form that its documentation shows.
    """
    try:
        daily = forecast["daily"]
        return Forecast(
            place=Place(name=where["name"], region=where.get("admin1"), country=where.get("country"), timezone=forecast["timezone"]),
            days=tuple(
                Day(
                    date=date.fromisoformat(day),
                    weather=WEATHER.get(code),
                    low=low,
                    high=high,
                    precipitation_probability=probability,
                    wind=wind,
                )
                for day, code, low, high, probability, wind in zip(daily["time"], *(daily[name] for name in DAILY), strict=True)
            ),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise _unknown_form() from error


def _unknown_form() -> Upstream:
    return Upstream("Open-Meteo answered in a form that we do not know.")


EXAMPLES = (
    Example(
        "What will the weather be in Paris over the next three days?",
        "Three days for Paris, France, today first: for each its date, the weather in words, the lowest and the highest temperature and the "
        "chance of precipitation. Open-Meteo is credited.",
        get_weather_forecast,
        {"place": "Paris", "days": 3},
    ),
    Example(
        "北京明天天气怎么样？",
        "An answer in Chinese about Beijing and tomorrow's date there: the weather in words, the lowest and the highest temperature.",
        get_weather_forecast,
        {"place": "北京", "days": 2},
    ),
    Example(
        "Should I take an umbrella to London tomorrow?",
        "A yes or a no that rests on tomorrow's chance of precipitation in London, England, which the answer gives in percent.",
        get_weather_forecast,
        {"place": "London", "days": 2},
    ),
    Example(
        "How warm will New York get this week, in Fahrenheit?",
        "Seven days for New York, today there first, each with its highest temperature; the values, given in °C, are converted to °F.",
        get_weather_forecast,
        {"place": "New York", "days": 7},
    ),
    Example(
        "Show me the forecast for Tokyo as far ahead as you can.",
        "Sixteen days for Tokyo, Japan, today there first and in order; where a value is not forecast so far ahead, the answer says so "
        "and invents none.",
        get_weather_forecast,
        {"place": "Tokyo", "days": 16},
    ),
    Example(
        "What was the weather in Berlin on 1 July 2019?",
        "No tool is called: forecasts begin today, and past weather is not offered.",
    ),
    Example(
        "How polluted is the air in Delhi right now?",
        "No tool is called: air quality is not part of the forecast.",
    ),
    Example(
        "Text me every morning when rain is coming.",
        "No tool is called: nothing here sends messages or watches the weather.",
    ),
)
