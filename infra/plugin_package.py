"""Write the plugin package: `python -m infra.plugin_package FOLDER`, or `make package`, with the settings of the deployment.

Settings come from the environment and from .env, as for the local world.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from functions.capabilities import CATALOGUE
from functions.core.errors import CapabilityFault
from functions.core.plugin_package import Unpublishable, package
from functions.core.settings import InvalidSettings, Settings
from functions.core.submission import left_to_do
from infra.environment import FILE, Unreadable, environment

LOGO = Path(__file__).parents[1] / "functions/assets/logo.png"


class Occupied(Exception):
    """The folder holds what is no part of the package, and would be published with it; nothing was written."""


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files below `folder`, over those of an earlier package.

    Raises:
        Occupied: something else is there.
    """
    if folder.exists() and not folder.is_dir():
        raise Occupied(f"{folder} is a file; name a folder.")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if others := sorted(there - files.keys()):
        raise Occupied(f"{folder} holds {others[0]}, which is no part of the package. Remove it, or name another folder.")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def main() -> str | None:
    """Write the package and tell what is left to do; the return value is what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m infra.plugin_package", description="Write the plugin package for ChatGPT and Codex.")
    parser.add_argument("folder", type=Path, help="where to; a folder that is new, empty, or has an earlier package")
    parser.add_argument("--env-file", type=Path, default=FILE, help="lines of NAME=value, under the environment; default: .env")
    given = parser.parse_args()
    try:
        settings = Settings.read(environment(given.env_file, os.environ), CATALOGUE.apis)
        catalogue = CATALOGUE.enabled(settings.enabled_capabilities, sign_in=settings.signs_in)
        files = package(settings, catalogue, LOGO.read_bytes())
        write(files, given.folder)
    except (Unreadable, InvalidSettings, CapabilityFault, Unpublishable, Occupied) as reason:
        return str(reason)
    print("Written:", *(f"  {given.folder / path}" for path in files), sep="\n")
    print("\nLeft for you, before you submit it:", *(f"  - {task}" for task in left_to_do(settings, catalogue)), sep="\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
