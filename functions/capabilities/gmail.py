"""Your Gmail: searching and reading your mail.

https://developers.google.com/workspace/gmail/api/reference/rest. Google calls its scope restricted: whoever offers it to others has to pass
a security assessment every year (https://support.google.com/cloud/answer/9110914), so it is off unless ENABLED_CAPABILITIES names it.
"""

import html
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from functions.core import mail_text
from functions.core.capability import Api, Example, Finder, Published, Scope, Web, operation
from functions.core.errors import NotFound, Upstream
from functions.core.excerpt import Start, as_many_as_fit, cut, excerpt
from functions.core.found import MAX_EACH, UNTITLED, Part, Source, Sources, Words, headed
from functions.core.side_by_side import together

RESTRICTED = True

TITLES = {"zh": "邮件"}
TRANSLATIONS = {"zh": "您的 Gmail：搜索和读取您的邮件。"}

READ = Scope(
    "https://www.googleapis.com/auth/gmail.readonly",
    {"en": "Search and read all your mail", "zh": "搜索和读取您的所有邮件"},
)
GMAIL = Api("gmail", "https://gmail.googleapis.com/gmail/v1", google=True, links=("https://mail.google.com/mail/",))

FOUND_FIELDS = "id,internalDate,labelIds,snippet,payload/headers"
HEADERS = ("From", "To", "Subject")

MAX_TEXT = 12_000
"""Bytes of a mail's text: its headers and attachments need room, too."""

MESSAGES = "users/me/messages"

MAX_HEADER = 300  # characters; a mail to everybody names everybody
MAX_ATTACHMENTS = 12  # that are told
MAX_NAME = 60  # characters of an attachment's name, and of what kind it says it is

MailId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The id of a mail that search_mail found.")]


class Found(Published):
    """A mail that was found. A value is null where the mail has none."""

    id: str
    """What read_mail wants."""
    sender: str | None
    """Name and address, as the sender wrote them."""
    to: str | None
    """To whom it was sent, as the sender wrote it."""
    subject: str | None
    """What it is about, in the sender's words."""
    received: datetime
    """RFC 3339, in UTC."""
    unread: bool
    """Whether the user has not opened it yet."""
    beginning: str
    """The first words of its text."""


class FoundMails(Published):
    """Mails that were found, latest first."""

    mails: tuple[Found, ...]
    """Each can be read by its id."""
    more: bool
    """Whether there are more than these: search for more of what is wanted."""


class Attachment(Published):
    """A file that came with a mail. It is not read here."""

    name: str
    """As the sender called it."""
    kind: str
    """Its media type: application/pdf."""
    size: int
    """Bytes."""


class Mail(Published):
    """A mail. A value is null where the mail has none."""

    sender: str | None
    """Name and address, as the sender wrote them: nobody has checked them."""
    to: str | None
    """To whom it was sent, as the sender wrote it."""
    cc: str | None
    """Who got a copy."""
    subject: str | None
    """What it is about, in the sender's words."""
    received: datetime
    """RFC 3339, in UTC."""
    text: str
    """Plain text, without what its reader does not see. Where it is only a part, its last line says so."""
    next_start: int | None
    """Where the rest of the text begins: `start` of the next call. Null: there is none."""
    attachments: tuple[Attachment, ...]
    """The files that came with it, images in the text among them."""
    link: str
    """The mail in Gmail."""


@operation(apis=[GMAIL], scopes=[READ], read_only=True, open_world=False)
async def search_mail(
    web: Web,
    query: Annotated[
        str,
        Field(
            min_length=1,
            max_length=600,
            description="As in Gmail's search box: words, from:anna@example.com, subject:budget, after:2026/11/01, is:unread, has:attachment.",
        ),
    ],
    max_results: Annotated[int, Field(ge=1, le=15, description="How many mails at most.")] = 10,
) -> FoundMails:
    """Search the user's mail, latest first: who wrote, about what, when, and the first words."""
    return await _searched(web, query, max_results)


@operation(apis=[GMAIL], scopes=[READ], read_only=True, open_world=False)
async def read_mail(web: Web, mail: MailId, start: Start = 0) -> Mail:
    """Read one of the user's mails as text; a long one in parts."""
    whole = await _read(web, mail)
    part, rest = excerpt(whole.text, start, MAX_TEXT)
    mark = f"\n[… the mail goes on: call again with start={rest}, of {len(whole.text)} characters]" if rest else ""
    return whole.model_copy(update={"text": part + mark, "next_start": rest})


async def search(web: Web, query: Words) -> Sources:
    """Find mails, latest first."""
    found = await _searched(web, query, MAX_EACH)
    return Sources.of(Source(id=mail.id, title=mail.subject or UNTITLED, url=_link(mail.id)) for mail in found.mails)


async def fetch(web: Web, name: MailId, start: Start = 0) -> Part:
    """Read a mail with its head, as it would be printed."""
    mail = await _read(web, name)
    received = f"{mail.received:%Y-%m-%d %H:%M} UTC"
    attached = ", ".join(file.name for file in mail.attachments)
    head = {"From": mail.sender, "To": mail.to, "Cc": mail.cc, "Date": received, "Subject": mail.subject, "Attachments": attached}
    text = headed(head, mail.text)
    return Part.of(text, start, title=mail.subject, url=mail.link, sender=mail.sender, received=received)


async def _searched(web: Web, query: str, most: int) -> FoundMails:
    """At most so many mails that Gmail finds, as far as they fit into an answer."""
    listed = await web.get(GMAIL, MESSAGES, q=query, maxResults=most)
    try:
        names = [str(message["id"]) for message in listed.get("messages", ())][:most]
    except (LookupError, TypeError, AttributeError) as error:
        raise _unknown_form() from error
    mails = await together(_metadata(web, name) for name in names)
    try:
        found = [_found(mail) for mail in mails if mail]
        shown = as_many_as_fit(found)
        return FoundMails(mails=tuple(shown), more="nextPageToken" in listed or len(shown) < len(found))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unknown_form() from error


async def _read(web: Web, name: str) -> Mail:
    """A mail with its whole text."""
    try:
        found = await web.get(GMAIL, f"{MESSAGES}/{name}", format="full")
    except NotFound as error:
        raise NotFound("There is no mail of that id. Search for it again: search_mail tells the ids.") from error
    try:
        return _mail(found, mail_text.body(found["payload"], web.text))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unknown_form() from error


async def _metadata(web: Web, name: str) -> Any:
    """What is told of a mail that was found; None where it is gone since."""
    try:
        return await web.get(GMAIL, f"{MESSAGES}/{name}", format="metadata", metadataHeaders=HEADERS, fields=FOUND_FIELDS)
    except NotFound:
        return None


def _found(mail: Any) -> Found:
    return Found(
        id=mail["id"],
        sender=_header(mail, "from"),
        to=_header(mail, "to"),
        subject=_header(mail, "subject"),
        received=_received(mail),
        unread="UNREAD" in mail.get("labelIds", ()),
        beginning=cut(html.unescape(mail.get("snippet", "")), 200),
    )


def _mail(mail: Any, text: str) -> Mail:
    files = mail_text.attachments(mail["payload"])
    return Mail(
        sender=_header(mail, "from"),
        to=_header(mail, "to"),
        cc=_header(mail, "cc"),
        subject=_header(mail, "subject"),
        received=_received(mail),
        text=text,
        next_start=None,
        attachments=tuple(
            Attachment(name=cut(file.name, MAX_NAME), kind=cut(file.kind, MAX_NAME), size=file.size) for file in files[:MAX_ATTACHMENTS]
        ),
        link=_link(mail["id"]),
    )


def _link(name: str) -> str:
    return f"https://mail.google.com/mail/#all/{name}"


def _header(mail: Any, name: str) -> str | None:
    value = mail_text.header(mail["payload"], name)
    return value and cut(value, MAX_HEADER)


def _received(mail: Any) -> datetime:
    return datetime.fromtimestamp(int(mail["internalDate"]) // 1000, UTC)


def _unknown_form() -> Upstream:
    return Upstream("Gmail answered in a form that we do not know.")


FINDER = Finder("mails by words, or as in Gmail's search box", search=search_mail.allows(search), fetch=read_mail.allows(fetch))

EXAMPLES = (
    Example(
        "Which unread mails did I get about the budget?",
        "The account's unread mails that mention a budget, latest first, each with sender, subject and date; or that there are none.",
        search_mail,
        {"query": "is:unread budget"},
    ),
    Example(
        "林美最近给我写了什么？",
        "An answer in Chinese with the latest mails from that sender, or that there are none.",
        search_mail,
        {"query": "from:林美", "max_results": 5},
    ),
    Example(
        "Reply to Jonas that I agree.",
        "No tool is called: mail can be read here, and none is written or sent.",
    ),
    Example(
        "Delete all newsletters.",
        "No tool is called: mail can be read here, and none is deleted.",
    ),
)
