"""The experiments: `python -m tests.reliability NAME [SIZE]` runs one at its full size, or at another, and writes its section of RESULTS.md.

It ends with 1 where a promise was broken.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.reliability import handing_over, kills, model_outage, points, report, sign_in, simultaneous, stops, store_faults, upstream_faults
from tests.reliability.report import Section


@dataclass(frozen=True)
class Experiment:
    """What `measure` runs, and how large it is unless somebody says otherwise."""

    measure: Callable[[int], Awaitable[Section]]
    size: int


EXPERIMENTS: Mapping[str, Experiment] = {
    "kill": Experiment(kills.measure, 200),
    "pairs": Experiment(simultaneous.measure, 1000),
    "model": Experiment(upstream_faults.measure, 50),
    "store": Experiment(store_faults.measure, 100),
    "stop": Experiment(stops.measure, 200),
    "outage": Experiment(model_outage.measure, 60),
    "handing-over": Experiment(handing_over.measure, 500),
    "points": Experiment(points.measure, 200),
    "leave": Experiment(stops.measure_leaving, 500),
    "freeze": Experiment(stops.measure_frozen, 100),
    "sign-in": Experiment(sign_in.measure, 200),
}

ORDER = ("A1", "A2, F30", "A4", "A6, A9", "A13", "A15, F28", "A16, F4", "A20, F25, F26", "F29", "F32", "F35")
"""The first words of the sections' titles."""


def main() -> int:
    """Run what the command line names."""
    name = sys.argv[1]
    experiment = EXPERIMENTS[name]
    section = asyncio.run(experiment.measure(int(sys.argv[2]) if len(sys.argv) > 2 else experiment.size))
    report.write(section, ORDER)
    print(section.markdown(), *section.details, sep="\n")
    return 1 if section.broken else 0


if __name__ == "__main__":
    sys.exit(main())
