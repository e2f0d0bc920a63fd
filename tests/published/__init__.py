"""What Cantilever publishes, as it was agreed: a change in one of these files is what a reviewer reads.

`python -m tests.published` writes them anew from a running product; `git diff tests/published` then shows what a change publishes.
"""

from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent

CONFIGURATION: Mapping[str, str] = {
    "K_SERVICE": "plugin",
    "STORE": "firestore",
    "ANONYMOUS_CHAT": "on",
    "PUBLIC_BASE_URL": "https://plugin.example.com",
    "PUBLISHER_NAME": "Example, Inc.",
    "CONTACT_EMAIL": "help@example.com",
    "PRIVACY_EMAIL": "privacy@example.com",
}
"""A deployment that serves anonymous callers."""

FILES: Mapping[str, str] = {
    "ai-plugin.json": "/.well-known/ai-plugin.json",
    "openapi.json": "/openapi.json",
}
"""Name in this folder -> path at which it is served."""
