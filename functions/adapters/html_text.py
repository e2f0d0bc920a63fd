"""HTML as its reader sees it: lines of text. For mails, which anybody may send us: every step takes time in proportion to their length.

nh3 parses as browsers do, and drops scripts, styles and comments. What it lacks is done around it: before, what makes a browser's parser
slow is taken out (100,000 nested `<div>` kept it busy for a minute); behind, blocks become lines, entities characters, links text, and what
a style hides from the reader is dropped.
"""

import html
import re
from collections import Counter
from collections.abc import Mapping

import nh3

from functions.adapters.text_lines import LINES, PARAGRAPHS, VOID, TextLines
from functions.core.visible import visible

MAX_SOURCE = 1_000_000  # characters that are looked at; images within the mail itself are a part of them
MAX_HTML = 200_000
"""Characters that are parsed; a large newsletter has half as many. At worst they take a second, in which nobody else is served."""

CUT = "[…]"
"""The last line, where something was left out behind it."""

MAX_DEPTH = 200
"""Elements within each other; mails made of tables reach fifty. A parser's time grows with the square of it."""

MAX_TAG = 4_000
"""Characters of a tag with its attributes: tracking links have 1,000, images within the mail itself 100,000."""

_KEPT = PARAGRAPHS | LINES | VOID | {"a", "span", "td", "th"}

_DROPPED = frozenset("audio canvas datalist iframe noembed noframes object script select style template textarea title video".split())
"""Their content is no text of the mail."""

_SPANS = frozenset("b big code em font i math nobr s small strike strong svg tt u".split())
"""What a parser opens anew in every paragraph where it was left open, or reads by other rules inside: to us no more than a span."""

_UNCLOSED = frozenset(
    "area base body br col colgroup dd dt embed head hr html img input li link meta optgroup option p param rp rt source tbody td tfoot th "
    "thead tr track wbr".split()
)
"""What has no end tag, or needs none and ends the one before: these nest no deeper than what is around them."""

_AMPERSAND = "\ufdd0"
"""Stands for every "&" while a parser looks: it is no character, and html5ever's time grows with the square of the entities in a text."""

_LONG_VALUE = re.compile(r'"[^"]{500,}"' r"|'[^']{500,}'" r"|(?<==)[^\s\"']{500,}")
"""What makes a tag too long; the others of its attributes are wanted all the same."""
_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*)([^>]*)>")
_TOKEN = re.compile(r'<(/?)([a-z0-9]+)((?: [a-z-]+="[^"]*")*)>|([^<]+)')
"""What nh3 writes: every tag on its list, every attribute in quotes."""
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')

_NOTHING = re.compile(r"0(?:\.0+)?(?:[a-z%]*)")
_TINY = re.compile(r"(?:0|0?\.\d+|1(?:\.\d+)?(?=p))(?:\.0+)?(?:[a-z%]*)")
"""No size at all, and one that nobody can read: 1 px, half an em."""


def text_of(source: str) -> str:
    """The text of HTML; paragraphs are parted by an empty line. What is too long ends with CUT."""
    bounded = _bounded(source[:MAX_SOURCE].replace(_AMPERSAND, "").replace("&", _AMPERSAND))
    clean = nh3.clean(
        bounded[:MAX_HTML],
        tags=set(_KEPT),
        clean_content_tags=set(_DROPPED),
        attributes={"*": {"style", "hidden"}, "a": {"href"}, "img": {"alt"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel=None,
    )
    lines = TextLines()
    for token in _TOKEN.finditer(clean):
        slash, name, attributes, text = token.groups()
        if text is not None:
            lines.text(visible(_unescaped(text)))
        elif slash:
            lines.end(name)
        else:
            told = {key: visible(_unescaped(value)) for key, value in _ATTRIBUTE.findall(attributes)}
            lines.start(name, told, hides=_hides(told))
    whole = len(source) <= MAX_SOURCE and len(bounded) <= MAX_HTML
    return lines.done() if whole else f"{lines.done()}\n{CUT}"


def _unescaped(text: str) -> str:
    """What the mail's own entities and those that nh3 wrote stand for."""
    return html.unescape(text.replace(_AMPERSAND, "&")) if _AMPERSAND in text or "&" in text else text


def _bounded(source: str) -> str:
    """The same HTML, of a depth that a parser gets through. It sees at least as many tags as a browser would."""
    end = source.rfind(">") + 1  # Behind it no tag can end, so there each search would run to the end in vain.
    opened: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    depth = 0  # Kept beside the counts: to add them up takes longer with every name that was ever counted.

    def bound(tag: re.Match[str]) -> str:
        nonlocal depth
        slash, name, attributes = tag[1], tag[2].lower(), tag[3]
        if len(attributes) > MAX_TAG:
            shorter = _LONG_VALUE.sub('""', attributes)
            attributes = shorter if len(shorter) <= MAX_TAG else ""
        name = "span" if name in _SPANS else name
        if name not in _UNCLOSED:
            counted = skipped if skipped[name] else opened
            if slash and counted[name]:
                counted[name] -= 1
                depth -= counted is opened
            elif not slash:
                counted = opened if depth < MAX_DEPTH else skipped
                counted[name] += 1
                depth += counted is opened
            if counted is skipped:
                return ""
        return f"<{slash}{name}{attributes}>"

    return _TAG.sub(bound, source[:end]) + source[end:]


def _hides(attributes: Mapping[str, str]) -> bool:
    """Whether a reader sees nothing of an element, or too little to read it."""
    written = (item.partition(":") for item in attributes.get("style", "").lower().replace("!important", "").split(";"))
    style = {name.strip(): value.strip() for name, _, value in written}
    return (
        "hidden" in attributes
        or style.get("display") == "none"
        or style.get("visibility") in ("hidden", "collapse")
        or style.get("mso-hide") == "all"
        or bool(_NOTHING.fullmatch(style.get("opacity", "")))
        or bool(_TINY.fullmatch(style.get("font-size", "")))
        or (
            "hidden" in style.get("overflow", "")
            and any(_NOTHING.fullmatch(style.get(name, "")) for name in ("height", "max-height", "width", "max-width"))
        )
    )
