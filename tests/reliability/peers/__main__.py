"""Two processes on one session, beside others: `make peers [TURNS=300]` writes PEERS.md. It ends with 1 where ours breaks a promise."""

import asyncio
import os
import platform
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests import environments
from tests.reliability.echo import THINKING
from tests.reliability.peers.contestants import Contestant, Ours, Peer
from tests.reliability.peers.run import AT_ONCE, ATTEMPTS, PROMISES, Outcome, together

HERE = Path(__file__).parent
RESULTS = HERE.with_name("PEERS.md")
PACKAGES = HERE / "requirements.txt"

INTRODUCTION = """# Two processes and {turns} turns on one session, beside others

Written by `make peers`. Each contestant is a web backend in two processes that share one SQLite file: Cantilever as Google starts it, google-adk
with `DatabaseSessionService`, openai-agents with `SQLiteSession`, each used as its own documentation shows: load the session, run the agent on the
question, save. {turns} questions are asked of one session, half of each process, {once} and {more} at a time for each. The model
is the same for all, outside on loopback, and takes {thinking} ms; no two of its replies are alike. First, one process is asked {alone} questions
one by one, which must show no fault.

Clients either ask once, or up to {attempts} times, with a random pause that grows, whatever failed in a way that may be repeated; Cantilever gets
the same `Idempotency-Key` again, the others have no such thing. Where many wait, it answers 409 before anything is stored. A pending answer is polled
for. Afterwards one checker for all (tests/history.py) reads what is stored, message by message, oldest first:

- errors: questions that were not answered in the end
- half: questions that are stored without an answer
- interleaved: answers that do not stand directly behind their own question
- stale: answers that the model gave without having seen the answers that stand before them
- lost: questions that were answered, and are not stored so; doubled: messages that are stored more than once

| contestant | at a time | attempts | turns | errors | half | interleaved | stale | lost | doubled | model calls per turn | seconds |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def contestants() -> Sequence[Contestant]:
    """All of them; ours alone, where the others could not be installed."""
    try:
        programs = environments.programs("peers", "--requirement", PACKAGES)
    except subprocess.CalledProcessError:
        print("The peers could not be installed here; that needs the network once.", file=sys.stderr)
        return [Ours()]
    return [Peer("google-adk", programs), Peer("openai-agents", programs), Ours()]


async def measured(turns: int) -> bool:
    """Write PEERS.md; whether ours kept its promises."""
    kept, text = (
        True,
        INTRODUCTION.format(
            turns=turns, once=AT_ONCE[0], more=AT_ONCE[1], thinking=round(THINKING * 1000), alone=ALONE, attempts=ATTEMPTS[-1]
        ),
    )
    found = contestants()
    for contestant in found:
        control = await together(contestant, ALONE, processes=1)
        if control.errors or control.faults:
            raise RuntimeError(f"{contestant.name} alone: {[*control.errors, *control.faults][:5]}")
    for contestant in found:
        for attempts in ATTEMPTS:
            for at_once in AT_ONCE:
                outcome = await together(contestant, turns, at_once=at_once, attempts=attempts)
                text += (line := row(contestant.name, at_once, attempts, outcome))
                print(line, end="", flush=True)
                print(*outcome.examples(), sep="\n", file=sys.stderr)
                kept = kept and (contestant.name != Ours.name or allowed(outcome, attempts))
    RESULTS.write_text(text + versions(), encoding="utf-8")
    return kept


ALONE = 20


def allowed(outcome: Outcome, attempts: int) -> bool:
    """Whether this may come of ours: who asks again gets everything; who does not may be told to come back, and nothing worse."""
    return not outcome.faults and (attempts == 1 or not outcome.errors)


def row(name: str, at_once: int, attempts: int, outcome: Outcome) -> str:
    """A line of the table."""
    broken = " | ".join(str(outcome.broken(promise)) for promise in PROMISES)
    calls = outcome.model_calls / outcome.turns
    return (
        f"| {name} | {at_once} | {attempts} | {outcome.turns} | {len(outcome.errors)} | {broken} | {calls:.2f} | {outcome.seconds:.0f} |\n"
    )


def versions() -> str:
    """What ran, where and when."""
    pinned = re.findall(r"(?m)^(google-adk|openai-agents|SQLAlchemy|openai)==(\S+)", PACKAGES.read_text("utf-8"))
    return (
        f"\n{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; "
        f"{', '.join(' '.join(one) for one in pinned)}.\n"
    )


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(measured(int(sys.argv[1]) if len(sys.argv) > 1 else 300)) else 1)
