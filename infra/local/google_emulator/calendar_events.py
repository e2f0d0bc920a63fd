"""Events as Calendar's server works with them: when they are, which instances a series has, and how they are written."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from infra.local.google_emulator.sample_calendar import Calendar, Event


def span(event: Event, calendar: Calendar) -> tuple[datetime, datetime]:
    """When an event begins and ends; whole days do so at midnight where the calendar is."""
    return _moment(event.start, calendar), _moment(event.end, calendar)


def expanded(calendar: Calendar, since: datetime, until: datetime) -> Iterator[Event]:
    """The instances of the calendar's series that lie in a span, without those that stand in the calendar themselves."""
    moved = {(event.series, event.original) for event in calendar.events if event.series}
    for series in calendar.events:
        if not series.weekdays or not isinstance(series.start, datetime) or not isinstance(series.end, datetime):
            continue
        length, zone = series.end - series.start, series.start.tzinfo
        day = max(series.start.date(), since.astimezone(zone).date() - timedelta(days=1))
        while (start := datetime.combine(day, series.start.time(), zone)) < until:
            if day.weekday() in series.weekdays and (series.key, start) not in moved and start + length > since:
                yield Event(series.key, start, start + length, series.fields, series=series.key, original=start)
            day += timedelta(days=1)


def identity(event: Event, calendar: Calendar) -> str:
    """An event's id; an instance's is that of its series with the original start."""
    own = hashlib.sha256(f"{calendar.id}/{event.key}".encode()).hexdigest()[:26]
    return f"{own}_{event.original.astimezone(UTC):%Y%m%dT%H%M%SZ}" if event.original else own


def shown(event: Event, calendar: Calendar, zone: ZoneInfo, max_attendees: int | None = None) -> dict[str, Any]:
    """An event as Google writes it; of a cancelled one only that it is."""
    name = identity(event, calendar)
    series = {"recurringEventId": name.partition("_")[0], "originalStartTime": _at(event.original, zone)} if event.original else {}
    if event.cancelled:
        return {"kind": "calendar#event", "etag": etag(name), "id": name, "status": "cancelled", **series}
    changed = _changed(event)
    owner = {"email": calendar.id, "self": True} if calendar.primary else {"email": calendar.id, "displayName": calendar.summary}
    return {
        "kind": "calendar#event",
        "etag": etag(name),
        "id": name,
        "status": "confirmed",
        "htmlLink": "https://www.google.com/calendar/event?eid=" + _base64(f"{name} {calendar.id}"),
        "created": stamp(changed - timedelta(days=3)),
        "updated": stamp(changed),
        "creator": event.fields.get("organizer", owner),
        "organizer": owner,
        "start": _at(event.start, zone),
        "end": _at(event.end, zone),
        "iCalUID": f"{name.partition('_')[0]}@google.com",
        "sequence": 0,
        "reminders": {"useDefault": True},
        "eventType": "default",
        **({"recurrence": [_rule(event)]} if event.weekdays else {}),
        **series,
        **_fields(event, max_attendees),
    }


def local(at: datetime, zone: ZoneInfo) -> str:
    """A moment by the clock of a zone, with the offset."""
    return at.astimezone(zone).isoformat(timespec="seconds").replace("+00:00", "Z")


def stamp(at: datetime) -> str:
    """A moment in UTC, as Google writes when something changed."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def etag(text: str) -> str:
    """Changes with the text."""
    return f'"{int(hashlib.sha256(text.encode()).hexdigest()[:13], 16)}"'


def _changed(event: Event) -> datetime:
    """Some moment of the year before, the same every day."""
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=int(hashlib.sha256(event.key.encode()).hexdigest()[:6], 16))


def _moment(at: datetime | date, calendar: Calendar) -> datetime:
    return at if isinstance(at, datetime) else datetime.combine(at, time(), ZoneInfo(calendar.time_zone))


def _fields(event: Event, max_attendees: int | None) -> dict[str, Any]:
    attendees = event.fields.get("attendees", [])
    if max_attendees is None or len(attendees) <= max_attendees:
        return dict(event.fields)
    return {**event.fields, "attendees": [one for one in attendees if one.get("self")], "attendeesOmitted": True}


def _rule(event: Event) -> str:
    names = "MO TU WE TH FR SA SU".split()
    return "RRULE:FREQ=WEEKLY;BYDAY=" + ",".join(names[day] for day in event.weekdays)


def _at(at: datetime | date, zone: ZoneInfo) -> dict[str, str]:
    return {"dateTime": local(at, zone), "timeZone": str(at.tzinfo)} if isinstance(at, datetime) else {"date": at.isoformat()}


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
