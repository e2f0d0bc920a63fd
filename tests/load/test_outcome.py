"""What must not come of the load test is told when it comes."""

from dataclasses import replace

import pytest

from tests.load.outcome import Call, Run
from tests.load.questions import Turn, slow, unlike

SLOW_QUESTION = next(question for number in range(1000) if slow(question := f"slow {number}", 5))
FAST_QUESTION = next(question for number in range(1000) if not slow(question := f"fast {number}", 5))
FAST = Turn(105.0, 320.0, "", FAST_QUESTION, "t1", 0)
SLOW = Turn(109.0, 21_000.0, "", SLOW_QUESTION, "t2", 4)
GOOD = Run(
    1,
    2,
    5.0,
    False,
    (100.0, 110.0),
    [FAST, SLOW],
    [320.0, 3_900.0, 5_100.0],
    [Call(FAST_QUESTION, False, 300.0), Call(SLOW_QUESTION, False, 20_300.0)],
    0.1,
    frozenset(),
)


def test_a_good_run_has_no_fault_and_its_figures_are_those_of_turns_that_the_model_takes_its_usual_time_for() -> None:
    assert GOOD.faults == []
    assert (GOOD.turns_per_second, GOOD.milliseconds, GOOD.model_milliseconds) == (0.2, [320.0], [300.0])
    assert (GOOD.pending, GOOD.latest, GOOD.slowest_answer) == (1, 700.0, 5_100.0)


@pytest.mark.parametrize(
    ("run", "fault"),
    [
        (replace(GOOD, requests=[320.0, 5_501.0]), "1 of 2 answers came later than 5.5 s, the last after 5.5 s"),
        (replace(GOOD, turns=[FAST, replace(SLOW, milliseconds=80_301.0)]), "a pending turn was done 60 s after the model's own time"),
        (replace(GOOD, turns=[FAST, replace(SLOW, error="status 504 out_of_time")]), "status 504 out_of_time"),
        (replace(GOOD, calls=[*GOOD.calls, *GOOD.calls[:1]]), "2 turns called the model 3 times"),
        (replace(GOOD, row=3, transcript=frozenset({"t1"})), "2 turns were answered, 1 of them are not in the transcript"),
    ],
)
def test_what_must_not_be_is_told(run: Run, fault: str) -> None:
    assert run.faults == [f"Row {run.row}, 2 users: {fault}"]


def test_users_of_one_session_may_be_turned_away_and_have_the_same_answer() -> None:
    busy, twin = replace(FAST, error="status 409 session_busy", turn_id=""), replace(FAST, question=SLOW_QUESTION)

    assert replace(GOOD, row=3, turns=[FAST, busy, twin], transcript=frozenset({"t1", "t9"})).faults == []


def test_as_many_questions_are_slow_as_are_asked_for_and_people_read_them_alike() -> None:
    questions = {unlike("Tell me.") for _ in range(10_000)}

    assert len(questions) == 10_000
    assert {question.strip() for question in questions} == {"Tell me."}
    assert 400 < sum(slow(question, 5) for question in questions) < 600
    assert not any(slow(question, 0) for question in questions)
