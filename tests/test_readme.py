"""What the README says, done as it says."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.programs import package, run
from tests.upstream import answer, serving
from tests.world import ROOT, copied, started

README = (ROOT / "README.md").read_text("utf-8")


def example(name: str) -> str:
    """The code block behind `<!-- example: NAME -->`."""
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)```", README, re.S)
    assert found, f"README.md has no example {name!r}"
    return found[1]


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith(("https://", "#"))]

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_curl_of_the_five_minutes_answers() -> None:
    curl = shutil.which("curl")
    if not curl:
        pytest.skip("curl is not installed")

    with started() as world:
        command = example("ask").replace("http://localhost:8080", world.url)
        ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})

    assert re.search(r'"answer":"北京\d{4}-\d\d-\d\d', ran.stdout)


def test_the_inspectors_commands_list_and_call(tmp_path: Path) -> None:
    pinned = json.loads((ROOT / "tests/package.json").read_text("utf-8"))["devDependencies"]["@modelcontextprotocol/inspector"]
    npx = f"npx @modelcontextprotocol/inspector@{pinned} "
    installed = shlex.join(map(str, package("inspector", 22, 19))) + " "

    with started() as world:
        commands = example("inspector").replace(npx, installed).replace("http://localhost:8080", world.url)
        told = run(tmp_path, "sh", "-ec", commands)

    assert example("inspector").count(npx) == 2
    assert '"name": "get_weather_forecast"' in told
    assert '"name": "Paris"' in told


async def test_the_capability_is_all_it_takes(tmp_path: Path) -> None:
    source = copied(tmp_path, holidays=example("capability holidays.py"))
    october = [{"date": "2026-10-01", "localName": "国庆节", "name": "National Day", "countryCode": "CN"}]

    async with serving(answer(october), answer([])) as nager:
        with started(source=source, NAGER_DATE_URL=f"{nager.url}/api/v3") as world:
            ask = partial(asyncio.to_thread, world.http.post, "/tools/list_public_holidays")
            found = await ask(json={"country": "CN", "year": 2026})
            none = await ask(json={"country": "XX", "year": 2026})
            manifest = (await asyncio.to_thread(world.http.get, "/manifest.json")).json()
            paths = (await asyncio.to_thread(world.http.get, "/openapi.json")).json()["paths"]

    assert found.json() == {"holidays": [{"date": "2026-10-01", "name": "National Day"}]}
    assert (none.status_code, none.json()["error"]["code"]) == (404, "not_found")
    assert nager.received[0].path == "/api/v3/PublicHolidays/2026/CN"
    assert "list_public_holidays: List the public holidays of a country in a year." in manifest["description_for_model"]
    assert paths["/tools/list_public_holidays"]["post"]["operationId"] == "list_public_holidays"
