"""P3: the article's Locust scenario against our function and against the article's code: `python -m tests.bench P3`."""

import asyncio

from tests.bench.report import Section, Verdict, percentile
from tests.load import scenario
from tests.load.outcome import ANSWERED_WITHIN, DONE_WITHIN, Run
from tests.load.questions import CALLS_PER_TURN, SLOW_SECONDS

USERS = (100, 500, 1000)
SLOW = 5.0
SECONDS, SEED_SECONDS = 15.0, 10.0
OURS = (
    (1, USERS, 0.0, False),
    (2, USERS, 0.0, False),
    (1, USERS, SLOW, False),
    (2, USERS, SLOW, False),
    (3, USERS[-1:], 0.0, False),
    (1, USERS[-1:], 0.0, True),
    (2, USERS[-1:], 0.0, True),
)
"""The row, with how many users each, the percent of turns that are slow, and whether they have signed in."""
TURNS_GOALS = {1: 400, 2: 330}
"""Of the most users."""
P95_GOAL = 1.15

METHOD = f"""`tests/load`: Locust's FastHttpUser, each user waits 1 to 3 s between turns, {scenario.USERS_PER_SECOND} users come per second; the ramp and
{scenario.SETTLING_SECONDS:g} s after it are dropped, {SECONDS:g} s counted. The model is the local world's emulator (log-normal, median 300 ms,
sigma 0.35). Ours is `plugin` on SQLite, whole turns with the store, on one core; Locust and both emulators share the other. Row 1: a question
without tools. Row 2: the weather question, which takes two model calls and a forecast. In both each user has a session. Row 3: the article's body to
the letter, so that all users stand in line in one session: three may wait behind the one that runs, the others are answered with 409 at once. The article's code runs
on the framework's default of 8 threads, keeps conversations in a dict, and calls the model once per turn, without tools. Where {SLOW:g} % of turns are slow,
the model takes {SLOW_SECONDS:g} s more for them, once each; by a hash of the question, all of which differ. Their users are told that the answer is pending, and
ask for it until it is there; turns/s counts them, the percentiles of turns do not. The slowest answer is that of all requests, polls too. Errors,
slowest answers and pending turns count the whole run. Where they are signed in, each user shows a token of their own."""


async def measure() -> Section:
    """Run the rows, then the article's code with ever more users."""
    runs = [
        await asyncio.to_thread(scenario.ours, row, users, SECONDS, slow_percent, sign_in=sign_in)
        for row, many, slow_percent, sign_in in OURS
        for users in many
    ]
    seeds = [await asyncio.to_thread(scenario.seed, users, SEED_SECONDS) for users in USERS]
    rows = [_row(f"ours, {_named(run)}", run) for run in runs] + [_row("the article's code, row 3", run) for run in seeds]
    verdicts = [verdict for run in runs for verdict in _verdicts(run)]
    columns = (
        "",
        "users",
        "turns/s",
        "p95 by the model's",
        "mean ms",
        "p50",
        "p95",
        "p99",
        "errors",
        "slowest answer ms",
        "pending",
        "core busy",
    )
    return Section("P3: a thousand people", METHOD, columns, rows, verdicts)


def _named(run: Run) -> str:
    return f"row {run.row}" + (f", {run.slow_percent:g} % slow" if run.slow_percent else "") + (", signed in" if run.signed_in else "")


def _row(name: str, run: Run) -> tuple[str, ...]:
    figures = (f"{run.mean:.0f}", *(f"{run.p(share):.0f}" for share in (0.5, 0.95, 0.99))) if run.milliseconds else ("-",) * 4
    ratio = f"{run.p95_ratio:.2f}" if run.milliseconds else "-"
    errors = f"{len(run.errors)} of {len(run.turns)}"
    pending = f"{run.pending}, done within {run.latest / 1000:.1f} s" if run.pending else "0"
    return (
        name,
        str(run.users),
        f"{run.turns_per_second:.1f}",
        ratio,
        *figures,
        errors,
        f"{run.slowest_answer:.0f}",
        pending,
        f"{run.cpu_share:.0%}",
    )


def _verdicts(run: Run) -> list[Verdict]:
    kept = _kept(run)
    if run.slow_percent or run.row == 3 or run.users < USERS[-1]:
        return [kept]
    goal, row = TURNS_GOALS[run.row], f"{_named(run)}, {run.users} users"
    return [
        Verdict("P3", f"{row}: >= {goal} turns/s", f"{run.turns_per_second:.0f}", run.turns_per_second >= goal),
        Verdict(
            "P3",
            f"{row}: p95 <= {P95_GOAL} x the model's own",
            f"{run.p95_ratio:.2f} x ({run.p(0.95):.0f} by {percentile(run.model_milliseconds, 0.95):.0f} ms)",
            run.p95_ratio <= P95_GOAL,
        ),
        kept,
    ]


def _kept(run: Run) -> Verdict:
    """Whether nothing happened that must not."""
    row = f"{_named(run)}, {run.users} users"
    promised = "no answered turn is lost" if run.row == 3 else f"0 errors, model calls = turns x {CALLS_PER_TURN[run.row]}"
    asked = f"{row}: {promised}, no answer after {ANSWERED_WITHIN:g} s, pending turns done within {DONE_WITHIN:g} s of the model's own time"
    return Verdict("P3", asked, "; ".join(run.faults) or "so", not run.faults)
