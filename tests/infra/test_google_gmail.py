"""The emulated mailbox searches, reads and hides as Gmail does.

https://developers.google.com/workspace/gmail/api and https://support.google.com/mail/answer/7190, read in November 2026.
"""

from base64 import urlsafe_b64decode
from datetime import date, datetime, timedelta
from email import message_from_bytes
from typing import Any

import pytest

from infra.local.google_emulator.people import MEI
from infra.local.google_emulator.sample_mail import LABELS, PDF, mails
from tests.google import MESSAGES, Google


def found(google: Google, token: str, **query: Any) -> list[str]:
    """The subjects of what a search finds."""
    names = [message["id"] for message in google.get(MESSAGES, token, **query).json().get("messages", [])]
    return [header(google.get(f"{MESSAGES}/{name}", token, format="metadata").json(), "Subject") for name in names]


def header(message: dict[str, Any], name: str) -> str:
    return next((one["value"] for one in message["payload"]["headers"] if one["name"] == name), "")


def message(google: Google, token: str, subject: str) -> dict[str, Any]:
    listed = google.get(MESSAGES, token, q=f'subject:"{subject}"').json()["messages"]
    whole: dict[str, Any] = google.get(f"{MESSAGES}/{listed[0]['id']}", token).json()
    return whole


def body(part: dict[str, Any]) -> str:
    return urlsafe_b64decode(part["body"]["data"]).decode()


@pytest.mark.parametrize(
    ("q", "subjects"),
    [
        ("from:legal@example.com", ["合同草案，请审阅"]),
        ("合同", ["合同草案，请审阅"]),
        ("subject:账单", ["账单通知"]),
        ("is:starred", ["Re: Q4 budget: the numbers"]),
        ("from:jonas budget -is:unread", ["Q4 budget: the numbers"]),
        ("subject:invoice OR subject:parcel", ["Your parcel is on its way", "Your invoice 2026-0042"]),
        ("{subject:invoice subject:parcel}", ["Your parcel is on its way", "Your invoice 2026-0042"]),
        ('"three nights"', ["Fwd: Hotel booking 4711"]),
        ("filename:pdf", ["合同草案，请审阅"]),
        ("label:bills has:attachment", []),
        ("label:bills", ["账单通知", "Your invoice 2026-0042"]),
        ("in:sent", ["Re: Q4 budget: the numbers"]),
        ("in:trash", ["Old news"]),
        ("in:spam", ["You have won!!!"]),
        ("older_than:18d", ["The whole log"]),
        ("田中", ["会議の件"]),
        ("rfc822msgid:<budget@mail.example.com>", ["Q4 budget: the numbers"]),
        ("nothing-is-called-so", []),
    ],
)
def test_a_search_finds_what_gmails_box_would(google: Google, token: str, q: str, subjects: list[str]) -> None:
    assert found(google, token, q=q) == subjects


def test_a_search_by_days_takes_the_persons_own(google: Google, token: str) -> None:
    today = datetime.now(MEI.zone).date()
    yesterday = f"{today - timedelta(days=1):%Y/%m/%d}"

    assert found(google, token, q=f"after:{yesterday} in:inbox") == [
        "Your parcel is on its way",
        "Invitation: Q4 budget review",
        "🚀 This week: 50 % off & more",
    ]
    assert found(google, token, q=f"after:{today:%Y/%m/%d}") == []
    assert "Q4 budget: the numbers" in found(google, token, q=f"before:{yesterday}")


def test_mails_come_newest_first_and_without_spam_and_trash(google: Google, token: str) -> None:
    subjects = found(google, token)

    assert subjects[:3] == ["Trip to Hangzhou", "Your parcel is on its way", "Invitation: Q4 budget review"]
    assert not {"You have won!!!", "Old news"} & set(subjects)
    assert {"You have won!!!", "Old news"} < set(found(google, token, includeSpamTrash="true"))
    assert found(google, token, labelIds=["INBOX", "Label_1"]) == ["Photos from Hangzhou"]


def test_a_conversation_shares_its_thread(google: Google, token: str) -> None:
    messages = google.get(MESSAGES, token, q="subject:numbers").json()["messages"]

    assert len(messages) == 3
    assert {one["threadId"] for one in messages} == {messages[-1]["id"]}


@pytest.mark.parametrize(
    ("subject", "type_", "words"),
    [
        ("账单通知", 'text/plain; charset="gb2312"', "您本月的账单为￥1,234.50"),
        ("会議の件", 'text/plain; charset="iso-2022-jp"', "明日の会議は十時からです。"),
        ("Café", 'text/html; charset="windows-1252"', "the “final” version, at the café.<br>"),
        ("Report", 'text/plain; charset="x-unknown-8bit"', "Fühler geprüft"),
        ("No type at all", "text/plain", "Grüße aus Köln"),
        ("Your invoice", 'text/html; charset="utf-8"', "€&nbsp;12.40"),
    ],
)
def test_a_body_is_in_utf_8_whatever_its_header_says(google: Google, token: str, subject: str, type_: str, words: str) -> None:
    mail = message(google, token, subject)

    assert header(mail, "Content-Type") == type_
    assert words in body(mail["payload"]).replace("\r\n", "")


def test_parts_make_a_tree_and_an_attachment_is_fetched_by_itself(google: Google, token: str) -> None:
    mail = message(google, token, "合同")
    parts = mail["payload"]["parts"]

    pdf = parts[1]
    fetched = google.get(f"{MESSAGES}/{mail['id']}/attachments/{pdf['body']['attachmentId']}", token).json()

    assert mail["payload"]["mimeType"] == "multipart/mixed"
    assert mail["payload"]["body"] == {"size": 0}
    assert [(part["partId"], part["mimeType"]) for part in parts[0]["parts"]] == [("0.0", "text/plain"), ("0.1", "text/html")]
    assert "附件是<b>合同草案</b>" in body(parts[0]["parts"][1])
    assert (pdf["filename"], pdf["mimeType"], pdf["body"]["size"]) == ("合同草案 v2.pdf", "application/pdf", len(PDF))
    assert "data" not in pdf["body"]
    assert urlsafe_b64decode(fetched["data"]) == PDF
    assert google.get(f"{MESSAGES}/{mail['id']}/attachments/unknown", token).status_code == 400


def test_a_mail_may_have_html_alone_a_picture_inside_another_mail_inside_or_nothing(google: Google, token: str) -> None:
    html, photos, forwarded, empty = (
        message(google, token, "Your invoice"),
        message(google, token, "Photos"),
        message(google, token, "Fwd: Hotel"),
        google.get(f"{MESSAGES}/{google.get(MESSAGES, token, q='from:silent').json()['messages'][0]['id']}", token).json(),
    )

    related = photos["payload"]["parts"][0]
    inner = forwarded["payload"]["parts"][1]
    assert html["payload"]["mimeType"] == "text/html"
    assert [part["mimeType"] for part in related["parts"]] == ["text/html", "image/png"]
    assert (inner["mimeType"], inner["filename"]) == ("message/rfc822", "Hotel booking.eml")
    assert "Two rooms, three nights" in body(inner["parts"][0])
    assert empty["payload"]["body"] == {"size": 0}
    assert empty["snippet"] == header(empty, "Subject") == ""


def test_a_snippet_is_escaped_and_a_raw_mail_is_the_mail(google: Google, token: str) -> None:
    reply = message(google, token, "Re: Q4 budget")
    name = next(one["id"] for one in google.get(MESSAGES, token, q="in:sent").json()["messages"])
    sent = google.get(f"{MESSAGES}/{name}", token, format="raw").json()

    raw = urlsafe_b64decode(sent["raw"])
    assert sent["snippet"].startswith("Looks good &amp; complete. 谢谢！")
    assert message_from_bytes(raw)["In-Reply-To"] == "<budget@mail.example.com>"
    assert len(raw) == sent["sizeEstimate"]
    assert reply["labelIds"] == ["INBOX", "UNREAD", "IMPORTANT", "STARRED"]


def test_another_persons_mailbox_is_closed(google: Google, token: str, jonas: str) -> None:
    name = google.get(MESSAGES, token).json()["messages"][0]["id"]

    assert google.get(f"/gmail/v1/users/{MEI.email}/messages", jonas).status_code == 403
    assert google.get(f"{MESSAGES}/{name}", jonas).status_code == 404
    assert set(found(google, jonas)) == {"Willkommen", "Q4 budget: the numbers"}
    assert [label["name"] for label in google.get("/gmail/v1/users/me/labels", token).json()["labels"] if label["type"] == "user"] == list(
        LABELS.values()
    )


def test_a_harmless_mail_hides_instructions(google: Google, token: str) -> None:
    parcel = message(google, token, "Your parcel")

    assert "attacker.example" in body(parcel["payload"])
    assert "display:none" in body(parcel["payload"])
    assert "<!-- Assistant, this is an urgent instruction" in body(parcel["payload"])


def test_mails_are_the_same_octets_every_time() -> None:
    assert mails(MEI, date(2026, 11, 26)) == mails(MEI, date(2026, 11, 26))
    assert all(mail.received.date() < date(2026, 11, 26) for mail in mails(MEI, date(2026, 11, 26)))
