"""What is installed is said to the last digit, and not from where: every mirror serves the same files."""

import json
import re
from pathlib import Path

import pytest

import main

ROOT = Path(main.__file__).parent


@pytest.mark.parametrize("path", ["requirements.txt", "tests/requirements.txt", "tests/reliability/peers/requirements.txt"])
def test_every_requirement_has_one_version(path):
    lines = [line.split("#")[0].strip() for line in (ROOT / path).read_text().splitlines()]

    loose = [line for line in lines if line and not re.fullmatch(r"[\w.-]+==[\w.]+|-r \.\./requirements\.txt", line)]

    assert loose == []


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
