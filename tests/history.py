"""What conversations promise, checked against what happened. It knows the promise only, not how it is kept (after Jepsen's idea).

No acknowledged turn is lost and none is kept twice; a question is followed by its own answer; there is one order, which respects real
time; the model saw exactly what the transcript holds before a turn; nothing comes from another conversation.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that a client sent; every one in a history has other words."""

    session: str
    query: str
    sent: float
    answered: float = float("inf")
    """When its answer arrived, on the clock of `sent`; infinity: none did, and whether the turn was kept is open."""
    turn_id: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A turn of a transcript; `answer` is None where there is none."""

    turn_id: str
    query: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model was shown, oldest first and the question last, and what it replied: other words each time."""

    prompt: tuple[str, ...]
    reply: str


def faults(asked: Sequence[Asked], transcripts: Mapping[str, Sequence[Kept]], heard: Sequence[Heard]) -> list[str]:
    """Every broken promise in a sentence that begins with its name; the transcripts were read when all was quiet."""
    questions = {question.query: question for question in asked}
    if len(questions) != len(asked):
        raise ValueError("Two questions have the same words: a history cannot tell them apart.")
    prompts = {reply.reply: reply.prompt for reply in heard}
    return [
        *_lost(asked, transcripts),
        *_doubled(transcripts),
        *(fault for session, turns in transcripts.items() for fault in _foreign(session, turns, questions)),
        *(fault for turns in transcripts.values() for fault in _half(turns)),
        *(fault for turns in transcripts.values() for fault in _disordered(turns, questions)),
        *(fault for turns in transcripts.values() for fault in _interleaved(turns, prompts)),
    ]


def _lost(asked: Sequence[Asked], transcripts: Mapping[str, Sequence[Kept]]) -> Iterator[str]:
    kept = {session: set(turns) for session, turns in transcripts.items()}
    for question in asked:
        if question.turn_id and Kept(question.turn_id, question.query, question.answer) not in kept.get(question.session, ()):
            yield f"lost: {question.query!r} was answered, and is not so in its transcript"


def _doubled(transcripts: Mapping[str, Sequence[Kept]]) -> Iterator[str]:
    everything = [turn for turns in transcripts.values() for turn in turns]
    for words, times in Counter(turn.query for turn in everything).items():
        if times > 1:
            yield f"doubled: {words!r} is kept {times} times"
    for turn_id, times in Counter(turn.turn_id for turn in everything).items():
        if times > 1:
            yield f"doubled: the turn {turn_id} is kept {times} times"


def _foreign(session: str, turns: Sequence[Kept], questions: Mapping[str, Asked]) -> Iterator[str]:
    for turn in turns:
        if turn.query not in questions or questions[turn.query].session != session:
            yield f"foreign: {turn.query!r} was not asked in {session}"


def _half(turns: Sequence[Kept]) -> Iterator[str]:
    for turn in turns:
        if turn.answer is None:
            yield f"half: {turn.query!r} is kept without an answer"


def _disordered(turns: Sequence[Kept], questions: Mapping[str, Asked]) -> Iterator[str]:
    """Whatever was answered before another was sent stands before it."""
    latest = Asked("", "", sent=float("-inf"))
    for turn in turns:
        question = questions.get(turn.query)
        if question is None:
            continue
        if question.answered < latest.sent:
            yield f"disordered: {question.query!r} was answered before {latest.query!r} was sent, and stands behind it"
        latest = max(latest, question, key=lambda one: one.sent)


def _interleaved(turns: Sequence[Kept], prompts: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Each answer is the model's reply to everything before it and its own question, nothing between and nothing else."""
    before: list[str] = []
    for turn in turns:
        if turn.answer is None:
            continue
        if prompts.get(turn.answer) != (*before, turn.query):
            yield f"interleaved: {turn.query!r} has an answer to something else than what stands before it"
        before += (turn.query, turn.answer)
