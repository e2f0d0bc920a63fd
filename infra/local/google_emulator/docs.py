"""Google Docs v1, as far as reading goes: https://developers.google.com/workspace/docs/api/reference/rest/v1/documents/get"""

import hashlib
from collections.abc import Sequence
from typing import Any

from infra.local.google_emulator import refusals
from infra.local.google_emulator.apis import BOOLEAN, Answer, Call, Method, Parameter
from infra.local.google_emulator.docs_layout import ACCEPTED, INLINE, WITHOUT, Tab, content
from infra.local.google_emulator.refusals import DOCS
from infra.local.google_emulator.sample_docs import DOCUMENTS, WORD_FILE, Document
from infra.local.google_emulator.scopes import AUTH


def _get(call: Call) -> dict[str, Any]:
    document = _found(call)
    owned = document.owner.sub == call.person.sub
    mode = call.query.get("suggestionsViewMode", "DEFAULT_FOR_CURRENT_ACCESS")
    if mode == "DEFAULT_FOR_CURRENT_ACCESS":
        mode = INLINE if owned else WITHOUT
    if mode != WITHOUT and not owned:
        raise refusals.forbidden(DOCS, "The caller does not have permission")
    shown: dict[str, Any] = {"title": document.title, "documentId": document.id, "suggestionsViewMode": mode}
    if owned:
        shown["revisionId"] = f"ALm37B{hashlib.sha256(document.id.encode()).hexdigest()[:32]}"
    if call.query.get("includeTabsContent"):
        return shown | {"tabs": _tabs(document.tabs, mode)}
    return shown | content(document.tabs[0], mode)


def _found(call: Call) -> Document:
    name = call.path["documentId"]
    if name == WORD_FILE:
        raise refusals.front(400, "FAILED_PRECONDITION", "This operation is not supported for this document")
    document = next((one for one in DOCUMENTS if one.id == name), None)
    if document is None:
        raise refusals.not_found(DOCS)
    if call.person.sub not in {document.owner.sub, *document.readers}:
        raise refusals.forbidden(DOCS, "The caller does not have permission")
    return document


def _tabs(tabs: Sequence[Tab], mode: str, parent: str = "", level: int = 0) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for index, tab in enumerate(tabs):
        properties: dict[str, Any] = {"tabId": tab.id, "title": tab.title, "index": index}
        if parent:
            properties |= {"parentTabId": parent, "nestingLevel": level}
        children = {"childTabs": _tabs(tab.children, mode, tab.id, level + 1)} if tab.children else {}
        shown.append({"tabProperties": properties, "documentTab": content(tab, mode), **children})
    return shown


METHODS: tuple[tuple[Method, Answer], ...] = (
    (
        Method(
            "docs.documents.get",
            "GET",
            "/v1/documents/{documentId}",
            DOCS,
            "google.apps.docs.v1.DocumentsService.GetDocument",
            tuple(AUTH + name for name in ("documents", "documents.readonly", "drive", "drive.readonly")),
            {
                "includeTabsContent": BOOLEAN,
                "suggestionsViewMode": Parameter(enum=("DEFAULT_FOR_CURRENT_ACCESS", INLINE, ACCEPTED, WITHOUT)),
            },
        ),
        _get,
    ),
)
