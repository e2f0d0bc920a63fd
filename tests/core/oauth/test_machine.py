"""A small share of what tests/core/oauth/machine.py does in full."""

from tests.core.oauth import machine


def test_what_is_dead_is_never_accepted_and_what_lives_is_never_refused() -> None:
    machine.run(30)
