"""`make package`: the folder as it is written, read by a program that is not ours, and the prompts in it tried."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from agent_plugins import Plugin, StreamableHTTPServer

from functions.capabilities import CATALOGUE
from functions.core.capability import Example
from tests.mcp import ERAS, NEW, called, result
from tests.programs import run
from tests.published import CONFIGURATION, derived
from tests.test_readme import example as readme_example
from tests.world import ROOT, World, copied, started

PROMPTS = [
    example
    for capability in CATALOGUE.capabilities
    for example in capability.examples
    if example.operation and not example.operation.scopes
]
"""What can be tried without an account."""


def packed(folder: Path, *, source: Path = ROOT, file: Path = Path("/dev/null"), **environ: str) -> subprocess.CompletedProcess[str]:
    """What the command of a source tree does and says."""
    command = [sys.executable, "-m", "infra.plugin_package", str(folder), "--env-file", str(file)]
    return subprocess.run(command, cwd=source, env={"PATH": os.environ["PATH"]} | environ, text=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the agreed configuration."""
    folder = tmp_path_factory.mktemp("dist")
    ran = packed(folder, **CONFIGURATION)
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def both() -> Iterator[World]:
    """REST and MCP behind one entry point."""
    with started("plugin") as world:
        yield world


def test_an_independent_reader_accepts_every_part(folder: Path) -> None:  # H4
    plugin = Plugin(folder)

    assert plugin.manifest.issues == ()
    assert (plugin.manifest.name, plugin.manifest.version, plugin.manifest.license) == ("cantilever", "1.0.0", "Apache-2.0")
    assert plugin.mcp
    assert plugin.mcp.issues == ()
    assert plugin.mcp.servers == {"cantilever": StreamableHTTPServer(url="https://plugin.example.com/mcp")}
    (skill,) = plugin.skills
    assert skill.name == yaml.safe_load(skill.frontmatter)["name"] == "cantilever"
    assert "## get_weather_forecast" in skill.body


PUBLISHED = {
    "plugin": "0a4aad95ce337878ad38802ebf0daa3fde76abe3f65400c86bcbb1ec0b3ab883",
    "mcp": "6539175bfcdf43085855183e86da40ea94b166547a72b47ae9a0a390516d3acb",
}
"""SHA-256 of each schema as it is published: https://github.com/agentplugins/agent-plugins-spec/tree/main/schemas/1.0.0."""


@pytest.mark.parametrize(("name", "digest"), PUBLISHED.items())
def test_what_a_client_reads_is_of_the_published_schema(folder: Path, name: str, digest: str) -> None:  # H4
    carried = (resources.files("skillsaw.schemas.agent_plugins.v1_0_0") / f"{name}.schema.json").read_bytes()
    schema = json.loads(carried)
    written = json.loads((folder / f"{name}.json").read_text("utf-8"))

    valid = jsonschema.Draft202012Validator(schema)

    assert hashlib.sha256(carried).hexdigest() == digest
    assert written["$schema"] == schema["$id"]
    assert list(valid.iter_errors(written)) == []
    assert not valid.is_valid(written | {"unknown": True})


def test_a_linter_finds_nothing_in_codex_own_format(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, codex := tmp_path / "codex")
    (codex / "plugin.json").unlink()  # Where it is there, the linter reads no other manifest.

    told = run(codex, Path(sys.executable).with_name("skillsaw"), "lint", ".")

    assert "Repo type: agentskills, codex-plugin\n" in told
    assert re.search(r"Errors: +0\n +Warnings: 0\n", told), told


def test_whatever_a_manifest_names_is_in_the_folder(folder: Path) -> None:
    codex = json.loads((folder / ".codex-plugin/plugin.json").read_text("utf-8"))

    named = [codex["skills"], codex["mcpServers"], codex["interface"]["logo"], codex["interface"]["composerIcon"]]

    assert all(path.startswith("./") and (folder / path).exists() for path in named)
    assert (folder / "assets/logo.png").read_bytes() == (ROOT / "functions/assets/logo.png").read_bytes()


def test_the_licence_is_the_one_that_stands_in_the_repository() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")

    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_make_writes_what_was_agreed_and_tells_what_is_left(tmp_path: Path) -> None:
    command = ["make", "--no-print-directory", "package", f"FOLDER={tmp_path / 'a package'}"]
    ran = subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]} | dict(CONFIGURATION), text=True, capture_output=True)

    written = {path.relative_to(tmp_path / "a package").as_posix() for path in (tmp_path / "a package").rglob("*") if path.is_file()}

    assert ran.returncode == 0, ran.stderr
    agreed = {name.removeprefix("package/"): text for name, text in derived().items() if name.startswith("package/")}
    assert written == {*agreed, "assets/logo.png"}
    assert {name: (tmp_path / "a package" / name).read_text("utf-8") for name in agreed} == agreed
    assert all(f"  {tmp_path / 'a package' / name}\n" in ran.stdout for name in written)
    assert "  - Domain: set OPENAI_APPS_CHALLENGE" in ran.stdout


def test_the_command_refuses_with_every_reason_and_writes_nothing(tmp_path: Path) -> None:
    ran = packed(tmp_path / "dist", PLUGIN_NAME="Weather MCP")

    assert ran.returncode == 1
    told = [line.split(":")[0].removeprefix("  - ") for line in ran.stderr.splitlines()[1:]]
    assert told == ["PUBLIC_BASE_URL", "PUBLISHER_NAME", "PUBLISHER_URL", "CONTACT_EMAIL", "PRIVACY_EMAIL", "PLUGIN_NAME"]
    assert not (tmp_path / "dist").exists()


def test_the_settings_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("\n".join(f"{name}={value}" for name, value in CONFIGURATION.items()), "utf-8")

    ran = packed(tmp_path / "dist", file=file, PLUGIN_VERSION="2.3.4")

    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "dist/plugin.json").read_text("utf-8"))["version"] == "2.3.4"


def test_a_package_is_written_over_an_earlier_one_and_never_among_other_things(tmp_path: Path) -> None:
    first = packed(tmp_path, **CONFIGURATION)
    second = packed(tmp_path, **CONFIGURATION, PLUGIN_VERSION="1.0.1")
    renamed = packed(tmp_path, **CONFIGURATION, PLUGIN_NAME_FOR_MODEL="other")

    assert (first.returncode, second.returncode, renamed.returncode) == (0, 0, 1)
    assert "holds skills/cantilever/SKILL.md, which is no part of the package." in renamed.stderr
    assert json.loads((tmp_path / "plugin.json").read_text("utf-8"))["version"] == "1.0.1"
    assert not (tmp_path / "skills/other").exists()


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "dist").touch()

    ran = packed(tmp_path / "dist", **CONFIGURATION)

    assert (ran.returncode, ran.stderr) == (1, f"{tmp_path / 'dist'} is a file; name a folder.\n")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tried", PROMPTS, ids=lambda tried: tried.prompt)
def test_what_a_reviewer_tries_works(both: World, tried: Example, era: str) -> None:  # H6
    assert tried.operation
    name = tried.operation.name
    schema = next(tool for tool in result(both, era, "tools/list")["tools"] if tool["name"] == name)["outputSchema"]

    over_rest = both.http.post(f"/tools/{name}", json=dict(tried.arguments))
    over_mcp = called(both, era, name, tried.arguments)

    assert over_rest.status_code == 200
    assert over_mcp["structuredContent"] == json.loads(over_mcp["content"][0]["text"]) == over_rest.json()
    assert not over_mcp["isError"]
    jsonschema.validate(over_rest.json(), schema, jsonschema.Draft202012Validator)
    assert len(over_rest.json()["days"]) == tried.arguments["days"]


def published(source: Path, folder: Path) -> dict[str, Any]:
    """What a source tree publishes, as text."""
    ran = packed(folder, source=source, PLUGIN_SUBTITLE="Several things", **CONFIGURATION)
    assert ran.returncode == 0, ran.stderr
    with started("plugin", source=source) as world:
        openapi = world.http.get("/openapi.json").json()
        listed = result(world, NEW, "tools/list")["tools"]
    return {
        "openapi": {path for path in openapi["paths"] if path.startswith("/tools/")},
        "tools": {tool["name"] for tool in listed},
        "keywords": json.loads((folder / "plugin.json").read_text("utf-8"))["keywords"],
        "form": set(json.loads((folder / "chatgpt-app-submission.json").read_text("utf-8"))["tools"]),
        "skill": "list_public_holidays" in (folder / "skills/cantilever/SKILL.md").read_text("utf-8"),
    }


def test_a_capability_file_changes_everything_that_is_published_and_no_code(tmp_path: Path) -> None:
    for folder in (plain := tmp_path / "plain", more := tmp_path / "more"):
        folder.mkdir()

    before = published(copied(plain), tmp_path / "before")
    after = published(copied(more, holidays=readme_example("capability holidays.py")), tmp_path / "after")

    holidays = "list_public_holidays"
    assert holidays not in before["tools"]
    assert after == {
        "openapi": before["openapi"] | {f"/tools/{holidays}"},
        "tools": before["tools"] | {holidays},
        "keywords": ["calendar", "docs", "holidays", "weather"],
        "form": before["form"] | {holidays},
        "skill": not before["skill"],
    }
