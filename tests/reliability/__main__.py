"""Many simultaneous turns on both stores, for RESULTS.md: `make reliability PAIRS=1000`. It ends with 1 where a promise was broken."""

import asyncio
import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests import emulators
from tests.reliability.simultaneous import Outcome, simultaneous
from tests.world import on_firestore

RESULTS = Path(__file__).with_name("RESULTS.md")

INTRODUCTION = """# Two processes, one conversation

Groups of questions, asked at the same moment of two processes that share a store; half of the groups have a conversation of their own,
the others share one with nine more. Afterwards tests/history.py compares what clients were told, what the transcripts hold and what the
model was shown. Written by `make reliability`.

| store | groups | turns | errors | lost | doubled | half | interleaved | disordered | foreign | model calls per turn | seconds |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""

PROMISES = ("lost", "doubled", "half", "interleaved", "disordered", "foreign")


def row(name: str, size: int, outcome: Outcome) -> str:
    """A line of the table."""
    broken = " | ".join(str(outcome.broken(promise)) for promise in PROMISES)
    calls = outcome.model_calls / outcome.turns
    return (
        f"| {name} | {outcome.groups:,} of {size} | {outcome.turns:,} | {len(outcome.errors)} | {broken} "
        f"| {calls:.2f} | {outcome.seconds:.0f} |\n"
    )


async def measured(stores: Mapping[str, Callable[[], Mapping[str, str]]], pairs: int) -> bool:
    """Write RESULTS.md; whether every promise was kept. Each of `stores` gives the settings of an empty one."""
    kept = True
    lines = [INTRODUCTION]
    for name, empty in stores.items():
        for groups, size in ((pairs, 2), (max(1, pairs // 10), 8)):
            outcome = await simultaneous(empty(), groups, size)
            lines.append(row(name, size, outcome))
            print(lines[-1], *outcome.errors[:5], *outcome.faults[:5], sep="\n", end="", flush=True)
            kept = kept and not outcome.errors and not outcome.faults
    made = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {platform.python_version()}"
    lines.append(f"\n{made}; Firestore is Google's emulator.\n")
    RESULTS.write_text("".join(lines), encoding="utf-8")
    return kept


def main() -> int:
    """Run on SQLite, and on Firestore where its emulator is."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stores: dict[str, Callable[[], Mapping[str, str]]] = {
            "SQLite": lambda: {"STORE": f"sqlite:{tempfile.mkdtemp(dir=folder)}/shared.db"}
        }
        try:
            address = stack.enter_context(emulators.firestore())
            stores["Firestore"] = lambda: on_firestore(address)
        except emulators.Missing as reason:
            print(f"Without Firestore: {reason}")
        return 0 if asyncio.run(measured(stores, pairs)) else 1


if __name__ == "__main__":
    sys.exit(main())
