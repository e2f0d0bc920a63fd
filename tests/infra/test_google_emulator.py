"""The emulated APIs take and answer what Google's discovery documents say, and behave as its reference pages do.

https://developers.google.com/workspace/{calendar,docs,gmail}/api, read in November 2026. The documents come with the package
google-api-python-client.
"""

import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from typing import Any

import httpx
import jsonschema
import pytest

from infra.local.google_emulator import METHODS
from infra.local.google_emulator.apis import COMMON
from infra.local.google_emulator.faults import FAULTS, Fault
from infra.local.google_emulator.fields import kept, mask
from infra.local.google_emulator.people import JONAS, MEI
from infra.local.google_emulator.sample_calendar import HOLIDAYS, POISON, TEAM, calendars
from infra.local.google_emulator.sample_docs import DIARY, DOCUMENTS, EMPTY, HANDBOOK, LONG, MINUTES, PLAN, POISONED, WORD_FILE
from infra.local.google_emulator.sample_mail import LABELS, PDF, mails
from infra.local.google_emulator.scopes import AUTH, SCOPES
from tests import discovery
from tests.discovery import HOSTS, NAMES, api
from tests.google import EVENTS, FREE_BUSY, MAIL, Google, started

CALENDARS = f"{AUTH}calendar.calendarlist.readonly"
EVERYTHING = (EVENTS, FREE_BUSY, CALENDARS, f"{AUTH}documents.readonly", MAIL)

PRIMARY = "/calendar/v3/calendars/primary/events"
MESSAGES = "/gmail/v1/users/me/messages"


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """One for all tests that only read."""
    with started() as google:
        yield google


@pytest.fixture(scope="module")
def token(google: Google) -> str:
    access_token: str = google.grant(EVERYTHING)["access_token"]
    return access_token


@pytest.fixture(scope="module")
def jonas(google: Google) -> str:
    access_token: str = google.grant(EVERYTHING, JONAS)["access_token"]
    return access_token


def days(first: int, last: int) -> dict[str, str]:
    """A range of whole days in Shanghai, counted from today there; the last one is not in it."""
    today = datetime.now(MEI.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"timeMin": (today + timedelta(days=first)).isoformat(), "timeMax": (today + timedelta(days=last)).isoformat()}


def titles(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [event.get("summary", "") for event in answer.json()["items"]]


def of(method_id: str) -> discovery.Api:
    return api(next(name for name in NAMES if name.startswith(method_id.partition(".")[0])))


@pytest.mark.parametrize("method", [method for method, _ in METHODS], ids=lambda method: method.id)
def test_every_method_is_where_google_has_it_and_takes_what_google_takes(method: Any) -> None:
    published = of(method.id)
    known = published.parameters(method.id)

    assert (method.verb, method.path) == (published.methods[method.id]["httpMethod"], published.path(method.id))
    assert set(method.scopes) <= set(published.methods[method.id]["scopes"]) & set(SCOPES)
    for name, given in (method.parameters | {name: given for name, given in COMMON.items() if name != "alt"}).items():
        kind = "date-time" if known[name].get("format") == "date-time" else known[name]["type"]
        assert (name, given.kind, given.repeated) == (name, kind, known[name].get("repeated", False))
        assert set(given.enum) <= set(known[name].get("enum", given.enum))
        assert given.minimum == int(known[name].get("minimum", 0))


@pytest.mark.parametrize("name", NAMES)
def test_the_base_addresses_that_clients_replace_are_googles(name: str) -> None:
    host, _, path = HOSTS[name].removeprefix("https://").partition("/")

    assert api(name).document["rootUrl"] == f"https://{host}/"
    assert all(method.path.startswith(f"/{path}/") for method, _ in METHODS if of(method.id) is api(name))


@pytest.mark.parametrize("scope", SCOPES)
def test_scopes_are_described_in_googles_words(scope: str) -> None:
    published = [discovery.Api("oauth2.v2"), *map(api, NAMES)]

    words = {one.document["auth"]["oauth2"]["scopes"].get(scope, {}).get("description") for one in published}

    assert words - {None} == {SCOPES[scope]}


REPLIES = [
    ("calendar.events.list", PRIMARY, {}),
    ("calendar.events.list", PRIMARY, {"singleEvents": "true", "showDeleted": "true", "orderBy": "startTime", "maxAttendees": "1"}),
    ("calendar.events.list", PRIMARY, {"singleEvents": "false", "showDeleted": "true", "timeZone": "America/New_York"}),
    ("calendar.events.list", PRIMARY, {"maxResults": "2"}),
    ("calendar.events.list", f"/calendar/v3/calendars/{TEAM}/events", {}),
    ("calendar.events.list", f"/calendar/v3/calendars/{HOLIDAYS.replace('#', '%23')}/events", {"orderBy": "updated"}),
    ("calendar.calendarList.list", "/calendar/v3/users/me/calendarList", {}),
    ("calendar.calendarList.list", "/calendar/v3/users/me/calendarList", {"maxResults": "1"}),
    *[("docs.documents.get", f"/v1/documents/{one}", {}) for one in (PLAN, MINUTES, HANDBOOK, POISONED, EMPTY, LONG)],
    *[("docs.documents.get", f"/v1/documents/{one}", {"includeTabsContent": "true"}) for one in (PLAN, HANDBOOK)],
    ("docs.documents.get", f"/v1/documents/{PLAN}", {"suggestionsViewMode": "PREVIEW_SUGGESTIONS_ACCEPTED"}),
    ("gmail.users.messages.list", MESSAGES, {}),
    ("gmail.users.messages.list", MESSAGES, {"q": "nothing-is-called-so"}),
    ("gmail.users.messages.list", MESSAGES, {"maxResults": "3", "includeSpamTrash": "true", "labelIds": "INBOX"}),
    ("gmail.users.labels.list", "/gmail/v1/users/me/labels", {}),
    ("gmail.users.getProfile", "/gmail/v1/users/mei.lin@example.com/profile", {}),
]


@pytest.mark.parametrize(("method_id", "path", "query"), REPLIES)
def test_a_reply_is_what_the_published_schema_says(google: Google, token: str, method_id: str, path: str, query: dict[str, str]) -> None:
    answer = google.get(path, token, **query)

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    of(method_id).check(method_id, answer.json())
    assert list(of(method_id).problems(method_id, query)) == []


def test_every_single_event_message_and_attachment_is_what_the_schema_says(google: Google, token: str) -> None:
    for event in google.get(PRIMARY, token, showDeleted="true").json()["items"]:
        of("calendar").check("calendar.events.get", google.get(f"{PRIMARY}/{event['id']}", token).json())
    for name in (message["id"] for message in google.get(MESSAGES, token, includeSpamTrash="true").json()["messages"]):
        for form in ("minimal", "metadata", "full", "raw"):
            reply = google.get(f"{MESSAGES}/{name}", token, format=form).json()
            of("gmail").check("gmail.users.messages.get", reply)
        for attachment in attachments(google.get(f"{MESSAGES}/{name}", token).json()["payload"]):
            reply = google.get(f"{MESSAGES}/{name}/attachments/{attachment}", token).json()
            of("gmail").check("gmail.users.messages.attachments.get", reply)


def attachments(part: dict[str, Any]) -> list[str]:
    own = [part["body"]["attachmentId"]] if "attachmentId" in part["body"] else []
    return [*own, *(one for below in part.get("parts", []) for one in attachments(below))]


def test_the_check_itself_finds_what_google_does_not_know(google: Google, token: str) -> None:
    reply = google.get(PRIMARY, token, maxResults="1").json()

    with pytest.raises(jsonschema.ValidationError, match="'sumary' was unexpected"):
        of("calendar").check("calendar.events.list", reply | {"sumary": ""})
    with pytest.raises(jsonschema.ValidationError, match="is not a 'date-time'"):
        of("calendar").check("calendar.events.list", reply | {"updated": "2026-11-26 10:00"})
    wrong = {"singleEvent": "true", "orderBy": "start", "maxResults": "0", "timeMin": "2026-11-26", "fields": "items(id,sumary)"}
    assert sorted(of("calendar").problems("calendar.events.list", wrong)) == [
        "calendar.events.list has no parameter 'singleEvent'",
        "calendar.events.list.items: fields names 'sumary', which is no field there",
        "calendar.events.list: maxResults='0' is not of its kind",
        "calendar.events.list: orderBy='start' is not of its kind",
        "calendar.events.list: timeMin='2026-11-26' is not of its kind",
    ]


def test_the_check_of_received_requests_passes_ours_and_finds_an_unknown_path() -> None:
    with started() as google:
        tokens = google.grant(EVERYTHING)["access_token"]
        google.get(PRIMARY, tokens, singleEvents="true")
        google.post("/calendar/v3/freeBusy", tokens, {"timeMin": "2026-11-26T00:00:00Z", "timeMax": "2026-11-27T00:00:00Z", "items": []})
        fine = discovery.problems(google.received)
        google.post("/calendar/v3/freeBusy", tokens, {"timeMinimum": "2026-11-26T00:00:00Z"})
        google.get("/gmail/v1/users/me/letters", tokens)

    assert fine == []
    assert discovery.problems(google.received) == [
        "calendar.freebusy.query: Additional properties are not allowed ('timeMinimum' was unexpected)",
        "GET /gmail/v1/users/me/letters is no method of Google's",
    ]


@pytest.mark.parametrize(("path", "errors"), [(PRIMARY, True), (f"/v1/documents/{PLAN}", False), (MESSAGES, True)])
def test_without_a_good_token_an_api_answers_401_as_google_does(google: Google, path: str, errors: bool) -> None:
    missing, unknown = google.get(path), google.get(path, "ya29.unknown")

    for answer in (missing, unknown):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == 401
        assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"].startswith('Bearer realm="https://accounts.google.com/"')
        assert ("errors" in answer.json()["error"]) == errors
    assert missing.json()["error"]["details"][0]["reason"] == "CREDENTIALS_MISSING"
    assert unknown.json()["error"]["message"].startswith("Request had invalid authentication credentials. Expected OAuth 2 access token")
    assert 'error="invalid_token"' in unknown.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("path", "enough", "service", "method"),
    [
        (PRIMARY, EVENTS, "calendar-json.googleapis.com", "calendar.v3.Events.List"),
        ("/calendar/v3/users/me/calendarList", CALENDARS, "calendar-json.googleapis.com", "calendar.v3.CalendarList.List"),
        (f"/v1/documents/{PLAN}", f"{AUTH}documents.readonly", "docs.googleapis.com", "google.apps.docs.v1.DocumentsService.GetDocument"),
        (MESSAGES, MAIL, "gmail.googleapis.com", "caribou.api.proto.MailboxService.ListMessages"),
    ],
)
def test_a_token_without_the_scope_is_answered_403_and_told_so(google: Google, path: str, enough: str, service: str, method: str) -> None:
    others = google.grant([scope for scope in EVERYTHING if scope != enough], include_granted_scopes="")["access_token"]
    alone = google.grant([enough], include_granted_scopes="")["access_token"]

    refused = google.get(path, others)

    error = refused.json()["error"]
    assert google.get(path, alone).status_code == 200
    assert (refused.status_code, error["status"]) == (403, "PERMISSION_DENIED")
    assert error["message"] == "Request had insufficient authentication scopes."
    assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    assert error["details"][0]["metadata"] == {"service": service, "method": method}
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert enough in refused.headers["www-authenticate"]


def test_events_do_not_show_who_is_free_and_the_other_way_round(google: Google) -> None:
    events = google.grant([EVENTS], include_granted_scopes="")["access_token"]
    busy = google.grant([FREE_BUSY], include_granted_scopes="")["access_token"]
    body = {**days(0, 1), "items": [{"id": "primary"}]}

    assert google.post("/calendar/v3/freeBusy", events, body).status_code == google.get(PRIMARY, busy).status_code == 403
    assert google.post("/calendar/v3/freeBusy", busy, body).status_code == 200


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (PRIMARY, {"singleEvent": "true"}),
        (PRIMARY, {"singleEvents": "True"}),
        (PRIMARY, {"maxResults": "0"}),
        (PRIMARY, {"maxResults": "ten"}),
        (PRIMARY, {"orderBy": "start"}),
        (PRIMARY, {"timeMin": "2026-11-26"}),
        (PRIMARY, {"timeMin": "2026-11-26T10:00:00"}),
        (PRIMARY, {"timeMin": "2026-13-26T10:00:00Z"}),
        (PRIMARY, {"timeZone": "Mars/Olympus"}),
        (PRIMARY, {"fields": "items(id"}),
        (PRIMARY, {"alt": "xml"}),
        (PRIMARY, {"q": ["a", "b"]}),
        (f"/v1/documents/{PLAN}", {"includeTabs": "true"}),
        (f"/v1/documents/{PLAN}", {"suggestionsViewMode": "ALL"}),
        (MESSAGES, {"query": "x"}),
        (MESSAGES, {"q": "form:jonas"}),
        (MESSAGES, {"q": "newer_than:soon"}),
        (f"{MESSAGES}/not-hexadecimal", {}),
    ],
)
def test_what_makes_no_sense_is_refused_and_never_ignored(google: Google, token: str, path: str, query: dict[str, Any]) -> None:
    answer = google.get(path, token, **query)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 400


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

    of("calendar").check("calendar.freebusy.query", reply)
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


def test_the_sample_is_sound_on_every_day_of_four_years() -> None:
    first = date(2027, 1, 1)

    for today in (first + timedelta(days=day) for day in range(4 * 366)):
        mine = calendars(MEI, today)[0].events
        assert any("budget" in event.fields.get("summary", "") and event.start.date() == today + timedelta(days=1) for event in mine)  # type: ignore[union-attr]
        assert all(event.start < event.end for event in mine if not event.cancelled)  # type: ignore[operator]
        assert sum(event.series == "standup" for event in mine) == 2


def places(element: Any) -> Iterator[tuple[int, int]]:
    """Where every element of a document begins and ends."""
    if isinstance(element, list):
        for one in element:
            yield from places(one)
    elif isinstance(element, dict):
        if "endIndex" in element:
            yield element.get("startIndex", 0), element["endIndex"]
        for name, value in element.items():
            if name not in ("footnotes", "headers"):
                yield from places(value)


def runs(element: Any) -> Iterator[dict[str, Any]]:
    """Every element of a document that has text."""
    if isinstance(element, list):
        for one in element:
            yield from runs(one)
    elif isinstance(element, dict):
        if "textRun" in element:
            yield element
        for value in element.values():
            yield from runs(value)


def text(reply: Any) -> str:
    return "".join(run["textRun"]["content"] for run in runs(reply))


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one.id != DIARY], ids=lambda one: one.id)
def test_places_in_a_document_are_counted_in_utf_16_without_a_gap(google: Google, token: str, document: Any) -> None:
    reply = google.get(f"/v1/documents/{document.id}", token).json()

    blocks = reply["body"]["content"]
    assert [(block.get("startIndex", 0)) for block in blocks[1:]] == [block["endIndex"] for block in blocks[:-1]]
    assert all(start < end for start, end in places(reply))
    for run in runs(reply["body"]):
        assert run["endIndex"] - run["startIndex"] == len(run["textRun"]["content"].encode("utf-16-le")) // 2
    for block in blocks:
        elements = block.get("paragraph", {}).get("elements", [])
        assert not elements or elements[-1]["textRun"]["content"].endswith("\n")


def test_a_document_has_headings_lists_a_table_a_link_and_an_image_that_belong_together(google: Google, token: str) -> None:
    reply = google.get(f"/v1/documents/{PLAN}", token).json()

    paragraphs = [block["paragraph"] for block in reply["body"]["content"] if "paragraph" in block]
    elements = [element for paragraph in paragraphs for element in paragraph["elements"]]
    kinds = {kind for element in elements for kind in element} - {"startIndex", "endIndex"}
    table = next(block["table"] for block in reply["body"]["content"] if "table" in block)
    image = next(element["inlineObjectElement"]["inlineObjectId"] for element in elements if "inlineObjectElement" in element)
    note = next(element["footnoteReference"]["footnoteId"] for element in elements if "footnoteReference" in element)
    assert kinds == {"textRun", "inlineObjectElement", "footnoteReference", "person", "dateElement", "richLink", "horizontalRule"}
    assert {"TITLE", "SUBTITLE", "HEADING_1", "HEADING_2"} < {paragraph["paragraphStyle"]["namedStyleType"] for paragraph in paragraphs}
    assert {paragraph["bullet"]["listId"] for paragraph in paragraphs if "bullet" in paragraph} == set(reply["lists"])
    assert (table["rows"], table["columns"]) == (3, 3)
    assert [text(cell) for cell in table["tableRows"][2]["tableCells"]] == ["Hosting\ntwo regions\n", "€ 8,400 / year\n", "Jonas\n"]
    assert reply["inlineObjects"][image]["inlineObjectProperties"]["embeddedObject"]["description"].startswith("A bar for each quarter")
    assert text(reply["footnotes"][note]) == " As agreed on the offsite.\n"
    assert reply["documentStyle"]["defaultHeaderId"] in reply["headers"]


def test_tabs_come_where_they_are_asked_for_and_else_the_first_one_alone(google: Google, token: str) -> None:
    plain = google.get(f"/v1/documents/{HANDBOOK}", token).json()
    tabbed = google.get(f"/v1/documents/{HANDBOOK}", token, includeTabsContent="true").json()

    properties = [tab["tabProperties"] for tab in tabbed["tabs"]]
    child = tabbed["tabs"][1]["childTabs"][0]
    assert text(plain) == "Welcome\nRead the other tabs, too.\n"
    assert "tabs" not in plain
    assert "body" not in tabbed
    assert [(one["index"], one["title"]) for one in properties] == [(0, "Welcome"), (1, "Leave 休假"), (2, "Travel")]
    assert (child["tabProperties"]["parentTabId"], child["tabProperties"]["nestingLevel"]) == ("t.leave", 1)
    assert text(child["documentTab"]) == "Call before ten.\n"


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("DEFAULT_FOR_CURRENT_ACCESS", "The launch is on MondayTuesday."),
        ("SUGGESTIONS_INLINE", "The launch is on MondayTuesday."),
        ("PREVIEW_SUGGESTIONS_ACCEPTED", "The launch is on Tuesday."),
        ("PREVIEW_WITHOUT_SUGGESTIONS", "The launch is on Monday."),
    ],
)
def test_suggestions_are_shown_taken_or_left_as_asked(google: Google, token: str, mode: str, sentence: str) -> None:
    reply = google.get(f"/v1/documents/{PLAN}", token, suggestionsViewMode=mode).json()

    assert sentence in text(reply)
    suggested = [run["textRun"] for run in runs(reply) if run["textRun"].keys() & {"suggestedInsertionIds", "suggestedDeletionIds"}]
    assert len(suggested) == (2 if "MondayTuesday" in sentence else 0)


def test_a_reader_sees_no_suggestions_and_may_not_ask_for_them(google: Google, jonas: str) -> None:
    reply = google.get(f"/v1/documents/{PLAN}", jonas)

    assert "The launch is on Monday." in text(reply.json())
    assert "revisionId" not in reply.json()
    assert google.get(f"/v1/documents/{PLAN}", jonas, suggestionsViewMode="SUGGESTIONS_INLINE").status_code == 403


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [(DIARY, 403, "PERMISSION_DENIED"), ("1Unknown", 404, "NOT_FOUND"), (WORD_FILE, 400, "FAILED_PRECONDITION")],
)
def test_a_document_that_cannot_be_read_is_refused_with_the_reason(
    google: Google, token: str, document: str, status: int, code: str
) -> None:
    answer = google.get(f"/v1/documents/{document}", token)

    assert (answer.status_code, answer.json()["error"]["status"]) == (status, code)


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


def test_the_traps_are_set(google: Google, token: str) -> None:
    invite = google.get(PRIMARY, token, q="Partnership").json()["items"][0]
    document = google.get(f"/v1/documents/{POISONED}", token).json()
    parcel = message(google, token, "Your parcel")

    assert invite["description"] == POISON
    assert all("attacker.example" in trap for trap in (invite["description"], text(document), body(parcel["payload"])))
    assert any(0xE0000 <= ord(character) <= 0xE007F for character in text(document))
    assert "display:none" in body(parcel["payload"])


def test_mails_are_the_same_octets_every_time() -> None:
    assert mails(MEI, date(2026, 11, 26)) == mails(MEI, date(2026, 11, 26))
    assert all(mail.received.date() < date(2026, 11, 26) for mail in mails(MEI, date(2026, 11, 26)))


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        ("kind", {"kind": "k"}),
        ("items/id", {"items": [{"id": 1}, {"id": 2}]}),
        ("items(id,start/date),kind", {"kind": "k", "items": [{"id": 1, "start": {"date": "d"}}, {"id": 2}]}),
        ("items(start(date))", {"items": [{"start": {"date": "d"}}, {}]}),
        ("*/id", {"kind": "k", "items": [{"id": 1}, {"id": 2}]}),
        ("unheard", {}),
    ],
)
def test_fields_select_a_part_of_the_reply(selection: str, left: Any) -> None:
    reply = {"kind": "k", "items": [{"id": 1, "start": {"date": "d", "zone": "z"}}, {"id": 2}]}

    assert kept(reply, mask(selection)) == left


@pytest.mark.parametrize("selection", ["", "items(", "items(id", "items)", "items//id", "items id", ",id", "items(id))"])
def test_fields_that_select_nothing_are_refused(selection: str) -> None:
    with pytest.raises(ValueError, match="Invalid field selection"):
        mask(selection)


def test_a_partial_reply_still_fits_the_schema(google: Google, token: str) -> None:
    reply = google.get(PRIMARY, token, fields="items(id,start,attendees/email),nextPageToken", maxResults="2").json()

    of("calendar").check("calendar.events.list", reply)
    assert reply.keys() == {"items", "nextPageToken"}
    assert all(event.keys() <= {"id", "start", "attendees"} for event in reply["items"])


@pytest.fixture
def failing() -> Iterator[Google]:
    with started() as google:
        yield google


@pytest.mark.parametrize(
    ("fault", "path", "status", "reason"),
    [
        ("401", PRIMARY, 401, "authError"),
        ("rateLimitExceeded", PRIMARY, 403, "rateLimitExceeded"),
        ("userRateLimitExceeded", PRIMARY, 403, "userRateLimitExceeded"),
        ("quotaExceeded", PRIMARY, 403, "quotaExceeded"),
        ("429", PRIMARY, 429, "rateLimitExceeded"),
        ("500", PRIMARY, 500, "backendError"),
        ("503", PRIMARY, 503, "backendError"),
        ("401", f"/v1/documents/{PLAN}", 401, "UNAUTHENTICATED"),
        ("429", f"/v1/documents/{PLAN}", 429, "RESOURCE_EXHAUSTED"),
        ("503", f"/v1/documents/{PLAN}", 503, "UNAVAILABLE"),
        ("429", MESSAGES, 429, "rateLimitExceeded"),
        ("500", MESSAGES, 500, "backendError"),
    ],
)
def test_an_api_fails_in_its_own_form_as_often_as_it_is_told(failing: Google, fault: str, path: str, status: int, reason: str) -> None:
    bearer = failing.grant(EVERYTHING)["access_token"]
    failing.fail(fault, path, times=1, retry_after="7")

    first, second = failing.get(path, bearer), failing.get(path, bearer)

    error = first.json()["error"]
    assert (first.status_code, error["code"], second.status_code) == (status, status, 200)
    assert reason == (error["errors"][0]["reason"] if "errors" in error else error["status"])
    assert first.headers["retry-after"] == "7"


def test_a_fault_happens_on_its_own_paths_until_it_is_healed(failing: Google) -> None:
    bearer = failing.grant(EVERYTHING)["access_token"]
    failing.fail("500", "/calendar/v3")

    statuses = [failing.get(path, bearer).status_code for path in (PRIMARY, MESSAGES, PRIMARY)]
    failing.heal()

    assert statuses == [500, 200, 500]
    assert failing.get(PRIMARY, bearer).status_code == 200


def test_an_answer_can_be_late_never_come_or_be_a_web_page(failing: Google) -> None:
    bearer = failing.grant(EVERYTHING)["access_token"]
    failing.fail("slow", PRIMARY, times=1, latency=0.3)
    failing.fail("hang", MESSAGES)
    failing.fail("html", "/v1/documents")

    began = time.monotonic()
    late = failing.get(PRIMARY, bearer)
    seconds = time.monotonic() - began

    assert late.status_code == 200
    assert seconds >= 0.3
    with pytest.raises(httpx.ReadTimeout):
        failing.http.get(MESSAGES, headers={"authorization": f"Bearer {bearer}"}, timeout=0.2)
    assert failing.get(f"/v1/documents/{PLAN}", bearer).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("name", ["invalid_client", "internal_failure"])
def test_the_token_endpoint_can_fail_otherwise(failing: Google, name: str) -> None:
    refresh_token = failing.grant(EVERYTHING)["refresh_token"]
    failing.fail(name, "/token")

    answer = failing.token_request(grant_type="refresh_token", refresh_token=refresh_token)

    assert (answer.status_code, answer.json()["error"]) == ({"invalid_client": 401, "internal_failure": 500}[name], name)


def test_a_fault_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match=f"no fault is called '403'; there are {', '.join(FAULTS)}"):
        Fault("403")


def test_what_was_asked_is_remembered(failing: Google) -> None:
    bearer = failing.grant(EVERYTHING)["access_token"]

    failing.get(PRIMARY, bearer, q="预算")

    asked = failing.asked("/calendar/")
    assert [(one.method, one.path, one.query) for one in asked] == [("GET", PRIMARY, {"q": "预算"})]
    assert asked[0].headers["Authorization"] == f"Bearer {bearer}"
