"""Run the benchmarks: `python -m tests.bench` writes RESULTS.md; `python -m tests.bench P1 P6` runs some and only prints."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import uvloop

from tests.bench import cold, latency, machine, mcp_calls, people, profile, store, tokens, turns
from tests.bench.report import Section, verdicts

RESULTS = Path(__file__).with_name("RESULTS.md")
FINDINGS = Path(__file__).with_name("FINDINGS.md")
"""What people made of the figures; the only part that is written by hand."""
PARTS: Mapping[str, Callable[[], Awaitable[Section]]] = {
    "P3": people.measure,
    "P1": turns.measure,
    "P2": latency.measure,
    "P4": cold.measure,
    "P6": store.measure,
    "P7": tokens.measure,
    "P8": mcp_calls.measure,
    "profile": profile.measure,
}

HEAD = """# What a turn costs

Written by `make bench`. Ratios to a reference that ran beside are what lasts; milliseconds belong to the machine. P4 holds P5 too.

{machine}

{verdicts}

{sections}

{findings}"""


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
            RESULTS.write_text(
                HEAD.format(machine=described, verdicts=verdicts(found), sections=text, findings=FINDINGS.read_text("utf-8")), "utf-8"
            )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1:]))
