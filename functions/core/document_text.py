"""The text of a Google document, as its reader sees it: headings, lists and tables in Markdown's signs, tabs one behind the other.

https://developers.google.com/workspace/docs/api/concepts/structure. Left out: headers, footers, comments, suggestions, and text that is
too small to be read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.core.untrusted import address_text

MAX_DEPTH = 8  # tables within each other, and tabs

SMALLEST = 2.0
"""Points; what is smaller is there to be read by others than people."""

_HEADINGS: Mapping[str, str] = {"TITLE": "# ", "SUBTITLE": "", **{f"HEADING_{level}": "#" * level + " " for level in range(1, 7)}}

_NO_NUMBERS = frozenset({"GLYPH_TYPE_UNSPECIFIED", "NONE", ""})
"""Glyphs of lists that have bullets, or boxes to tick."""


def text_of_document(document: Mapping[str, Any]) -> str:
    """The text of what `documents.get` answers with includeTabsContent. Where there are several tabs, each begins with its title.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it is not of the form that its documentation shows.
    """
    tabs = list(_tabs(document.get("tabs", ())))
    texts = []
    for tab in tabs:
        title = tab.get("tabProperties", {}).get("title", "")
        content = tab.get("documentTab", {})
        text = _Segment(content.get("lists", {}), content.get("footnotes", {})).text(content.get("body", {}).get("content", ()))
        headed = len(tabs) > 1 and title and not f"{text}\n".startswith(f"# {title}\n")
        texts.append(f"# {title}\n\n{text}".strip() if headed else text)
    return "\n\n".join(text for text in texts if text)


def _tabs(tabs: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    for tab in tabs:
        yield tab
        if depth < MAX_DEPTH:
            yield from _tabs(tab.get("childTabs", ()), depth + 1)


@dataclass
class _Segment:
    """Writes the blocks of one tab."""

    lists: Mapping[str, Any]
    footnotes: Mapping[str, Any]
    counted: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How many items each level of each list has had."""
    noted: list[str] = field(default_factory=list)
    """The ids of the footnotes that were referred to."""

    def text(self, content: Any) -> str:
        """All blocks, and behind them the footnotes."""
        blocks = list(self._blocks(content))
        for number, note in enumerate(self.noted, 1):  # A note may refer to no other.
            blocks.append((f"[^{number}] {self._cell(self.footnotes.get(note, {}).get('content', ()), 0)}", False))
        lines: list[str] = []
        for text, listed in blocks:
            close = listed and lines and lines[-1].lstrip().startswith(("- ", *"0123456789"))
            lines += [text] if close or not lines else ["", text]
        return "\n".join(lines)

    def _blocks(self, content: Any, depth: int = 0) -> Iterator[tuple[str, bool]]:
        """Each block's text, and whether it is an item of a list."""
        for element in content:
            if "paragraph" in element:
                text = self._paragraph(element["paragraph"])
                if text.strip():
                    yield text, "bullet" in element["paragraph"]
            elif "table" in element and depth < MAX_DEPTH:
                rows = [self._row(row, depth) for row in element["table"].get("tableRows", ())]
                yield "\n".join([*rows[:1], *["|" + " --- |" * (rows[0].count(" | ") + 1)], *rows[1:]] if rows else []), False
            elif "tableOfContents" in element:
                continue  # The headings say the same where they stand.

    def _row(self, row: Any, depth: int) -> str:
        cells = [self._cell(cell.get("content", ()), depth + 1).replace("|", "/") for cell in row.get("tableCells", ())]
        return "| " + " | ".join(cells) + " |"

    def _cell(self, content: Any, depth: int) -> str:
        """Blocks on one line."""
        return " / ".join(" ".join(text.split()) for text, _ in self._blocks(content, depth))

    def _paragraph(self, paragraph: Any) -> str:
        text = "".join(self._element(element) for element in paragraph.get("elements", ())).rstrip("\n")
        lines = text.replace("\v", "\n").strip()
        if not lines:
            return ""
        if "bullet" in paragraph:
            return self._mark(paragraph["bullet"]) + lines
        return _HEADINGS.get(paragraph.get("paragraphStyle", {}).get("namedStyleType", ""), "") + lines

    def _element(self, element: Any) -> str:
        match element:
            case {"textRun": run}:
                return _run(run)
            case {"person": {"personProperties": person}}:
                return str(person.get("name") or person.get("email") or "")
            case {"richLink": {"richLinkProperties": link}}:
                return _linked(str(link.get("title", "")), str(link.get("uri", "")))
            case {"dateElement": {"dateElementProperties": day}}:
                return str(day.get("displayText") or day.get("timestamp") or "")
            case {"footnoteReference": {"footnoteId": note}}:
                self.noted.append(note)
                return f"[^{len(self.noted)}]"
            case {"inlineObjectElement": _}:
                return "[image]"
            case {"equation": _}:
                return "[equation]"
            case _:
                return ""

    def _mark(self, bullet: Any) -> str:
        """What stands before an item, and how far it is indented."""
        name, level = bullet.get("listId", ""), int(bullet.get("nestingLevel", 0))
        for deeper in [key for key in self.counted if key[0] == name and key[1] > level]:
            del self.counted[deeper]
        self.counted[name, level] += 1
        levels = self.lists.get(name, {}).get("listProperties", {}).get("nestingLevels", ())
        glyphs = levels[level] if level < len(levels) else {}
        numbered = glyphs.get("glyphType", "") not in _NO_NUMBERS
        number = int(glyphs.get("startNumber", 1)) + self.counted[name, level] - 1
        return "  " * level + (f"{number}. " if numbered else "- ")


def _run(run: Any) -> str:
    """Text of one style; nothing where that makes it too small to be read."""
    text, style = str(run.get("content", "")), run.get("textStyle", {})
    size = style.get("fontSize", {}).get("magnitude")
    if size is not None and size < SMALLEST:
        return "\n" if text.endswith("\n") else ""
    return _linked(text, str(style.get("link", {}).get("url", "")))


def _linked(text: str, address: str) -> str:
    """A text with the address to which it leads, unless that says the same."""
    label, told = text.strip(), address_text(address)
    if not label or not told or label.removesuffix("/") in (told, told.partition("//")[2]):
        return text
    return f"{text.rstrip()} ({told}){text[len(text.rstrip()) :]}"
