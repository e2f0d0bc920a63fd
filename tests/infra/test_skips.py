"""CI refuses a skipped test that is not on its list."""

import subprocess
import sys
from pathlib import Path

SKIPS = Path(__file__).parents[2] / ".ci/skips.py"


def judged(folder: Path, name: str, reason: str) -> subprocess.CompletedProcess[str]:
    report = folder / "report.xml"
    case = f'<testcase classname="tests.x" name="{name}"><skipped type="pytest.skip" message="{reason}"/></testcase>'
    report.write_text(f'<testsuites><testsuite><testcase classname="tests.x" name="ran"/>{case}</testsuite></testsuites>', encoding="utf-8")
    return subprocess.run([sys.executable, str(SKIPS), str(report)], capture_output=True, text=True)


def test_a_skip_that_nobody_listed_fails_the_run(tmp_path: Path) -> None:
    ended = judged(tmp_path, "test_on_firestore", "the Firestore emulator needs java, which is not installed")

    assert ended.returncode == 1
    assert "tests.x::test_on_firestore: the Firestore emulator needs java" in ended.stderr


def test_a_listed_skip_passes_with_its_own_reason_only(tmp_path: Path) -> None:
    listed = judged(tmp_path, "test_of_published_openapi_file", "no copy of Open-Meteo's OpenAPI file: not fetched")
    otherwise = judged(tmp_path, "test_of_published_openapi_file", "did not feel like it")

    assert listed.returncode == 0
    assert otherwise.returncode == 1
