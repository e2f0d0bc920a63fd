"""Chromium, driven by playwright-core: the machine's, or else the one among our packages, which only Linux on x64 can run."""

import functools
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import brotli
import pytest

from tests.programs import CLIENTS, PACKAGES, TESTS, node

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

PACKED = PACKAGES / "@sparticuz/chromium"


@functools.cache
def launch() -> dict[str, Any]:
    """The options of playwright's launch()."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    root = ["--no-sandbox"]  # Tests may run as root.
    if found:
        return {"executablePath": found, "args": root}
    if not PACKED.exists() or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("Chromium is not installed")
    folder = unpacked()
    libraries = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(folder / "lib")}
    return {"executablePath": str(folder / "chromium"), "args": root, "env": libraries}


def unpacked() -> Path:
    """The folder of the packed Chromium and of the libraries that a machine without one lacks; unpacked once for each version."""
    version = json.loads((PACKED / "package.json").read_text("utf-8"))["version"]
    folder = TESTS.parent / ".cache" / f"chromium-{version}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            whole = Path(beside, "whole")
            whole.mkdir()
            unpack(PACKED / "bin/chromium.br", whole / "chromium")
            unpack(PACKED / "bin/al2023.tar.br", Path(beside, "lib.tar"))
            with tarfile.open(Path(beside, "lib.tar")) as libraries:
                libraries.extractall(whole, filter="data")
            (whole / "chromium").chmod(0o755)
            whole.rename(folder)
    return folder


def unpack(packed: Path, there: Path) -> None:
    """Unpack a file, piece by piece: it is three times as large then."""
    unpacking = brotli.Decompressor()
    with packed.open("rb") as source, there.open("wb") as target:
        while piece := source.read(1 << 20):
            target.write(unpacking.process(piece))


def driven(script: str, folder: Path, **told: Any) -> Any:
    """What a script of clients/ found out: it gets `told` and the options of launch() as JSON, and prints JSON."""
    asked = json.dumps({"launch": launch(), "folder": str(folder), **told})
    command = [node(), str(CLIENTS / script)]
    with tempfile.TemporaryDirectory() as home:  # Chromium writes there.
        environ = {"PATH": os.environ["PATH"], "HOME": home}
        ended = subprocess.run(command, input=asked, env=environ, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-4000:]
    return json.loads(ended.stdout)
