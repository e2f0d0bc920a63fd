"""One emulated Google for all tests of a file that only read from it."""

from collections.abc import Iterator

import pytest

from infra.local.google_emulator.people import JONAS
from tests.google import EVERYTHING, Google, started


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    with started() as google:
        yield google


@pytest.fixture(scope="module")
def token(google: Google) -> str:
    access_token: str = google.grant(EVERYTHING)["access_token"]
    return access_token


@pytest.fixture(scope="module")
def jonas(google: Google) -> str:
    access_token: str = google.grant(EVERYTHING, JONAS)["access_token"]
    return access_token
