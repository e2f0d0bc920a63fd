"""MCP clients sign in (wire.md 3.4): they list the tools as strangers, are told by one where to sign in, register themselves, and call it
then; they refresh, and begin anew when what they got is taken back. What runs on Node skips where there is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import signin
from tests.mcp_application import Application, whole_way, whole_way_on_node
from tests.signin import Browser, SignedIn


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    with signin.started() as started:
        yield started


@pytest.fixture
def browser(product: SignedIn) -> Iterator[Browser]:
    with product.browser() as opened:
        yield opened


@pytest.mark.parametrize("line", ["2025-11-25", "2026-07-28"])
def test_the_typescript_sdk_registers_and_goes_the_whole_way(product: SignedIn, browser: Browser, tmp_path: Path, line: str) -> None:
    done = whole_way_on_node(product, browser, tmp_path, line)

    assert done["asked"]["client_id"].startswith("c-")


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_the_python_sdk_registers_and_goes_the_whole_way(product: SignedIn, browser: Browser, mode: str) -> None:
    application = Application(browser)

    await whole_way(product, application, mode)

    assert application.client
    assert application.client.client_id.startswith("c-")
