"""The plugin package, which ChatGPT and Codex install: every file of it, derived from settings and capabilities.

    plugin.json                  Agent Plugins 1.0.0, with OpenAI's listing as an extension
    mcp.json                     where the MCP server is
    .codex-plugin/plugin.json    the same for clients that know only Codex' own format, with .mcp.json
    skills/NAME/SKILL.md         when to call which tool
    assets/logo.png
    chatgpt-app-submission.json  the form for OpenAI's review (core/submission.py)

https://github.com/agentplugins/agent-plugins-spec/blob/main/spec/1.0.0.md; the listing's fields and limits:
https://developers.openai.com/plugins/deploy/submission-errors; Codex' own format:
https://github.com/openai/plugins/blob/main/.agents/skills/plugin-creator/references/plugin-json-spec.md
"""

import json
import re
import struct
from collections.abc import Mapping
from typing import Any

from functions.core.ai_plugin import description_for_people
from functions.core.capability import Catalogue
from functions.core.mcp_tools import tools
from functions.core.setting_kinds import Category
from functions.core.settings import Settings
from functions.core.submission import NEGATIVE, POSITIVE, examples, long_description, submission, subtitle

Json = dict[str, Any]

SCHEMAS = "https://agent-plugins.org/schemas/1.0.0"
NAMESPACE = "com.openai"
LOGO = "assets/logo.png"

LICENSE = "Apache-2.0"
"""The SPDX name of what stands in LICENSE; who publishes under another licence changes both."""

MAX_SUBTITLE = 30
MAX_LONG_DESCRIPTION = 4000
STARTERS = 3
MAX_STARTER = 128
"""Characters of the listing's texts and of each starter prompt, and how many of these there are: submission-errors, above. The other limits
follow from the settings' own: a name of 20, a publisher of 80, a description of 100, an address of 1,024."""

MIN_LOGO = 48  # pixels, square
MAX_LOGO = 5 * 1024 * 1024  # bytes
PNG = b"\x89PNG\r\n\x1a\n"

CATEGORIES: Mapping[Category, str] = {
    "BUSINESS": "Business & Operations",
    "COLLABORATION": "Communication",
    "DESIGN": "Creativity",
    "DEVELOPER_TOOLS": "Developer Tools",
    "EDUCATION": "Education & Research",
    "ENTERTAINMENT": "Entertainment",
    "FINANCE": "Finance",
    "FOOD": "Other",
    "LIFESTYLE": "Other",
    "NEWS": "Other",
    "PRODUCTIVITY": "Productivity",
    "SHOPPING": "Other",
    "TRAVEL": "Travel",
}
"""The form's categories -> the package's, which are others (submission-errors, above)."""


class Unpublishable(Exception):
    """These settings and capabilities make no package that would be accepted; the message lists every fault, a line each."""


def package(settings: Settings, catalogue: Catalogue, logo: bytes) -> Mapping[str, bytes]:
    """Every file of the package, by its path in it.

    Raises:
        Unpublishable: with every fault, and what to set or to write.
    """
    faults = _faults(settings, catalogue, logo)
    if faults:
        raise Unpublishable("The package cannot be made:\n" + "\n".join(f"  - {what}: {fault}" for what, fault in faults.items()))
    name = package_name(settings)
    endpoint = f"{settings.public_base_url}/mcp"
    written = {
        "plugin.json": _json(_manifest(settings, catalogue)),
        "mcp.json": _json(
            {"$schema": f"{SCHEMAS}/mcp.schema.json", "mcpServers": {name: {"type": "streamable-http", "url": endpoint}}},
        ),
        ".codex-plugin/plugin.json": _json(_codex_manifest(settings, catalogue)),
        ".mcp.json": _json({"mcpServers": {name: {"type": "http", "url": endpoint}}}),
        f"skills/{name}/SKILL.md": _skill(settings, catalogue),
        "chatgpt-app-submission.json": _json(submission(settings, catalogue)),
    }
    return {path: text.encode() for path, text in written.items()} | {LOGO: logo}


def package_name(settings: Settings) -> str:
    """The plugin's name for machines, and its skill's: small letters, digits and single hyphens between them.

    Both https://agentskills.io/specification and the Agent Plugins specification (§5.5) take it.
    """
    return "-".join(re.findall("[a-z0-9]+", settings.plugin_name_for_model.lower()))


def _faults(settings: Settings, catalogue: Catalogue, logo: bytes) -> Mapping[str, str]:
    """What would be refused, by the setting or the file to change."""
    faults = {}
    if not settings.public_base_url.startswith("https://"):
        faults["PUBLIC_BASE_URL"] = (
            "set it to the https origin of your deployment; the package names it, and it can never change afterwards"
        )
    required = {
        "PUBLISHER_NAME": (settings.publisher_name, "the name under which OpenAI has verified you"),
        "PUBLISHER_URL": (settings.publisher_url, "your own website"),
        "CONTACT_EMAIL": (settings.contact_email, "the address where users get help"),
        "PRIVACY_EMAIL": (settings.privacy_email, "the address that answers privacy requests"),
    }
    faults |= {variable: f"set it to {meaning}" for variable, (value, meaning) in required.items() if not value}
    if settings.publisher_url and not settings.publisher_url.startswith("https://"):
        faults["PUBLISHER_URL"] = "must be https"
    names = {"PLUGIN_NAME": settings.plugin_name, "PLUGIN_NAME_FOR_MODEL": settings.plugin_name_for_model}
    refused = "must not end in MCP or Plugin (https://developers.openai.com/plugins/app-guidelines)"
    faults |= {variable: refused for variable, name in names.items() if re.search(r"(mcp|plugin)\W*_*$", name, re.I)}
    if not package_name(settings):
        faults["PLUGIN_NAME_FOR_MODEL"] = "needs a letter or a digit; the package is named after it"
    if len(subtitle(settings, catalogue)) > MAX_SUBTITLE:
        faults["PLUGIN_SUBTITLE"] = f"set it: the capabilities' names are longer than the {MAX_SUBTITLE} characters that a listing shows"
    if (length := len(long_description(settings, catalogue))) > MAX_LONG_DESCRIPTION:
        faults["Descriptions"] = f"the operations' come to {length} characters together, and a listing takes {MAX_LONG_DESCRIPTION}"
    called, uncalled = map(len, examples(catalogue))
    if (called, uncalled) != (POSITIVE, NEGATIVE):
        faults["EXAMPLES"] = (
            f"the capabilities have {called} that call an operation and {uncalled} that call none; the review wants {POSITIVE} and {NEGATIVE}: "
            "write more into EXAMPLES in functions/capabilities"
        )
    if fault := _logo_fault(logo):
        faults["functions/assets/logo.png"] = fault
    return faults


def _logo_fault(logo: bytes) -> str | None:
    if not logo.startswith(PNG) or len(logo) < 24:
        return "must be a PNG"
    width, height = struct.unpack(">II", logo[16:24])  # PNG §11.2.2: IHDR stands first.
    if width != height or width < MIN_LOGO:
        return f"must be square, with at least {MIN_LOGO} pixels on each side; it has {width} x {height}"
    return f"must have at most {MAX_LOGO} bytes; it has {len(logo)}" if len(logo) > MAX_LOGO else None


def _manifest(settings: Settings, catalogue: Catalogue) -> Json:
    return {
        "$schema": f"{SCHEMAS}/plugin.schema.json",
        **_identity(settings, catalogue),
        "extensions": {NAMESPACE: {"interface": _interface(settings, catalogue)}},
    }


def _codex_manifest(settings: Settings, catalogue: Catalogue) -> Json:
    return {
        **_identity(settings, catalogue),
        "skills": "./skills/",
        "mcpServers": "./.mcp.json",
        "interface": _interface(settings, catalogue),
    }


def _identity(settings: Settings, catalogue: Catalogue) -> Json:
    return {
        "name": package_name(settings),
        "version": settings.plugin_version,
        "description": description_for_people(settings, catalogue),
        "author": {"name": settings.publisher_name, "email": settings.contact_email, "url": settings.publisher_url},
        "homepage": settings.publisher_url,
        "license": LICENSE,
        "keywords": [capability.name for capability in catalogue.capabilities],
    }


def _interface(settings: Settings, catalogue: Catalogue) -> Json:
    """The listing in the directory that ChatGPT and Codex share."""
    base = settings.public_base_url
    read_only = {tool["annotations"]["readOnlyHint"] for tool in tools(settings, catalogue)}
    return {
        "displayName": settings.plugin_name,
        "shortDescription": subtitle(settings, catalogue),
        "longDescription": long_description(settings, catalogue),
        "developerName": settings.publisher_name,
        "category": CATEGORIES[settings.plugin_category],
        "capabilities": [word for word, found in (("Read", True), ("Write", False)) if found in read_only],
        "websiteURL": settings.publisher_url,
        "supportURL": f"{base}/support",
        "privacyPolicyURL": f"{base}/privacy",
        "termsOfServiceURL": f"{base}/terms",
        "defaultPrompt": _starters(catalogue),
        "composerIcon": f"./{LOGO}",
        "logo": f"./{LOGO}",
    }


def _starters(catalogue: Catalogue) -> list[str]:
    """What the listing offers to say: examples of one line that are short enough, and name no address, which would be a reviewer's."""
    called, _ = examples(catalogue)
    return [example.prompt for example in called if re.fullmatch(f"(?!.*://).{{1,{MAX_STARTER}}}", example.prompt)][:STARTERS]


def _skill(settings: Settings, catalogue: Catalogue) -> str:
    """SKILL.md (https://agentskills.io/specification). Its description has at most 100 characters and three starter prompts: far below 1,024."""
    description = f"{description_for_people(settings, catalogue)} Use it for requests such as: {' / '.join(_starters(catalogue))}"
    told = [f"## {tool['name']}\n\n{tool['description']}" for tool in tools(settings, catalogue)]
    called, uncalled = examples(catalogue)
    calls = [f"- {example.prompt} → `{example.operation.name}` `{_line(example.arguments)}`" for example in called if example.operation]
    return (
        "\n\n".join(
            [
                # A string of JSON is one of YAML.
                f"---\nname: {package_name(settings)}\ndescription: {_line(description)}\n---",
                f"# {settings.plugin_name}",
                *told,
                "## Examples",
                "\n".join(calls),
                "## Not for this",
                "\n".join(f"- {example.prompt} → {example.expected}" for example in uncalled),
            ]
        )
        + "\n"
    )


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
