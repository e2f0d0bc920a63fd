"""The running product against its own OpenAPI document, by schemathesis: `make fuzz [CASES=2000] [SEED=1]`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.world import World

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIGURATION = Path(__file__).parent / "clients" / "schemathesis.toml"

CASES = int(os.environ.get("CASES") or 2000)
"""Over all operations; 2,000 take half a minute on two cores."""
SEED = os.environ.get("SEED") or "1"

EXAMPLES_SHARE = 0.12
"""What one operation's examples are of all cases: with four operations an example made 9.8 to 10.4 cases, the stateful ones included."""


def test_the_product_keeps_what_its_document_promises(world: World, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    # One worker: more of them trip over CPython 3.11's parser (github.com/python/cpython/issues/106905), and repeat nothing.
    command = [SCHEMATHESIS, f"--config-file={CONFIGURATION}", "run", f"{world.url}/openapi.json", "--checks=all", "--workers=1"]
    options = [f"--max-examples={round(CASES * EXAMPLES_SHARE)}", f"--seed={SEED}", "--continue-on-failure", "--no-color"]

    ran = subprocess.run(
        [*command, *options, "--report=json", f"--report-json-path={report}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout
    told = json.loads(report.read_text("utf-8"))
    assert told["operations"] == {"total": 5, "selected": 5, "tested": 5, "errored": 0, "skipped": 0, "skip_reasons": []}
    assert told["test_cases"]["generated"] >= CASES
    assert (told["test_cases"]["unique_failures"], told["test_cases"]["errored"]) == (0, 0)
    assert "Traceback" not in world.output
