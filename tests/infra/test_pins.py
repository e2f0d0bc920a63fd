"""What is installed is said to the last digit, and not from where: every mirror serves the same files."""

import json
import re
from pathlib import Path

import pytest
from packaging.version import Version

import main

ROOT = Path(main.__file__).parent


@pytest.mark.parametrize("path", ["requirements.txt", "tests/requirements.txt", "tests/reliability/peers/requirements.txt"])
def test_every_requirement_has_one_version(path):
    lines = [line.split("#")[0].strip() for line in (ROOT / path).read_text().splitlines()]

    loose = [line for line in lines if line and not re.fullmatch(r"[\w.-]+==[\w.]+|-r \.\./requirements\.txt", line)]

    assert loose == []


FLOORS = {
    "joserfc": "1.7.7",  # CVE-2026-102946, -75509, -119284: JSON serialization, lists for iss and sub, the guard of sizes
    "mcp": "2.2.0",  # CVE-2026-116684: tokens for another resource
    "starlette": "1.0.1",  # CVE-2026-48710
    "Authlib": "1.9.9",  # Server-side holes until 1.9.1, and one without an advisory; only tests use it.
}
"""The least version without a hole that is known."""


@pytest.mark.parametrize("name", FLOORS)
def test_no_version_has_a_hole_that_was_closed(name):
    lines = [line for path in ("requirements.txt", "tests/requirements.txt") for line in (ROOT / path).read_text().splitlines()]

    (pinned,) = [found[1] for line in lines if (found := re.match(rf"{name}==([\w.]+)", line))]

    assert Version(pinned) >= Version(FLOORS[name])


def test_the_lock_file_knows_each_package_by_its_hash_and_names_no_registry():
    lock = json.loads((ROOT / "tests/package-lock.json").read_text())

    packages = [package for path, package in lock["packages"].items() if path]

    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert not [package for package in packages if "resolved" in package]


def test_every_npm_package_that_is_asked_for_has_one_version():
    asked = json.loads((ROOT / "tests/package.json").read_text())

    versions = [version for kind in ("devDependencies", "optionalDependencies") for version in asked[kind].values()]

    assert versions
    assert [version for version in versions if not re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", version)] == []
