"""What of an event a person reads, out of Calendar's: https://developers.google.com/workspace/calendar/api/v3/reference/events"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Literal

from functions.core.capability import Published
from functions.core.excerpt import cut
from functions.core.found import UNTITLED, Source, headed

MAX_NOTES = 600  # characters, where there are other events as well
CALENDAR_PAGE = "https://calendar.google.com/calendar/"
"""Where a person finds an event that has no address of its own."""


class Event(Published):
    """An event. A value is null where the event has none, or keeps it private."""

    id: str
    """Google's name for it."""
    title: str | None
    """What it is called."""
    start: datetime | date
    """RFC 3339, with the offset of time_zone; a date for an event of whole days."""
    end: datetime | date
    """As start; of an event of whole days the last day."""
    location: str | None
    """Where it is."""
    notes: str | None
    """What stands with it, as plain text, cut where it is long."""
    organizer: str | None
    """Name, or e-mail address, of who invites."""
    attendees: tuple[str, ...]
    """Names, or e-mail addresses; the user is among them. Of large meetings the user alone."""
    response: Literal["accepted", "declined", "tentative", "needsAction"] | None
    """What the user answered to the invitation; needsAction: nothing yet."""
    meeting_link: str | None
    """Where it takes place online."""
    link: str | None
    """The event in Google Calendar."""


def event_of(item: Any, text_of: Callable[[str], str], max_notes: int = MAX_NOTES) -> Event:
    """The event that Google describes. `text_of` reads HTML.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it is not of the form that its documentation shows.
    """
    attendees = item.get("attendees", ())
    entries = item.get("conferenceData", {}).get("entryPoints", ())
    return Event(
        id=item["id"],
        title=item.get("summary") and cut(item["summary"], 200),
        start=edge(item["start"]),
        end=edge(item["end"]) if "dateTime" in item["end"] else date.fromisoformat(item["end"]["date"]) - timedelta(days=1),
        location=item.get("location") and cut(item["location"], 200),
        notes=item.get("description") and (cut(_plain(item["description"], text_of), max_notes) or None),
        organizer=_person(item.get("organizer", {})),
        attendees=tuple(name for name in map(_person, attendees) if name),
        response=next((one["responseStatus"] for one in attendees if one.get("self")), None),
        meeting_link=item.get("hangoutLink") or next((one["uri"] for one in entries if one.get("entryPointType") == "video"), None),
        link=item.get("htmlLink"),
    )


def source_of(item: Any) -> Source:
    """What is told of an event that was found, of the form that Google describes it in."""
    return Source(id=item["id"], title=title_of(item.get("summary"), edge(item["start"])), url=item.get("htmlLink") or CALENDAR_PAGE)


def title_of(title: str | None, start: datetime | date) -> str:
    """What tells an event from others of its name, such as those of its series."""
    at = f"{start:%Y-%m-%d %H:%M}" if isinstance(start, datetime) else f"{start}"
    return f"{cut(title or UNTITLED, 200)} ({at})"


def text_of_event(event: Event) -> str:
    """An event as its reader sees it."""
    head = {
        "Start": event.start.isoformat(),
        "End": event.end.isoformat(),
        "Where": event.location,
        "Organizer": event.organizer,
        "Attendees": ", ".join(event.attendees),
        "The user's answer": event.response,
        "Online": event.meeting_link,
    }
    return headed(head, event.notes or "")


def edge(told: Any) -> datetime | date:
    """When an event begins or ends, as Google tells it."""
    return datetime.fromisoformat(told["dateTime"]) if "dateTime" in told else date.fromisoformat(told["date"])


def begins(item: Any) -> datetime:
    """The moment when an event begins; of whole days, midnight in UTC."""
    return datetime.fromisoformat(item["start"].get("dateTime") or f"{item['start']['date']}T00:00Z")


def _person(person: Any) -> str | None:
    name = person.get("displayName") or person.get("email")
    return cut(name, 100) if name else None


def _plain(description: str, text_of: Callable[[str], str]) -> str:
    """A description is text, or HTML with line feeds that count; nothing says which."""
    if not re.search(r"</?(?:a|b|br|div|em|html-blob|i|li|ol|p|span|strong|u|ul)\b[^<>]*>", description):
        return description
    return text_of(description.replace("\n", "<br>"))
