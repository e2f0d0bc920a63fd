"""When an upstream is left alone and when it is not asked again, moment by moment; tests/adapters/test_outgoing.py has it over HTTP."""

from collections.abc import Iterable

import pytest

from functions.adapters.breaker import Breaker, RetryBudget


def failed(breaker: Breaker, moments: Iterable[float]) -> Breaker:
    """The breaker after attempts that failed, each at once."""
    for moment in moments:
        breaker.failed(moment, moment)
    return breaker


def opened() -> Breaker:
    """A breaker that opened at 9 s."""
    breaker = failed(Breaker(), range(10))
    assert breaker.is_open
    return breaker


def admitted(breaker: Breaker, moments: Iterable[float]) -> list[float]:
    return [moment for moment in moments if breaker.admit(moment)]


def test_ten_failures_in_a_row_open_it() -> None:
    breaker = failed(Breaker(), range(9))
    assert (breaker.is_open, breaker.admit(8.5)) == (False, True)

    failed(breaker, [9])

    assert (breaker.is_open, breaker.admit(9.5)) == (True, False)


def test_what_fails_within_a_second_is_one_mishap() -> None:
    breaker = failed(Breaker(), [0.0] * 40 + [0.99] * 40)
    assert not breaker.is_open

    failed(breaker, [1.0])

    assert breaker.is_open


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = failed(Breaker(), range(9))
    breaker.succeeded(9, 9)

    failed(breaker, range(10, 19))

    assert not breaker.is_open


def test_one_attempt_begins_in_each_second_while_it_is_open() -> None:
    tenths = [9 + tenth / 10 for tenth in range(41)]

    assert admitted(opened(), tenths) == [10.0, 11.0, 12.0, 13.0]


def test_a_probe_that_never_ends_holds_nobody_back() -> None:
    breaker = opened()

    _, another = admitted(breaker, [10.0, 11.0])
    breaker.succeeded(another, 11.2)

    assert not breaker.is_open
    assert admitted(breaker, [11.2, 11.3, 11.4]) == [11.2, 11.3, 11.4]


def test_a_probe_that_fails_leaves_it_open() -> None:
    breaker = opened()
    assert breaker.admit(10)

    breaker.failed(10, 10.1)

    assert admitted(breaker, [10.1, 10.9, 11.0]) == [11.0]


def test_it_opens_again_only_after_as_many_failures_as_before() -> None:
    breaker = opened()
    breaker.succeeded(10, 10)

    failed(breaker, range(11, 20))
    assert not breaker.is_open

    failed(breaker, [20])
    assert breaker.is_open


def test_what_began_before_it_opened_does_not_close_it() -> None:
    breaker = opened()

    breaker.succeeded(8.9, 30)

    assert breaker.is_open


def test_what_began_before_it_closed_does_not_count_against_it() -> None:
    breaker = opened()
    breaker.succeeded(20, 20)

    for late in range(30):
        breaker.failed(15, 20 + late)

    assert not breaker.is_open


@pytest.mark.parametrize(("failures", "is_spent"), [(49, False), (50, True), (1000, True)])
def test_half_of_the_tokens_are_for_retries(failures: int, is_spent: bool) -> None:
    budget = RetryBudget()

    for _ in range(failures):
        budget.failed()

    assert budget.is_spent is is_spent


def test_ten_successes_earn_a_retry() -> None:
    budget = RetryBudget()
    for _ in range(50):
        budget.failed()

    for _ in range(11):
        budget.succeeded()
    assert not budget.is_spent

    budget.failed()
    budget.failed()
    assert budget.is_spent


def test_no_more_is_saved_than_there_was_at_first() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.succeeded()

    for _ in range(50):
        budget.failed()

    assert budget.is_spent


def test_one_failure_in_eleven_goes_on_for_ever() -> None:
    budget = RetryBudget()

    for _ in range(1000):
        budget.failed()
        for _ in range(10):
            budget.succeeded()

    assert not budget.is_spent
