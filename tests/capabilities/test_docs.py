"""Documents: which one is meant, and its text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from functions.capabilities.docs import FINDER, MAX_NAMED, read_document
from functions.core.errors import Invalid, NotFound, Upstream
from functions.core.mcp_tools import MAX_TOOL_RESULT
from tests.fakes import CannedWeb

ID = "1CantileverPlan_-00000000000000000000000000"
PATH = f"documents/{ID}"


def run(text: str, **style: Any) -> dict[str, Any]:
    return {"textRun": {"content": text, "textStyle": style}}


def paragraph(*elements: Any, style: str = "NORMAL_TEXT", bullet: Mapping[str, Any] | None = None) -> dict[str, Any]:
    whole = {"elements": [*(run(one) if isinstance(one, str) else one for one in elements), run("\n")]}
    return {"paragraph": whole | {"paragraphStyle": {"namedStyleType": style}} | ({"bullet": bullet} if bullet else {})}


def table(*rows: Sequence[Any]) -> dict[str, Any]:
    cells = [{"tableCells": [{"content": [paragraph(cell)] if isinstance(cell, str) else cell} for cell in row]} for row in rows]
    return {"table": {"rows": len(rows), "columns": len(rows[0]), "tableRows": cells}}


def tab(*blocks: Any, title: str = "Tab 1", children: Sequence[Any] = (), **more: Any) -> dict[str, Any]:
    content = {"body": {"content": [{"sectionBreak": {}}, *blocks]}} | more
    return {"tabProperties": {"tabId": "t.0", "title": title}, "documentTab": content, "childTabs": list(children)}


def document(*tabs: Any) -> dict[str, Any]:
    return {"documentId": ID, "title": "Plan", "tabs": list(tabs)}


async def read(answer: Any, **arguments: Any) -> Any:
    return json.loads(await read_document.run(CannedWeb({PATH: answer}), json.dumps({"document": ID} | arguments)))


async def text_of(*blocks: Any, **more: Any) -> str:
    return str((await read(document(tab(*blocks, **more))))["text"])


@pytest.mark.parametrize(
    "named",
    [
        ID,
        f" {ID}\n",
        f"https://docs.google.com/document/d/{ID}",
        f"https://docs.google.com/document/d/{ID}/edit?tab=t.0#heading=h.1",
        f"http://docs.google.com/document/u/1/d/{ID}/view",
        f"https://docs.google.com/a/example.com/document/d/{ID}/edit?usp=sharing",
        f"https://drive.google.com/file/d/{ID}/view",
        f"https://drive.google.com/open?id={ID}",
        f"https://drive.google.com/u/0/open?usp=drive&id={ID}&x=1",
    ],
)
async def test_a_document_is_named_by_its_address_or_its_id(named: str) -> None:
    web = CannedWeb({PATH: document(tab(paragraph("Hello")))})

    told = json.loads(await read_document.run(web, json.dumps({"document": named})))

    ((api, path, query),) = web.asked
    assert (api, path, query["includeTabsContent"], query["suggestionsViewMode"]) == (
        "docs",
        PATH,
        "true",
        "PREVIEW_WITHOUT_SUGGESTIONS",
    )
    assert told == {
        "title": "Plan",
        "text": "Hello",
        "characters": 5,
        "next_start": None,
        "link": f"https://docs.google.com/document/d/{ID}/edit",
    }


@pytest.mark.parametrize(
    ("named", "advice"),
    [
        ("the plan", "it begins with https://docs.google.com/document/d/"),
        ("../../users/me", "it begins with"),
        (f"https://evil.example/document/d/{ID}", "it begins with"),
        (f"https://docs.google.com.evil.example/document/d/{ID}", "it begins with"),
        (f"https://user@docs.google.com/document/d/{ID}", "it begins with"),
        (f"https://docs.google.com/document/d/{ID}/../../x y", "it begins with"),
        (f"https://docs.google.com/spreadsheets/d/{ID}/edit", "a spreadsheet"),
        (f"https://docs.google.com/presentation/d/{ID}", "a presentation"),
        (f"https://docs.google.com/forms/d/{ID}", "a form"),
    ],
)
async def test_what_is_no_document_is_not_asked_for(named: str, advice: str) -> None:
    web = CannedWeb({})

    with pytest.raises(Invalid, match=advice):
        await read_document.run(web, json.dumps({"document": named}))

    assert web.asked == []


async def test_headings_lists_and_tables_are_in_markdowns_signs() -> None:
    bullets, numbers = {"listId": "b"}, {"listId": "n"}
    lists = {
        "b": {"listProperties": {"nestingLevels": [{"glyphSymbol": "●"}] * 9}},
        "n": {"listProperties": {"nestingLevels": [{"glyphType": "DECIMAL", "startNumber": 3}, {"glyphType": "ALPHA"}]}},
    }

    text = await text_of(
        paragraph("Project plan", style="TITLE"),
        paragraph("Second draft", style="SUBTITLE"),
        paragraph("Goals", style="HEADING_2"),
        paragraph("Sign-in", bullet=bullets),
        paragraph("passkeys", bullet=bullets | {"nestingLevel": 1}),
        paragraph("中文界面", bullet=bullets),
        paragraph(""),
        paragraph("Steps:"),
        paragraph("Design", bullet=numbers),
        paragraph("sketch", bullet=numbers | {"nestingLevel": 1}),
        paragraph("Build", bullet=numbers),
        paragraph("mock", bullet=numbers | {"nestingLevel": 1}),
        table(["Item", "Cost"], ["Design | art", [paragraph("¥ 1"), paragraph("each")]]),
        paragraph("End"),
        lists=lists,
    )

    assert text == (
        "# Project plan\n\nSecond draft\n\n## Goals\n\n- Sign-in\n  - passkeys\n- 中文界面\n\nSteps:\n\n3. Design\n  1. sketch\n4. Build\n  1. mock\n\n"
        "| Item | Cost |\n| --- | --- |\n| Design / art | ¥ 1 / each |\n\nEnd"
    )


async def test_what_is_no_text_is_told_in_words() -> None:
    text = await text_of(
        paragraph(
            "By ",
            {"person": {"personProperties": {"name": "林美", "email": "mei@example.com"}}},
            " and ",
            {"person": {"personProperties": {"email": "jonas@example.com"}}},
            ", due ",
            {"dateElement": {"dateElementProperties": {"displayText": "Mar 1, 2027", "timestamp": "2027-03-01T12:00:00Z"}}},
            ". See ",
            {"richLink": {"richLinkProperties": {"title": "Minutes", "uri": "https://docs.google.com/document/d/2/edit"}}},
            {"footnoteReference": {"footnoteId": "kix.1", "footnoteNumber": "1"}},
            " ",
            {"inlineObjectElement": {"inlineObjectId": "kix.image"}},
            {"pageBreak": {}},
            {"columnBreak": {}},
            {"equation": {}},
        ),
        footnotes={"kix.1": {"content": [paragraph(" As agreed.")]}},
    )

    assert text == (
        "By 林美 and jonas@example.com, due Mar 1, 2027. See Minutes (https://docs.google.com/document/d/2/edit)[^1] [image][equation]\n\n"
        "[^1] As agreed."
    )


async def test_a_link_is_told_without_its_query() -> None:
    linked = run("the page", link={"url": "https://example.com/plan?token=SECRET"})

    assert await text_of(paragraph("On ", linked, ".")) == "On the page (https://example.com/plan?…)."


async def test_letters_that_nobody_can_read_are_left_out() -> None:
    tiny = run("HIDDEN", fontSize={"magnitude": 1, "unit": "PT"})

    assert await text_of(paragraph("Seen", tiny, ", too."), paragraph(tiny)) == "Seen, too."


async def test_tabs_follow_one_another_with_their_titles() -> None:
    inner = tab(paragraph("third"), title="Part")
    first = (paragraph("One", style="TITLE"), paragraph("first"))
    tabs = document(tab(*first, title="One"), tab(paragraph("second"), title="Two", children=[inner]), tab(title="Empty"))

    assert (await read(tabs))["text"] == "# One\n\nfirst\n\n# Two\n\nsecond\n\n# Part\n\nthird\n\n# Empty"


async def test_a_long_document_is_read_in_parts_that_make_the_whole() -> None:
    whole = "\n\n".join(f"{number}: 一段足够长的文字，带有“引号” and some words." for number in range(1200))
    answer = document(tab(*(paragraph(block) for block in whole.split("\n\n"))))
    web = CannedWeb({PATH: answer})

    parts, start = [], 0
    while start is not None:
        text = await read_document.run(web, json.dumps({"document": ID, "start": start}))
        told = json.loads(text)
        assert len(text.encode()) < MAX_TOOL_RESULT
        part, mark, _ = told["text"].partition("\n[… the document goes on")
        assert bool(mark) == (told["next_start"] is not None)
        parts.append(part)
        start = told["next_start"]

    assert len(parts) > 3
    assert "".join(parts) == whole


@pytest.mark.parametrize(("start", "advice"), [(6, "beyond the end of the text, which has 5"), (-1, "start: ")])
async def test_a_beginning_beyond_the_end_is_refused(start: int, advice: str) -> None:
    with pytest.raises(Invalid, match=advice):
        await read(document(tab(paragraph("Hello"))), start=start)


async def test_an_empty_document_has_no_text() -> None:
    told = await read(document(tab(paragraph(""))))

    assert (told["text"], told["characters"], told["next_start"]) == ("", 0, None)


async def test_what_cannot_be_read_is_told_with_what_to_do() -> None:
    with pytest.raises(NotFound, match="Ask for its address, or for access"):
        await read(NotFound("docs has no such thing."))
    with pytest.raises(Invalid, match="Open it in Google Docs, save it as one"):
        await read(Invalid("docs cannot do this."))


@pytest.mark.parametrize("answer", [[], {"tabs": 7}, {"tabs": [7]}, {"tabs": [{"documentTab": {"body": {"content": [7]}}}]}])
async def test_an_answer_of_another_form_is_googles_fault(answer: Any) -> None:
    with pytest.raises(Upstream, match="in a form that we do not know"):
        await read(answer)


async def test_tables_within_tables_without_end_are_bounded() -> None:
    deep: Any = paragraph("deep")
    for _ in range(60):
        deep = table([[deep]])

    assert len(await text_of(deep, paragraph("End"))) < 200


# Finding


async def found_in(query: str, web: CannedWeb) -> list[dict[str, str]]:
    return list(json.loads(await FINDER.search.run(web, json.dumps({"query": query})))["results"])


@pytest.mark.parametrize(
    "query",
    [
        f"What does https://docs.google.com/document/d/{ID}/edit?tab=t.0 say?",
        f"这份文档https://docs.google.com/document/u/1/d/{ID}/edit里有什么",
        f"https://drive.google.com/open?id={ID} and https://docs.google.com/document/d/{ID}",
        ID,
        f"summary of ({ID})",
    ],
)
async def test_a_document_is_found_where_it_is_named(query: str) -> None:
    web = CannedWeb({PATH: {"title": "Plan"}})

    assert await found_in(query, web) == [{"id": ID, "title": "Plan", "url": f"https://docs.google.com/document/d/{ID}/edit"}]
    assert web.asked == [("docs", PATH, {"fields": "title"})]


@pytest.mark.parametrize(
    "query",
    [
        "budget",
        "Donaudampfschifffahrtsgesellschaft",
        "the-lighthouse-plan-for-next-year",
        f"https://docs.google.com/spreadsheets/d/{ID}/edit",
        "https://docs.google.com/document/",
    ],
)
async def test_where_none_is_named_nothing_is_asked_for(query: str) -> None:
    web = CannedWeb({})

    assert await found_in(query, web) == []
    assert web.asked == []


async def test_of_many_documents_a_few_are_asked_for_and_those_found_that_there_are() -> None:
    names = [f"{number}{ID[1:]}" for number in range(9)]
    answers = {f"documents/{name}": {"title": "Plan"} for name in names}
    gone = {f"documents/{names[0]}": NotFound("docs has no such thing."), f"documents/{names[1]}": Invalid("docs cannot do this.")}
    web = CannedWeb({**answers, **gone})

    found = await found_in(" ".join(names), web)

    assert len(web.asked) == MAX_NAMED
    assert [one["id"] for one in found] == names[2:MAX_NAMED]


async def test_a_document_without_a_title_can_be_cited_too() -> None:
    (found,) = await found_in(ID, CannedWeb({PATH: {}}))
    fetched = json.loads(await FINDER.fetch.run(CannedWeb({PATH: {}}), json.dumps({"name": ID})))

    assert found["title"] == fetched["title"] == "(no title)"


async def test_a_document_is_fetched_with_its_text() -> None:
    web = CannedWeb({PATH: document(tab(paragraph("Hello")))})

    assert json.loads(await FINDER.fetch.run(web, json.dumps({"name": ID}))) == {
        "title": "Plan",
        "text": "Hello",
        "url": f"https://docs.google.com/document/d/{ID}/edit",
        "metadata": {},
        "next_start": None,
    }
