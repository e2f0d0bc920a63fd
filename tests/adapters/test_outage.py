"""A short outage of an upstream that is a process of its own; `make outage` has the long one, with every fault."""

import asyncio

from tests.reliability.outage import outage


async def test_an_outage_is_met_with_probes_and_its_end_is_found() -> None:
    down, busy = await asyncio.gather(*(outage(fault, 5, settling=3, after=2) for fault in ("500", "429, Retry-After: 1")))

    assert len(down.requests) == len(busy.requests) == 40
    assert 1 <= len(down.asked) <= 2
    assert down.busiest_second == 1
    assert down.recovery <= 2
    assert 40 <= len(busy.asked) <= 44
    assert min(busy.gaps) >= 1
