"""Google's emulators for tests, a Firestore that can be killed, and free ports."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from infra.local import google_emulators

Missing = google_emulators.Missing


def firestore() -> contextlib.AbstractContextManager[str]:
    """The `host:port` of a Firestore emulator that lives as long as the block.

    Raises:
        Missing: there is no Java, no gcloud, or no emulator in gcloud's folder.
    """
    return _running(google_emulators.firestore)


def pubsub() -> contextlib.AbstractContextManager[str]:
    """The `host:port` of a Pub/Sub emulator that lives as long as the block.

    Raises:
        Missing: there is no Java, no gcloud, or no emulator in gcloud's folder.
    """
    return _running(google_emulators.pubsub)


class DurableFirestore:
    """The double of Firestore in a process of its own, with a log: what it acknowledged survives its death."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.address = "127.0.0.1:0"

    def start(self) -> None:
        """Start, or start again at the same address with what was logged."""
        command = [sys.executable, "-m", "tests.firestore_double", f"--port={self.address.rpartition(':')[2]}", f"--log={self._log}"]
        self._process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: Callable[[int], list[str]]) -> Iterator[str]:
    port = free_port()
    emulator = subprocess.Popen(command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/", emulator)
        yield f"127.0.0.1:{port}"
    finally:
        emulator.kill()
        emulator.wait()


def _wait_until_ready(url: str, emulator: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and emulator.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError("The emulator did not become ready.")
