"""Times as a person names them, and what others leave free of them. Reckoned in UTC: in local time an hour may come twice, or not at all."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from functions.core.errors import Invalid

Span = tuple[datetime, datetime]
"""From a moment to another, which is not in it; both in UTC."""

DAY = timedelta(days=1)


def zone_of(name: str) -> ZoneInfo:
    """The IANA time zone of that name.

    Raises:
        Invalid: there is none.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:  # Not there; no name at all; the name of a folder.
        raise Invalid("time_zone is no IANA time zone; write one such as Europe/Berlin, Asia/Shanghai or UTC.") from error


def span(start: str, end: str, zone: ZoneInfo) -> Span:
    """From `start` to `end`: times in `zone`, unless they have an offset of their own, or dates, of which the last is included.

    Raises:
        Invalid: they are no times that there are, or in the wrong order.
    """
    try:
        since, until = moment(start, zone), moment(end, zone, behind="T" not in end)
    except ValueError as error:
        raise Invalid("start and end must be dates and times that there are, such as 2026-12-01 or 2026-12-01T09:00.") from error
    if since >= until:
        raise Invalid("end must be later than start.")
    return since, until


def moment(text: str, zone: ZoneInfo, *, behind: bool = False) -> datetime:
    """The moment in UTC that an RFC 3339 time means, without an offset in `zone`; of a date its beginning, or the end `behind` it.

    Raises:
        ValueError: there is no such time.
    """
    local = datetime.fromisoformat(text) + (DAY if behind else timedelta(0))
    return (local if local.tzinfo else local.replace(tzinfo=zone)).astimezone(UTC)


def merged(spans: Sequence[Span]) -> list[Span]:
    """The same times, those that overlap or touch as one, soonest first."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def windows(within: Span, zone: ZoneInfo, earliest: time, latest: time | None) -> Iterator[Span]:
    """What of a span lies between two times of day in `zone`. Where these leave out nothing it is one time, which no midnight parts."""
    since, until = within
    if earliest == time() and latest is None:
        yield within
        return
    day, last = since.astimezone(zone).date(), until.astimezone(zone).date()
    while day <= last:
        begins, ends = _at(day, earliest, zone), _at(day, latest, zone) if latest else _at(day + DAY, time(), zone)
        if max(begins, since) < min(ends, until):
            yield max(begins, since), min(ends, until)
        day += DAY


def gaps(window: Span, busy: Sequence[Span]) -> Iterator[Span]:
    """What `busy`, as `merged` gives it, leaves of a window."""
    at, until = window
    for start, end in busy:
        if at < min(start, until):
            yield at, min(start, until)
        at = max(at, end)
    if at < until:
        yield at, until


def _at(day: date, hour: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, hour, zone).astimezone(UTC)
