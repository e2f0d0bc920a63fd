"""How a document is written down and turned into what documents.get answers: elements with their places, counted in UTF-16 units.

https://developers.google.com/workspace/docs/api/concepts/structure
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Suggestion = Literal["", "insertion", "deletion"]
INLINE, ACCEPTED, WITHOUT = "SUGGESTIONS_INLINE", "PREVIEW_SUGGESTIONS_ACCEPTED", "PREVIEW_WITHOUT_SUGGESTIONS"
HIDDEN: Mapping[str, Suggestion] = {ACCEPTED: "deletion", WITHOUT: "insertion"}
"""Which suggestions a mode leaves out."""


@dataclass(frozen=True)
class Run:
    """Text of one style."""

    text: str
    style: Mapping[str, Any] = field(default_factory=dict)
    suggested: Suggestion = ""


@dataclass(frozen=True)
class Inline:
    """Anything else in a paragraph: it takes one place."""

    kind: str
    """Google's name of the field: `inlineObjectElement`, `footnoteReference`, `person`, `richLink`, …"""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a text stands for one run of it."""

    inlines: Sequence[str | Run | Inline]
    style: str = "NORMAL_TEXT"
    bullet: tuple[str, int] | None = None
    """The list's id and the level, from 0."""


@dataclass(frozen=True)
class Table:
    """Rows of cells; a text stands for a cell with one paragraph."""

    rows: Sequence[Sequence[str | Sequence[Paragraph]]]


Block = Paragraph | Table


@dataclass(frozen=True)
class Image:
    """An image as a paragraph's inlineObjectElement names it."""

    title: str
    description: str
    """The alternative text."""


@dataclass(frozen=True)
class Tab:
    """A tab of a document; every document has one at least."""

    id: str
    title: str
    blocks: Sequence[Block]
    children: Sequence["Tab"] = ()
    footnotes: Mapping[str, Sequence[Paragraph]] = field(default_factory=dict)
    headers: Mapping[str, Sequence[Paragraph]] = field(default_factory=dict)
    images: Mapping[str, Image] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    """A list's id and its kind: `bullets`, `numbers` or `boxes`."""


def content(tab: Tab, mode: str) -> dict[str, Any]:
    """A tab's content, without its children."""
    shown: dict[str, Any] = {
        "body": {"content": _Writer(mode).body(tab.blocks)},
        "documentStyle": _document_style(tab),
        "namedStyles": {
            "styles": [{"namedStyleType": "NORMAL_TEXT", "textStyle": {}, "paragraphStyle": {"namedStyleType": "NORMAL_TEXT"}}]
        },
    }
    if tab.footnotes:
        notes = {name: {"footnoteId": name, "content": _Writer(mode).segment(blocks)} for name, blocks in tab.footnotes.items()}
        shown["footnotes"] = notes
    if tab.headers:
        shown["headers"] = {name: {"headerId": name, "content": _Writer(mode).segment(blocks)} for name, blocks in tab.headers.items()}
    if tab.lists:
        shown["lists"] = {name: {"listProperties": {"nestingLevels": _levels(kind)}} for name, kind in tab.lists.items()}
    if tab.images:
        shown["inlineObjects"] = {name: _inline_object(name, image) for name, image in tab.images.items()}
    return shown


class _Writer:
    """Writes one segment: the body, a header or a footnote. Each counts its places from 0."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._at = 0

    def body(self, blocks: Sequence[Block]) -> list[dict[str, Any]]:
        """The body begins with a section break, which has no end of its own kind."""
        start = self._at
        self._at += 1
        first = self._placed(start, sectionBreak={"sectionStyle": {"contentDirection": "LEFT_TO_RIGHT", "sectionType": "CONTINUOUS"}})
        return [first, *self.segment(blocks)]

    def segment(self, blocks: Sequence[Block]) -> list[dict[str, Any]]:
        """The elements of a segment."""
        return [self._paragraph(block) if isinstance(block, Paragraph) else self._table(block) for block in blocks]

    def _placed(self, start: int, **element: Any) -> dict[str, Any]:
        """An element with its places; Google writes no zero."""
        return ({"startIndex": start} if start else {}) | {"endIndex": self._at} | element

    def _paragraph(self, paragraph: Paragraph) -> dict[str, Any]:
        start = self._at
        inlines = [Run(inline) if isinstance(inline, str) else inline for inline in paragraph.inlines]
        kept = [one for one in inlines if not (isinstance(one, Run) and one.suggested and one.suggested == HIDDEN.get(self._mode))]
        last = kept[-1] if kept else None
        if isinstance(last, Run) and not last.style and not last.suggested:
            kept[-1] = Run(last.text + "\n")
        else:
            kept.append(Run("\n"))
        style: dict[str, Any] = {"namedStyleType": paragraph.style, "direction": "LEFT_TO_RIGHT"}
        if paragraph.style.startswith("HEADING"):
            style["headingId"] = f"h.{start:012x}"
        written: dict[str, Any] = {"elements": [self._element(inline) for inline in kept], "paragraphStyle": style}
        if paragraph.bullet:
            name, level = paragraph.bullet
            written["bullet"] = {"listId": name, "textStyle": {}} | ({"nestingLevel": level} if level else {})
        return self._placed(start, paragraph=written)

    def _element(self, inline: Run | Inline) -> dict[str, Any]:
        start = self._at
        if isinstance(inline, Inline):
            self._at += 1
            return self._placed(start, **{inline.kind: dict(inline.body)})
        self._at += len(inline.text.encode("utf-16-le")) // 2
        run: dict[str, Any] = {"content": inline.text, "textStyle": dict(inline.style)}
        if inline.suggested and self._mode == INLINE:
            run[f"suggested{inline.suggested.title()}Ids"] = [f"suggest.{start:08x}"]
        return self._placed(start, textRun=run)

    def _table(self, table: Table) -> dict[str, Any]:
        start = self._at
        self._at += 1
        rows = [self._row(row) for row in table.rows]
        self._at += 1
        columns = len(table.rows[0])
        style = {"tableColumnProperties": [{"widthType": "EVENLY_DISTRIBUTED"}] * columns}
        return self._placed(start, table={"rows": len(rows), "columns": columns, "tableRows": rows, "tableStyle": style})

    def _row(self, row: Sequence[str | Sequence[Paragraph]]) -> dict[str, Any]:
        start = self._at
        self._at += 1
        cells = []
        for cell in row:
            first = self._at
            self._at += 1
            inner = self.segment([Paragraph([cell])] if isinstance(cell, str) else cell)
            cells.append(self._placed(first, content=inner, tableCellStyle={"rowSpan": 1, "columnSpan": 1}))
        return self._placed(start, tableCells=cells, tableRowStyle={"minRowHeight": {"unit": "PT"}})


def _document_style(tab: Tab) -> dict[str, Any]:
    points = {"width": {"magnitude": 595.3, "unit": "PT"}, "height": {"magnitude": 841.9, "unit": "PT"}}
    return {"pageSize": points, "background": {"color": {}}} | ({"defaultHeaderId": next(iter(tab.headers))} if tab.headers else {})


def _levels(kind: str) -> list[dict[str, Any]]:
    """Nine levels, as Google always writes them; a check box is a list without a glyph of its own."""
    glyphs: Mapping[str, Mapping[str, Any]] = {
        "bullets": {"glyphSymbol": "●"},
        "numbers": {"glyphType": "DECIMAL", "startNumber": 1},
        "boxes": {"glyphType": "GLYPH_TYPE_UNSPECIFIED"},
    }
    return [{"bulletAlignment": "START", "glyphFormat": f"%{level}.", "textStyle": {}, **glyphs[kind]} for level in range(9)]


def _inline_object(name: str, image: Image) -> dict[str, Any]:
    uri = f"https://lh7-rt.googleusercontent.com/docsz/emulated-{name}?key=emulated"
    size = {"height": {"magnitude": 120.0, "unit": "PT"}, "width": {"magnitude": 240.0, "unit": "PT"}}
    embedded = {"title": image.title, "description": image.description, "imageProperties": {"contentUri": uri}, "size": size}
    return {"objectId": name, "inlineObjectProperties": {"embeddedObject": embedded}}
