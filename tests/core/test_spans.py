"""Times as a person names them, and what others leave free of them."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.errors import Invalid
from functions.core.spans import gaps, merged, moment, span, windows, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
BASE = datetime(2026, 12, 1, tzinfo=UTC)


def at(hour: float) -> datetime:
    return BASE + timedelta(hours=hour)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-07-01T09:00", "2026-07-01T07:00:00+00:00"),
        ("2026-12-01T09:00:30", "2026-12-01T08:00:30+00:00"),
        ("2026-12-01T09:00Z", "2026-12-01T09:00:00+00:00"),
        ("2026-12-01T09:00+08:00", "2026-12-01T01:00:00+00:00"),
        ("2026-12-01", "2026-11-30T23:00:00+00:00"),
        ("2026-03-29T02:30", "2026-03-29T01:30:00+00:00"),  # The clocks skip it.
        ("2026-10-25T02:30", "2026-10-25T00:30:00+00:00"),  # It comes twice: the first.
    ],
)
def test_a_time_without_an_offset_is_meant_in_the_zone(text: str, utc: str) -> None:
    assert moment(text, BERLIN).isoformat() == utc


def test_a_day_is_as_long_as_it_is() -> None:
    since, until = span("2026-10-25", "2026-10-25", BERLIN)

    assert until - since == timedelta(hours=25)


@pytest.mark.parametrize("name", ["", "Mars/Base", "America", "../UTC", "/etc/passwd", "UTC\x00", "x" * 300])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="no IANA time zone"):
        zone_of(name)


def test_zones_are_known_wherever_we_run() -> None:
    assert [str(zone_of(name)) for name in ("Asia/Shanghai", "America/Argentina/Buenos_Aires", "UTC")]


def test_the_hours_of_a_day_follow_the_clocks() -> None:
    found = [*windows(span("2026-03-28", "2026-03-29", BERLIN), BERLIN, time(9), time(17))]

    assert [begin.isoformat() for begin, _ in found] == ["2026-03-28T08:00:00+00:00", "2026-03-29T07:00:00+00:00"]
    assert {end - begin for begin, end in found} == {timedelta(hours=8)}


SPANS = st.lists(st.tuples(st.integers(0, 48), st.integers(1, 12)).map(lambda one: (at(one[0]), at(one[0] + one[1]))), max_size=12)


@given(SPANS)
def test_what_is_free_and_what_is_busy_are_all_there_is(spans: list[tuple[datetime, datetime]]) -> None:
    busy = merged(spans)

    free = [*gaps((at(0), at(60)), busy)]

    for quarter in range(240):
        now = at(quarter / 4)
        taken = any(start <= now < end for start, end in spans)
        assert any(start <= now < end for start, end in busy) == taken
        assert any(start <= now < end for start, end in free) == (not taken)
    assert all(end < start for (_, end), (start, _) in pairwise(busy))
