"""Google Calendar v3, as far as reading goes: https://developers.google.com/workspace/calendar/api/v3/reference"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from infra.local.google_emulator import refusals
from infra.local.google_emulator.apis import BOOLEAN, COUNT, MOMENT, STRING, Answer, Call, Method, Parameter, moment, page
from infra.local.google_emulator.calendar_events import etag, expanded, identity, local, shown, span, stamp
from infra.local.google_emulator.people import PEOPLE
from infra.local.google_emulator.refusals import CALENDAR
from infra.local.google_emulator.sample_calendar import Calendar, Event, calendars
from infra.local.google_emulator.scopes import AUTH

EXPANDED = timedelta(days=366)
"""How far ahead a series without an end is expanded when the request names no timeMax."""

MAX_EVENTS, MAX_CALENDARS = 2500, 250  # what a page may hold, whatever maxResults says
MAX_FREE_BUSY = 50  # calendars in one free/busy query


def _events_list(call: Call) -> dict[str, Any]:
    calendar = _found(call, call.path["calendarId"])
    zone = _zone(call.query.get("timeZone", calendar.time_zone))
    part = page(CALENDAR, call, _ordered(call, _matching(call, calendar), calendar), min(call.query.get("maxResults", 250), MAX_EVENTS))
    reply = {
        "kind": "calendar#events",
        "etag": etag(calendar.id),
        "summary": calendar.summary,
        "updated": stamp(call.now),
        "timeZone": zone.key,
        "accessRole": calendar.access,
        "defaultReminders": _reminders(calendar),
        "items": [shown(event, calendar, zone, call.query.get("maxAttendees")) for event in part.items],
    }
    if calendar.description:
        reply["description"] = calendar.description
    return reply | _continued(part.next, f"{calendar.id} {call.now}")


def _events_get(call: Call) -> dict[str, Any]:
    calendar = _found(call, call.path["calendarId"])
    zone = _zone(call.query.get("timeZone", calendar.time_zone))
    for event in [*calendar.events, *expanded(calendar, call.now - EXPANDED, call.now + EXPANDED)]:
        if identity(event, calendar) == call.path["eventId"]:
            return shown(event, calendar, zone, call.query.get("maxAttendees"))
    raise refusals.not_found(CALENDAR)


def _calendar_list(call: Call) -> dict[str, Any]:
    part = page(CALENDAR, call, calendars(call.person, call.now.date()), min(call.query.get("maxResults", 100), MAX_CALENDARS))
    reply: dict[str, Any] = {"kind": "calendar#calendarList", "etag": etag(call.person.sub), "items": [_entry(one) for one in part.items]}
    return reply | _continued(part.next, f"list {call.now}")


def _free_busy(call: Call) -> dict[str, Any]:
    body = call.body
    if unknown := body.keys() - {"timeMin", "timeMax", "timeZone", "items", "calendarExpansionMax", "groupExpansionMax"}:
        raise refusals.invalid(CALENDAR, min(unknown), f'Unknown name "{min(unknown)}": Cannot find field.')
    since, until = _asked_moment(body, "timeMin"), _asked_moment(body, "timeMax")
    _require_span(since, until)
    zone = _zone(body.get("timeZone", "UTC"))
    items = body.get("items", [])
    if not isinstance(items, list) or not all(isinstance(item, dict) and item.keys() == {"id"} for item in items):
        raise refusals.backend(400, "badRequest", "Bad Request")
    ids = [str(item["id"]) for item in items]
    limit = body.get("calendarExpansionMax", MAX_FREE_BUSY)
    if not isinstance(limit, int) or not 0 < limit <= MAX_FREE_BUSY:
        raise refusals.invalid(CALENDAR, "calendarExpansionMax", f"Values must be within the range: [1, {MAX_FREE_BUSY}]")
    busy = {one: _busy(call, one, since, until, zone) if len(ids) <= limit else _error("tooManyCalendarsRequested") for one in ids}
    return {"kind": "calendar#freeBusy", "timeMin": stamp(since), "timeMax": stamp(until), "calendars": busy}


def _busy(call: Call, calendar_id: str, since: datetime, until: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """When a calendar is busy: overlapping events are one time, and it is cut to what was asked for."""
    everybodys = {person.email: calendars(person, call.now.astimezone(person.zone).date())[0] for person in PEOPLE}
    own = {calendar.id: calendar for calendar in calendars(call.person, call.now.date())}
    calendar = (everybodys | own).get(call.person.email if calendar_id == "primary" else calendar_id)
    if calendar is None:
        return _error("notFound")
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(span(event, calendar) for event in _instances(calendar, since, until) if _is_busy(event)):
        first, last = max(start, since), min(end, until)
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        elif first < last:
            merged.append((first, last))
    return {"busy": [{"start": local(start, zone), "end": local(end, zone)} for start, end in merged]}


def _is_busy(event: Event) -> bool:
    declined = any(one.get("self") and one["responseStatus"] == "declined" for one in event.fields.get("attendees", []))
    return not (event.cancelled or declined or event.fields.get("transparency") == "transparent")


def _instances(calendar: Calendar, since: datetime, until: datetime) -> list[Event]:
    return [*expanded(calendar, since, until), *(event for event in calendar.events if not event.weekdays)]


def _matching(call: Call, calendar: Calendar) -> list[Event]:
    single, since, until = call.query.get("singleEvents", False), call.query.get("timeMin"), call.query.get("timeMax")
    if since and until:
        _require_span(since, until)
    events: Iterable[Event] = calendar.events
    if single:
        first = min((event.start for event in events if isinstance(event.start, datetime)), default=call.now)
        events = _instances(calendar, since or first, until or call.now + EXPANDED)
    words, types = call.query.get("q", "").casefold().split(), call.query.get("eventTypes")

    def wanted(event: Event) -> bool:
        # A cancelled instance is the only sign that the series has a gap: it is left out only where the instances stand themselves.
        return (
            (not event.cancelled or call.query.get("showDeleted", False) or bool(event.series and not single))
            and _within(event, calendar, since, until)
            and all(word in _text(event) for word in words)
            and (types is None or event.fields.get("eventType", "default") in types)
        )

    return [event for event in events if wanted(event)]


def _within(event: Event, calendar: Calendar, since: datetime | None, until: datetime | None) -> bool:
    start, end = span(event, calendar)
    if event.weekdays:
        end = datetime.max.replace(tzinfo=UTC)  # A series of ours never ends.
    return (until is None or start < until) and (since is None or end > since)


def _ordered(call: Call, events: list[Event], calendar: Calendar) -> list[Event]:
    order = call.query.get("orderBy")
    if order == "startTime" and not call.query.get("singleEvents"):
        raise refusals.backend(400, "badRequest", "The requested ordering is not available for the particular query.")
    # Without an order Google's is stable and nobody's; this one is not that of the start.
    keys: dict[str | None, Callable[[Event], Any]] = {
        "startTime": lambda event: span(event, calendar),
        "updated": lambda event: shown(event, calendar, ZoneInfo("UTC")).get("updated", ""),
        None: lambda event: etag(identity(event, calendar)),
    }
    return sorted(events, key=keys[order])


def _text(event: Event) -> str:
    """Everything that `q` looks at."""
    people = [*event.fields.get("attendees", []), event.fields.get("organizer", {})]
    texts = [event.fields.get(name, "") for name in ("summary", "description", "location")]
    return " ".join([*texts, *(person.get(name, "") for person in people for name in ("displayName", "email"))]).casefold()


def _found(call: Call, calendar_id: str) -> Calendar:
    """The calendar in the person's list; `primary` is the person's own."""
    wanted = call.person.email if calendar_id == "primary" else calendar_id
    for calendar in calendars(call.person, call.now.date()):
        if calendar.id == wanted:
            return calendar
    raise refusals.not_found(CALENDAR)


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise refusals.backend(400, "invalid", "Invalid time zone definition.", location="timeZone") from error


def _asked_moment(body: dict[str, Any], name: str) -> datetime:
    if name not in body:
        raise refusals.backend(400, "required", f"Missing {name} parameter.", location=name)
    try:
        return moment(str(body[name]))
    except ValueError as error:
        raise refusals.backend(400, "badRequest", "Bad Request") from error


def _require_span(since: datetime, until: datetime) -> None:
    if since >= until:
        raise refusals.backend(400, "timeRangeEmpty", "The specified time range is empty.", domain="calendar", location="timeMax")


def _error(reason: str) -> dict[str, Any]:
    return {"errors": [{"domain": "global", "reason": reason}], "busy": []}


def _continued(token: str | None, state: str) -> dict[str, str]:
    return {"nextPageToken": token} if token else {"nextSyncToken": etag(state).strip('"') + "="}


def _reminders(calendar: Calendar) -> list[dict[str, Any]]:
    return [{"method": "popup", "minutes": 10}] if calendar.primary else []


def _entry(calendar: Calendar) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": "calendar#calendarListEntry",
        "etag": etag(calendar.id),
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "colorId": "14",
        "backgroundColor": "#9fe1e7",
        "foregroundColor": "#000000",
        "selected": True,
        "accessRole": calendar.access,
        "defaultReminders": _reminders(calendar),
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }
    if calendar.description:
        entry["description"] = calendar.description
    return entry | ({"primary": True} if calendar.primary else {})


def _scopes(*names: str) -> tuple[str, ...]:
    return tuple(AUTH + name for name in names)


READ = _scopes("calendar", "calendar.readonly", "calendar.events", "calendar.events.readonly")
LISTS = _scopes("calendar", "calendar.readonly", "calendar.calendarlist", "calendar.calendarlist.readonly")
FREE_BUSY = _scopes("calendar", "calendar.readonly", "calendar.events.freebusy", "calendar.freebusy")

EVENT = {"maxAttendees": COUNT, "timeZone": STRING, "alwaysIncludeEmail": BOOLEAN}
RANGE = {"timeMin": MOMENT, "timeMax": MOMENT}
FOUND = {
    "q": STRING,
    "singleEvents": BOOLEAN,
    "showDeleted": BOOLEAN,
    "orderBy": Parameter(enum=("startTime", "updated")),
    "eventTypes": Parameter(enum=("birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"), repeated=True),
}
PAGED = {"maxResults": COUNT, "pageToken": STRING}

BASE = "/calendar/v3"
METHODS: tuple[tuple[Method, Answer], ...] = (
    (
        Method(
            "calendar.events.list",
            "GET",
            f"{BASE}/calendars/{{calendarId}}/events",
            CALENDAR,
            "calendar.v3.Events.List",
            READ,
            EVENT | RANGE | FOUND | PAGED,
        ),
        _events_list,
    ),
    (
        Method(
            "calendar.events.get",
            "GET",
            f"{BASE}/calendars/{{calendarId}}/events/{{eventId}}",
            CALENDAR,
            "calendar.v3.Events.Get",
            READ,
            EVENT,
        ),
        _events_get,
    ),
    (
        Method(
            "calendar.calendarList.list",
            "GET",
            f"{BASE}/users/me/calendarList",
            CALENDAR,
            "calendar.v3.CalendarList.List",
            LISTS,
            PAGED,
        ),
        _calendar_list,
    ),
    (
        Method("calendar.freebusy.query", "POST", f"{BASE}/freeBusy", CALENDAR, "calendar.v3.Freebusy.Query", FREE_BUSY),
        _free_busy,
    ),
)
