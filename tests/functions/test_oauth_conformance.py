"""The conformance suite of the Model Context Protocol (https://github.com/modelcontextprotocol/conformance) as a client of our sign-in (C2, C10)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import signin
from tests.emulators import free_port
from tests.oauth_clients import went
from tests.programs import package, run, running
from tests.signin import SignedIn

Checks = dict[str, list[dict[str, Any]]]
"""Scenario -> what was checked."""

PASSED = {
    "authorization-server-metadata-endpoint": ["authorization-server-metadata", "authorization-server-metadata-cimd"],
    "authorization-code-grant": ["authorization-code-grant"],
}
"""Scenario -> its checks. These are all that there are."""


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started() as started:
        yield started


@pytest.fixture(scope="module")
def checks(product: SignedIn, tmp_path_factory: pytest.TempPathFactory) -> Checks:
    """The whole suite. It prints where a person is to go, serves the address that they come back to, and waits there."""
    folder, port, address = tmp_path_factory.mktemp("conformance"), free_port(), ""
    client = product.client(f"http://127.0.0.1:{port}/callback", "Conformance suite")
    who = ("--url", product.world.url, "--client-id", client.client_id, "--resource", f"{product.world.url}/mcp")
    with (
        product.browser() as browser,
        running(folder, *package("conformance", 22), "authorization", *who, f"--port={port}", "-o.") as suite,
    ):
        assert suite.stdout
        for line in suite.stdout:
            if line.startswith(f"{product.world.url}/oauth/authorize?"):
                address = line.strip()
            elif line.startswith("Callback server started"):
                httpx.get(went(browser, address), trust_env=False).raise_for_status()
    return {
        re.sub(r"^authorization-server-|-\d{4}-\d\d-\d\dT.*$", "", file.parts[-2]): json.loads(file.read_text("utf-8"))
        for file in folder.glob("*/checks.json")
    }


def test_every_scenario_passes(checks: Checks) -> None:
    statuses = {scenario: {check["id"]: check["status"] for check in found} for scenario, found in checks.items()}

    assert statuses == {scenario: dict.fromkeys(names, "SUCCESS") for scenario, names in PASSED.items()}


def test_no_scenario_goes_without_a_word(tmp_path: Path) -> None:
    offered = run(tmp_path, *package("conformance", 22), "list", "--authorization")

    assert set(re.findall(r"^  - (\S+)", offered, re.MULTILINE)) == PASSED.keys()
