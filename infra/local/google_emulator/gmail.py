"""Gmail v1, as far as reading goes: https://developers.google.com/workspace/gmail/api/reference/rest"""

import base64
import re
from typing import Any

from infra.local.google_emulator import gmail_search, refusals
from infra.local.google_emulator.apis import BOOLEAN, INTEGER, STRING, Answer, Call, Method, Parameter, page
from infra.local.google_emulator.gmail_messages import attachment_id, identity, parsed, resource
from infra.local.google_emulator.refusals import GMAIL
from infra.local.google_emulator.sample_mail import LABELS, Mail, mails
from infra.local.google_emulator.scopes import AUTH

MAX_RESULTS = 500
HIDDEN = {"SPAM", "TRASH"}
SYSTEM = "INBOX SENT DRAFT UNREAD STARRED IMPORTANT SPAM TRASH CATEGORY_PROMOTIONS".split()


def _messages_list(call: Call) -> dict[str, Any]:
    everything = _mails(call)
    query, labels = call.query.get("q", ""), set(call.query.get("labelIds", []))
    hidden = set() if call.query.get("includeSpamTrash") or gmail_search.names_place(query) else HIDDEN - labels
    try:
        found = gmail_search.found(everything, query, call.now)
    except ValueError as error:
        raise refusals.invalid(GMAIL, "q", f"Emulator: {error}") from error
    wanted = [mail for mail in found if labels.issubset(mail.labels) and not hidden.intersection(mail.labels)]
    part = page(GMAIL, call, wanted, min(call.query.get("maxResults", 100) or 100, MAX_RESULTS))
    reply: dict[str, Any] = {"resultSizeEstimate": len(wanted)}
    if part.items:
        reply["messages"] = [{"id": _id(call, mail.key), "threadId": _id(call, mail.thread or mail.key)} for mail in part.items]
    return reply | ({"nextPageToken": part.next} if part.next else {})


def _messages_get(call: Call) -> dict[str, Any]:
    mail = _mail(call, call.path["id"])
    return resource(mail, call.person, call.query.get("format", "full"), call.query.get("metadataHeaders"))


def _attachments_get(call: Call) -> dict[str, Any]:
    mail = _mail(call, call.path["messageId"])
    for part in parsed(mail.raw).walk():
        if part.attached and attachment_id(mail, part) == call.path["id"]:
            return {"size": len(part.content), "data": base64.urlsafe_b64encode(part.content).decode()}
    raise refusals.invalid(GMAIL, "id", "Invalid attachment token")


def _labels_list(call: Call) -> dict[str, Any]:
    _mails(call)
    shown: dict[str, str] = {"messageListVisibility": "show", "labelListVisibility": "labelShow", "type": "user"}
    own = {label for mail in _mails(call) for label in mail.labels}
    system = [{"id": name, "name": name, "type": "system"} for name in SYSTEM]
    return {"labels": [*system, *({"id": id_, "name": name, **shown} for id_, name in LABELS.items() if id_ in own)]}


def _profile(call: Call) -> dict[str, Any]:
    everything = _mails(call)
    threads = {mail.thread or mail.key for mail in everything}
    return {
        "emailAddress": call.person.email,
        "messagesTotal": len(everything),
        "threadsTotal": len(threads),
        "historyId": "165535",
    }


def _mails(call: Call) -> tuple[Mail, ...]:
    if call.path["userId"] not in ("me", call.person.email):
        raise refusals.forbidden(GMAIL, f"Delegation denied for {call.person.email}")
    return mails(call.person, call.now.date())


def _mail(call: Call, name: str) -> Mail:
    if not re.fullmatch(r"[0-9a-f]{1,16}", name):
        raise refusals.invalid(GMAIL, "id", "Invalid id value")
    for mail in _mails(call):
        if _id(call, mail.key) == name:
            return mail
    raise refusals.not_found(GMAIL)


def _id(call: Call, key: str) -> str:
    return identity(call.person, key)


READ = ("https://mail.google.com/", f"{AUTH}gmail.modify", f"{AUTH}gmail.readonly")
LABELS_READ = (*READ, f"{AUTH}gmail.labels")
BASE = "/gmail/v1/users/{userId}"
MAILBOX = "caribou.api.proto.MailboxService"

METHODS: tuple[tuple[Method, Answer], ...] = (
    (
        Method(
            "gmail.users.messages.list",
            "GET",
            f"{BASE}/messages",
            GMAIL,
            f"{MAILBOX}.ListMessages",
            READ,
            {
                "q": STRING,
                "maxResults": INTEGER,
                "pageToken": STRING,
                "labelIds": Parameter(repeated=True),
                "includeSpamTrash": BOOLEAN,
            },
        ),
        _messages_list,
    ),
    (
        Method(
            "gmail.users.messages.get",
            "GET",
            f"{BASE}/messages/{{id}}",
            GMAIL,
            f"{MAILBOX}.GetMessage",
            READ,
            {"format": Parameter(enum=("minimal", "full", "raw", "metadata")), "metadataHeaders": Parameter(repeated=True)},
        ),
        _messages_get,
    ),
    (
        Method(
            "gmail.users.messages.attachments.get",
            "GET",
            f"{BASE}/messages/{{messageId}}/attachments/{{id}}",
            GMAIL,
            f"{MAILBOX}.GetAttachment",
            READ,
        ),
        _attachments_get,
    ),
    (Method("gmail.users.labels.list", "GET", f"{BASE}/labels", GMAIL, f"{MAILBOX}.ListLabels", LABELS_READ), _labels_list),
    (Method("gmail.users.getProfile", "GET", f"{BASE}/profile", GMAIL, f"{MAILBOX}.GetProfile", READ), _profile),
)
