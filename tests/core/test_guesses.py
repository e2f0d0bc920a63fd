"""Who names conversations that are not there: how often each may, and what is no guess at all."""

import pytest

from functions import wiring
from functions.core.caller import Caller
from functions.core.errors import NoSuchConversation, NotFound, TooOften
from functions.core.guesses import MINTED, SHARED, WINDOW, Guesses, Naming

HOUSE = "203.0.113.9"


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses() -> Guesses:
    return Guesses(10)


def missed(naming: Naming) -> bool:
    """Name what is not there; whether that was one too many."""
    try:
        naming.missed()
    except TooOften:
        return True
    return False


def test_ten_a_minute_are_a_mistake_and_the_next_is_a_guess(guesses: Guesses, clock: Clock) -> None:
    told = [missed(guesses.of_user("ada", clock)) for _ in range(12)]
    clock.now += 60

    assert told == [False] * 10 + [True] * 2
    assert not missed(guesses.of_user("ada", clock))


def test_whoever_guesses_is_told_to_wait_the_whole_minute_whenever_that_began(clock: Clock) -> None:
    guesses = Guesses(1)
    missed(guesses.of_user("ada", clock))
    clock.now += 59

    with pytest.raises(TooOften) as refused:
        guesses.of_user("ada", clock).missed()

    assert refused.value.retry_after == WINDOW


def test_one_caller_uses_up_nobody_elses(guesses: Guesses, clock: Clock) -> None:
    for _ in range(11):
        missed(guesses.of_user("ada", clock))
        missed(guesses.of_stranger(HOUSE, "a conversation", clock))

    others = [
        guesses.of_user("bob", clock),
        guesses.of_stranger(HOUSE, "another conversation", clock),
        guesses.of_stranger(HOUSE, None, clock),
        guesses.of_stranger("203.0.113.10", "a conversation", clock),
    ]

    assert [missed(other) for other in others] == [False] * 4


def test_whoever_invents_a_conversation_for_each_guess_runs_out_of_the_addresss(guesses: Guesses, clock: Clock) -> None:
    told = [missed(guesses.of_stranger(HOUSE, f"invented {number}", clock)) for number in range(10 * SHARED + 1)]

    assert told == [False] * (10 * SHARED) + [True]


def test_one_request_counts_once_however_often_it_looks(clock: Clock) -> None:
    guesses = Guesses(1)
    naming = guesses.of_user("ada", clock)

    for _ in range(5):
        naming.missed()

    assert missed(guesses.of_user("ada", clock))


def test_what_was_found_counts_nothing_and_nothing_else_that_is_missing_does(clock: Clock) -> None:
    guesses = Guesses(1)

    for _ in range(5):
        with guesses.of_user("ada", clock).counted():
            pass
        with pytest.raises(NotFound), guesses.of_user("ada", clock).counted():
            raise NotFound("There is no such turn.")

    with pytest.raises(NoSuchConversation), guesses.of_user("ada", clock).counted():
        raise NoSuchConversation("There is no such session.")
    with pytest.raises(TooOften), guesses.of_user("ada", clock).counted():
        raise NoSuchConversation("There is no such session.")


def test_every_token_that_we_mint_could_be_guessed_at() -> None:
    assert [token for token in (wiring.new_secret() for _ in range(1000)) if not MINTED.fullmatch(token)] == []


@pytest.mark.parametrize(
    "name", ["test123", "from-" + "x" * 43, "6b1f0a52-4c0e-4b9e-9a3c-2f0f5d0d7e11", "AAAAAAAAAAAAAAAAAAAAAB", "A" * 23]
)
def test_a_name_of_ones_own_is_no_guess_at_a_strangers(name: str) -> None:
    heard = []

    question = Caller("ada", known=True).question("hello", name, None, lambda: "minted", missed=lambda: heard.append(name))
    question.missed()

    assert heard == []
