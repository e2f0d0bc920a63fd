"""Mail: what is searched for, and what of a mail its reader sees."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from functions.capabilities.gmail import FINDER, read_mail, search_mail
from functions.core.capability import Api, Query
from functions.core.errors import CantileverError, Invalid, NotFound, Upstream
from functions.core.mcp_tools import MAX_TOOL_RESULT
from tests.fakes import CannedWeb

LIST = "users/me/messages"
MAIL = f"{LIST}/18c1"


def data(text: str | bytes) -> dict[str, Any]:
    octets = text if isinstance(text, bytes) else text.encode()
    return {"size": len(octets), "data": urlsafe_b64encode(octets).decode().rstrip("=")}


def part(
    kind: str, body: str | bytes = "", *, headers: Mapping[str, str] | None = None, name: str = "", parts: Any = None
) -> dict[str, Any]:
    told = [{"name": key, "value": value} for key, value in (headers or {}).items()]
    return {"mimeType": kind, "filename": name, "headers": told, "body": data(body), "parts": parts or []}


def message(payload: dict[str, Any], name: str = "18c1", **more: Any) -> dict[str, Any]:
    headers = {"From": "Jonas Weber <jonas@example.com>", "To": "mei@example.com", "Subject": "Budget"}
    payload["headers"] = [{"name": key, "value": value} for key, value in headers.items()] + payload["headers"]
    return {"id": name, "threadId": "t", "labelIds": ["INBOX"], "internalDate": "1795741200000", "snippet": "", "payload": payload} | more


async def read(payload: dict[str, Any], **arguments: Any) -> Any:
    return json.loads(await read_mail.run(CannedWeb({MAIL: message(payload)}), json.dumps({"mail": "18c1"} | arguments)))


async def test_mails_are_found_with_what_tells_them_apart() -> None:
    web = CannedWeb(
        {
            LIST: {"messages": [{"id": "18c1", "threadId": "t"}, {"id": "18c2", "threadId": "t"}], "nextPageToken": "x"},
            MAIL: message(part("text/plain"), labelIds=["INBOX", "UNREAD"], snippet="Tom &amp; Jerry&#39;s “plan”"),
            f"{LIST}/18c2": message(part("text/plain", headers={"Cc": "anna@example.com"}), name="18c2", snippet="长" * 500),
        }
    )

    told = json.loads(await search_mail.run(web, '{"query": "budget is:unread", "max_results": 2}'))

    assert web.asked[0] == ("gmail", LIST, {"q": "budget is:unread", "maxResults": 2})
    assert web.asked[1][2]["format"] == "metadata"
    assert web.asked[1][2]["metadataHeaders"] == ("From", "To", "Subject")
    assert told["more"] is True
    first, second = told["mails"]
    assert first == {
        "id": "18c1",
        "sender": "Jonas Weber <jonas@example.com>",
        "to": "mei@example.com",
        "subject": "Budget",
        "received": "2026-11-27T01:00:00Z",
        "unread": True,
        "beginning": "Tom & Jerry's “plan”",
    }
    assert (second["unread"], second["beginning"]) == (False, "长" * 200 + "…")


async def test_nothing_found_is_no_error() -> None:
    told = json.loads(await search_mail.run(CannedWeb({LIST: {"resultSizeEstimate": 0}}), '{"query": "xyzzy"}'))

    assert told == {"mails": [], "more": False}


async def test_a_mail_that_is_gone_meanwhile_is_left_out() -> None:
    listed = {"messages": [{"id": "gone"}, {"id": "18c1"}]}
    web = CannedWeb({LIST: listed, f"{LIST}/gone": NotFound("gmail has no such thing."), MAIL: message(part("text/plain"))})

    told = json.loads(await search_mail.run(web, '{"query": "x"}'))

    assert [mail["id"] for mail in told["mails"]] == ["18c1"]


class FailingWeb(CannedWeb):
    """Lists ten mails, fails for the first, and never answers for the others."""

    cancelled = 0

    async def get(self, api: Api, path: str, **query: Query) -> Any:
        if path.endswith("/m0"):
            await asyncio.sleep(0)
            raise Upstream("gmail is busy or failing.")
        if path == LIST:
            return {"messages": [{"id": f"m{number}"} for number in range(10)]}
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def test_where_one_fails_nobody_waits_for_the_others() -> None:
    web = FailingWeb({})

    with pytest.raises(Upstream, match="busy"):
        await search_mail.run(web, '{"query": "x"}')

    await asyncio.sleep(0)
    assert web.cancelled == 9


async def test_a_mail_is_what_its_reader_saw() -> None:
    payload = part(
        "multipart/mixed",
        headers={"Cc": "anna@example.com"},
        parts=[
            part(
                "multipart/alternative",
                parts=[
                    part("text/plain", "HIDDEN: words that only stand in the part nobody looked at"),
                    part(
                        "text/html",
                        "<p>Hello&nbsp;Mei,</p><p style='display:none'>HIDDEN</p><p>see <a href='https://x.example/a?t=1'>this</a></p>",
                    ),
                ],
            ),
            part("application/pdf", b"%PDF", name="budget 预算.pdf"),
            part("image/png", b"png", name="logo.png"),
        ],
    )

    told = await read(payload)

    assert told == {
        "sender": "Jonas Weber <jonas@example.com>",
        "to": "mei@example.com",
        "cc": "anna@example.com",
        "subject": "Budget",
        "received": "2026-11-27T01:00:00Z",
        "text": "Hello Mei,\n\nsee this (https://x.example/a?…)",
        "next_start": None,
        "attachments": [
            {"name": "budget 预算.pdf", "kind": "application/pdf", "size": 4},
            {"name": "logo.png", "kind": "image/png", "size": 3},
        ],
        "link": "https://mail.google.com/mail/#all/18c1",
    }


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (part("text/plain", "One\r\ntwo\r\n\r\nthree < four\r\n"), "One\ntwo\n\nthree < four"),
        (part("text/plain", "Grüße".encode("iso-8859-1"), headers={"Content-Type": 'text/plain; charset="iso-8859-1"'}), "Grüße"),
        (part("text/plain", "你好".encode("gb18030"), headers={"Content-Type": "text/plain; charset=gb18030"}), "你好"),
        (part("text/plain", "你好".encode(), headers={"Content-Type": "text/plain; charset=gb18030"}), "你好"),
        (part("text/plain", "café".encode("windows-1252")), "café"),
        (part("text/plain", b"\xff\x81\x8d", headers={"Content-Type": "text/plain; charset=no-such"}), "���"),
        (part("text/plain", b"\xff\\ud800", headers={"Content-Type": "text/plain; charset=unicode_escape"}), "ÿ?"),
        (part("multipart/alternative", parts=[part("text/plain", "plain"), part("text/html", "<style>p{}</style>  ")]), "plain"),
        (part("multipart/mixed", parts=[part("text/plain", "one"), part("text/plain", "two")]), "one\n\ntwo"),
        (part("multipart/mixed", parts=[part("text/html", "<p>one"), part("text/html", "<p>two")]), "one\n\ntwo"),
        (part("multipart/mixed", parts=[part("text/plain", "FILE", name="a.txt"), part("text/plain", "body")]), "body"),
        (part("multipart/encrypted", parts=[part("application/octet-stream", b"x")]), ""),
        (part("text/calendar", "BEGIN:VCALENDAR"), "BEGIN:VCALENDAR"),
        (part("text/html"), ""),
    ],
)
async def test_every_kind_of_mail_has_a_text(payload: dict[str, Any], text: str) -> None:
    assert (await read(payload))["text"] == text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("=?utf-8?B?5L2g5aW9?= there", "你好 there"),
        ("=?iso-8859-1?Q?Gr=FC=DFe?=", "Grüße"),
        ("=?no-such?Q?x?=", "=?no-such?Q?x?="),
        ("=?utf-8?B?!!!?=", "=?utf-8?B?!!!?="),
        ("=?utf-8?B?a?=", "=?utf-8?B?a?="),
        ("=?ü?Q?a?=", "=?ü?Q?a?="),
        (r"=?unicode_escape?Q?a\ud800?=", "a?"),
        ("two\r\n lines", "two lines"),
        ("x" * 700, "x" * 300 + "…"),
        ("", None),
    ],
)
async def test_headers_are_decoded(value: str, told: str | None) -> None:
    payload = part("text/plain", "x", headers={"CC": value})

    found = await read(payload)

    assert found["cc"] == told


async def test_one_mail_with_a_broken_subject_hides_no_other() -> None:
    odd = message(part("text/plain")) | {"payload": {"headers": [{"name": "Subject", "value": "=?utf-8?B?a?="}]}}
    web = CannedWeb({LIST: {"messages": [{"id": "odd"}, {"id": "18c1"}]}, f"{LIST}/odd": odd, MAIL: message(part("text/plain"))})

    told = json.loads(await search_mail.run(web, '{"query": "x"}'))

    assert [mail["subject"] for mail in told["mails"]] == ["=?utf-8?B?a?=", "Budget"]


async def test_a_mail_without_headers_has_none() -> None:
    mail = message(part("text/plain", "x")) | {"payload": {"mimeType": "text/plain", "body": data("x")}}

    told = json.loads(await read_mail.run(CannedWeb({MAIL: mail}), '{"mail": "18c1"}'))

    assert (told["sender"], told["to"], told["subject"], told["text"]) == (None, None, None, "x")


async def test_a_long_mail_is_read_in_parts_that_make_the_whole() -> None:
    whole = "\n".join(f"{number}: 一行“文字” and some words." for number in range(1500))
    web = CannedWeb({MAIL: message(part("text/plain", whole))})

    parts, start = [], 0
    while start is not None:
        text = await read_mail.run(web, json.dumps({"mail": "18c1", "start": start}))
        told = json.loads(text)
        assert len(text.encode()) < MAX_TOOL_RESULT
        parts.append(told["text"].partition("\n[… the mail goes on")[0])
        start = told["next_start"]

    assert len(parts) > 3
    assert "".join(parts) == whole


async def test_however_much_others_wrote_the_answer_stays_short() -> None:
    long_name, headers = "😀" * 3000, dict.fromkeys(("From", "To", "Cc", "Subject"), "😀" * 3000)
    payload = part(
        "multipart/mixed", headers=headers, parts=[part("text/html", "<p>" + "词" * 90_000), *[part("😀" * 900, name=long_name)] * 100]
    )
    mail = message(part("text/plain")) | {"payload": payload}
    searched = CannedWeb({LIST: {"messages": [{"id": "18c1"}] * 15}, MAIL: mail | {"snippet": "词" * 9000}})

    read_text = await read_mail.run(CannedWeb({MAIL: mail}), '{"mail": "18c1"}')
    found_text = await search_mail.run(searched, '{"query": "x", "max_results": 15}')

    assert 15_000 < len(read_text.encode()) < MAX_TOOL_RESULT
    assert 15_000 < len(found_text.encode()) < MAX_TOOL_RESULT
    assert json.loads(found_text)["more"]


@pytest.mark.parametrize(
    ("arguments", "answer", "kind", "advice"),
    [
        ({"mail": "../x"}, {}, Invalid, "mail: String should match"),
        ({"mail": "18c1", "start": 99}, message(part("text/plain", "short")), Invalid, "beyond the end"),
        ({"mail": "18c1"}, NotFound("gmail has no such thing."), NotFound, "search_mail tells the ids"),
        ({"mail": "18c1"}, {}, Upstream, "in a form that we do not know"),
        ({"mail": "18c1"}, {"payload": 7}, Upstream, "in a form that we do not know"),
        ({"mail": "18c1"}, message(part("text/plain")) | {"internalDate": "x"}, Upstream, "in a form that we do not know"),
        ({"mail": "18c1"}, message(part("text/plain") | {"body": {"data": 7}}), Upstream, "in a form that we do not know"),
    ],
)
async def test_what_cannot_be_read_is_told_with_what_to_do(
    arguments: dict[str, Any], answer: Any, kind: type[CantileverError], advice: str
) -> None:
    with pytest.raises(kind, match=advice):
        await read_mail.run(CannedWeb({MAIL: answer}), json.dumps(arguments))


async def test_parts_within_parts_without_end_are_bounded() -> None:
    deep = part("text/plain", "deep")
    for _ in range(400):
        deep = part("multipart/mixed", parts=[deep])

    assert (await read(deep))["text"] == ""


# Finding


async def test_mails_are_found_by_words_each_with_its_place_in_gmail() -> None:
    headless = message(part("text/plain"), name="18c2") | {"payload": {"headers": []}}
    web = CannedWeb({LIST: {"messages": [{"id": "18c1"}, {"id": "18c2"}]}, MAIL: message(part("text/plain")), f"{LIST}/18c2": headless})

    told = json.loads(await FINDER.search.run(web, '{"query": "from:jonas budget"}'))

    assert web.asked[0] == ("gmail", LIST, {"q": "from:jonas budget", "maxResults": 10})
    assert told["results"] == [
        {"id": "18c1", "title": "Budget", "url": "https://mail.google.com/mail/#all/18c1"},
        {"id": "18c2", "title": "(no title)", "url": "https://mail.google.com/mail/#all/18c2"},
    ]


async def test_a_mail_is_fetched_with_its_head_as_it_would_be_printed() -> None:
    payload = part("multipart/mixed", parts=[part("text/plain", "See you."), part("application/pdf", "x", name="plan.pdf")])

    told = json.loads(await FINDER.fetch.run(CannedWeb({MAIL: message(payload)}), '{"name": "18c1"}'))

    assert told == {
        "title": "Budget",
        "text": "From: Jonas Weber <jonas@example.com>\nTo: mei@example.com\nDate: 2026-11-27 01:00 UTC\nSubject: Budget\n"
        "Attachments: plan.pdf\n\nSee you.",
        "url": "https://mail.google.com/mail/#all/18c1",
        "metadata": {"sender": "Jonas Weber <jonas@example.com>", "received": "2026-11-27 01:00 UTC"},
        "next_start": None,
    }


async def test_however_much_others_wrote_what_is_fetched_stays_short() -> None:
    headers = dict.fromkeys(("From", "To", "Cc", "Subject"), "😀" * 3000)
    mail = message(part("text/plain", "词" * 90_000)) | {"payload": part("text/plain", "词" * 90_000, headers=headers)}

    text = await FINDER.fetch.run(CannedWeb({MAIL: mail}), '{"name": "18c1"}')

    assert 18_000 < len(text.encode()) < MAX_TOOL_RESULT - 1_000
    assert json.loads(text)["next_start"]
