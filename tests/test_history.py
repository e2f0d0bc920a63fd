"""The checker of histories finds what is planted, and nothing else."""

from dataclasses import replace

import pytest

from tests.history import PROMISES, Asked, Heard, Kept, Told, asked_in_vain, faults, faults_of_messages


def done(at: float, turn_id: str, answer: str) -> Told:
    return Told(at, turn_id, "done", answer)


def pending(at: float, turn_id: str) -> Told:
    return Told(at, turn_id, "pending")


def failed(at: float, turn_id: str, *, retryable: bool = False) -> Told:
    return Told(at, turn_id, "failed", retryable=retryable)


ASKED = [
    Asked("s", "one", 0.0, (done(1.0, "t1", "re one"),)),
    Asked("s", "two", 2.0, (pending(3.5, "t2"), done(4.0, "t2", "re two"), done(9.0, "t2", "re two"))),
    Asked("s", "three", 3.0, (done(4.5, "t3", "re three"),)),
    Asked("s", "refused", 5.0, (pending(5.1, "t6"), failed(5.2, "t6"))),
    Asked("s", "tried", 5.3, (failed(5.4, "t7", retryable=True), pending(5.5, "t7"), done(5.6, "t7", "re tried"))),
    Asked("s", "unanswered", 6.0),
    Asked("z", "elsewhere", 0.0, (done(1.0, "t4", "re elsewhere"),)),
]
KEPT = {
    "s": [
        Kept("t1", "one", "done", "re one"),
        Kept("t3", "three", "done", "re three"),
        Kept("t2", "two", "done", "re two"),
        Kept("t6", "refused", "failed"),
        Kept("t7", "tried", "done", "re tried"),
    ],
    "z": [Kept("t4", "elsewhere", "done", "re elsewhere")],
}
SAID = ("one", "re one", "three", "re three", "two", "re two", "tried", "re tried", "unanswered")
HEARD = [
    Heard(SAID[:1], "re one", 0.1),
    Heard(("one", "re one", "two"), "in vain", 2.1),
    Heard(SAID[:3], "re three", 3.1),
    Heard(SAID[:5], "re two", 3.9),
    Heard((*SAID[:6], "refused"), "never kept", 5.0),
    Heard(SAID[:7], "re tried", 5.3),
    Heard(SAID, "re unanswered", 6.1),
    Heard(("elsewhere",), "re elsewhere", 0.1),
]
ONE, THREE, TWO, REFUSED, TRIED = KEPT["s"]
LATE = Kept("t5", "unanswered", "done", "re unanswered")


def names(found: list[str]) -> set[str]:
    return {fault.partition(":")[0] for fault in found}


def test_a_good_history_has_no_fault() -> None:
    assert faults(ASKED, KEPT, HEARD) == []
    assert faults(ASKED, KEPT | {"s": [*KEPT["s"], LATE]}, HEARD) == []
    assert faults(ASKED, KEPT | {"s": [*KEPT["s"], Kept("t5", "unanswered", "failed")]}, HEARD) == []
    assert faults([], {}, []) == []
    assert asked_in_vain(ASKED, HEARD) == []


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("lost", [ONE, THREE, REFUSED, TRIED]),
        ("lost", [ONE, THREE, TWO, TRIED]),
        ("lost", []),
        ("lost", [ONE, THREE, replace(TWO, turn_id="t9"), REFUSED, TRIED]),
        ("changed", [ONE, THREE, replace(TWO, answer="in vain"), REFUSED, TRIED]),
        ("changed", [ONE, THREE, replace(TWO, status="failed", answer=None), REFUSED, TRIED]),
        ("changed", [ONE, THREE, TWO, replace(REFUSED, status="done", answer="never kept"), TRIED]),
        ("doubled", [*KEPT["s"], replace(TWO, turn_id="t9")]),
        ("doubled", [*KEPT["s"], TWO]),
        ("doubled", [*KEPT["s"], replace(LATE, turn_id="t2")]),
        ("doubled", [*KEPT["s"], replace(REFUSED, turn_id="t9")]),
        ("foreign", [*KEPT["s"], Kept("t9", "never asked", "done", "re one")]),
        ("foreign", [*KEPT["s"], KEPT["z"][0]]),
        ("half", [*KEPT["s"], replace(LATE, answer=None)]),
        ("half", [*KEPT["s"], replace(LATE, status="failed")]),
        ("unfinished", [*KEPT["s"], replace(LATE, status="pending", answer=None)]),
        ("unfinished", [ONE, THREE, replace(TWO, status="pending", answer=None), REFUSED, TRIED]),
        ("disordered", [THREE, ONE, TWO, REFUSED, TRIED]),
        ("disordered", [ONE, THREE, TWO, LATE, REFUSED, TRIED]),
        ("disordered", [ONE, THREE, TWO, REFUSED, LATE, TRIED]),
        ("interleaved", [ONE, TWO, THREE, REFUSED, TRIED]),
        ("interleaved", [*KEPT["s"], replace(LATE, answer="re one")]),
        ("interleaved", [ONE, replace(THREE, answer="re two"), replace(TWO, answer="re three"), REFUSED, TRIED]),
        ("interleaved", [ONE, THREE, replace(TWO, answer="re t"), REFUSED, TRIED]),
    ],
)
def test_a_planted_fault_in_a_transcript_is_found(name: str, turns: list[Kept]) -> None:
    assert name in names(faults(ASKED, KEPT | {"s": turns}, HEARD))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("changed", (done(3.5, "t2", "re t"), done(4.0, "t2", "re two"))),
        ("changed", (done(3.5, "t2", "re two"), pending(4.0, "t2"), done(4.1, "t2", "re two"))),
        ("changed", (done(3.5, "t2", "re two"), failed(4.0, "t2", retryable=True), done(4.1, "t2", "re two"))),
        ("changed", (failed(3.5, "t2"), done(4.0, "t2", "re two"))),
        ("changed", (failed(3.5, "t2"), pending(3.6, "t2"), done(4.0, "t2", "re two"))),
        ("split", (pending(3.5, "t9"), done(4.0, "t2", "re two"))),
        ("split", (failed(3.5, "t9", retryable=True), done(4.0, "t2", "re two"))),
    ],
)
def test_a_planted_change_in_what_was_told_is_found(name: str, told: tuple[Told, ...]) -> None:
    asked = [replace(question, told=told) if question.query == "two" else question for question in ASKED]

    assert names(faults(asked, KEPT, HEARD)) == {name}


def test_a_turn_has_its_place_from_the_moment_it_was_accepted() -> None:
    accepted = [replace(question, told=(pending(2.5, "t2"), *question.told)) if question.query == "two" else question for question in ASKED]

    assert names(faults(accepted, KEPT, HEARD)) == {"disordered"}  # "three" was sent at 3.0, and stands before it.


def test_a_turn_that_failed_and_was_asked_again_has_its_place_from_then_on() -> None:
    early = [replace(question, sent=4.6) if question.query == "refused" else question for question in ASKED]
    tried = [
        replace(one, sent=1.5, told=(failed(1.6, "t7", retryable=True), *one.told[1:])) if one.query == "tried" else one for one in early
    ]

    assert faults(tried, KEPT, HEARD) == []


@pytest.mark.parametrize(
    "prompt",
    [
        ("two",),
        ("one", "re one", "two"),
        ("one", "re one", "three", "two"),
        ("one", "re one", "three", "re three", "three", "two"),
        ("elsewhere", "re elsewhere", "one", "re one", "three", "re three", "two"),
    ],
)
def test_a_model_that_saw_something_else_than_the_transcript_is_found(prompt: tuple[str, ...]) -> None:
    heard = [replace(reply, prompt=prompt) if reply.reply == "re two" else reply for reply in HEARD]

    assert [fault.partition(":")[0] for fault in faults(ASKED, KEPT, heard)] == ["interleaved"]


def test_a_model_that_is_asked_after_the_answer_was_told_is_found() -> None:
    assert names(asked_in_vain(ASKED, [*HEARD, Heard(SAID[:5], "once more", 4.1)])) == {"in vain"}


def test_every_promise_is_tried_here() -> None:
    marks = [
        mark
        for test in (test_a_planted_fault_in_a_transcript_is_found, test_a_planted_change_in_what_was_told_is_found)
        for mark in test.pytestmark
    ]

    assert {name for mark in marks for name, _ in mark.args[1]} == set(PROMISES)


def test_questions_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="same words"):
        faults([ASKED[0], ASKED[0]], KEPT, HEARD)


MESSAGES = ["one", "re one", "three", "re three", "two", "re two"]
HERE = [*ASKED[:3], Asked("s", "unanswered", 6.0)]
SHOWN = [
    Heard(("one",), "re one"),
    Heard(("one", "re one", "two"), "in vain"),
    Heard(("one", "re one", "three"), "re three"),
    Heard(tuple(MESSAGES[:5]), "re two"),
    Heard((*MESSAGES, "unanswered"), "re unanswered"),
]


def test_good_messages_have_no_fault() -> None:
    assert faults_of_messages(HERE, MESSAGES, SHOWN, shown=10) == []
    assert faults_of_messages([], [], [], shown=10) == []


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        (["one", "re one", "three", "re three"], ["lost"]),
        (["one", "re one", "three", "re three", "re two"], ["interleaved", "lost"]),
        (["one", "re one", "three", "re three", "two"], ["half", "lost"]),
        ([*MESSAGES, "unanswered"], ["half"]),
        ([*MESSAGES, "unanswered", "unanswered", "re unanswered"], ["doubled", "half"]),
        ([*MESSAGES, "two", "re two"], ["doubled", "doubled", "stale"]),
        ([*MESSAGES, "never asked"], ["foreign", "half"]),
        (["one", "re one", "three", "two", "re three", "re two"], ["interleaved", "interleaved"]),
        (["one", "re one", "two", "re two", "three", "re three"], ["stale", "stale"]),
        (["one", "re one", "two", "in vain", "three", "re three", "re two"], ["interleaved", "stale", "stale"]),
    ],
)
def test_a_planted_fault_among_messages_is_found(messages: list[str], found: list[str]) -> None:
    told = faults_of_messages(HERE, messages, SHOWN, shown=10)

    assert sorted(fault.partition(":")[0] for fault in told) == found


def test_a_model_may_be_shown_only_the_latest_answers_and_no_fewer() -> None:
    forgetful = [replace(reply, prompt=("three", "re three", "two")) if reply.reply == "re two" else reply for reply in SHOWN]

    assert faults_of_messages(HERE, MESSAGES, forgetful, shown=1) == []
    assert [fault.partition(":")[0] for fault in faults_of_messages(HERE, MESSAGES, forgetful, shown=2)] == ["stale"]
