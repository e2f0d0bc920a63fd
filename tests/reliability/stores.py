"""The stores that an experiment is made on."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from tests import emulators
from tests.world import on_firestore


@contextlib.contextmanager
def stores(details: list[str]) -> Iterator[Mapping[str, Callable[[], Mapping[str, str]]]]:
    """A store's name -> what gives the settings of an empty one. Google's emulator is among them where it can be; else `details` says why not."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Callable[[], Mapping[str, str]]] = {"SQLite": dict}
        try:
            address = stack.enter_context(emulators.firestore())
            found["Google's emulator"] = lambda: on_firestore(address)
        except emulators.Missing as reason:
            details.append(f"Without Firestore: {reason}")
        yield found
