"""Virtual environments of their own, for programs of others that must not meet our packages; made once, under .cache/."""

import hashlib
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".cache"


def programs(name: str, *wanted: str | Path) -> Path:
    """The folder of the programs of an environment in which `pip install *wanted` has run; a path in it is a list of packages.

    It is made anew when what is wanted changes, or this Python; only that needs the network.

    Raises:
        CalledProcessError: pip could not install it.
    """
    told = [sys.version, *(one.read_text("utf-8") if isinstance(one, Path) else one for one in wanted)]
    folder = CACHE / name / hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        quiet = ["install", "--quiet", "--quiet", "--disable-pip-version-check"]
        subprocess.run([folder / "bin" / "python", "-m", "pip", *quiet, *wanted], check=True)
        (folder / "complete").touch()
    return folder / "bin"
