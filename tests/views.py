"""Every page in a browser, filled: what people would see, or with a text of the test's own in every place that takes one."""

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from functions.core.browser_views import (
    AccountView,
    Choice,
    ConnectedClient,
    ConsentView,
    DeniedView,
    GoodbyeView,
    Granted,
    Problem,
    ProblemView,
    ShownClient,
    View,
)
from functions.core.claimed import destination

TEN_MINUTES = timedelta(minutes=10)

CHATGPT = ShownClient("chatgpt", "ChatGPT", destination("https://chatgpt.com/aip/g-1/oauth/callback"), known=True)
CODEX = ShownClient("dcr-1", "Codex", destination("http://127.0.0.1:33418/callback"), known=False)
CURSOR = ShownClient("dcr-2", "Cursor", destination("cursor://anysphere.cursor-retrieval/oauth/callback"), known=False)
IMPOSTOR = ShownClient("https://evil.example/c", "Сhat\u200bGPT Official", destination("https://сһаtgрt.com/callback"), known=False)
NAMELESS = ShownClient("dcr-3", "\u200b\u3164", destination("https://nameless.example/callback"), known=False)

LONG = ShownClient("dcr-4", "W" * 100, destination("https://" + "accounts-google-com-sign-in." * 8 + "evil.example/"), known=False)

WORDS: Mapping[str, Mapping[str, tuple[str, str, list[str]]]] = {
    "en": {
        "calendar": (
            "Calendar",
            "See your events and when you are free.",
            ["See the events on all your calendars", "See when you are busy"],
        ),
        "docs": ("Documents", "Read a Google document whose address you give.", ["See all your Google Docs documents"]),
        "weather": ("Weather", "Forecasts for any place, from Open-Meteo.", []),
        "gmail": ("Mail", "Search your mail, and read what is found.", ["Read all your mail"]),
    },
    "zh": {
        "calendar": ("日历", "查看你的日程和空闲时间。", ["查看你所有日历上的活动", "查看你的忙闲状态"]),
        "docs": ("文档", "读取你给出网址的 Google 文档。", ["查看你所有的 Google 文档"]),
        "weather": ("天气", "任意地点的天气预报，来自 Open-Meteo。", []),
        "gmail": ("邮件", "搜索你的邮件，并阅读找到的内容。", ["阅读你所有的邮件"]),
    },
}


def consent(client: ShownClient, language: str = "en", person: str | None = None) -> ConsentView:
    """A consent page; mail is off."""
    choices = [Choice(name, title, text, scopes, chosen=name != "gmail") for name, (title, text, scopes) in WORDS[language].items()]
    return ConsentView(client, first_time=person is None, person=person, choices=choices, form_token="t0ken", action="/oauth/consent")


def account(language: str = "en") -> AccountView:
    """An account page with two clients."""
    november = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (3, 25)]
    granted = [Granted(name, *WORDS[language][name][:2], used) for name, used in (("calendar", november[1]), ("docs", None))]
    clients = [ConnectedClient(CHATGPT, november[0], granted), ConnectedClient(CODEX, november[1], [])]
    return AccountView("mei.lin@example.com", clients, google=True, form_token="t0ken", action="/account")


def pages(language: str = "en") -> Mapping[str, View]:
    """Every kind of page by a name."""
    back = "https://chatgpt.com/aip/g-1/oauth/callback?error=access_denied&state=s&iss=https%3A%2F%2Fplugin.example"
    return {
        "consent": consent(CHATGPT, language),
        "consent-device": consent(CODEX, language, "mei.lin@example.com"),
        "consent-app": dataclasses.replace(consent(CURSOR, language), first_time=None),
        "consent-impostor": consent(IMPOSTOR, language),
        "consent-nameless": consent(NAMELESS, language),
        "consent-long": consent(LONG, language, f"{'w' * 60}@{'mail.' * 20}example.com"),
        "account": account(language),
        "account-long": dataclasses.replace(account(language), clients=[ConnectedClient(LONG, datetime(2026, 1, 1, tzinfo=UTC), [])]),
        "account-empty": AccountView("mei.lin@example.com", [], google=False, form_token="t0ken", action="/account"),
        "account-nobody": AccountView(None, [], google=False, form_token="t0ken", action="/account"),
        "denied": DeniedView(IMPOSTOR, back),
        "goodbye-google": GoodbyeView("google"),
        "goodbye-everything": GoodbyeView("everything"),
        "goodbye-left": GoodbyeView("google", left_at_google=True),
        **{f"problem-{problem}": ProblemView(problem, "Words for the developer.", "4f1c0a9b77d2e810") for problem in get_args(Problem)},
        "problem": ProblemView("later", ""),
        "problem-asked": ProblemView("client", "Words for the developer.", destination=IMPOSTOR.destination),
    }


def places(value: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a view holds text of others, each as the way to it."""
    if isinstance(value, str):
        yield where
    elif dataclasses.is_dataclass(value):
        chosen_by_us = {"problem", "ended", "place"}  # They are keys of our own texts.
        for field in dataclasses.fields(value):
            if field.name not in chosen_by_us:
                yield from places(getattr(value, field.name), (*where, field.name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*where, index))


def replaced(value: Any, where: tuple[str | int, ...], text: str) -> Any:
    """The same view with another text at one place."""
    if not where:
        return text
    first, *rest = where
    if isinstance(first, int):
        return [replaced(item, tuple(rest), text) if index == first else item for index, item in enumerate(value)]
    return dataclasses.replace(value, **{first: replaced(getattr(value, first), tuple(rest), text)})


def filled(view: View, text: str) -> View:
    """The same view with this text at every place."""
    for where in places(view):
        view = replaced(view, where, text)
    return view
