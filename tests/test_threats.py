"""The table of threats names tests that exist, and leaves out none that was promised (tests/reliability/THREATS.md)."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = re.findall(r"^\| (T\d+) \|(.*)\|$", (ROOT / "tests/reliability/THREATS.md").read_text("utf-8"), re.M)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PROMISED = [f"T{number}" for number in (*range(1, 26), *range(31, 43), 51)]


@cache
def functions(file: str) -> frozenset[str]:
    """What a file defines at its top."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("threat", "row"), ROWS, ids=[threat for threat, _ in ROWS])
def test_a_threat_has_tests_and_all_of_them_exist(threat: str, row: str) -> None:
    named = NAMED.findall(row)

    assert 1 <= len(named) <= 4
    assert row.count("::") == len(named), "whatever looks like a test is read as one"
    assert [f"{file}::{test}" for file, test in named if test not in functions(file)] == []


def test_every_threat_that_was_promised_has_one_row() -> None:
    counted = Counter(threat for threat, _ in ROWS)

    assert set(PROMISED) <= set(counted)
    assert {threat for threat, rows in counted.items() if rows > 1} == set()
