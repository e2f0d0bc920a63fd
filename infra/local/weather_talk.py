"""What the model emulator understands and says about the weather, in Chinese and in English: pure text, no network, no clock."""

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

TOOL = "get_weather_forecast"

LONGEST_PLACE = 24
"""Characters; a follow-up question that names more than this is about something else."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person wants to know: the weather at a place on some days, today being day 0."""

    place: str
    """Empty: no place was named so far."""
    first: int
    last: int

    @property
    def days(self) -> int:
        """How many days a forecast needs in order to reach the last day, today included."""
        return self.last + 1


def understood(questions: Iterable[str]) -> Ask | None:
    """What the last of `questions` asks about the weather, the ones before it completing it; None: something else."""
    earlier: Ask | None = None
    current: Ask | None = None
    for question in questions:
        current = _understood(question, earlier)
        earlier = current or earlier
    return current


def chinese(text: str) -> bool:
    """Whether `text` is to be answered in Chinese: it has more Chinese characters than Latin words."""
    return len(re.findall("[\u4e00-\u9fff]", text)) > len(re.findall(r"[^\W\d_\u4e00-\u9fff]+", text))


def told(ask: Ask, result: str, question: str) -> str:
    """One sentence in the language of `question`, from an operation's `result`: JSON of a forecast, or of an error."""
    in_chinese = chinese(question)
    try:
        forecast = json.loads(result)
        place = forecast["place"]["name"] if isinstance(forecast["place"], dict) else forecast["place"]
        days = forecast["days"][ask.first : ask.days] or forecast["days"][-1:]
        said = [_day(day, in_chinese) for day in days]
    except (ValueError, LookupError, TypeError):
        reason = _reason(result)
        return f"查不到天气：{reason}" if in_chinese else f"I could not get the forecast: {reason}"
    return f"{place}{'；'.join(said)}。" if in_chinese else f"{place} {'; '.join(said)}."


WEATHER_ZH = {
    "clear sky": "晴", "mainly clear": "大致晴朗", "partly cloudy": "多云", "overcast": "阴", "fog": "雾", "rime fog": "雾凇",
    "light drizzle": "小毛毛雨", "drizzle": "毛毛雨", "dense drizzle": "浓毛毛雨", "light rain": "小雨", "rain": "中雨", "heavy rain": "大雨",
    "light snow": "小雪", "snow": "中雪", "heavy snow": "大雪", "light showers": "小阵雨", "showers": "阵雨", "violent showers": "强阵雨",
    "light snow showers": "小阵雪", "snow showers": "阵雪", "thunderstorm": "雷暴",
}  # fmt: skip
"""The weather operation's words; what is missing is said in English."""


def _day(day: dict[str, Any], in_chinese: bool) -> str:
    weather = day.get("weather") or "?"
    if in_chinese:
        return f"{day['date']}：{WEATHER_ZH.get(weather, weather)}，{day['low']:g}–{day['high']:g} °C"
    return f"on {day['date']}: {weather}, {day['low']:g}–{day['high']:g} °C"


def _reason(result: str) -> str:
    try:
        found = json.loads(result)
    except ValueError:
        return result
    while isinstance(found, dict):
        found = found.get("error") or found.get("message") or found.get("detail") or next(iter(found.values()), "")
    return str(found)


@functools.lru_cache(maxsize=4096)  # a load test asks few questions often
def _understood(question: str, earlier: Ask | None) -> Ask | None:
    text = re.sub(r"\s+", " ", question).strip()
    about_weather = _WEATHER.search(text) is not None
    when, rest = _when(text, earlier)
    place = _place(rest)
    if about_weather:
        return Ask(place or (earlier.place if earlier else ""), *(when or (0, 0)))
    if earlier is None or not (_FOLLOWS.search(text) or (when and not place)):
        return None
    # What follows up and names neither a day nor a place asks something else.
    if (when is None and not place) or len(place) > LONGEST_PLACE or _OTHER.search(text):
        return None
    first, last = when or (earlier.first, earlier.last)
    return replace(earlier, place=place or earlier.place, first=first, last=last)


_DIGITS_ZH = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
_COUNT = r"(\d{1,2}|[一二两三四五六七八九十]|two|three|four|five|six|seven|ten)"
_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10}

_WEATHER = re.compile(
    r"天气|气温|温度|下雨|下雪|预报|多少度|冷不冷|热不热|weather|forecast|temperature|\b(?:rain|snow)(?:y|ing)?\b|how (?:hot|cold|warm)\b",
    re.I,
)
_FOLLOWS = re.compile(r"^(?:那|and\b|what about\b|how about\b|then\b)|呢[？?]?$", re.I)

_OTHER = re.compile(r"\b(?:why|who|when|where|which|did|was|were)\b|为什么|谁|哪", re.I)

_RANGE = re.compile(rf"(?:未来|接下来|今后)的?{_COUNT}[天日]|next {_COUNT} days|{_COUNT}[- ]days?", re.I)
_WEEK = re.compile(r"未来一周|接下来一周|这一?周|(?:this|the next|next) week", re.I)
_AHEAD = re.compile(rf"{_COUNT}天(?:之?后|以后)|in {_COUNT} days|{_COUNT} days from (?:now|today)", re.I)
_NAMED = (
    (re.compile(r"大后天"), 3),
    (re.compile(r"后天|(?:the )?day after tomorrow", re.I), 2),
    (re.compile(r"明天|明日|明早|明晚|tomorrow", re.I), 1),
    (re.compile(r"今天|今日|今晚|现在|today|tonight|right now|\bnow\b", re.I), 0),
)
_NEXT = re.compile(r"第二天|再?下一天|再?后一天|之后那天|(?:the )?(?:day after(?: that)?|next day|following day)", re.I)


def _when(text: str, earlier: Ask | None) -> tuple[tuple[int, int] | None, str]:
    """The first and last day that `text` names, if any, and `text` without the words for it."""
    if found := _WEEK.search(text):
        return (0, 6), _without(text, found)
    if found := _AHEAD.search(text):
        return (_number(found), _number(found)), _without(text, found)
    if found := _RANGE.search(text):
        return (0, max(_number(found) - 1, 0)), _without(text, found)
    for pattern, day in _NAMED:
        if found := pattern.search(text):
            return (day, day), _without(text, found)
    if found := _NEXT.search(text):
        day = (earlier.last if earlier else 0) + 1
        return (day, day), _without(text, found)
    return None, text


def _number(found: re.Match[str]) -> int:
    word = next(group for group in found.groups() if group).lower()
    return _DIGITS_ZH.get(word) or _WORDS.get(word) or int(word)


def _without(text: str, found: re.Match[str]) -> str:
    return f"{text[: found.start()]} {text[found.end() :]}"


_FILLER_ZH = re.compile(
    r"请问|帮我|告诉我|我想|知道|查一下|查询|一下|看看|会不会|是不是|有没有|怎么样|怎样|如何|天气预报|天气|气温|温度|下雨|下雪|预报|"
    r"多少度|多少|什么|冷不冷|热不热|情况|带伞|[，。？！：；、,.?!:;]"
)
_EDGES_ZH = " 的呢吗吧啊呀在请那会看查还要是有"
"""Words of one character, taken away at the ends only: some stand inside of places' names."""

_FILLER_EN = re.compile(
    r"(?<![\w'])(?:what's|what is|what will|what|how's|how is|how will|how about|how|hot|cold|warm|will|does|do|is|it|be|the|weather|forecast|temperature|"
    r"please|tell|me|show|get|give|us|about|like|going|to|rain(?:y|ing)?|snow(?:y|ing)?|and|then|in|at|for|of|on|there|a|an|i|need|umbrella|"
    r"can|could|you|know|over|days?|if|during|this|should|expect|look|looks?|out|outside)(?![\w'])|[,.?!:;\"“”]|'s\b",
    re.I,
)


def _place(rest: str) -> str:
    """What is left of a question without its words for time, weather and asking: the place's name."""
    rest = _FILLER_EN.sub(" ", _FILLER_ZH.sub(" ", rest)).strip(_EDGES_ZH)
    return re.sub(r"\s+", " ", rest).strip(" '-")
