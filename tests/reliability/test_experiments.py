"""The experiments at a size that every run can afford; `make reliability-NAME` runs each at its full size, for RESULTS.md."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.reliability import handing_over, points, stops, store_faults, upstream_faults
from tests.reliability.__main__ import EXPERIMENTS
from tests.reliability.report import Section

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux' /proc")


@pytest.mark.parametrize(
    ("measure", "size"),
    [
        pytest.param(upstream_faults.measure, 50, id="50 turns in each fault of the model's server"),
        pytest.param(points.measure, 2, id="a death at every point of a turn"),
        pytest.param(store_faults.measure, 1, id="faults of the store"),
        pytest.param(handing_over.measure, 16, id="slow turns over a bus that fails and repeats"),
        pytest.param(stops.measure, 4, id="told to stop in mid-turn"),
    ],
)
async def test_every_promise_is_kept(measure: Callable[[int], Awaitable[Section]], size: int) -> None:
    section = await measure(size)

    assert section.broken == []


def test_each_experiment_is_named_by_make() -> None:
    told = (ROOT / "Makefile").read_text("utf-8")

    assert [name for name in EXPERIMENTS if f"reliability-{name} " not in told] == []
