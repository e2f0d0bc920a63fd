"""The pages of the sign-in in a real browser: nothing of others runs, nobody frames them, and everybody can use them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from functions.core.browser_views import Problem
from functions.core.claimed import destination
from tests import pages, views
from tests.chromium import driven, launch
from tests.payloads import PAYLOADS

ADDRESSES = [
    "https://chatgpt.com/aip/g-1/oauth/callback",
    "HTTPS://ChatGPT.com:443?x=@y",
    "https://chatgpt.com:8443/",
    "https://chatgpt.com./",
    "https://192.0.2.7/cb",
    "https://[2001:DB8::0:1]/cb",
    "http://[0:0::1]:33418/",
    "http://localhost:80/",
    "https://сһаtgрt.com/",
    "https://аррӏе.com/",
    "https://xn--80ak6aa92e.com/",
    "https://faß.example/",
    "https://BÜCHER.example",
    "https://bu\u0308cher.example",
    "https://北京.example",
    "https://مثال.example",
    "https://google.com。evil.example",
    "https://google.com．evil.example",
    "https://a.example/\\@chatgpt.com",
    "https://a.example?@chatgpt.com",
    "https://a.example#@chatgpt.com",
    "https://a_b.example/",
]

PICTURES = [
    ("consent.png", "consent", 480, "light", "en"),
    ("consent-dark.png", "consent-device", 480, "dark", "zh-CN"),
    ("account.png", "account", 760, "light", "en"),
]
"""File, page, width in CSS pixels, colour scheme, language."""


Scene = Callable[..., Any]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """What the browser finds in a scene of clients/pages.mjs."""
    launch()
    with pages.served() as (site, outside):
        folder = tmp_path_factory.mktemp("chromium")
        yield lambda name, **told: driven("pages.mjs", **{"folder": folder, **told}, site=site, outside=outside, scene=name)


@pytest.fixture(scope="module")
def attacks(scene: Scene) -> Any:
    """What hostile text did on our pages, and where nothing is escaped."""
    hostile = [f"/attack/{field}/{number}" for field in pages.FIELDS for number in range(len(PAYLOADS))]
    return scene("attacks", attacks=hostile, unsafe=[f"/unsafe/{number}" for number in range(12)])


@pytest.fixture(scope="module")
def looks(scene: Scene) -> Any:
    """How each page looks on a phone."""
    return scene("looks", pages=list(views.pages()))


@pytest.fixture(scope="module")
def forms(scene: Scene) -> Any:
    """Where submitted forms end."""
    return scene("forms")


def test_nothing_that_others_write_runs(attacks: Any) -> None:
    ours = attacks["ours"]

    assert ours["pages"] == 240
    assert (ours["dialogs"], ours["scripts"], ours["errors"], ours["blocked"], ours["foreign"]) == (0, 0, [], [], [])
    assert attacks["harmed"] >= 6, "of twelve of these texts, where nothing is escaped"


def test_nothing_is_shown_that_cannot_be_seen(attacks: Any) -> None:
    assert attacks["ours"]["hidden"] == 0


def test_nobody_frames_a_page(scene: Scene) -> None:
    framed = scene("framed")

    assert framed["foreign"] == {"frames": 1, "buttons": 0}
    assert framed["own"] == {"frames": 1, "buttons": 0}
    assert framed["unprotected"]["buttons"] == 1


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_and_leaves_nobody_out(looks: Any, scheme: str, language: str) -> None:
    found = {name: looks[f"{name} {scheme} {language}"] for name in views.pages()}

    assert [name for name, look in found.items() if look["width"] > 320] == []
    assert {name: look["faults"] for name, look in found.items() if look["faults"]} == {}
    assert len(found) == 16 + len(get_args(Problem))


def test_dark_is_dark_and_light_is_light(looks: Any) -> None:
    papers = {scheme: looks[f"consent {scheme} en"]["paper"] for scheme in ("light", "dark")}

    assert papers == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 32, 39)"}


def test_a_page_asks_nobody_for_anything_and_logs_nothing(looks: Any) -> None:
    logs = [look for name, look in looks.items() if name.startswith("log ")]

    assert len(logs) == 4
    for log in logs:
        assert (log["foreign"], log["errors"], log["blocked"], log["dialogs"]) == ([], [], [], 0)


def test_the_keyboard_is_enough_and_script_is_not_needed(scene: Scene) -> None:
    keyboard = scene("keyboard")

    stops = [(stop["role"], stop["name"]) for stop in keyboard["stops"]]
    assert stops[:7] == [
        *(("switch", name) for name in ("Calendar", "Documents", "Weather", "Mail")),
        ("button", "Deny"),
        ("button", "Allow"),
        ("a", "your connections"),
    ]
    assert {stop["outline"] for stop in keyboard["stops"][:11]} == {"solid 3px"}
    assert keyboard["allowed"].endswith("/client?chosen=docs+gmail+weather&token=t0ken")
    assert keyboard["entered"].endswith("/denied")
    assert keyboard["errors"] == []


def test_a_form_ends_where_the_policy_lets_it(forms: Any) -> None:
    for name in ("consent", "consent?v6", "consent?app"):
        assert forms[name] == {"arrived": True, "blocked": 0}, name
    assert forms["consent?closed"] == {"arrived": False, "blocked": 1}


def test_a_form_that_another_site_sends_is_refused(forms: Any) -> None:
    assert ["/oauth/consent", 403] in forms["attack"]


def test_a_switch_is_as_wide_as_its_row_and_nothing_is_deleted_unasked(scene: Scene) -> None:
    mouse = scene("mouse")

    assert mouse["switched"] == [False, True, True, False]
    assert min(mouse["sizes"]) >= 24  # WCAG 2.2, 2.5.8
    assert (mouse["visible"], mouse["stayed"]) == (False, True)


def test_nothing_moves_and_colours_yield_for_those_who_ask(scene: Scene) -> None:
    preferences = scene("preferences")

    assert preferences["still"] in ("0s", "0s, 0s, 0s")
    assert preferences["moving"] != preferences["still"]
    assert preferences["forced"] == "auto"


def test_an_address_is_read_as_this_browser_reads_it(scene: Scene) -> None:
    assert [destination(address).origin for address in ADDRESSES] == scene("addresses", addresses=ADDRESSES)


def test_pictures_are_taken(scene: Scene, tmp_path: Path) -> None:
    """Into the folder PICTURES, where it is set: they are the README's."""
    folder = Path(os.environ.get("PICTURES") or tmp_path).resolve()

    taken = scene("pictures", folder=folder, pictures=PICTURES)

    assert all((folder / file).read_bytes().startswith(b"\x89PNG") for file in taken)
    assert len(taken) == len(PICTURES)
