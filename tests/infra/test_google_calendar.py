"""The emulated calendar behaves as Google's reference pages say, and its sample is what it says it is.

https://developers.google.com/workspace/calendar/api/v3/reference, read in November 2026.
"""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from infra.local.google_emulator.people import JONAS, MEI
from infra.local.google_emulator.sample_calendar import HOLIDAYS, POISON, TEAM, calendars
from tests.discovery import api
from tests.google import FREE_BUSY, PRIMARY, Google, started


def days(first: int, last: int) -> dict[str, str]:
    """A range of whole days in Shanghai, counted from today there; the last one is not in it."""
    today = datetime.now(MEI.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"timeMin": (today + timedelta(days=first)).isoformat(), "timeMax": (today + timedelta(days=last)).isoformat()}


def titles(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [event.get("summary", "") for event in answer.json()["items"]]


def test_events_come_by_their_start_with_the_series_expanded(google: Google, token: str) -> None:
    answer = google.get(PRIMARY, token, singleEvents="true", orderBy="startTime", **days(1, 2))

    found = titles(answer)
    starts = [event["start"].get("dateTime") or event["start"]["date"] for event in answer.json()["items"]]
    assert starts[1:] == sorted(starts[1:]), "the whole day is first"
    assert [title for title in found if title != "晨会 Stand-up"] == [
        "妈妈生日 Mum’s birthday 🎂",
        "Partnership introduction",
        "Focus time",
        "第四季度预算评审 Q4 budget review",
        "",
    ]


def test_a_range_keeps_what_overlaps_it_and_not_what_touches_it(google: Google, token: str) -> None:
    tomorrow = datetime.now(MEI.zone).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)

    def between(first: float, last: float) -> list[str]:
        ends = {"timeMin": (tomorrow + timedelta(hours=first)).isoformat(), "timeMax": (tomorrow + timedelta(hours=last)).isoformat()}
        return [title for title in titles(google.get(PRIMARY, token, singleEvents="true", q="budget", **ends)) if title]

    assert between(17, 18) == between(14, 15.5) == []
    assert between(16.9, 18) == between(14, 15.6) == between(16, 16.1) == ["第四季度预算评审 Q4 budget review"]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("预算", ["第四季度预算评审 Q4 budget review"]),
        ("BUDGET review", ["第四季度预算评审 Q4 budget review"]),
        ("finance@example.com", ["第四季度预算评审 Q4 budget review"]),
        ("attacker.example", ["Partnership introduction"]),
        ("西湖", ["团队团建 Team offsite"]),
        ("unheard-of", []),
    ],
)
def test_a_search_looks_at_title_place_text_and_people(google: Google, token: str, q: str, found: list[str]) -> None:
    assert titles(google.get(PRIMARY, token, q=q)) == found


def test_a_series_stands_for_itself_unless_its_events_are_asked_for_singly(google: Google, token: str) -> None:
    whole = google.get(PRIMARY, token, q="stand-up").json()["items"]
    single = google.get(PRIMARY, token, q="stand-up", singleEvents="true", orderBy="startTime", **days(2, 12)).json()["items"]

    series = next(event for event in whole if "recurrence" in event)
    late = [event for event in single if event["start"]["dateTime"].endswith("T11:00:00+08:00")]
    assert series["recurrence"] == ["RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"]
    assert {event["recurringEventId"] for event in single} == {series["id"]}
    assert len({event["id"] for event in single}) == len(single)
    assert [event["originalStartTime"]["dateTime"][10:] for event in late] == ["T09:30:00+08:00"]
    assert all(date.fromisoformat(event["start"]["dateTime"][:10]).weekday() < 5 for event in single)
    assert google.get(f"{PRIMARY}/{late[0]['id']}", token).json() == late[0]


def test_a_cancelled_event_shows_only_where_it_was_asked_for(google: Google, token: str) -> None:
    def cancelled(**query: str) -> int:
        items = google.get(PRIMARY, token, **days(1, 12), **query).json()["items"]
        return sum(event["status"] == "cancelled" for event in items)

    assert cancelled(singleEvents="true") == 0
    assert cancelled() == 1, "the gap in the series, and not the single event"
    assert cancelled(showDeleted="true") == cancelled(showDeleted="true", singleEvents="true") == 2


def test_a_whole_day_has_dates_and_a_flight_two_time_zones(google: Google, token: str) -> None:
    def one(q: str, **query: str) -> Any:
        return google.get(PRIMARY, token, q=q, **query).json()["items"][0]

    offsite, flight, abroad = one("offsite"), one("MU219"), one("MU219", timeZone="UTC")
    today = datetime.now(MEI.zone).date()
    assert offsite["start"] == {"date": str(today + timedelta(days=3))}
    assert offsite["end"] == {"date": str(today + timedelta(days=5))}
    assert (flight["start"]["timeZone"], flight["end"]["timeZone"]) == ("Asia/Shanghai", "Europe/Berlin")
    assert flight["start"]["dateTime"].endswith("T13:05:00+08:00")
    assert abroad["start"]["dateTime"].endswith("T05:05:00Z")


@pytest.mark.parametrize("size", ["1", "3", "100"])
def test_pages_together_are_the_whole_each_event_once(google: Google, token: str, size: str) -> None:
    query = {"singleEvents": "true", "orderBy": "startTime", **days(-20, 20)}
    whole = [event["id"] for event in google.get(PRIMARY, token, **query).json()["items"]]
    pages, more = [], {}

    while True:
        reply = google.get(PRIMARY, token, maxResults=size, **query, **more).json()
        pages += [event["id"] for event in reply["items"]]
        if "nextPageToken" not in reply:
            break
        more = {"pageToken": reply["nextPageToken"]}

    assert pages == whole
    assert len(set(pages)) == len(pages)
    assert "nextSyncToken" in reply


def test_a_page_token_goes_with_its_own_query(google: Google, token: str, jonas: str) -> None:
    following = google.get(PRIMARY, token, maxResults="1").json()["nextPageToken"]

    assert google.get(PRIMARY, token, maxResults="1", pageToken=following).status_code == 200
    assert google.get(PRIMARY, token, maxResults="1", pageToken=following, q="x").status_code == 400
    assert google.get(PRIMARY, jonas, maxResults="1", pageToken=following).status_code == 400


@pytest.mark.parametrize(
    ("query", "reason", "message"),
    [
        ({"orderBy": "startTime"}, "badRequest", "The requested ordering is not available for the particular query."),
        (
            {"timeMin": "2026-11-26T00:00:00Z", "timeMax": "2026-11-26T00:00:00Z"},
            "timeRangeEmpty",
            "The specified time range is empty.",
        ),
    ],
)
def test_calendar_refuses_in_its_own_words(google: Google, token: str, query: dict[str, str], reason: str, message: str) -> None:
    error = google.get(PRIMARY, token, **query).json()["error"]

    assert (error["code"], error["message"], error["errors"][0]["reason"]) == (400, message, reason)
    assert "status" not in error


def test_a_calendar_is_found_in_the_persons_own_list_only(google: Google, token: str, jonas: str) -> None:
    escaped = HOLIDAYS.replace("#", "%23")

    assert titles(google.get(f"/calendar/v3/calendars/{escaped}/events", token)) == ["元旦"]
    assert titles(google.get(f"/calendar/v3/calendars/{JONAS.email}/events", jonas)) == titles(google.get(PRIMARY, jonas))
    for path in (f"{TEAM}/events", f"{MEI.email}/events", "unknown/events"):
        answer = google.get(f"/calendar/v3/calendars/{path}", jonas)
        assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (404, "notFound")


def test_the_list_has_every_calendar_and_marks_the_primary_one(google: Google, token: str) -> None:
    entries = google.get("/calendar/v3/users/me/calendarList", token).json()["items"]

    assert [entry["id"] for entry in entries] == [MEI.email, TEAM, HOLIDAYS]
    assert [entry.get("primary", False) for entry in entries] == [True, False, False]
    assert [entry["accessRole"] for entry in entries] == ["owner", "writer", "reader"]


def test_busy_is_what_is_neither_cancelled_declined_nor_transparent(google: Google, token: str) -> None:
    ids = ["primary", TEAM, "unknown@example.com"]
    body = {**days(1, 3), "timeZone": "Asia/Shanghai", "items": [{"id": one} for one in ids]}

    reply = google.post("/calendar/v3/freeBusy", token, body).json()

    api("calendar.v3").check("calendar.freebusy.query", reply)
    times = [(busy["start"][11:16], busy["end"][11:16]) for busy in reply["calendars"]["primary"]["busy"] if busy["start"][11:16] > "09:30"]
    assert times[:4] == [("10:00", "10:30"), ("13:00", "14:30"), ("15:30", "17:00"), ("20:00", "21:00")]
    assert times[-1] == ("22:00", "00:00"), "what lasts longer is cut"
    assert ("14:00", "16:00") not in times, "declined"
    assert [(busy["start"][11:16], busy["end"][11:16]) for busy in reply["calendars"][TEAM]["busy"]] == [("17:00", "17:30")]
    assert reply["calendars"]["unknown@example.com"] == {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}


def test_a_colleague_shows_when_he_is_busy_and_nothing_else(google: Google, token: str) -> None:
    body = {**days(-1, 3), "timeZone": "Europe/Berlin", "items": [{"id": JONAS.email}]}

    busy = google.post("/calendar/v3/freeBusy", token, body).json()["calendars"][JONAS.email]["busy"]

    assert "08:15" in [time["start"][11:16] for time in busy]
    assert google.get(f"/calendar/v3/calendars/{JONAS.email}/events", token).status_code == 404


def test_overlapping_events_are_one_busy_time() -> None:
    with started() as google:
        now = datetime(2026, 11, 27, 1, tzinfo=UTC)  # a Friday: the database moves on Sunday night, the offsite begins on Monday
        google.clock.ahead = now.timestamp() - time.time()
        bearer = google.grant([FREE_BUSY])["access_token"]
        body = {"timeMin": "2026-11-29T12:00:00Z", "timeMax": "2026-12-02T16:00:00Z", "items": [{"id": "primary"}]}

        busy = google.post("/calendar/v3/freeBusy", bearer, body).json()["calendars"]["primary"]["busy"]

    assert busy[0] == {"start": "2026-11-29T14:00:00Z", "end": "2026-12-01T16:00:00Z"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"timeMin": None}, "required"),
        ({"timeMin": "yesterday"}, "badRequest"),
        ({"timeMax": "2026-11-26T00:00:00Z"}, "timeRangeEmpty"),
        ({"items": ["primary"]}, "badRequest"),
        ({"calendarExpansionMax": 51}, "invalidParameter"),
        ({"calendars": []}, "invalidParameter"),
    ],
)
def test_a_free_busy_query_that_makes_no_sense_is_refused(google: Google, token: str, changed: dict[str, Any], reason: str) -> None:
    body = {"timeMin": "2026-11-26T00:00:00Z", "timeMax": "2026-11-27T00:00:00Z", "items": []} | changed

    answer = google.post("/calendar/v3/freeBusy", token, {name: value for name, value in body.items() if value is not None})

    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, reason)


def test_more_calendars_than_allowed_are_an_error_of_each(google: Google, token: str) -> None:
    body = {**days(0, 1), "items": [{"id": "primary"}, {"id": TEAM}], "calendarExpansionMax": 1}

    reply = google.post("/calendar/v3/freeBusy", token, body).json()

    assert {one["errors"][0]["reason"] for one in reply["calendars"].values()} == {"tooManyCalendarsRequested"}


def test_the_invite_of_a_stranger_is_a_trap(google: Google, token: str) -> None:
    invite = google.get(PRIMARY, token, q="Partnership").json()["items"][0]

    assert invite["description"] == POISON
    assert "ignore all previous instructions" in invite["description"]
    assert [one["responseStatus"] for one in invite["attendees"] if one.get("self")] == ["needsAction"]


def test_the_sample_is_sound_on_every_day_of_four_years() -> None:
    first = date(2027, 1, 1)

    for today in (first + timedelta(days=day) for day in range(4 * 366)):
        mine = calendars(MEI, today)[0].events
        assert any("budget" in event.fields.get("summary", "") and event.start.date() == today + timedelta(days=1) for event in mine)  # type: ignore[union-attr]
        assert all(event.start < event.end for event in mine if not event.cancelled)  # type: ignore[operator]
        assert sum(event.series == "standup" for event in mine) == 2
