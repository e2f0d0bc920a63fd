"""The emulated APIs take and answer what Google's discovery documents say, and refuse and fail as Google does.

The documents come with the package google-api-python-client. How each API behaves: test_google_calendar, test_google_docs, test_google_gmail.
"""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from infra.local.google_emulator import METHODS
from infra.local.google_emulator.apis import COMMON
from infra.local.google_emulator.faults import FAULTS, Fault
from infra.local.google_emulator.fields import kept, mask
from infra.local.google_emulator.sample_calendar import HOLIDAYS, TEAM
from infra.local.google_emulator.sample_docs import EMPTY, HANDBOOK, LONG, MINUTES, PLAN, POISONED
from infra.local.google_emulator.scopes import SCOPES
from tests import discovery
from tests.discovery import HOSTS, NAMES, api
from tests.google import CALENDARS, DOCUMENTS, EVENTS, EVERYTHING, FREE_BUSY, MAIL, MESSAGES, PRIMARY, Google, started


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
        (f"/v1/documents/{PLAN}", DOCUMENTS, "docs.googleapis.com", "google.apps.docs.v1.DocumentsService.GetDocument"),
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
    body = {"timeMin": "2026-11-26T00:00:00Z", "timeMax": "2026-11-27T00:00:00Z", "items": [{"id": "primary"}]}

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
