"""P3: the article's Locust scenario against our function and against the article's code: `python -m tests.bench P3`."""

import asyncio

from tests.bench.report import Section, Verdict, percentile
from tests.load import scenario

USERS = 1000
SECONDS, SEED_SECONDS = 15.0, 10.0
SEED_USERS = (100, 500, 1000)
TURNS_GOALS = {1: 400, 2: 330}
P95_GOAL = 1.15

METHOD = f"""`tests/load`: Locust's FastHttpUser, each user waits 1 to 3 s between turns, {scenario.USERS_PER_SECOND} users come per second; the ramp and
{scenario.SETTLING_SECONDS:g} s after it are dropped, {SECONDS:g} s counted. The model is the local world's emulator (log-normal, median 300 ms,
sigma 0.35). Ours is `plugin` on SQLite, whole turns with the store, on one core; Locust and both emulators share the other. Row 1: a question
without tools. Row 2: the weather question, which takes two model calls and a forecast. In both each user has a session. Row 3: the article's body to
the letter, so that all users stand in line in one session: three may wait behind the one that runs, the others are answered with 409 at once. The article's code runs
on the framework's default of 8 threads, keeps conversations in a dict, and calls the model once per turn, without tools. Errors count the whole run."""


async def measure() -> Section:
    """Run the rows, then the article's code with ever more users."""
    runs = [await asyncio.to_thread(scenario.ours, row, USERS, SECONDS) for row in (1, 2, 3)]
    seeds = [await asyncio.to_thread(scenario.seed, users, SEED_SECONDS) for users in SEED_USERS]
    rows = [_row(f"ours, row {run.row}", run) for run in runs] + [_row("the article's code, row 3", run) for run in seeds]
    verdicts = [verdict for run in runs for verdict in _verdicts(run)]
    columns = ("", "users", "turns/s", "p95 by the model's", "mean ms", "p50", "p95", "p99", "errors", "server's core busy")
    return Section("P3: a thousand people", METHOD, columns, rows, verdicts)


def _row(name: str, run: scenario.Run) -> tuple[str, ...]:
    figures = (f"{run.mean:.0f}", *(f"{run.p(share):.0f}" for share in (0.5, 0.95, 0.99))) if run.milliseconds else ("-",) * 4
    ratio = f"{run.p95_ratio:.2f}" if run.milliseconds else "-"
    errors = f"{len(run.errors)} of {run.turns}"
    return (name, str(run.users), f"{run.turns_per_second:.1f}", ratio, *figures, errors, f"{run.cpu_share:.0%}")


def _verdicts(run: scenario.Run) -> list[Verdict]:
    wrong = run.faults
    if run.row == 3:
        told = wrong[0] if wrong else f"{run.in_transcript} answered, {run.in_transcript} in the transcript"
        return [Verdict("P3", "row 3: no answered turn is lost", told, not wrong)]
    goal, row = TURNS_GOALS[run.row], f"row {run.row}, {run.users} users"
    return [
        Verdict("P3", f"{row}: >= {goal} turns/s", f"{run.turns_per_second:.0f}", run.turns_per_second >= goal),
        Verdict(
            "P3",
            f"{row}: p95 <= {P95_GOAL} x the model's own",
            f"{run.p95_ratio:.2f} x ({run.p(0.95):.0f} by {percentile(run.model_milliseconds, 0.95):.0f} ms)",
            run.p95_ratio <= P95_GOAL,
        ),
        Verdict("P3", f"{row}: 0 errors, model calls = turns x {scenario.CALLS_PER_TURN[run.row]}", "; ".join(wrong) or "so", not wrong),
    ]
