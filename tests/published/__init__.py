"""What Cantilever publishes, as it was agreed: a change in one of these files is what a reviewer reads.

`python -m tests.published` writes them anew from a running product; `git diff tests/published` then shows what a change publishes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from functions.core.capability import Catalogue
from functions.core.mcp_tools import tools
from functions.core.plugin_package import LOGO, package
from functions.core.settings import Settings
from infra.plugin_package import LOGO as ASSET
from tests.catalogue import CATALOGUE, EVERYTHING

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

SIGN_IN: Mapping[str, str] = {"GOOGLE_CLIENT_ID": "100000000000-example.apps.googleusercontent.com", "ENABLED_CAPABILITIES": "gmail"}
"""What besides makes it one where people sign in, and may allow whatever there is."""

FILES: Mapping[str, str] = {
    "ai-plugin.json": "/.well-known/ai-plugin.json",
    "openapi.json": "/openapi.json",
}
"""Name in this folder -> path at which it is served."""


def derived() -> Mapping[str, str]:
    """Name in this folder -> text, of what is published elsewhere: the MCP tools, and the plugin package without its logo."""
    settings = Settings.read(CONFIGURATION, CATALOGUE.apis)
    signing_in = Settings.read({**CONFIGURATION, **SIGN_IN}, EVERYTHING.apis)
    packed = package(settings, CATALOGUE, ASSET.read_bytes())
    return {"mcp-tools.json": _listed(settings, CATALOGUE), "mcp-tools-with-sign-in.json": _listed(signing_in, EVERYTHING)} | {
        f"package/{path}": content.decode() for path, content in packed.items() if path != LOGO
    }


def _listed(settings: Settings, catalogue: Catalogue) -> str:
    return json.dumps(tools(settings, catalogue), ensure_ascii=False, indent=1) + "\n"
