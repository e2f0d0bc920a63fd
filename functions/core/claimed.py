"""What a client claims about itself, its name and its address, as a person may see it who has to decide whether to trust it."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal

from functions.core.errors import Invalid
from functions.core.setting_kinds import DEFAULT_PORTS, LOOPBACK
from functions.core.visible import visible

MOST_OF_A_NAME = 60
"""Characters of a name: two lines on a phone. What a whole sentence says about itself is no name."""

MARKS = 3
"""Accents on one letter: Vietnamese, Thai and pointed Hebrew need no more. Without a bound they would be drawn over other lines."""

LOOKALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})
"""Scripts whose letters pass for each other's (https://www.unicode.org/reports/tr39/ §4)."""

DRIVEN_BY_BROWSERS = frozenset(
    {"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "mailto", "sms", "tel", "vbscript", "view-source", "ws", "wss"}
)
"""Schemes that no app of a client's own opens."""

DOTS = re.compile("[.\u3002\uff0e\uff61]")
"""What browsers read as the dot of a host's name (https://www.unicode.org/reports/tr46/ §2.3)."""


def shown(text: str) -> str:
    """`text` without what a reader cannot see: Unicode's categories Cc, Cf, Cs, Co and Cn, and all but `MARKS` accents of a letter.

    Line feeds and tabs become spaces. Unlike `visible`, it keeps no joiner: what is shown here is read letter by letter.
    """
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", visible(text).replace("\u2800", " ")):  # An empty Braille cell is a symbol.
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if character in "\n\t":
            kept.append(" ")
        elif category[0] != "C" and marks <= MARKS:
            kept.append(character)
    return "".join(kept)


def shown_name(name: str) -> str:
    """A name on one line and of bounded length; "" where nothing of it can be seen."""
    line = " ".join(shown(name[: 10 * MOST_OF_A_NAME]).split())
    return line if len(line) <= MOST_OF_A_NAME else line[: MOST_OF_A_NAME - 1].rstrip() + "…"


def mixes_letters(name: str) -> bool:
    """Whether letters of a name may pass for others: from two scripts that look alike, or styled ones ("𝐂hatGPT")."""
    scripts = {unicodedata.name(character, "").partition(" ")[0] for character in name if character.isalpha()}
    return len(scripts & LOOKALIKE) > 1 or any(_styled(character) for character in name)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a client wants the browser to go back to."""

    place: Literal["web", "device", "app"]
    """A web site; a program on the person's own device (RFC 8252 §7.3); an app there that opens links of its own scheme (§7.1)."""
    shown: str
    """What tells it from others: "chatgpt.com", "127.0.0.1:8090", "cursor:". ASCII: other letters are spelled in Punycode (RFC 3492)."""
    origin: str
    """"https://chatgpt.com", "http://127.0.0.1:8090", "cursor:"."""

    @property
    def foreign_letters(self) -> bool:
        """Whether the host's name is written in other letters, which may look like those of another host."""
        return re.search(r"(?:^|[ ./])xn--", self.shown) is not None


def destination(uri: str) -> Destination:
    """Where a redirect URI leads, read as browsers read it; whatever they may read otherwise than we do is refused.

    Raises:
        Invalid: it is no URI that a person can be shown.
    """
    scheme, colon, rest = uri.partition(":")
    scheme = scheme.lower()
    hidden = any(character.isspace() or unicodedata.category(character)[0] == "C" for character in uri)
    if hidden or not colon or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) or scheme in DRIVEN_BY_BROWSERS:
        raise Invalid("The redirect URI is not one that can be shown to a person.")
    if scheme not in DEFAULT_PORTS:
        return Destination("app", f"{scheme}:", f"{scheme}:")
    # A backslash would end the authority for a browser (https://url.spec.whatwg.org/#authority-state), and not for urllib.
    authority = re.fullmatch(r"//(\[[0-9A-Fa-f:.]+\]|[^][:@%/?#\\]+)(:\d{1,5})?(?:[/?#].*)?", rest)
    if not authority:
        raise Invalid("The redirect URI needs a host, and may have a port, but no user, percent sign or backslash in front of its path.")
    host, port = _host(authority[1]), authority[2] or ""
    port = "" if port == DEFAULT_PORTS[scheme] else port
    if host.strip("[]") in LOOPBACK:
        return Destination("device", f"{host}{port}", f"{scheme}://{host}{port}")
    return Destination("web", f"{'http://' if scheme == 'http' else ''}{host}{port}", f"{scheme}://{host}{port}")


def together(destinations: Iterable[Destination]) -> Destination:
    """Several destinations as one that a person can be shown: all that tells them from others, and of their places the farthest."""
    by_place = sorted(destinations, key=lambda one: ("web", "app", "device").index(one.place))
    return replace(by_place[0], shown=", ".join(dict.fromkeys(one.shown for one in by_place)))


def _host(text: str) -> str:
    """A host as it is asked for in DNS, or an address in its usual spelling."""
    try:
        if text.startswith("["):
            return f"[{IPv6Address(text[1:-1]).compressed}]"
        labels = [_label(label) for label in DOTS.split(text)]
        last = labels[-1] or labels[-2]  # A host may end in a dot.
        # A host that ends in a number is an address, in one of a dozen spellings (https://url.spec.whatwg.org/#ends-in-a-number-checker).
        if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
            return str(IPv4Address(".".join(labels)))
        if all(labels[:-1]) and len(host := ".".join(labels)) <= 253:
            return host
    except (AddressValueError, IndexError, UnicodeError) as error:
        raise Invalid("The redirect URI names no host.") from error
    raise Invalid("The redirect URI names no host.")


def _label(label: str) -> str:
    """One part of a host's name, in small letters. Not as IDNA maps it: browsers and Python's codec differ there, and spell another host."""
    spelled = unicodedata.normalize("NFC", label).lower()
    ascii_spelled = spelled if spelled.isascii() else "xn--" + spelled.encode("punycode").decode("ascii")
    if not re.fullmatch(r"[a-z0-9_-]{0,63}", ascii_spelled):
        raise Invalid("The redirect URI's host has characters that no host has.")
    return ascii_spelled


def _styled(character: str) -> bool:
    """Whether it is a letter in another dress: bold, wide or in a circle."""
    dressed = unicodedata.decomposition(character).startswith(("<font>", "<wide>", "<circle>"))
    return dressed and unicodedata.normalize("NFKC", character).isalpha()
