"""Your Google Docs: the text of a document that you name.

https://developers.google.com/workspace/docs/api/reference/rest/v1/documents/get. Only documents of Google's own kind can be read so; a
search for documents would need a scope of Drive's, which reaches every file.
"""

import re
from typing import Annotated, Any

from pydantic import Field

from functions.core.capability import Api, Example, Finder, Published, Scope, Web, operation
from functions.core.document_text import text_of_document
from functions.core.errors import Invalid, NotFound, Upstream
from functions.core.excerpt import Start, cut, excerpt
from functions.core.found import UNTITLED, Part, Source, Sources, Words
from functions.core.side_by_side import together

TITLES = {"zh": "文档"}
TRANSLATIONS = {"zh": "您的 Google 文档：您指定的文档的文字内容。"}

READ = Scope(
    "https://www.googleapis.com/auth/documents.readonly",
    {"en": "Read your Google Docs documents", "zh": "读取您的 Google 文档"},
)
DOCS = Api("docs", "https://docs.googleapis.com/v1", google=True, links=("https://docs.google.com/document/d/",))

_RUNS = (
    "paragraph(bullet(listId,nestingLevel),paragraphStyle/namedStyleType,elements(textRun(content,textStyle(link/url,fontSize/magnitude)),"
    "person/personProperties(name,email),richLink/richLinkProperties(title,uri),dateElement/dateElementProperties(displayText,timestamp),"
    "footnoteReference/footnoteId,inlineObjectElement/inlineObjectId,equation))"
)
_BLOCKS = f"{_RUNS},table/tableRows/tableCells/content({_RUNS},table/tableRows/tableCells/content({_RUNS}))"
_TAB = f"tabProperties/title,documentTab(lists,footnotes,body/content({_BLOCKS}))"
FIELDS = f"title,documentId,tabs({_TAB},childTabs({_TAB},childTabs({_TAB})))"
"""What is asked of Google: without the styles of every letter, which take ten times as much. Tabs nest three deep, tables are read two."""

MAX_TITLE = 300  # characters
MAX_NAMED = 5  # documents in one search; each is asked for

DocumentId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$", description="A document's id.")]

URL = re.compile(r"https?://(?:docs|drive)\.google\.com/(?:a/[^/?#]+/)?(?:u/\d+/)?([a-z]+)/(?:u/\d+/)?d/([A-Za-z0-9_-]+)(?:[/?#]\S*)?")
DRIVE_URL = re.compile(r"https?://(?:docs|drive)\.google\.com/(?:u/\d+/)?open\?(?:[^#\s]*&)?id=([A-Za-z0-9_-]+)\S*")
NAMED = re.compile(rf"{URL.pattern}|{DRIVE_URL.pattern}|(?<![\w-])(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{{25,200}}(?![\w-])")
"""A document within a text: its address, or what is too long for a word, and has digits."""
KINDS = {"spreadsheets": "a spreadsheet", "presentation": "a presentation", "forms": "a form", "drawings": "a drawing"}


class DocumentText(Published):
    """A document's text, or a part of it."""

    title: str
    """The document's name."""
    text: str
    """Headings, lists and tables in Markdown's signs. Where it is only a part, its last line says so."""
    characters: int
    """Of the whole text."""
    next_start: int | None
    """Where the rest begins: `start` of the next call. Null: there is none."""
    link: str
    """The document in Google Docs."""


@operation(apis=[DOCS], scopes=[READ], read_only=True, open_world=False)
async def read_document(
    web: Web,
    document: Annotated[
        str, Field(min_length=1, max_length=2000, description="The address of the document, as the browser shows it, or its id alone.")
    ],
    start: Start = 0,
) -> DocumentText:
    """Read a Google Docs document as text; a long one in parts."""
    name = _id(document)
    title, text = await _read(web, name)
    part, rest = excerpt(text, start)
    mark = f"\n[… the document goes on: call again with start={rest}, of {len(text)} characters]" if rest else ""
    return DocumentText(title=title, text=part + mark, characters=len(text), next_start=rest, link=_link(name))


async def search(web: Web, query: Words) -> Sources:
    """Find the documents that are named in it."""
    found = await together(_source(web, name) for name in _named(query)[:MAX_NAMED])
    return Sources.of(filter(None, found))


async def fetch(web: Web, name: DocumentId, start: Start = 0) -> Part:
    """Read a document."""
    title, text = await _read(web, name)
    return Part.of(text, start, title=title, url=_link(name))


async def _read(web: Web, name: str) -> tuple[str, str]:
    """A document's title and its whole text."""
    try:
        found = await web.get(
            DOCS, f"documents/{name}", includeTabsContent="true", suggestionsViewMode="PREVIEW_WITHOUT_SUGGESTIONS", fields=FIELDS
        )
    except NotFound as error:
        raise NotFound(
            "There is no such document, or it is not shared with the user's account. Ask for its address, or for access."
        ) from error
    except Invalid as error:
        raise Invalid(
            "This is a file in Drive and no Google Docs document. Open it in Google Docs, save it as one, and name that."
        ) from error
    try:
        return _title(found), text_of_document(found)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unknown_form() from error


async def _source(web: Web, name: str) -> Source | None:
    """The document of this id; None where there is none for the user."""
    try:
        found = await web.get(DOCS, f"documents/{name}", fields="title")
    except (NotFound, Invalid):
        return None
    try:
        return Source(id=name, title=_title(found) or UNTITLED, url=_link(name))
    except AttributeError as error:
        raise _unknown_form() from error


def _named(query: str) -> list[str]:
    """The ids of the documents that a text names, by address or by id, each once."""
    return list(dict.fromkeys(link[2] or link[3] or link[0] for link in NAMED.finditer(query) if link[1] not in KINDS))


def _title(document: Any) -> str:
    return cut(str(document.get("title", "")), MAX_TITLE)


def _link(name: str) -> str:
    return f"https://docs.google.com/document/d/{name}/edit"


def _unknown_form() -> Upstream:
    return Upstream("Google Docs answered in a form that we do not know.")


def _id(document: str) -> str:
    """The id of a document, of which an address is told more often.

    Raises:
        Invalid: it is neither.
    """
    named = document.strip()
    if re.fullmatch(r"[A-Za-z0-9_-]{1,200}", named):
        return named
    if found := DRIVE_URL.fullmatch(named):
        return found[1]
    found = URL.fullmatch(named)
    if found is None:
        raise Invalid("This is no address of a Google Docs document; it begins with https://docs.google.com/document/d/.")
    if found[1] in KINDS:
        raise Invalid(f"This is {KINDS[found[1]]}, which cannot be read here; only Google Docs documents can.")
    return found[2]


FINDER = Finder("Google Docs documents by their address", search=read_document.allows(search), fetch=read_document.allows(fetch))

EXAMPLES = (
    Example(
        "Summarize https://docs.google.com/document/d/1CantileverLighthousePlan0000000000000000001/edit",
        "A summary of the document that the reviewer's account can open at that address; put in one of its own documents' addresses.",
        read_document,
        {"document": "https://docs.google.com/document/d/1CantileverLighthousePlan0000000000000000001/edit"},
    ),
    Example(
        "这份文档里有哪些待办事项？ https://docs.google.com/document/d/1CantileverMinutes0000000000000000000000002/edit",
        "An answer in Chinese with the tasks that the document names, and whose they are; put in one of the account's own documents.",
        read_document,
        {"document": "1CantileverMinutes0000000000000000000000002"},
    ),
    Example(
        "Find all documents that mention the budget.",
        "No tool is called: documents cannot be searched here, only read by their address. The assistant asks for one.",
    ),
    Example(
        "Add a paragraph to my project plan.",
        "No tool is called: documents can be read here, and not changed.",
    ),
)
