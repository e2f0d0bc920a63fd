"""Google's Firestore emulator for tests, and free ports."""

import contextlib
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from infra.local import firestore_emulator

Missing = firestore_emulator.Missing


@contextlib.contextmanager
def firestore() -> Iterator[str]:
    """The `host:port` of an emulator that lives as long as the block.

    Raises:
        Missing: there is no Java, no gcloud, or no emulator in gcloud's folder.
    """
    port = free_port()
    emulator = subprocess.Popen(firestore_emulator.command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/", emulator)
        yield f"127.0.0.1:{port}"
    finally:
        emulator.kill()
        emulator.wait()


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(url: str, emulator: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and emulator.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError("The Firestore emulator did not become ready.")
