"""What Cantilever publishes, as it was agreed: a change in one of these files is what a reviewer reads.

`python -m tests.published` writes them anew from a running product; `git diff tests/published` then shows what a change publishes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from functions.capabilities import CATALOGUE
from functions.core.mcp_tools import tools
from functions.core.plugin_package import LOGO, package
from functions.core.settings import Settings
from infra.plugin_package import LOGO as ASSET

FOLDER = Path(__file__).parent

CONFIGURATION: Mapping[str, str] = {
    "K_SERVICE": "plugin",
    "STORE": "firestore",
    "ANONYMOUS_CHAT": "on",
    "PUBLIC_BASE_URL": "https://plugin.example.com",
    "PUBLISHER_NAME": "Example, Inc.",
    "PUBLISHER_URL": "https://www.example.com",
    "CONTACT_EMAIL": "help@example.com",
    "PRIVACY_EMAIL": "privacy@example.com",
}
"""A deployment that serves anonymous callers."""

FILES: Mapping[str, str] = {
    "ai-plugin.json": "/.well-known/ai-plugin.json",
    "openapi.json": "/openapi.json",
}
"""Name in this folder -> path at which it is served."""


def derived() -> Mapping[str, str]:
    """Name in this folder -> text, of what is published elsewhere: the MCP tools, and the plugin package without its logo."""
    settings = Settings.read(CONFIGURATION, CATALOGUE.apis)
    offered = CATALOGUE.enabled(settings.enabled_restricted)
    listed = json.dumps(tools(settings, offered), ensure_ascii=False, indent=1)
    packed = package(settings, offered, ASSET.read_bytes())
    return {"mcp-tools.json": listed + "\n"} | {f"package/{path}": content.decode() for path, content in packed.items() if path != LOGO}
