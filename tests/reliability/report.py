"""RESULTS.md: a section for each experiment, and each can be repeated alone."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.report import table

RESULTS = Path(__file__).with_name("RESULTS.md")

HEAD = """# What was broken, and what came of it

Real processes, real sockets, real signals. Afterwards tests/history.py compares what clients were told, what the transcripts hold and what
the model was shown. Each section is written by its own make target.
"""


@dataclass(frozen=True)
class Row:
    """A fault, what was seen, and whether every promise was kept."""

    fault: str
    seen: str
    kept: bool


@dataclass(frozen=True)
class Section:
    """What an experiment found; `command` repeats it."""

    title: str
    command: str
    method: str
    rows: Sequence[Row]
    details: Sequence[str] = field(default_factory=tuple)
    """The first few broken promises, word for word."""

    @property
    def broken(self) -> list[str]:
        """What was seen where a promise was broken."""
        return [f"{row.fault}: {row.seen}" for row in self.rows if not row.kept] + list(self.details)

    def markdown(self) -> str:
        """The section as text."""
        rows = [(row.fault, row.seen, "yes" if row.kept else "**no**") for row in self.rows]
        made = f"`{self.command}`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {platform.python_version()}."
        return "\n\n".join([f"## {self.title}", self.method, table(("fault", "what was seen", "pass"), rows), made])


def write(section: Section, order: Sequence[str], path: Path = RESULTS) -> None:
    """Put a section in the place of its older self; sections stand in the order of their titles' first words."""
    text = path.read_text("utf-8") if path.exists() else ""
    sections = {part.partition(":")[0]: f"## {part.strip()}" for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]}
    sections[section.title.partition(":")[0]] = section.markdown()
    placed = sorted(sections, key=lambda name: (order.index(name) if name in order else len(order), name))
    path.write_text("\n".join([HEAD, *(f"{sections[name]}\n" for name in placed)]), "utf-8")
