"""The calendar: what is asked of Google, and what is made of its answers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from functions.capabilities.calendar import FINDER, find_free_time, list_calendar_events
from functions.core.capability import Operation
from functions.core.errors import CantileverError, Invalid, NotFound, Upstream
from functions.core.mcp_tools import MAX_TOOL_RESULT
from tests.fakes import CannedWeb

EVENTS = "calendars/primary/events"

MEETING = {
    "id": "abc123",
    "summary": "Budget 预算",
    "description": "Bring <b>figures</b>.<br>See <a href='https://example.com/a?token=SECRET'>the plan</a>.",
    "location": "Room 5",
    "htmlLink": "https://www.google.com/calendar/event?eid=abc",
    "hangoutLink": "https://meet.google.com/abc-defg-hij",
    "start": {"dateTime": "2026-12-01T09:00:00+08:00", "timeZone": "Asia/Shanghai"},
    "end": {"dateTime": "2026-12-01T10:30:00+08:00", "timeZone": "Asia/Shanghai"},
    "organizer": {"email": "jonas@example.com", "displayName": "Jonas Weber"},
    "attendees": [
        {"email": "jonas@example.com", "displayName": "Jonas Weber", "responseStatus": "accepted"},
        {"email": "mei@example.com", "self": True, "responseStatus": "tentative"},
    ],
}


async def asked(operation: Operation, web: CannedWeb, **arguments: Any) -> Any:
    return json.loads(await operation.run(web, json.dumps(arguments)))


def listed(*items: Mapping[str, Any], zone: str = "Asia/Shanghai", **more: Any) -> dict[str, Any]:
    """What Google answers with these events."""
    return {"timeZone": zone, "items": list(items), **more}


async def test_an_event_is_told_with_all_that_a_person_wants_to_know() -> None:
    web = CannedWeb({EVENTS: listed(MEETING)})

    told = await asked(list_calendar_events, web, start="2026-12-01", end="2026-12-01")

    assert told == {
        "time_zone": "Asia/Shanghai",
        "events": [
            {
                "id": "abc123",
                "title": "Budget 预算",
                "start": "2026-12-01T09:00:00+08:00",
                "end": "2026-12-01T10:30:00+08:00",
                "location": "Room 5",
                "notes": "Bring figures.\nSee the plan (https://example.com/a?…).",
                "organizer": "Jonas Weber",
                "attendees": ["Jonas Weber", "mei@example.com"],
                "response": "tentative",
                "meeting_link": "https://meet.google.com/abc-defg-hij",
                "link": "https://www.google.com/calendar/event?eid=abc",
            }
        ],
        "more": False,
    }


async def test_what_an_event_does_not_have_is_null() -> None:
    bare = {"id": "x", "start": {"date": "2026-12-01"}, "end": {"date": "2026-12-03"}}

    told = await asked(list_calendar_events, CannedWeb({EVENTS: listed(bare)}), start="2026-12-01", end="2026-12-01")

    (event,) = told["events"]
    assert (event.pop("id"), event.pop("start"), event.pop("end"), event.pop("attendees")) == ("x", "2026-12-01", "2026-12-02", [])
    assert set(event.values()) == {None}


@pytest.mark.parametrize(
    ("start", "end", "since", "until"),
    [
        ("2026-12-01", "2026-12-01", "2026-11-30T16:00:00+00:00", "2026-12-01T16:00:00+00:00"),
        ("2026-12-01", "2026-12-07", "2026-11-30T16:00:00+00:00", "2026-12-07T16:00:00+00:00"),
        ("2026-12-01T09:00", "2026-12-01T17:30:00", "2026-12-01T01:00:00+00:00", "2026-12-01T09:30:00+00:00"),
        ("2026-12-01T09:00", "2026-12-02", "2026-12-01T01:00:00+00:00", "2026-12-02T16:00:00+00:00"),
        ("2026-12-01T09:00:00Z", "2026-12-01T18:00+01:00", "2026-12-01T09:00:00+00:00", "2026-12-01T17:00:00+00:00"),
    ],
)
async def test_times_without_an_offset_are_meant_in_the_calendars_own_zone(start: str, end: str, since: str, until: str) -> None:
    web = CannedWeb({EVENTS: listed()})

    await asked(list_calendar_events, web, start=start, end=end)

    *looked_up, (_, _, query) = web.asked
    assert (query["timeMin"], query["timeMax"]) == (since, until)
    assert [request[2] for request in looked_up] == ([] if start.endswith("Z") else [{"maxResults": 1, "fields": "timeZone"}])


async def test_a_zone_that_is_named_holds_for_what_is_asked_and_what_is_told() -> None:
    web = CannedWeb({EVENTS: listed(zone="America/New_York")})

    told = await asked(list_calendar_events, web, start="2026-07-01", end="2026-07-01", time_zone="America/New_York", query="lunch")

    ((_, _, query),) = web.asked
    assert (query["timeMin"], query["timeMax"], query["timeZone"]) == (
        "2026-07-01T04:00:00+00:00",
        "2026-07-02T04:00:00+00:00",
        "America/New_York",
    )
    assert (query["q"], query["singleEvents"], query["orderBy"], query["maxResults"]) == ("lunch", "true", "startTime", 20)
    assert told["time_zone"] == "America/New_York"


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"start": "2026-12-02", "end": "2026-12-01"}, "end must be later"),
        ({"start": "2026-12-01T10:00", "end": "2026-12-01T10:00"}, "end must be later"),
        ({"start": "2026-02-30", "end": "2026-03-01"}, "dates and times that there are"),
        ({"start": "2026-12-01T25:00", "end": "2026-12-02"}, "dates and times that there are"),
        ({"start": "tomorrow", "end": "2026-12-02"}, "start: String should match"),
        ({"start": "2026-12-01", "end": "2026-12-02", "time_zone": "Mars/Base"}, "no IANA time zone"),
        ({"start": "2026-12-01", "end": "2026-12-02", "time_zone": "America"}, "no IANA time zone"),
        ({"start": "2026-12-01", "end": "2026-12-02", "time_zone": "/etc/passwd"}, "no IANA time zone"),
        ({"start": "2026-12-01", "end": "2026-12-02", "time_zone": "../UTC"}, "time_zone: String should match"),
        ({"start": "2026-12-01", "end": "2026-12-02", "calendar": "../x"}, "calendar: String should match"),
        ({"start": "2026-12-01", "end": "2026-12-02", "calendar": ".."}, "calendar: String should match"),
        ({"start": "2026-12-01", "end": "2026-12-02", "max_results": 51}, "max_results: "),
        ({"start": "２０２６-12-01", "end": "2026-12-02"}, "start: String should match"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_what_to_do(arguments: dict[str, Any], advice: str) -> None:
    web = CannedWeb({EVENTS: listed()})

    with pytest.raises(Invalid, match=advice):
        await asked(list_calendar_events, web, **arguments)

    assert all(query == {"maxResults": 1, "fields": "timeZone"} for _, _, query in web.asked)


async def test_another_calendar_is_asked_for_by_its_id() -> None:
    holidays = "zh.china#holiday@group.v.calendar.google.com"
    web = CannedWeb({f"calendars/{holidays}/events": listed()})

    await asked(list_calendar_events, web, start="2026-12-01T00:00Z", end="2026-12-02T00:00Z", calendar=holidays)

    assert len(web.asked) == 1


async def test_a_calendar_that_is_not_there_is_told_with_what_to_do() -> None:
    web = CannedWeb({"calendars/x@example.com/events": NotFound("calendar has no such thing.")})

    with pytest.raises(NotFound, match="Leave `calendar` out for their own"):
        await asked(list_calendar_events, web, start="2026-12-01", end="2026-12-02", calendar="x@example.com")


async def test_however_much_others_wrote_the_answer_stays_short_and_says_that_there_is_more() -> None:
    crowd = [{"email": "x@example.com", "displayName": "😀" * 900}] * 30
    wordy = MEETING | {"summary": "😀" * 5000, "description": "字" * 8000, "location": "😀" * 8000, "attendees": crowd}
    web = CannedWeb({EVENTS: listed(*[wordy] * 50)})

    text = await list_calendar_events.run(web, '{"start": "2026-12-01", "end": "2026-12-31", "max_results": 50}')

    assert 1000 < len(text.encode()) < MAX_TOOL_RESULT
    assert json.loads(text)["more"]


async def test_a_page_that_goes_on_says_so() -> None:
    told = await asked(list_calendar_events, CannedWeb({EVENTS: listed(MEETING, nextPageToken="x")}), start="2026-12-01", end="2026-12-01")

    assert (len(told["events"]), told["more"]) == (1, True)


@pytest.mark.parametrize("description", ["First\nSecond < third", "one & two\n\nthree", "a <- b, x<y>z"])
async def test_a_description_that_is_plain_text_keeps_its_lines(description: str) -> None:
    event = MEETING | {"description": description}

    told = await asked(list_calendar_events, CannedWeb({EVENTS: listed(event)}), start="2026-12-01", end="2026-12-01")

    assert told["events"][0]["notes"] == description


async def test_a_meeting_elsewhere_has_a_link_too() -> None:
    entries = [{"entryPointType": "phone", "uri": "tel:+1"}, {"entryPointType": "video", "uri": "https://zoom.example/j/1"}]
    event = {name: value for name, value in MEETING.items() if name != "hangoutLink"} | {"conferenceData": {"entryPoints": entries}}

    told = await asked(list_calendar_events, CannedWeb({EVENTS: listed(event)}), start="2026-12-01", end="2026-12-01")

    assert told["events"][0]["meeting_link"] == "https://zoom.example/j/1"


@pytest.mark.parametrize(
    "answer", [{}, {"timeZone": "UTC", "items": [{}]}, {"timeZone": "UTC", "items": [7]}, {"timeZone": "UTC", "items": 7}, []]
)
async def test_an_answer_of_another_form_is_googles_fault(answer: Any) -> None:
    with pytest.raises(Upstream, match="in a form that we do not know"):
        await asked(list_calendar_events, CannedWeb({EVENTS: answer}), start="2026-12-01T00:00Z", end="2026-12-02T00:00Z")


# Free time


def busy(*periods: tuple[str, str], **others: Any) -> dict[str, Any]:
    """What Google answers of the user's calendar."""
    return {"calendars": {"primary": {"busy": [{"start": start, "end": end} for start, end in periods]}, **others}}


def periods(found: Any) -> list[tuple[str, str]]:
    return [(period["start"], period["end"]) for period in found]


async def test_free_is_what_the_busy_times_leave() -> None:
    web = CannedWeb({"freeBusy": busy(("2026-12-01T02:00:00Z", "2026-12-01T03:00:00Z"), ("2026-12-01T02:30:00Z", "2026-12-01T04:00:00Z"))})

    told = await asked(find_free_time, web, start="2026-12-01T09:00", end="2026-12-01T18:00", time_zone="Asia/Shanghai", minutes=60)

    assert web.asked == [
        (
            "calendar",
            "freeBusy",
            {"timeMin": "2026-12-01T01:00:00+00:00", "timeMax": "2026-12-01T10:00:00+00:00", "items": [{"id": "primary"}]},
        )
    ]
    assert periods(told["busy"]) == [("2026-12-01T10:00:00+08:00", "2026-12-01T12:00:00+08:00")]
    assert periods(told["free"]) == [
        ("2026-12-01T09:00:00+08:00", "2026-12-01T10:00:00+08:00"),
        ("2026-12-01T12:00:00+08:00", "2026-12-01T18:00:00+08:00"),
    ]
    assert (told["time_zone"], told["more"], told["unknown"]) == ("Asia/Shanghai", False, [])


async def test_only_the_hours_of_the_day_that_are_wanted_count() -> None:
    web = CannedWeb({"freeBusy": busy(("2026-12-01T08:00:00Z", "2026-12-01T17:30:00Z"))})

    told = await asked(
        find_free_time, web, start="2026-12-01", end="2026-12-02", time_zone="UTC", earliest="09:00", latest="18:00", minutes=30
    )

    assert periods(told["free"]) == [
        ("2026-12-01T17:30:00Z", "2026-12-01T18:00:00Z"),
        ("2026-12-02T09:00:00Z", "2026-12-02T18:00:00Z"),
    ]


async def test_free_time_may_go_on_beyond_midnight() -> None:
    told = await asked(find_free_time, CannedWeb({"freeBusy": busy()}), start="2026-12-01", end="2026-12-02", time_zone="UTC", minutes=1440)

    assert periods(told["free"]) == [("2026-12-01T00:00:00Z", "2026-12-03T00:00:00Z")]


@pytest.mark.parametrize(
    ("day", "free"),
    [
        ("2026-03-29", [("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00")]),  # 23 hours
        ("2026-10-25", [("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00")]),  # 25 hours
    ],
)
async def test_a_day_has_the_hours_that_it_has_where_the_clocks_change(day: str, free: list[tuple[str, str]]) -> None:
    told = await asked(find_free_time, CannedWeb({"freeBusy": busy()}), start=day, end=day, time_zone="Europe/Berlin", minutes=23 * 60)

    assert periods(told["free"]) == free


async def test_whoever_is_named_has_to_be_free_too_and_who_cannot_be_seen_is_told() -> None:
    others = {
        "anna@example.com": {"busy": [{"start": "2026-12-01T09:00:00Z", "end": "2026-12-01T17:00:00Z"}]},
        "x@example.com": {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []},
    }
    web = CannedWeb({"freeBusy": busy(("2026-12-01T17:00:00Z", "2026-12-01T17:45:00Z"), **others)})

    told = await asked(find_free_time, web, start="2026-12-01T09:00", end="2026-12-01T18:00", time_zone="UTC", minutes=15, people=[*others])

    assert web.asked[0][2]["items"] == [{"id": "primary"}, {"id": "anna@example.com"}, {"id": "x@example.com"}]
    assert periods(told["busy"]) == [("2026-12-01T09:00:00Z", "2026-12-01T17:45:00Z")]
    assert periods(told["free"]) == [("2026-12-01T17:45:00Z", "2026-12-01T18:00:00Z")]
    assert told["unknown"] == ["x@example.com"]


@pytest.mark.parametrize(
    ("arguments", "answer", "kind", "advice"),
    [
        ({"end": "2027-02-02"}, busy(), Invalid, "at most 62 days"),
        ({"earliest": "18:00", "latest": "09:00"}, busy(), Invalid, "latest must be later"),
        ({"earliest": "0９:00"}, busy(), Invalid, "earliest: String should match"),
        ({"people": ["a@example.com"] * 11}, busy(), Invalid, "people: "),
        ({}, {"calendars": {"primary": {"errors": [{"reason": "backendError"}]}}}, Upstream, "could not say when"),
        ({}, {"calendars": {}}, Upstream, "in a form that we do not know"),
        ({}, busy(("noon", "two")), Upstream, "in a form that we do not know"),
    ],
)
async def test_what_cannot_be_told_is_refused_with_what_to_do(
    arguments: dict[str, Any], answer: Any, kind: type[CantileverError], advice: str
) -> None:
    whole = {"start": "2026-12-01", "end": "2026-12-02", "time_zone": "UTC"} | arguments

    with pytest.raises(kind, match=advice):
        await asked(find_free_time, CannedWeb({"freeBusy": answer}), **whole)


async def test_many_short_periods_are_cut_and_said_so() -> None:
    many = [(f"2026-12-{day:02}T{hour:02}:00:00Z", f"2026-12-{day:02}T{hour:02}:30:00Z") for day in range(1, 31) for hour in range(24)]
    web = CannedWeb({"freeBusy": busy(*many)})

    text = await find_free_time.run(web, '{"start": "2026-12-01", "end": "2026-12-30", "time_zone": "UTC", "minutes": 15}')

    assert len(text.encode()) < MAX_TOOL_RESULT
    assert json.loads(text)["more"]


# Finding


def at(start: str, name: str, **more: Any) -> dict[str, Any]:
    """An event as it is searched for; it is 12:00 in UTC on 26 November 2026 (tests/fakes.py)."""
    when = {"dateTime": start} if "T" in start else {"date": start}
    return {"id": name, "summary": name.capitalize(), "start": when, "htmlLink": f"https://x.example/{name}", **more}


async def test_events_are_found_in_the_time_around_now_the_nearest_first() -> None:
    items = [
        at("2026-09-01T09:00:00+08:00", "old"),
        at("2026-11-26T19:30:00+08:00", "begun"),
        at("2026-11-27", "whole"),
        at("2027-02-01", "far"),
    ]
    web = CannedWeb({EVENTS: listed(*items)})

    told = await asked(FINDER.search, web, query="budget")

    assert [found["id"] for found in told["results"]] == ["begun", "whole", "far", "old"]
    assert told["results"][0] == {"id": "begun", "title": "Begun (2026-11-26 19:30)", "url": "https://x.example/begun"}
    assert told["results"][1]["title"] == "Whole (2026-11-27)"
    assert [(query["q"], query["timeMin"], query["timeMax"]) for _, _, query in web.asked] == [
        ("budget", "2026-11-26T12:00:00+00:00", "2027-11-26T12:00:00+00:00"),
        ("budget", "2026-08-28T12:00:00+00:00", "2026-11-26T12:00:00+00:00"),
    ]


async def test_what_goes_on_now_is_found_once() -> None:
    web = CannedWeb({EVENTS: listed(at("2026-11-26T11:30:00Z", "now"))})

    assert [found["id"] for found in (await asked(FINDER.search, web, query="x"))["results"]] == ["now"]


async def test_of_a_series_the_event_is_found_that_is_nearest() -> None:
    series = [at(f"2026-11-{day}T09:00:00Z", f"s{day}", recurringEventId="s") for day in (24, 25, 26, 27)]
    web = CannedWeb({EVENTS: listed(*series, at("2027-01-01", "other"))})

    assert [found["id"] for found in (await asked(FINDER.search, web, query="x"))["results"]] == ["s26", "other"]


async def test_an_event_without_title_and_address_can_be_cited_too() -> None:
    web = CannedWeb({EVENTS: listed({"id": "x", "start": {"date": "2026-12-01"}})})

    (found,) = (await asked(FINDER.search, web, query="x"))["results"]

    assert found == {"id": "x", "title": "(no title) (2026-12-01)", "url": "https://calendar.google.com/calendar/"}


async def test_an_event_is_fetched_as_its_reader_sees_it() -> None:
    told = await asked(FINDER.fetch, CannedWeb({f"{EVENTS}/abc123": MEETING}), name="abc123")

    assert told == {
        "title": "Budget 预算 (2026-12-01 09:00)",
        "text": "Start: 2026-12-01T09:00:00+08:00\nEnd: 2026-12-01T10:30:00+08:00\nWhere: Room 5\nOrganizer: Jonas Weber\n"
        "Attendees: Jonas Weber, mei@example.com\nThe user's answer: tentative\nOnline: https://meet.google.com/abc-defg-hij\n\n"
        "Bring figures.\nSee the plan (https://example.com/a?…).",
        "url": "https://www.google.com/calendar/event?eid=abc",
        "metadata": {"begins": "2026-12-01T09:00:00+08:00", "location": "Room 5"},
        "next_start": None,
    }


async def test_all_notes_of_an_event_are_fetched_however_long() -> None:
    notes = "\n".join(f"{number}: 一行“文字” and some words." for number in range(300))
    web = CannedWeb({f"{EVENTS}/abc123": MEETING | {"description": notes}})

    text = (await asked(FINDER.fetch, web, name="abc123"))["text"]

    assert len(notes) > 8_192
    assert text.endswith(notes)


@pytest.mark.parametrize(
    ("answer", "error", "advice"),
    [
        (NotFound("calendar has no such thing."), NotFound, "Search for it again"),
        ({"id": "abc123", "status": "cancelled"}, NotFound, "Search for it again"),
        ({"id": "abc123"}, Upstream, "in a form that we do not know"),
        ([], Upstream, "in a form that we do not know"),
    ],
)
async def test_what_cannot_be_fetched_is_told_with_what_to_do(answer: Any, error: type[CantileverError], advice: str) -> None:
    with pytest.raises(error, match=advice):
        await asked(FINDER.fetch, CannedWeb({f"{EVENTS}/abc123": answer}), name="abc123")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "primary?x", "a b", "预算"])
async def test_what_is_no_id_is_not_asked_for(name: str) -> None:
    with pytest.raises(Invalid):
        await asked(FINDER.fetch, CannedWeb({}), name=name)


@pytest.mark.parametrize("items", [7, [7], [{}], [{"id": "x", "start": {}}], [{"id": "x", "start": {"date": "soon"}}]])
async def test_events_of_another_form_are_googles_fault(items: Any) -> None:
    with pytest.raises(Upstream, match="in a form that we do not know"):
        await asked(FINDER.search, CannedWeb({EVENTS: {"items": items}}), query="x")


def test_each_operation_names_the_one_scope_that_it_needs() -> None:
    assert [scope.name for scope in list_calendar_events.scopes] == ["https://www.googleapis.com/auth/calendar.events.readonly"]
    assert [scope.name for scope in find_free_time.scopes] == ["https://www.googleapis.com/auth/calendar.freebusy"]
