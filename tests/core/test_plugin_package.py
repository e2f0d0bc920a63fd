"""The plugin package: every limit of the listing, and every reason to refuse."""

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
import yaml

from functions.capabilities import CATALOGUE
from functions.core.capability import Catalogue, Example
from functions.core.plugin_package import CATEGORIES, LOGO, Unpublishable, package, package_name
from functions.core.setting_kinds import Category
from functions.core.settings import Settings
from functions.core.submission import examples
from infra.plugin_package import LOGO as ASSET
from tests.published import CONFIGURATION

LOCAL = {name: value for name, value in CONFIGURATION.items() if name != "K_SERVICE"}
"""The agreed configuration, without the rules of a deployment."""

LISTING_CATEGORIES = {
    "Productivity", "Creativity", "Developer Tools", "Business & Operations", "Data & Analytics", "Communication", "Education & Research",
    "Security", "Finance", "Healthcare", "Travel", "Entertainment", "Other",
}  # fmt: skip
"""What a listing may be in: https://developers.openai.com/plugins/deploy/submission-errors."""

OFFERED = CATALOGUE.enabled(())
"""What a deployment offers that enables nothing."""

(WEATHER,) = [capability for capability in CATALOGUE.capabilities if capability.name == "weather"]
SEVERAL = [replace(WEATHER, name=name) for name in ("almanac", "moon", "weather")]


def settings(**changes: str) -> Settings:
    return Settings.read(LOCAL | changes, CATALOGUE.apis)


def files(catalogue: Catalogue = OFFERED, **changes: str) -> dict[str, Any]:
    """Every file by its path: JSON as values, the skill as text."""
    made = package(settings(**changes), catalogue, ASSET.read_bytes())
    return {path: json.loads(text) if path.endswith(".json") else text.decode() for path, text in made.items() if path != LOGO}


def wordy(count: int) -> Catalogue:
    """So many operations, each described as long as it may be."""
    (known,) = WEATHER.operations
    return Catalogue(
        (replace(WEATHER, operations=[replace(known, name=f"operation_{number}", description="x" * 300) for number in range(count)]),)
    )


def with_examples(*found: Sequence[Example]) -> Catalogue:
    """A catalogue of capabilities with these examples."""
    return Catalogue(tuple(replace(SEVERAL[place], examples=its) for place, its in enumerate(found)))


def png(width: int, height: int, size: int = 100) -> bytes:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height)
    return head + bytes(size - len(head))


def refused(catalogue: Catalogue = OFFERED, logo: bytes = ASSET.read_bytes(), **changes: str) -> str:
    """What is told of a package that cannot be made."""
    with pytest.raises(Unpublishable) as told:
        package(settings(**changes), catalogue, logo)
    return str(told.value)


def test_the_manifest_has_only_the_fields_of_its_closed_schema() -> None:
    # https://agent-plugins.org/schemas/1.0.0/plugin.schema.json
    manifest = files()["plugin.json"]

    assert set(manifest) <= {
        "$schema", "name", "version", "description", "author", "homepage", "repository", "license", "keywords", "extensions",
    }  # fmt: skip
    assert manifest["$schema"] == "https://agent-plugins.org/schemas/1.0.0/plugin.schema.json"
    assert manifest["author"] == {"name": "Example, Inc.", "email": "help@example.com", "url": "https://www.example.com"}
    assert all(isinstance(word, str) for word in manifest["keywords"])
    assert set(manifest["extensions"]) == {"com.openai"}


@pytest.mark.parametrize(
    "changes", [{}, {"MCP_CHAT": "on", "PLUGIN_NAME": "N" * 20, "PLUGIN_SUBTITLE": "S" * 30, "PUBLISHER_NAME": "P" * 80}]
)
def test_the_listing_keeps_its_limits(changes: dict[str, str]) -> None:
    # https://developers.openai.com/plugins/deploy/submission-errors
    listing = files(**changes)["plugin.json"]["extensions"]["com.openai"]["interface"]

    assert 0 < len(listing["displayName"]) <= 30
    assert 0 < len(listing["shortDescription"]) <= 30
    assert 0 < len(listing["longDescription"]) <= 4000
    assert 0 < len(listing["developerName"]) <= 80
    assert 0 < len(listing["defaultPrompt"]) <= 3
    assert all(re.fullmatch(".{1,128}", prompt) for prompt in listing["defaultPrompt"])
    assert len({*listing["defaultPrompt"]}) == len(listing["defaultPrompt"])
    assert 0 < len(listing["capabilities"]) <= 20
    assert listing["category"] in LISTING_CATEGORIES
    for url in ("websiteURL", "supportURL", "privacyPolicyURL", "termsOfServiceURL"):
        assert listing[url].startswith("https://")
        assert len(listing[url]) <= 1024


def test_the_listing_leads_to_the_publisher_and_to_our_pages() -> None:
    listing = files()["plugin.json"]["extensions"]["com.openai"]["interface"]

    assert listing["websiteURL"] == "https://www.example.com"
    assert [urlsplit(listing[url]).path for url in ("supportURL", "privacyPolicyURL", "termsOfServiceURL")] == [
        "/support",
        "/privacy",
        "/terms",
    ]
    assert listing["capabilities"] == ["Read"]
    assert files(MCP_CHAT="on")[".codex-plugin/plugin.json"]["interface"]["capabilities"] == ["Read", "Write"]


def test_every_category_of_the_form_has_one_of_the_listing() -> None:
    assert set(CATEGORIES) == set(get_args(Category))
    assert set(CATEGORIES.values()) <= LISTING_CATEGORIES


def test_codex_own_format_says_the_same() -> None:
    made = files()

    portable, codex = made["plugin.json"], made[".codex-plugin/plugin.json"]

    assert codex.pop("interface") == portable.pop("extensions")["com.openai"]["interface"]
    assert (codex.pop("skills"), codex.pop("mcpServers")) == ("./skills/", "./.mcp.json")
    del portable["$schema"]
    assert codex == portable


def test_the_server_stands_at_one_address_in_every_file() -> None:
    made = files(PUBLIC_BASE_URL="https://weather.example")

    url = "https://weather.example/mcp"

    assert made["mcp.json"] == {
        "$schema": "https://agent-plugins.org/schemas/1.0.0/mcp.schema.json",
        "mcpServers": {"cantilever": {"type": "streamable-http", "url": url}},
    }
    assert made[".mcp.json"] == {"mcpServers": {"cantilever": {"type": "http", "url": url}}}


@pytest.mark.parametrize("words", ["Plain words.", 'Quotes " and: colons, # signs, \\ and 北京', "- {[*&!|>%@`"])
def test_the_skill_is_what_the_specification_asks_for(words: str) -> None:
    # https://agentskills.io/specification
    text = files(PLUGIN_DESCRIPTION=words, PLUGIN_NAME_FOR_MODEL="My_Weather")["skills/my-weather/SKILL.md"]

    _, head, body = text.split("---\n", 2)
    front = yaml.safe_load(head)

    assert set(front) == {"name", "description"}
    assert front["name"] == "my-weather"
    assert front["description"].startswith(words)
    assert len(front["description"]) <= 1024
    for found in OFFERED.operations.values():
        assert f"## {found.name}\n\n{found.description}" in body
    for example in chain(*examples(OFFERED)):
        assert example.prompt in body


@pytest.mark.parametrize("prompt", ["x" * 129, "Two\nlines?"])
def test_what_is_no_starter_is_not_offered_as_one_and_is_tried_all_the_same(prompt: str) -> None:
    first, *others = WEATHER.examples
    made = files(with_examples([replace(first, prompt=prompt), *others]))

    starters = made["plugin.json"]["extensions"]["com.openai"]["interface"]["defaultPrompt"]

    assert starters == [example.prompt for example in others[:3]]
    assert made["chatgpt-app-submission.json"]["test_cases"][0]["user_prompt"] == prompt


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"PLUGIN_NAME": "Weather MCP"}, "PLUGIN_NAME: must not end in MCP or Plugin"),
        ({"PLUGIN_NAME": "WeatherPlugin!"}, "PLUGIN_NAME: must not end in MCP or Plugin"),
        ({"PLUGIN_NAME_FOR_MODEL": "weather_mcp_"}, "PLUGIN_NAME_FOR_MODEL: must not end in MCP or Plugin"),
        ({"PLUGIN_NAME_FOR_MODEL": "___"}, "PLUGIN_NAME_FOR_MODEL: needs a letter or a digit"),
        ({"PUBLIC_BASE_URL": "http://localhost:8080"}, "PUBLIC_BASE_URL: set it to the https origin"),
        ({"PUBLISHER_NAME": ""}, "PUBLISHER_NAME: set it to "),
        ({"PUBLISHER_URL": ""}, "PUBLISHER_URL: set it to your own website"),
        ({"PUBLISHER_URL": "http://www.example.com"}, "PUBLISHER_URL: must be https"),
        ({"CONTACT_EMAIL": ""}, "CONTACT_EMAIL: set it to "),
        ({"PRIVACY_EMAIL": ""}, "PRIVACY_EMAIL: set it to "),
    ],
)
def test_what_a_review_would_refuse_is_refused_here(changes: dict[str, str], fault: str) -> None:
    told = refused(**changes)

    assert f"\n  - {fault}" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("catalogue", "fault"),
    [
        (
            with_examples(WEATHER.examples[1:]),
            "EXAMPLES: the capabilities have 4 that call an operation and 3 that call none",
        ),
        (
            with_examples(WEATHER.examples[:-1]),
            "EXAMPLES: the capabilities have 5 that call an operation and 2 that call none",
        ),
        (
            Catalogue((*OFFERED.capabilities, replace(SEVERAL[0], name="n" * 30, operations=()))),
            "PLUGIN_SUBTITLE: set it: the capabilities' names are longer than the 30 characters",
        ),
        (wordy(13), "Descriptions: the operations' come to 4"),
    ],
    ids=["positive", "negative", "subtitle", "long description"],
)
def test_what_the_capabilities_lack_is_told(catalogue: Catalogue, fault: str) -> None:
    told = refused(catalogue)

    assert f"\n  - {fault}" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("logo", "fault"),
    [
        (b"GIF89a", "must be a PNG"),
        (b"\x89PNG\r\n\x1a\n", "must be a PNG"),
        (png(512, 511), "at least 48 pixels on each side; it has 512 x 511"),
        (png(47, 47), "at least 48 pixels on each side; it has 47 x 47"),
        (png(48, 48, 5 * 1024 * 1024 + 1), "must have at most 5242880 bytes; it has 5242881"),
    ],
    ids=["no PNG", "cut off", "not square", "small", "large"],
)
def test_a_logo_that_no_listing_takes_is_refused(logo: bytes, fault: str) -> None:
    assert fault in refused(logo=logo)


def test_the_smallest_and_the_largest_logo_are_taken() -> None:
    for logo in (png(48, 48), png(48, 48, 5 * 1024 * 1024)):
        assert package(settings(), OFFERED, logo)[LOGO] == logo


def test_every_fault_is_told_at_once() -> None:
    told = refused(with_examples([]), b"", PLUGIN_NAME="Plugin", PUBLISHER_NAME="", PUBLIC_BASE_URL="http://localhost:8080")

    faults = re.findall(r"^  - (.+?): ", told, re.M)

    assert faults == ["PUBLIC_BASE_URL", "PUBLISHER_NAME", "PLUGIN_NAME", "EXAMPLES", "functions/assets/logo.png"]


@pytest.mark.parametrize(
    ("given", "name"), [("my_plugin_2", "my-plugin-2"), ("My__Weather_", "my-weather"), ("Weather2", "weather2"), ("a", "a")]
)
def test_the_name_for_programs_is_made_of_the_name_for_models(given: str, name: str) -> None:
    found = package_name(settings(PLUGIN_NAME_FOR_MODEL=given))

    assert found == name
    assert re.fullmatch(r"(?!.*--)[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", found)  # agentskills.io, and narrower than Agent Plugins §5.5
