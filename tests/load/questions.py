"""What the users of a load test ask, which of it the model takes long for, and what they remember of a turn."""

import hashlib
import random
from dataclasses import dataclass

ROWS = {1: "Tell me about your day.", 2: "北京明天天气怎么样", 3: "北京明天天气怎么样"}
"""1: a question without tools. 2: the weather, which takes two calls of the model and one of the weather. Each user is in a session of its
own. 3: the article's own body to the letter, which puts every user into one session."""
CALLS_PER_TURN = {1: 1, 2: 2, 3: 2}

SLOW_SECONDS = 20.0
"""What the model takes, beside its usual time, for the questions that it takes long for."""
MARK_BITS = 48  # of a hundred thousand questions no two are alike, but for one run in fifty thousand


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as its user saw it."""

    ended: float
    """By the machine's monotonic clock."""
    milliseconds: float
    """From the question to the answer, all polls included."""
    error: str
    """What went wrong; empty: nothing did."""
    question: str
    turn_id: str
    polls: int


def unlike(question: str) -> str:
    """The same question to whoever reads it, and unlike every other by the white space behind it."""
    return question + "".join(random.choices(" \t", k=MARK_BITS))


def slow(question: str, percent: float) -> bool:
    """Whether the model takes long for this question, as it does for `percent` of all that are unlike each other."""
    return int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "big") % 10_000 < percent * 100
