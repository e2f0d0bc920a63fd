"""The load test: `python -m tests.load USERS`, or `make load USERS=1000 [ROW=1] [SLOW=5] [SECONDS=30]`.

Ends with 1 where a turn was lost or failed, an answer came late, or the model was asked too often.
"""

import os
import sys

from tests.bench import machine
from tests.bench.report import percentile
from tests.load import scenario
from tests.load.outcome import Run
from tests.load.questions import CALLS_PER_TURN


def main() -> int:
    """Run one row, or all, and print what came of it."""
    machine.keep_off_the_servers_core()
    users, slow = int(sys.argv[1]) if len(sys.argv) > 1 else 100, float(os.environ.get("SLOW") or 0)
    rows = [int(os.environ["ROW"])] if os.environ.get("ROW") else [row for row in CALLS_PER_TURN if row != 3 or not slow]
    faults = [fault for row in rows for fault in _tell(scenario.ours(row, users, float(os.environ.get("SECONDS") or 30), slow))]
    print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


def _tell(run: Run) -> list[str]:
    """Print a run; gives what must not be."""
    if not run.milliseconds:
        return [f"Row {run.row}: no turn was done.", *run.faults]
    print(
        f"Row {run.row}, {run.users} users: {run.turns_per_second:.1f} turns/s; mean {run.mean:.0f}, p50 {run.p(0.5):.0f}, p95 {run.p(0.95):.0f}, "
        f"p99 {run.p(0.99):.0f} ms; {len(run.errors)} of {len(run.turns)} failed; p95 is {run.p95_ratio:.2f} times the model's own "
        f"({percentile(run.model_milliseconds, 0.95):.0f} ms); slowest answer {run.slowest_answer:.0f} ms; {run.pending} pending, "
        f"done at most {run.latest / 1000:.1f} s after the model's own time; server {run.cpu_share:.0%} of a core",
        flush=True,
    )
    return run.faults


if __name__ == "__main__":
    sys.exit(main())
