"""Your Google Calendar: its events, and when you are free.

https://developers.google.com/workspace/calendar/api/v3/reference. Who asks for free time needs no leave to read events.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field

from functions.core.capability import Api, Example, Finder, Published, Query, Scope, Web, operation
from functions.core.errors import Invalid, NotFound, Upstream
from functions.core.event_text import CALENDAR_PAGE, Event, begins, event_of, source_of, text_of_event, title_of
from functions.core.excerpt import Start, as_many_as_fit
from functions.core.found import Part, Sources, Words
from functions.core.side_by_side import together
from functions.core.spans import Span, gaps, merged, span, windows, zone_of

TITLES = {"zh": "日历"}
TRANSLATIONS = {"zh": "您的 Google 日历：日程，以及您何时有空。"}

EVENTS = Scope(
    "https://www.googleapis.com/auth/calendar.events.readonly",
    {"en": "See the events on your calendars", "zh": "查看您日历上的日程"},
)
FREE_BUSY = Scope(
    "https://www.googleapis.com/auth/calendar.freebusy",
    {"en": "See when you are busy, without the events themselves", "zh": "查看您何时忙碌，但不查看日程内容"},
)
CALENDAR = Api(
    "calendar",
    "https://www.googleapis.com/calendar/v3",
    google=True,
    links=("https://www.google.com/calendar/event?eid=", "https://meet.google.com/"),
)

_EVENT = (
    "id,summary,description,location,htmlLink,hangoutLink,start,end,organizer(email,displayName),"
    "attendees(email,displayName,self,responseStatus),conferenceData/entryPoints(entryPointType,uri)"
)
EVENTS_FIELDS = f"timeZone,nextPageToken,items({_EVENT})"
"""What is asked of Google: a tenth of what it would send (…/calendar/api/guides/performance#partial-response)."""

SEARCHED_FIELDS = "items(id,summary,htmlLink,start,recurringEventId)"
EVENT_FIELDS = f"status,{_EVENT}"

BEFORE, AHEAD = timedelta(days=90), timedelta(days=365)
"""From now: what is searched."""
MAX_SEARCHED = 250  # events before now, and as many after it, of which the nearest are told
MAX_DESCRIPTION = 10_000  # characters; Google takes 8,192
OWN = "calendars/primary/events"

MAX_ATTENDEES = 30  # of a larger meeting Google then names the user alone
MAX_DAYS = 62  # of one free/busy query; Google takes a little more
MAX_PERIODS = 60  # that are told

Moment = Annotated[str, Field(pattern=r"^(19[7-9]|2[01][0-9])[0-9](-[0-9]{2}){2}(T[0-9]{2}(:[0-9]{2}){1,2}(Z|[+-][0-9]{2}:[0-9]{2})?)?$")]
ZoneName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,60}$")]
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,1024}$", description="Google's name for an event.")]
CalendarId = Annotated[str, Field(pattern=r"^[^/.\s][^/\s]{0,199}$")]

START = "The beginning: a date, or a time such as 2026-12-01T09:00, local to time_zone unless it has an offset of its own."
END = "The end, written as start is. A date is the last day, and is included."


class Events(Published):
    """Events, soonest first."""

    time_zone: str
    """IANA time zone; all times are in it."""
    events: tuple[Event, ...]
    """Repeated events stand here once for each time."""
    more: bool
    """Whether there are more than these: ask for a shorter time or with other words."""


class Period(Published):
    """A time from start to end."""

    start: datetime
    """RFC 3339, with the offset of time_zone."""
    end: datetime
    """RFC 3339, with the offset of time_zone; not included."""


class FreeTime(Published):
    """When nobody of those asked for is busy."""

    time_zone: str
    """IANA time zone; all times are in it."""
    free: tuple[Period, ...]
    """Soonest first; each is at least as long as was asked for."""
    busy: tuple[Period, ...]
    """When somebody is busy, soonest first."""
    more: bool
    """Whether there are more periods than these."""
    unknown: tuple[str, ...]
    """Whose calendars could not be seen: they are not taken into account."""


@operation(apis=[CALENDAR], scopes=[EVENTS], read_only=True, open_world=False)
async def list_calendar_events(
    web: Web,
    start: Annotated[Moment, Field(description=START)],
    end: Annotated[Moment, Field(description=END)],
    query: Annotated[
        str | None,
        Field(min_length=1, max_length=200, description="Only events with these words in title, description, place or people."),
    ] = None,
    time_zone: Annotated[
        ZoneName | None, Field(description="IANA time zone of the times, asked and told: Asia/Shanghai. Left out: the calendar's own.")
    ] = None,
    max_results: Annotated[int, Field(ge=1, le=50, description="How many events at most.")] = 20,
    calendar: Annotated[
        CalendarId, Field(description="The calendar's id, mostly an e-mail address. Left out: the user's own.")
    ] = "primary",
) -> Events:
    """List the user's calendar events that overlap start to end, soonest first."""
    path = f"calendars/{calendar}/events"
    try:
        zone = zone_of(time_zone) if time_zone else await _zone_for(web, path, (start, end))
        wanted = {name: value for name, value in {"q": query, "timeZone": time_zone}.items() if value}
        found = await _listed(
            web, path, span(start, end, zone), EVENTS_FIELDS, maxResults=max_results, maxAttendees=MAX_ATTENDEES, **wanted
        )
    except NotFound as error:
        raise NotFound("The user has no such calendar. Leave `calendar` out for their own, or ask for the calendar's id.") from error
    return _events(web, found)


@operation(apis=[CALENDAR], scopes=[FREE_BUSY], read_only=True, open_world=False)
async def find_free_time(
    web: Web,
    start: Annotated[Moment, Field(description=START)],
    end: Annotated[Moment, Field(description=END)],
    time_zone: Annotated[ZoneName, Field(description="IANA time zone of the user, for the times asked and told: Asia/Shanghai.")],
    minutes: Annotated[int, Field(ge=5, le=1440, description="How long the free time must be at least.")] = 30,
    earliest: Annotated[ClockTime, Field(description="The time of day before which none is wanted: 09:00.")] = "00:00",
    latest: Annotated[ClockTime | None, Field(description="The time of day after which none is wanted: 18:00. Left out: none.")] = None,
    people: Annotated[tuple[CalendarId, ...], Field(max_length=10, description="E-mail addresses of others who must be free, too.")] = (),
) -> FreeTime:
    """Find when the user, and others if named, are free between start and end."""
    zone = zone_of(time_zone)
    asked = span(start, end, zone)
    if asked[1] - asked[0] > timedelta(days=MAX_DAYS):
        raise Invalid(f"Ask for at most {MAX_DAYS} days at a time.")
    if latest and latest <= earliest:
        raise Invalid("latest must be later in the day than earliest.")
    busy, unknown = await _busy(web, asked, ("primary", *people))
    hours = windows(asked, zone, time.fromisoformat(earliest), time.fromisoformat(latest) if latest else None)
    free = [gap for window in hours for gap in gaps(window, busy) if gap[1] - gap[0] >= timedelta(minutes=minutes)]
    return FreeTime(
        time_zone=time_zone,
        free=_periods(free, zone),
        busy=_periods(busy, zone),
        more=max(len(free), len(busy)) > MAX_PERIODS,
        unknown=unknown,
    )


async def search(web: Web, query: Words) -> Sources:
    """Find the user's own events with these words, nearest to now first; of a series the event that is nearest."""
    now = web.now()
    spans = ((now, now + AHEAD), (now - BEFORE, now))  # Google tells the soonest first, whatever is nearest, and ends a page somewhere.
    pages = await together(_listed(web, OWN, asked, SEARCHED_FIELDS, q=query, maxResults=MAX_SEARCHED) for asked in spans)
    try:
        items = [item for page in pages for item in page.get("items", ())]
        nearest: dict[str, Any] = {}
        for item in sorted(items, key=lambda item: abs(begins(item) - now)):
            nearest.setdefault(item.get("recurringEventId", item["id"]), item)
        return Sources.of(source_of(item) for item in nearest.values())
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unknown_form() from error


async def fetch(web: Web, name: EventId, start: Start = 0) -> Part:
    """Read one of the user's own events."""
    try:
        found = await web.get(CALENDAR, f"{OWN}/{name}", maxAttendees=MAX_ATTENDEES, fields=EVENT_FIELDS)
    except NotFound as error:
        raise _gone() from error
    try:
        if found.get("status") == "cancelled":
            raise _gone()
        event = event_of(found, web.text, MAX_DESCRIPTION)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unknown_form() from error
    return Part.of(
        text_of_event(event),
        start,
        title=title_of(event.title, event.start),
        url=event.link or CALENDAR_PAGE,
        begins=event.start.isoformat(),
        location=event.location,
    )


async def _listed(web: Web, path: str, asked: Span, fields: str, **more: Query) -> Any:
    """What Google answers of the events that overlap a span, soonest first, each of a series by itself."""
    since, until = (moment.isoformat(timespec="seconds") for moment in asked)
    order = {"singleEvents": "true", "orderBy": "startTime"}
    return await web.get(CALENDAR, path, timeMin=since, timeMax=until, fields=fields, **order, **more)


async def _busy(web: Web, asked: Span, calendars: Sequence[str]) -> tuple[Sequence[Span], tuple[str, ...]]:
    """When somebody is busy, and whose calendars could not be seen."""
    since, until = (moment.isoformat() for moment in asked)
    found = await web.post(CALENDAR, "freeBusy", {"timeMin": since, "timeMax": until, "items": [{"id": one} for one in calendars]})
    try:
        seen = {one: found["calendars"][one] for one in calendars}
        periods = [(_moment(part["start"]), _moment(part["end"])) for one in seen.values() for part in one.get("busy", ())]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unknown_form() from error
    unknown = tuple(one for one in calendars if seen[one].get("errors"))
    if "primary" in unknown:
        raise Upstream("Google could not say when the user is busy; try again later.")
    return merged(periods), unknown


def _periods(spans: Sequence[Span], zone: ZoneInfo) -> tuple[Period, ...]:
    return tuple(Period(start=start.astimezone(zone), end=end.astimezone(zone)) for start, end in spans[:MAX_PERIODS])


async def _zone_for(web: Web, path: str, moments: Sequence[str]) -> ZoneInfo:
    """The zone in which `moments` are meant: the calendar's own, which is asked for only where one of them has no offset."""
    if all(re.search(r"T.*(Z|[+-]\d\d:\d\d)$", text) for text in moments):
        return ZoneInfo("UTC")
    calendar = await web.get(CALENDAR, path, maxResults=1, fields="timeZone")
    try:
        return ZoneInfo(calendar["timeZone"])
    except (LookupError, TypeError, ValueError, OSError) as error:
        raise _unknown_form() from error


def _events(web: Web, found: Any) -> Events:
    """What Google answered, as we publish it, as far as it fits into an answer.

    Raises:
        Upstream: it is not of the form that its documentation shows.
    """
    try:
        items = found.get("items", ())
        events = as_many_as_fit(event_of(item, web.text) for item in items)
        more = "nextPageToken" in found or len(events) < len(items)
        return Events(time_zone=found["timeZone"], events=tuple(events), more=more)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unknown_form() from error


def _unknown_form() -> Upstream:
    return Upstream("Google Calendar answered in a form that we do not know.")


def _gone() -> NotFound:
    return NotFound("There is no such event any more. Search for it again.")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


FINDER = Finder(
    f"calendar events by their words, from {BEFORE.days} days ago to {AHEAD.days} ahead",
    search=list_calendar_events.allows(search),
    fetch=list_calendar_events.allows(fetch),
)

EXAMPLES = (
    Example(
        "What is on my calendar from 1 to 7 December 2026?",
        "The events of that week in the account's calendar, soonest first, each with its time in the calendar's time zone, title and place; "
        "or that there are none.",
        list_calendar_events,
        {"start": "2026-12-01", "end": "2026-12-07"},
    ),
    Example(
        "When am I free for an hour on 2 December 2026 between nine and six, Shanghai time?",
        "The periods of at least an hour within 09:00 to 18:00 in Shanghai on that day, in which the calendar has nothing; no event is named.",
        find_free_time,
        {"start": "2026-12-02", "end": "2026-12-02", "time_zone": "Asia/Shanghai", "minutes": 60, "earliest": "09:00", "latest": "18:00"},
    ),
    Example(
        "2026年12月我有哪些和预算有关的会议？",
        "An answer in Chinese with the events of December 2026 that have 预算 in them, or that there are none.",
        list_calendar_events,
        {"start": "2026-12-01", "end": "2026-12-31", "query": "预算"},
    ),
    Example(
        "Move my meeting on 2 December 2026 to the afternoon.",
        "No tool changes anything: events can be read here, and not changed. The assistant says so.",
    ),
)
