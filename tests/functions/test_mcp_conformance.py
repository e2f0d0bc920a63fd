"""The conformance suite of the Model Context Protocol (https://github.com/modelcontextprotocol/conformance), at both revisions that we speak.

The suite is written for the example servers of SDKs: most of its scenarios call tools, prompts and resources of its own, which no product has.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.programs import package, run
from tests.world import started

Checks = Mapping[tuple[str, str], list[dict[str, Any]]]
"""(Revision, scenario) -> what was checked."""

PASSED = {
    "2025-11-25": "dns-rebinding-protection ping prompts-list resources-list server-initialize tools-list".split(),
    "2026-07-28": (
        "caching dns-rebinding-protection http-header-validation input-required-result-unsupported-methods prompts-list resources-list "
        "sep-2164-resource-not-found server-sse-multiple-streams server-stateless tools-list"
    ).split(),
}
"""Revision -> scenarios that need nothing but a server."""

NOT_FOR_US = {
    "calls tools of the suite's own, and sees what none of our operations does": (
        "tools-call-simple-text tools-call-image tools-call-audio tools-call-embedded-resource tools-call-mixed-content "
        "tools-call-with-logging tools-call-error tools-call-with-progress tools-call-sampling tools-call-elicitation "
        "elicitation-sep1034-defaults elicitation-sep1330-enums json-schema-2020-12 http-custom-header-server-validation "
        "input-required-result-basic-elicitation input-required-result-basic-sampling input-required-result-basic-list-roots "
        "input-required-result-request-state input-required-result-multiple-input-requests input-required-result-multi-round "
        "input-required-result-missing-input-response input-required-result-result-type input-required-result-tampered-state "
        "input-required-result-capability-check input-required-result-ignore-extra-params input-required-result-validate-input"
    ),
    "reads resources of the suite's own; we have none": (
        "resources-read-text resources-read-binary resources-templates-read resources-subscribe resources-unsubscribe"
    ),
    "fills in prompts of the suite's own; we have none": (
        "prompts-get-simple prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image completion-complete "
        "input-required-result-non-tool-request"
    ),
    "chooses among log messages, which we send to no client, and do not claim to": "logging-set-level",
    "follows a session or a stream; ours has neither, an answer is one JSON text": (
        "server-session-lifecycle server-sse-polling server-sse-multiple-streams"
    ),
    "tries an extension that we do not claim to have": (
        "sep-2640-skills-directory sep-2640-skills-enumeration sep-2640-skills-manifest tasks-lifecycle tasks-capability-negotiation "
        "tasks-wire-fields tasks-request-state-removal tasks-mrtr-input tasks-request-headers tasks-dispatch-and-envelope "
        "tasks-status-notifications tasks-required-task-error tasks-mrtr-composition"
    ),
}
"""Why a scenario is none of ours -> the scenarios. One is, in the other revision: at 2025-11-25 its many streams are a session's."""

PASSED_BY_REFUSING = {"input-required-result-validate-input"}
"""Scenarios that call a tool of the suite's own and are content with any error: that there is no such tool, too."""

UNTESTABLE = {
    "server-stateless": {
        "sep-2575-server-rejects-undeclared-capability": "test_missing_capability",
        "sep-2575-missing-capability-http-400": "test_missing_capability",
        "sep-2575-http-server-no-independent-requests-on-stream": "test_streaming_elicitation",
        "sep-2575-server-no-log-without-loglevel": "test_logging_tool",
    }
}
"""Scenario that is ours -> those of its checks that are not -> the tool of the suite's own that each calls."""


def conformance(folder: Path, *arguments: str, status: int = 0) -> str:
    """What the suite prints."""
    return run(folder, *package("conformance", 22), *arguments, status=status)


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Checks:
    """The whole suite, once for each revision. The tool `chat` is there so that there are two tools, which have an order."""
    folder = tmp_path_factory.mktemp("conformance")
    with started("mcp", MCP_CHAT="on") as world:
        for revision in PASSED:
            # It ends with 1 because of the scenarios that are not for us.
            conformance(folder, "server", "--url", f"{world.url}/mcp", "--requirements", revision, "--output-dir", revision, status=1)
    return {
        (file.parts[-3], re.sub(r"^server-|-\d{4}-\d\d-\d\dT.*$", "", file.parts[-2])): json.loads(file.read_text("utf-8"))
        for file in folder.glob("*/*/checks.json")
    }


@pytest.mark.parametrize(("revision", "scenario"), [(revision, scenario) for revision, names in PASSED.items() for scenario in names])
def test_a_scenario_passes(checks: Checks, revision: str, scenario: str) -> None:
    untestable = UNTESTABLE.get(scenario, {})

    found = checks[revision, scenario]

    held = [check for check in found if check["status"] == "SUCCESS" and check["id"] != "wire-schema-valid"]
    missed = {check["id"]: check["errorMessage"] for check in found if check["status"] in {"FAILURE", "WARNING"}}
    assert held
    assert missed.keys() == untestable.keys(), missed
    assert all(f"Not testable: server does not list the diagnostic tool '{tool}'" in missed[check] for check, tool in untestable.items())


@pytest.mark.parametrize("revision", PASSED)
def test_whatever_the_suite_asks_every_answer_fits_the_specifications_schema(checks: Checks, revision: str) -> None:
    judged = {
        scenario: check
        for (at, scenario), found in checks.items()
        for check in found
        if (at, check["id"]) == (revision, "wire-schema-valid")
    }

    assert len(judged) > 25
    assert {scenario: check["details"] for scenario, check in judged.items() if check["status"] != "SUCCESS"} == {}


def test_no_scenario_of_the_suite_goes_without_a_word(checks: Checks, tmp_path: Path) -> None:
    offered = set(re.findall(r"^  - (\S+)", conformance(tmp_path, "list", "--server"), re.MULTILINE))

    named = [scenario for scenarios in NOT_FOR_US.values() for scenario in scenarios.split()]

    assert len(named) == len(set(named))
    assert offered == {*named} | {scenario for names in PASSED.values() for scenario in names}
    for revision, names in PASSED.items():
        assert {*names} <= {scenario for at, scenario in checks if at == revision} <= {*names, *named}


def test_no_scenario_that_passes_is_called_none_of_ours(checks: Checks) -> None:
    outcomes = {tried: {check["status"] for check in found if check["id"] != "wire-schema-valid"} for tried, found in checks.items()}

    passing = {tried for tried, found in outcomes.items() if "SUCCESS" in found and not found & {"FAILURE", "WARNING"}}

    assert {(at, name) for at, name in passing if name not in PASSED[at]} == {(max(PASSED), name) for name in PASSED_BY_REFUSING}
