"""What holds us back from an upstream that fails: a circuit breaker and a retry budget (infra/decisions/0011).

Moments are the event loop's, in seconds. Nothing here waits, and nothing is held for an attempt that is under way: one that is
cancelled tells nothing of the upstream and leaves nothing behind.
"""

from dataclasses import dataclass, field

FAILURES = 10  # in a row; a server that fails every second attempt is used, and the retry budget bounds what that costs
LASTING_SECONDS = 1.0
"""From the first of them on. All that were under way fail together when a server restarts, and then are answered when they come again,
which their first back-off of at most 0.5 s lets them do."""

PROBE_SECONDS = 1.0  # between two attempts at an upstream that is left alone (reliability.md A16)

MAX_TOKENS = 100.0
TOKEN_RATIO = 0.1
"""Of a token for each success, while a failure costs one: up to one failure in eleven attempts, retries go on for ever."""


class Breaker:
    """Closed, it lets every attempt through. `FAILURES` in a row that take `LASTING_SECONDS` open it; then one attempt begins in each
    `PROBE_SECONDS`, whatever became of the last one, until one succeeds."""

    def __init__(self) -> None:
        self._failures = 0
        self._failing_since = 0.0
        self._changed_at = float("-inf")
        self._next_probe: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the upstream is left alone."""
        return self._next_probe is not None

    def admit(self, now: float) -> bool:
        """Whether an attempt may begin. While open, asking takes the probe that was due."""
        if self._next_probe is None:
            return True
        if now < self._next_probe:
            return False
        self._next_probe = now + PROBE_SECONDS
        return True

    def succeeded(self, began: float, now: float) -> None:
        """The upstream is up: an attempt that began then has ended well. What began before the last change says nothing of today."""
        if began < self._changed_at:
            return
        self._failures = 0
        if self.is_open:
            self._next_probe, self._changed_at = None, now

    def failed(self, began: float, now: float) -> None:
        """The upstream is down or broken, as an attempt that began then has found."""
        if began < self._changed_at or self.is_open:
            return
        self._failures += 1
        if self._failures == 1:
            self._failing_since = now
        if self._failures >= FAILURES and now - self._failing_since >= LASTING_SECONDS:
            self._failures, self._next_probe, self._changed_at = 0, now + PROBE_SECONDS, now


class RetryBudget:
    """gRPC's retry throttling (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs):
    first attempts are never withheld, and their successes earn new retries."""

    def __init__(self) -> None:
        self._tokens = MAX_TOKENS

    @property
    def is_spent(self) -> bool:
        """Whether nothing may be tried again for now."""
        return self._tokens <= MAX_TOKENS / 2

    def succeeded(self) -> None:
        """An attempt was answered."""
        self._tokens = min(MAX_TOKENS, self._tokens + TOKEN_RATIO)

    def failed(self) -> None:
        """An attempt failed in a way that is worth another."""
        self._tokens = max(0.0, self._tokens - 1)


@dataclass(frozen=True, slots=True)
class Restraint:
    """What holds us back from one upstream."""

    breaker: Breaker = field(default_factory=Breaker)
    budget: RetryBudget = field(default_factory=RetryBudget)

    @property
    def forbids_retry(self) -> bool:
        """Whether an attempt that failed is the last of its request."""
        return self.breaker.is_open or self.budget.is_spent
