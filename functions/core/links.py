"""What an answer may lead to: where the user or we said so ourselves. A link or an image is how text that somebody else wrote would carry off
what it made a model read: whoever follows the one, or just shows the other, sends the address with all that stands in it.

Images go. Of every other address only the host is left, spelled so that no reader makes a link of it. The rest is Markdown's and HTML's own
syntax: what could still become a link, by whatever rules it is shown, is broken by a space. Nothing is parsed as a renderer would, because
each does it in its own way; a host that is named without scheme and path is no link by CommonMark's or GitHub's rules, and stays.
"""

import html
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

_IMAGE = re.compile(r"!\[([^\[\]]*)\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\[\]]*\])")
_ELEMENT = re.compile(r"<img\b[^>]*>", re.I)

_LINK = r"\[(?P<label>(?:[^\[\]]|\[[^\[\]]*\])*)\]\([ \n]*+<?(?P<address>[^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+[\"'(][^\n()]*)?\)"
_SCHEME = r"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]*://[^\s<>]*|(?<!/)//(?:[\w-]+\.)+[\w-]+[^\s<>]*"
_DOMAIN = r"(?<![\w@.-])(?:www\.[^\s<>]*|(?:[\w-]+\.)+[A-Za-z]{2,}(?::\d{1,5})?[/?#][^\s<>]*)"
_MAIL = r"(?<![A-Za-z0-9+.-])mailto:(?P<mail>[\w.@%+-]*)[^\s<>]*"
_ADDRESS = re.compile(rf"<?(?P<bare>{_SCHEME}|{_DOMAIN})>?|<?{_MAIL}>?", re.I)
_LINK_OR_ADDRESS = re.compile(rf"{_LINK}|{_ADDRESS.pattern}", re.I)
_BEHIND = ".,;:!?)]}'\"*_~`|"
"""What stands behind an address in a sentence more often than it belongs to it."""

_SAFE = re.compile(r"https?://[a-z0-9.-]+(?::\d{1,5})?(?:[/?#][A-Za-z0-9._~%/?=&#+,;:@!$-]*)?", re.I)
"""An address that every renderer reads alike."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?", re.I)
_ESCAPE = re.compile(r"\\([:/.])")
_SYNTAX = re.compile(r"(\])(?=[(\[:])|(!)(?=\[)|(<)(?=[A-Za-z/!?][^<>]*=|[A-Za-z][A-Za-z0-9+.-]*:)")
"""What makes a link, a definition of one, an image, or an element with attributes of what stands behind it."""

_PERHAPS = re.compile(r"[&\\<\[\]]|//|www\.|mailto:|\.[A-Za-z]{2,}(?::\d{1,5})?[/?#]", re.I)
"""What each of the expressions above needs: where there is none of it, as in most answers, there is nothing to limit."""

_NAMED = re.compile(r"(?<![\w@.+-])(?:https?://)?(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d{1,5})?(?:[/?#][^\s<>\"'()]*)?", re.I | re.A)


@dataclass(frozen=True)
class Links:
    """Where answers of one turn may lead."""

    ours: Collection[str]
    """How addresses begin that we name ourselves, up to and into their query if they have one."""
    said: Collection[str]
    """What the user wrote."""

    @cached_property
    def users(self) -> frozenset[str]:
        """What the user named, without scheme: a host, or an address on it."""
        named = (found[0].rstrip(_BEHIND) for text in self.said for found in _NAMED.finditer(text))
        return frozenset(_without_scheme(address) for address in named)

    def lead_to(self, address: str) -> bool:
        """Whether an answer may."""
        if not _SAFE.fullmatch(address):
            return False
        # A query only where the beginning names it: what an address does with one is the address's business. Elsewhere below our own it
        # makes us fetch a client's document from where it says, at Meet it leads on to anywhere, at Gmail it writes a mail.
        if any(address.startswith(beginning) and ("?" in beginning or "?" not in address) for beginning in self.ours):
            return True
        wanted = _without_scheme(address)
        if wanted in self.users:
            return True
        # Below what the user named; but not with a query, which is no place that anybody named.
        return not re.search("[?#]", wanted) and any(wanted.startswith(f"{named.rstrip('/')}/") for named in self.users)

    def limit(self, text: str) -> str:
        """An answer with the links that may be there, and without others and images."""
        if not _PERHAPS.search(text):
            return text
        text = _ESCAPE.sub(r"\1", _ENTITY.sub(_spelled, text))
        for _ in range(2):  # One may stand in another's description.
            end = text.rfind(">") + 1  # Behind it no element can end, and each search for its end would run through all of it.
            text = _IMAGE.sub(r"\1", _ELEMENT.sub("", text[:end]) + text[end:])
        return self._limited(text, _LINK_OR_ADDRESS)

    def _limited(self, text: str, pattern: re.Pattern[str]) -> str:
        parts, at = [], 0
        for found in pattern.finditer(text):
            parts += [_broken(text[at : found.start()]), self._shown(found)]
            at = found.end()
        return "".join([*parts, _broken(text[at:])])

    def _shown(self, found: re.Match[str]) -> str:
        parts = found.groupdict()
        if parts.get("address") is None:
            return self._bare(parts["bare"]) if parts["mail"] is None else re.sub(r"^[^@]*$", "", parts["mail"])
        label = self._limited(parts["label"], _ADDRESS)
        if self.lead_to(parts["address"]) and "[" not in label:
            return f"[{label}]({parts['address']})"
        host = _host(parts["address"])
        if not host:  # No address, perhaps: arguments[0](x)
            return self._limited(found[0], _ADDRESS)
        return label if host in label else f"{label} ({host})"

    def _bare(self, address: str) -> str:
        """An address as it stands in a sentence."""
        alone = address.rstrip(_BEHIND)
        behind = _broken(address[len(alone) :])
        whole = alone if "://" in alone else f"https://{alone.removeprefix('//')}"
        if self.lead_to(whole):
            return alone + behind
        host = _host(whole)
        return host + behind if "." in host else host


def _broken(text: str) -> str:
    return _SYNTAX.sub(lambda found: f"{found[0]} ", text)


def _spelled(entity: re.Match[str]) -> str:
    """The character that an entity stands for, unless that would be another's beginning or Markdown's business."""
    character = html.unescape(entity[0])
    return entity[0] if re.search(r"[<>&\"'\s\x00-\x1f]", character) else character


def _host(address: str) -> str:
    """The host of an address, so that it is no link; empty where it has none."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        host = ""
    return re.sub(r"[^\w.-]", "", host).replace(".", "[.]")


def _without_scheme(address: str) -> str:
    """An address without scheme, its host in small letters; one without a path has "/"."""
    _, slashes, rest = address.partition("://")
    host, path = re.fullmatch(r"([^/?#]*)(.*)", rest if slashes else address, re.S).groups()  # type: ignore[union-attr]
    return f"{host.lower()}{path or '/'}"
