"""Run the benchmarks: `python -m tests.bench` writes RESULTS.md; `python -m tests.bench P1 P6` runs some and only prints."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import uvloop

from tests.bench import cold, latency, machine, people, profile, store, turns
from tests.bench.report import Section, verdicts

RESULTS = Path(__file__).with_name("RESULTS.md")
PARTS: Mapping[str, Callable[[], Awaitable[Section]]] = {
    "P3": people.measure,
    "P1": turns.measure,
    "P2": latency.measure,
    "P4": cold.measure,
    "P6": store.measure,
    "profile": profile.measure,
}

HEAD = """# What a turn costs

Written by `make bench`. Ratios to a reference that ran beside are what lasts; milliseconds belong to the machine. P4 holds P5 too.

{machine}

{verdicts}

{sections}

## What measuring has changed

- **Hidden characters** were looked for in every message of every turn by two regular expressions: 42 % of a turn on SQLite. ASCII that prints now
  passes at once, and joiners are looked for before the expression about them is asked (core/visible.py): 2.9 -> 1.5 CPU ms per turn.
- **tenacity** looks at its callables anew for each request: a quarter of the loop's time in a turn of two model calls and two weather requests.
  It is asked when a first attempt has failed (adapters/outgoing.py).
- **The garbage collector** had 12 % of a turn at 500 open turns and a threshold of 20,000, 5 % at 200,000. Off while main.py imports, the
  manifest function starts with 150 instead of 196 CPU ms of its own, chat on Firestore with 495 instead of 572 (main.py).
- **strict_json** spelled every answer anew in order to check it; it does so where the octets hold something that might be refused.
- Tried and left: `sys.setswitchinterval(0.0005)`, so that SQLite's threads wait less for the interpreter: 500 open turns got slower.
- What is left on 3.11 and not on 3.13: pydantic reads the docstrings of `Published` models through the stack's frames, 30 CPU ms of a start.
"""


async def main(asked: list[str]) -> None:
    """Run the parts that were asked for, all when none was."""
    machine.keep_off_the_servers_core()
    described = machine.description()
    sections = []
    for name in asked or PARTS:
        sections.append(await PARTS[name]())
        print(sections[-1].markdown(), verdicts(sections[-1:]), sep="\n\n", end="\n\n", flush=True)
        if not asked:
            # After each part: what was measured is not lost when a later part fails.
            found = sorted(sections, key=lambda section: section.title)
            text = "\n\n".join(section.markdown() for section in found)
            RESULTS.write_text(HEAD.format(machine=described, verdicts=verdicts(found), sections=text), "utf-8")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1:]))
