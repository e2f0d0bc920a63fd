"""Refuse a test run in which a test was skipped that has no right to: `python .ci/skips.py REPORT`, a JUnit XML file of pytest."""

import re
import sys
import xml.etree.ElementTree as ElementTree

ALLOWED: tuple[tuple[str, str], ...] = (
    # Test's name, skip's reason: regular expressions, each with why the test may be absent from CI.
    (r"published_openapi", r"no copy of Open-Meteo's OpenAPI file"),  # it is not ours to commit, and no package carries it
)


def refused(report: str) -> list[str]:
    """A line for each skipped test of `report` that is not on the list."""
    return [
        f"{case.get('classname')}::{case.get('name')}: {skip.get('message')}"
        for case in ElementTree.parse(report).iter("testcase")
        for skip in case.iter("skipped")
        if not any(re.search(name, case.get("name", "")) and re.search(reason, skip.get("message", "")) for name, reason in ALLOWED)
    ]


if __name__ == "__main__":
    lines = refused(sys.argv[1])
    if lines:
        print("Skipped, but required here:", *lines, sep="\n  ", file=sys.stderr)
    sys.exit(bool(lines))
