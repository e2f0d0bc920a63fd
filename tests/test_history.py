"""The checker of histories finds what is planted, and nothing else."""

from dataclasses import replace

import pytest

from tests.history import Asked, Heard, Kept, faults

ASKED = [
    Asked("s", "one", 0.0, 1.0, "t1", "re one"),
    Asked("s", "two", 2.0, 4.0, "t2", "re two"),
    Asked("s", "three", 3.0, 4.5, "t3", "re three"),
    Asked("s", "unanswered", 5.0),
    Asked("z", "elsewhere", 0.0, 1.0, "t4", "re elsewhere"),
]
KEPT = {
    "s": [Kept("t1", "one", "re one"), Kept("t3", "three", "re three"), Kept("t2", "two", "re two")],
    "z": [Kept("t4", "elsewhere", "re elsewhere")],
}
HEARD = [
    Heard(("one",), "re one"),
    Heard(("one", "re one", "two"), "in vain"),
    Heard(("one", "re one", "three"), "re three"),
    Heard(("one", "re one", "three", "re three", "two"), "re two"),
    Heard(("elsewhere",), "re elsewhere"),
]
ONE, THREE, TWO = KEPT["s"]
LATE = Kept("t5", "unanswered", "re unanswered")
LATE_HEARD = Heard(("one", "re one", "three", "re three", "two", "re two", "unanswered"), "re unanswered")


def test_a_good_history_has_no_fault() -> None:
    assert faults(ASKED, KEPT, HEARD) == []
    assert faults(ASKED, KEPT | {"s": [*KEPT["s"], LATE]}, [*HEARD, LATE_HEARD]) == []
    assert faults([], {}, []) == []


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("lost", [ONE, THREE]),
        ("lost", []),
        ("lost", [ONE, THREE, replace(TWO, answer="in vain")]),
        ("lost", [ONE, THREE, replace(TWO, turn_id="t9")]),
        ("doubled", [ONE, THREE, TWO, replace(TWO, turn_id="t9")]),
        ("doubled", [ONE, THREE, TWO, TWO]),
        ("doubled", [ONE, THREE, TWO, replace(LATE, turn_id="t2")]),
        ("foreign", [ONE, THREE, TWO, Kept("t9", "never asked", "re one")]),
        ("foreign", [ONE, THREE, TWO, KEPT["z"][0]]),
        ("half", [ONE, THREE, TWO, replace(LATE, answer=None)]),
        ("disordered", [THREE, ONE, TWO]),
        ("interleaved", [ONE, TWO, THREE]),
        ("interleaved", [ONE, THREE, TWO, replace(LATE, answer="re one")]),
        ("interleaved", [ONE, replace(THREE, answer="re two"), replace(TWO, answer="re three")]),
    ],
)
def test_a_planted_fault_in_a_transcript_is_found(name: str, turns: list[Kept]) -> None:
    assert name in {fault.partition(":")[0] for fault in faults(ASKED, KEPT | {"s": turns}, [*HEARD, LATE_HEARD])}


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


def test_questions_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="same words"):
        faults([ASKED[0], ASKED[0]], KEPT, HEARD)
