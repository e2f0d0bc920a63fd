"""What a benchmark found: rows for readers, and for each goal whether it was met."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """One of our goals, what it asks, and what was measured."""

    goal: str
    asked: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Section:
    """One benchmark's part of the report."""

    title: str
    method: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[Verdict] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    def markdown(self) -> str:
        """The part as text."""
        return "\n\n".join([f"## {self.title}", self.method, table(self.columns, self.rows), *self.notes])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdicts(sections: Sequence[Section]) -> str:
    """All goals in one table."""
    rows = [
        (verdict.goal, verdict.asked, verdict.measured, "met" if verdict.met else "**missed**")
        for section in sections
        for verdict in section.verdicts
    ]
    return table(("", "goal", "measured", ""), rows)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
