"""Calendar, documents and mail of an emulated person, by the product's REST interface: what comes back, and that Google knows what was asked."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from infra.local.google_emulator import sample_docs
from infra.local.google_emulator.people import JONAS
from infra.local.google_emulator.sample_mail import POISON_TEXT
from tests import signin
from tests.google import EVENTS
from tests.signin import SignedIn

pytestmark = pytest.mark.usefixtures("known_to_google")

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started(ENABLED_CAPABILITIES="gmail") as started:
        yield started


@pytest.fixture(scope="module")
def token(product: SignedIn) -> str:
    with product.browser() as browser:
        return str(product.client().connect(browser)["access_token"])


@pytest.fixture
def call(product: SignedIn, token: str) -> Any:
    def called(operation: str, **arguments: Any) -> httpx.Response:
        return product.call(operation, token, **arguments)

    return called


def ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def between(days: float, more: float) -> dict[str, str]:
    return {"start": (NOW + timedelta(days=days)).isoformat(), "end": (NOW + timedelta(days=more)).isoformat()}


def test_events_are_listed_in_order_of_time_with_their_series_taken_apart(call: Any) -> None:
    told = ok(call("list_calendar_events", **between(-1, 14), max_results=50))

    starts = [event["start"] for event in told["events"] if "T" in event["start"]]
    assert starts == sorted(starts, key=datetime.fromisoformat)
    assert told["time_zone"] == "Asia/Shanghai"
    titles = [event["title"] for event in told["events"]]
    assert titles.count("晨会 Stand-up") > 1, "each day of the series"
    assert "Lunch with Ana" not in titles, "what was cancelled is not told"
    assert any("T" not in event["start"] for event in told["events"]), "some last whole days"


def test_events_are_found_by_words_and_cut_to_the_limit(call: Any) -> None:
    assert [event["title"] for event in ok(call("list_calendar_events", **between(-1, 14), query="Team offsite"))["events"]] == [
        "团队团建 Team offsite"
    ]
    few = ok(call("list_calendar_events", **between(-1, 14), max_results=2))
    assert (len(few["events"]), few["more"]) == (2, True)


@pytest.mark.parametrize(
    "changed",
    [
        {"start": NOW.isoformat(), "end": NOW.isoformat()},
        {"start": "2026-11-26T00:00:00.5", "end": "2026-11-27T00:00:00"},
        {"start": "tomorrow", "end": "2026-11-27T00:00:00Z"},
        {**between(0, 1), "max_results": 51},
        {**between(0, 1), "calendar": ""},
        {**between(0, 1), "more": 1},
    ],
)
def test_a_wrong_question_is_told_what_to_change(call: Any, changed: dict[str, Any]) -> None:
    response = call("list_calendar_events", **changed)

    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid")


def test_a_calendar_of_somebody_else_is_not_there(call: Any) -> None:
    response = call("list_calendar_events", **between(0, 1), calendar=JONAS.email)

    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "calendar", ["../../users/me/calendarList", "primary/events/x", "en.chinese#holiday@group.v.calendar.google.com", "a?b=c", "%2e%2e"]
)
def test_a_calendars_id_stays_one_segment_of_the_address(product: SignedIn, call: Any, calendar: str) -> None:
    began = len(product.google.received)

    call("list_calendar_events", **between(0, 1), calendar=calendar)

    asked = [request.path for request in product.google.received[began:] if "calendar" in request.path]
    assert all(path.endswith("/events") and path.count("/") == 5 for path in asked), asked


def test_free_time_is_told_and_not_what_is_between(call: Any) -> None:
    told = ok(call("find_free_time", **between(0, 7), time_zone="Asia/Shanghai", people=[JONAS.email, "nobody@example.com"]))

    assert told["free"]
    assert told["busy"]
    assert all(set(period) == {"start", "end"} for period in told["free"] + told["busy"])
    assert told["unknown"] == ["nobody@example.com"]


@pytest.mark.parametrize(
    "form", ["{}", "https://docs.google.com/document/d/{}/edit", "https://docs.google.com/document/u/0/d/{}/edit?tab=t.0#heading=h.1"]
)
def test_a_document_is_read_by_its_address_or_its_id(call: Any, form: str) -> None:
    told = ok(call("read_document", document=form.format(sample_docs.PLAN)))

    assert told["title"]
    assert told["link"] == f"https://docs.google.com/document/d/{sample_docs.PLAN}/edit"
    lines = told["text"].splitlines()
    assert any(line.startswith("# ") for line in lines)
    assert any(line.lstrip().startswith("- ") for line in lines)
    assert any(" | " in line for line in lines)
    assert told["next_start"] is None


def test_every_tab_of_a_document_is_read_and_a_long_one_is_cut(call: Any) -> None:
    handbook = ok(call("read_document", document=sample_docs.HANDBOOK))["text"]
    assert all(tab.title in handbook for tab in sample_docs.HANDBOOK_TABS[1:])
    long = ok(call("read_document", document=sample_docs.LONG))
    rest = ok(call("read_document", document=sample_docs.LONG, start=long["next_start"]))
    assert 10_000 < len(long["text"]) < 20_000 < long["characters"]
    assert rest["text"][:50] != long["text"][:50]
    assert ok(call("read_document", document=sample_docs.EMPTY))["text"] == ""


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (sample_docs.DIARY, 404),
        ("1CantileverNobodysDocument00000000000000009", 404),
        (sample_docs.WORD_FILE, 422),
        ("https://docs.google.com/spreadsheets/d/1AbCdEfGhIjKlMnOp/edit", 422),
        ("https://docs.google.com.evil.example/document/d/1AbCdEfGhIjKlMnOp", 422),
        ("https://evil.example/?https://docs.google.com/document/d/1AbCdEfGhIjKlMnOp", 422),
        ("../../v1/documents/x", 422),
    ],
)
def test_what_is_no_document_of_the_users_is_refused(call: Any, document: str, status: int) -> None:
    assert call("read_document", document=document).status_code == status


def test_hidden_characters_of_a_document_do_not_come_along(call: Any) -> None:
    text = ok(call("read_document", document=sample_docs.POISONED))["text"]

    assert text
    assert not any(0xE0000 <= ord(character) <= 0xE007F for character in text)
    assert not {"\u200b", "\u202e", "\u2060"} & set(text)


def test_mail_is_found_and_read_as_text(call: Any) -> None:
    found = ok(call("search_mail", query="newer_than:30d", max_results=10))
    assert found["mails"]
    for mail in found["mails"]:
        told = ok(call("read_mail", mail=mail["id"]))
        assert told["subject"] == mail["subject"]
        assert told["text"].strip(), mail["subject"]
        assert "<" not in told["text"] or "&lt;" not in told["text"]


def test_what_a_mail_hides_from_its_reader_it_hides_from_the_model(call: Any) -> None:
    (parcel,) = ok(call("search_mail", query="subject:parcel"))["mails"]

    told = ok(call("read_mail", mail=parcel["id"]))

    assert POISON_TEXT not in told["text"]
    assert POISON_TEXT[:40] not in told["text"]
    assert "Track it" in told["text"]


@pytest.mark.parametrize("mail", ["0", "ffffffffffffffff"])
def test_a_mail_that_is_not_there_is_not_found(call: Any, mail: str) -> None:
    assert call("read_mail", mail=mail).status_code in (404, 422)


def test_a_restricted_capability_is_not_there_until_it_is_enabled() -> None:
    with signin.started() as without:
        names = [tool["operationId"] for path in without.world.http.get("/openapi.json").json()["paths"].values() for tool in path.values()]
        assert "read_document" in names
        assert "read_mail" not in names
        assert "gmail" not in without.world.http.get("/.well-known/oauth-authorization-server").json()["scopes_supported"]
        assert without.world.http.post("/tools/read_mail", json={"mail": "0"}).status_code == 404


# Google's ill will


def test_an_expired_token_is_renewed_once_and_the_call_succeeds(product: SignedIn, call: Any) -> None:
    product.google.fail("401", "/calendar/v3", times=1)

    ok(call("list_calendar_events"))


def test_a_token_that_is_never_taken_ends_in_reconnecting(product: SignedIn, call: Any) -> None:
    product.google.fail("401", "/calendar/v3")
    began = len(product.google.asked("/calendar"))

    response = call("list_calendar_events")

    assert (response.status_code, response.json()["error"]["code"]) == (401, "disconnected")
    assert len(product.google.asked("/calendar")) - began == 2


@pytest.mark.parametrize("fault", ["rateLimitExceeded", "userRateLimitExceeded", "429", "500", "503"])
def test_what_passes_is_tried_again(product: SignedIn, call: Any, fault: str) -> None:
    product.google.fail(fault, "/calendar/v3", times=1)

    ok(call("list_calendar_events"))


def test_a_scope_that_google_misses_is_named(product: SignedIn, token: str, call: Any) -> None:
    response = call("list_calendar_events", calendar="primary")
    assert response.status_code == 200
    with product.browser() as browser:
        narrow = product.client().connect(browser, JONAS, without=[EVENTS])["access_token"]
    refused = product.call("list_calendar_events", narrow)
    assert refused.json()["error"]["code"] == "insufficient_scope"
    assert EVENTS in refused.json()["error"]["message"]
