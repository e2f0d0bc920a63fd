"""Lines of text, written from the elements of HTML as a browser would set them: blocks, lists, tables, quotations, links."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from functions.core.untrusted import address_text

PARAGRAPHS = frozenset(
    "address article aside blockquote dl fieldset figure form h1 h2 h3 h4 h5 h6 hr main nav ol p pre section table ul".split()
)
LINES = frozenset("body caption center dd div dt figcaption footer header legend li option summary tbody tfoot thead tr".split())
VOID = frozenset({"br", "hr", "img"})

DEEPEST = 10
"""Quotations, and lists, that are told within each other; every line begins with a mark of each, and 40,000 of them are a mail."""


@dataclass
class TextLines:
    """Writes what it is told of as lines. What parts two texts is written when the second comes: at the end there is nothing to part."""

    lines: list[str] = field(default_factory=list)
    line: list[str] = field(default_factory=list)
    begin: str = ""
    """What the line begins with: marks of quotation, indentation, a bullet."""
    parted: int = 0
    """What parts the next text from the one before: 1 the line's end, 2 an empty line."""
    mark: str = ""
    """The bullet or number of an item that has no text yet."""
    cell: bool = False
    """Whether a cell has begun and has no text yet: its first block begins no new line."""
    ended: int = 0
    """How many lines with text have ended."""
    rows: list[int] = field(default_factory=list)
    """Of each row that is open how many had ended before it."""
    links: list[tuple[str, int]] = field(default_factory=list)
    """Of each link that is open its address, and where in the line its text begins."""
    numbers: list[int | None] = field(default_factory=list)
    """Of each list that is open its next number; None: it has bullets."""
    open: list[bool] = field(default_factory=list)
    """Of each element that is open whether it is hidden, the outermost first."""
    hidden: int = 0
    quotes: int = 0
    pres: int = 0
    """How many elements are open that are hidden, that quote, that are `pre`."""

    def start(self, name: str, attributes: Mapping[str, str], *, hides: bool) -> None:
        """An element begins, which a style may hide."""
        if name not in VOID:
            self.open.append(hides)
            self.hidden += hides
        if not self.hidden:
            self._part(name)
            self._begin(name, attributes)

    def end(self, name: str) -> None:
        """An element ends."""
        shown = not self.hidden
        self.hidden -= self.open.pop()
        if shown:
            self._end(name)
            self._part(name)

    def text(self, text: str) -> None:
        """Text, in which white space means no more than that there is some, except in `pre`."""
        if self.hidden:
            return
        if not self.pres:
            self._put(re.sub(r"\s+", " ", text))
            return
        for number, line in enumerate(text.expandtabs().split("\n")):
            if number:
                self._begin("br", {})
            self._put(line)

    def done(self) -> str:
        """All of it."""
        self._flush()
        return "\n".join(self.lines)

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        match name:
            case "br":
                self.parted = 2 if self.parted else 1
            case "img" if attributes.get("alt", "").strip():
                self._put(f"[{attributes['alt'].strip()}]")
            case "a":
                self.links.append((attributes.get("href", ""), len(self.line)))
            case "ol":
                start = attributes.get("start", "")
                self.numbers.append(int(start) if re.fullmatch(r"\d{1,6}", start) else 1)
            case "ul":
                self.numbers.append(None)
            case "li":
                self.mark = self._next_mark()
            case "blockquote":
                self.quotes += 1
            case "pre":
                self.pres += 1
            case "tr":
                if not self.cell:
                    self._flush()
                self.rows.append(self.ended + bool(self.line and self.parted))
            case "td" | "th":
                self._next_cell()

    def _end(self, name: str) -> None:
        match name:
            case "a" if self.links:
                self._linked(*self.links.pop())
            case "ol" | "ul":
                self.numbers.pop()
            case "li":
                self.mark = ""
            case "blockquote":
                self.quotes -= 1
            case "pre":
                self.pres -= 1
            case "tr":
                self.rows.pop()
                self.cell = False
            case "td" | "th":
                self.cell = False

    def _part(self, name: str) -> None:
        """Around a block there are ends of lines; around a paragraph, and a list that is in no other, empty lines."""
        if not self.cell:
            parts = 1 if name in LINES else (1 if self.numbers else 2) if name in PARAGRAPHS else 0
            self.parted = max(self.parted, parts)

    def _put(self, text: str) -> None:
        """Put text on the line, or on the next where something parts it from this one."""
        if self.parted or not self.line or (not self.pres and self.line[-1].endswith(" ")):
            text = text.lstrip(" ") if not self.pres else text
        if not text.strip() and (self.parted or not self.line):
            return
        self.cell = False
        if self.parted:
            self._flush()
        if not self.line:
            quoted = "> " * min(self.quotes, DEEPEST)
            if self.parted == 2 and self.lines:
                self.lines.append(("> " * min(self.quotes, self.begin.count("> "))).rstrip())
            self.begin = quoted + "  " * min(len(self.numbers) - bool(self.mark), DEEPEST) + self.mark
            self.parted, self.mark = 0, ""
        self.line.append(text)

    def _flush(self) -> None:
        """End the line, if there is something on it."""
        text = "".join(self.line).rstrip().removesuffix(" |").rstrip()
        self.line.clear()
        self.links = [(address, 0) for address, _ in self.links]
        if text:
            self.lines.append(f"{self.begin}{text}")
            self.ended += 1
            self.parted = max(self.parted, 1)

    def _next_cell(self) -> None:
        """Cells of a row stand side by side, as long as each is a line."""
        if self.line and self.rows and self.ended == self.rows[-1]:
            self.parted = 0
            if self.line[-1] != " | ":
                self.line.append(" | ")
        else:
            self.parted = max(self.parted, 1)
        self.cell = True

    def _next_mark(self) -> str:
        number = self.numbers[-1] if self.numbers else None
        if number is None:
            return "- "
        self.numbers[-1] = number + 1
        return f"{number}. "

    def _linked(self, address: str, begun: int) -> None:
        """A link ends: its address follows its text, unless that says it already."""
        label, told = "".join(self.line[begun:]).strip(), address_text(address)
        if label and told and label.removesuffix("/") not in (told, told.partition("//")[2]):
            self.line.append(f" ({told})")
