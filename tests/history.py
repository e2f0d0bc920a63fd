"""What conversations promise, checked against what happened. It knows the promise only, not how it is kept (after Jepsen's idea).

No accepted turn is lost and none is kept twice; each ends, once, as it was told, and a question has one turn however often it is sent; a
question is followed by its own answer; there is one order, which respects real time; the model saw exactly what the transcript holds
before a turn; nothing comes from another conversation. A turn may fail, if it says so.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Status = Literal["done", "failed", "pending"]

PROMISES = ("lost", "doubled", "foreign", "half", "unfinished", "changed", "split", "disordered", "interleaved")
"""The names with which faults begin."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told of its question, by the answer to it or by a poll; `at` a moment on the clock of `Asked.sent`."""

    at: float
    turn_id: str
    status: Status
    answer: str | None = None
    """Of a turn that is done."""
    retryable: bool = False
    """Of a turn that failed: whether the same question with the same key begins anew."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that a client sent, perhaps several times with one key; every one in a history has other words."""

    session: str
    query: str
    sent: float
    """When it was sent first."""
    told: tuple[Told, ...] = ()
    """All that was heard of the turn, oldest first; nothing: whether it was kept is open."""

    @property
    def settled(self) -> float:
        """From when on the turn has its place: whatever is sent later stands behind it. Infinity: it was never told so."""
        moment = float("inf")
        for told in self.told:
            moment = float("inf") if told.status == "failed" and told.retryable else min(moment, told.at)
        return moment

    @property
    def done(self) -> Told | None:
        """The first that told the answer."""
        return next((told for told in self.told if told.status == "done"), None)


@dataclass(frozen=True, slots=True)
class Kept:
    """A turn of a transcript; `answer` is None where there is none."""

    turn_id: str
    query: str
    status: Status
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model was shown, oldest first and the question last, and what it replied: other words each time."""

    prompt: tuple[str, ...]
    reply: str
    at: float = float("-inf")
    """When it was asked, on the clock of `Asked.sent`."""


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
        *(fault for question in asked for fault in _changed(question)),
        *(fault for turns in transcripts.values() for fault in _disordered(turns, questions)),
        *(fault for turns in transcripts.values() for fault in _interleaved(turns, prompts)),
    ]


def asked_in_vain(asked: Sequence[Asked], heard: Sequence[Heard]) -> list[str]:
    """Questions that the model was asked after their answer had been told. Who was stopped and wakes up may do so; nobody else."""
    answered = {question.query: question.done.at for question in asked if question.done}
    return [f"in vain: {reply.prompt[-1]!r} was asked again" for reply in heard if reply.at > answered.get(reply.prompt[-1], float("inf"))]


def _lost(asked: Sequence[Asked], transcripts: Mapping[str, Sequence[Kept]]) -> Iterator[str]:
    """Whatever was accepted is kept, and as it was told last."""
    kept = {(session, turn.turn_id, turn.query): turn for session, turns in transcripts.items() for turn in turns}
    for question in asked:
        if not question.told:
            continue
        last = question.told[-1]
        turn = kept.get((question.session, last.turn_id, question.query))
        if turn is None:
            yield f"lost: {question.query!r} was accepted, and is not in its transcript"
        elif last.status == "done" and (turn.status, turn.answer) != ("done", last.answer):
            yield f"changed: {question.query!r} was answered otherwise than its transcript says"
        elif last.status == "failed" and not last.retryable and turn.status != "failed":
            yield f"changed: {question.query!r} was told to have failed, and its transcript says that it is {turn.status}"


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
        if turn.status == "pending":
            yield f"unfinished: {turn.query!r} is still pending"
        elif (turn.status == "done") is (turn.answer is None):
            yield f"half: {turn.query!r} is {turn.status}, and {'has no' if turn.answer is None else 'has an'} answer"


def _changed(question: Asked) -> Iterator[str]:
    """What was told once stays true. Only what is pending, or failed and was asked again, may become something else."""
    if len({told.turn_id for told in question.told}) > 1:
        yield f"split: {question.query!r} has more than one turn"
    for before, after in pairwise(question.told):
        final = before.status == "done" or (before.status == "failed" and not before.retryable)
        if final and (before.status, before.answer) != (after.status, after.answer):
            yield f"changed: {question.query!r} was {before.status} with {before.answer!r}, and then {after.status} with {after.answer!r}"


def _disordered(turns: Sequence[Kept], questions: Mapping[str, Asked]) -> Iterator[str]:
    """Whatever had its place before another was sent stands before it."""
    latest = Asked("", "", sent=float("-inf"))
    for turn in turns:
        question = questions.get(turn.query)
        if question is None:
            continue
        if question.settled < latest.sent:
            yield f"disordered: {question.query!r} had its place before {latest.query!r} was sent, and stands behind it"
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


def faults_of_messages(asked: Sequence[Asked], messages: Sequence[str], heard: Sequence[Heard], shown: int) -> list[str]:
    """The same for one conversation of anybody's, read as nothing but its messages, oldest first.

    An answer is interleaved where its own question does not stand directly before it, and stale where the model had not seen all of the
    answers that stand before it, or the last `shown` of them. A question that is kept twice is answered once for each of its answers.
    """
    prompts = {reply.reply: reply.prompt for reply in heard}
    questions, answers = (
        [message for message in messages if message not in prompts],
        [message for message in messages if message in prompts],
    )
    unanswered = Counter(questions) - Counter(prompts[answer][-1] for answer in answers)
    foreign = set(questions) - {question.query for question in asked}
    return [
        *(
            f"lost: {one.query!r} was answered, and is not so kept"
            for one in asked
            if one.done and not {one.query, one.done.answer} <= set(messages)
        ),
        *(f"doubled: {words!r} is kept {times} times" for words, times in Counter(messages).items() if times > 1),
        *(f"foreign: {words!r} was not asked" for words in foreign),
        *(f"half: {words!r} is kept without an answer" for words in unanswered.elements()),
        *_apart(messages, prompts),
        *_stale(answers, prompts, shown),
    ]


def _apart(messages: Sequence[str], prompts: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for before, message in zip([None, *messages], messages, strict=False):
        if message in prompts and prompts[message][-1] != before:
            yield f"interleaved: {message!r} does not stand behind its question"


def _stale(answers: Sequence[str], prompts: Mapping[str, tuple[str, ...]], shown: int) -> Iterator[str]:
    for place, answer in enumerate(answers):
        seen = [message for message in prompts[answer] if message in prompts]
        if seen != list(answers[place - len(seen) : place]) or len(seen) < min(place, shown):
            yield f"stale: {answer!r} was given without having seen what stands before it"
