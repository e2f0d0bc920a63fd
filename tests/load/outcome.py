"""What came of a run of the load test, and what of it must not be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from tests.bench.report import percentile
from tests.load.questions import CALLS_PER_TURN, Turn, slow

ANSWERED_WITHIN = 5.5
"""Seconds: no answer to any request may come later, the 202 and the polls included (issue 4's own figure)."""
DONE_WITHIN = 60.0
"""Seconds behind the model's own time: so soon a pending turn must be done."""


@dataclass(frozen=True)
class Call:
    """What the model was asked once."""

    question: str
    operation: bool
    """Whether its reply called one."""
    milliseconds: float
    """What it waited before it replied."""


@dataclass(frozen=True)
class Run:
    """What a run gave; times are milliseconds."""

    row: int
    users: int
    slow_percent: float
    """Of the turns, those that the model takes long for."""
    signed_in: bool
    """Whether every user has an account."""
    counted: tuple[float, float]
    """From when to when turns count, by the clock of their ends: what comes before is the ramp. Errors count always."""
    turns: Sequence[Turn]
    requests: Sequence[float]
    calls: Sequence[Call]
    cpu_share: float
    """Of the server's one core."""
    transcript: frozenset[str]
    """Row 3: the ids of the done turns in the shared session's transcript afterwards."""

    @cached_property
    def milliseconds(self) -> Sequence[float]:
        """Of the turns that count and that the model does not take long for."""
        since, until = self.counted
        return [
            turn.milliseconds for turn in self.turns if since <= turn.ended < until and not turn.error and not self._slow(turn.question)
        ]

    @cached_property
    def model_milliseconds(self) -> Sequence[float]:
        """For each turn that the model does not take long for, what it waited in all its calls."""
        # Delays are drawn independently of everything, so it does not matter which of the first calls is added to which of the last.
        first, last = (
            [call.milliseconds for call in self.calls if call.operation is wanted and not self._slow(call.question)]
            for wanted in (True, False)
        )
        return [a + b for a, b in zip(first, last, strict=False)] if first else last

    @property
    def errors(self) -> Sequence[str]:
        """Of all turns, those of the ramp included."""
        return [turn.error for turn in self.turns if turn.error]

    @property
    def turns_per_second(self) -> float:
        """Turns that count, slow ones too."""
        since, until = self.counted
        return sum(since <= turn.ended < until and not turn.error for turn in self.turns) / (until - since)

    @property
    def slowest_answer(self) -> float:
        """Of all requests."""
        return max(self.requests, default=0.0)

    @property
    def pending(self) -> int:
        """Turns that were not done in the first answer."""
        return sum(turn.polls > 0 for turn in self.turns)

    @cached_property
    def latest(self) -> float:
        """How long after the model's own time the last of the pending turns was done. Where questions are alike: after it was asked."""
        own: dict[str, float] = {}
        if self.slow_percent:
            for call in self.calls:
                own[call.question] = own.get(call.question, 0.0) + call.milliseconds
        return max((turn.milliseconds - own.get(turn.question, 0.0) for turn in self.turns if turn.polls), default=0.0)

    def p(self, share: float) -> float:
        """A percentile of `milliseconds`."""
        return percentile(self.milliseconds, share)

    @property
    def mean(self) -> float:
        return sum(self.milliseconds) / len(self.milliseconds)

    @property
    def p95_ratio(self) -> float:
        """The turns' 95th percentile, by that of the model's own delays."""
        return self.p(0.95) / percentile(self.model_milliseconds, 0.95)

    @property
    def faults(self) -> list[str]:
        """What must not be: a late answer, and a turn that was answered and is lost; where users do not share a session, any error."""
        return [
            f"Row {self.row}, {self.users} users: {fault}"
            for fault in (*self._late(), *(self._lost() if self.row == 3 else self._failed()))
        ]

    def _late(self) -> Iterator[str]:
        if self.slowest_answer > ANSWERED_WITHIN * 1000:
            late = sum(milliseconds > ANSWERED_WITHIN * 1000 for milliseconds in self.requests)
            yield f"{late} of {len(self.requests)} answers came later than {ANSWERED_WITHIN:g} s, the last after {self.slowest_answer / 1000:.1f} s"
        if self.latest > DONE_WITHIN * 1000:
            yield f"a pending turn was done {self.latest / 1000:.0f} s after the model's own time"

    def _lost(self) -> Iterator[str]:
        answered = {turn.turn_id for turn in self.turns if not turn.error}
        if lost := answered - self.transcript:
            yield f"{len(answered)} turns were answered, {len(lost)} of them are not in the transcript"

    def _failed(self) -> Iterator[str]:
        yield from sorted(set(self.errors))
        if len(self.calls) != len(self.turns) * CALLS_PER_TURN[self.row]:
            yield f"{len(self.turns)} turns called the model {len(self.calls)} times"

    def _slow(self, question: str) -> bool:
        return slow(question, self.slow_percent)
