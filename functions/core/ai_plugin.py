"""The classic plugin manifest, `/.well-known/ai-plugin.json`, schema v1: derived from settings and capabilities.

The fields and their limits: wire.md section 1.2 and 1.3, after OpenAI's documentation of 2023 and the examples of
openai/chatgpt-retrieval-plugin. A manifest of `"type": "oauth2"` with a `client_url` alone is no v1.
"""

from typing import Any
from urllib.parse import urlsplit

from functions.core.capability import Catalogue
from functions.core.oauth.authorize import Server
from functions.core.settings import Settings

MAX_FOR_HUMAN = 100  # characters of description_for_human
MAX_FOR_MODEL = 8000  # characters of description_for_model


def ai_plugin(settings: Settings, catalogue: Catalogue) -> dict[str, Any]:
    """The manifest as a JSON object."""
    base = settings.public_base_url
    return {
        "schema_version": "v1",
        "name_for_human": settings.plugin_name,
        "name_for_model": settings.plugin_name_for_model,
        "description_for_human": description_for_people(settings, catalogue),
        "description_for_model": description_for_models(settings, catalogue),
        "auth": _auth(settings, catalogue),
        "api": {"type": "openapi", "url": f"{base}/openapi.json"},
        "logo_url": f"{base}/logo.png",
        "contact_email": settings.contact_email or f"plugin@{urlsplit(base).hostname}",
        "legal_info_url": f"{base}/legal",
    }


def _auth(settings: Settings, catalogue: Catalogue) -> dict[str, Any]:
    """`none`, or where ChatGPT has a client here, `oauth`. The names mislead: `client_url` is the authorization endpoint, where the browser goes,
    and `authorization_url` the token endpoint (wire.md 1.3)."""
    if settings.chatgpt_client_id is None or not settings.signs_in:
        return {"type": "none"}
    server = Server.of(settings.public_base_url, catalogue)
    return {
        "type": "oauth",
        "client_url": f"{server.issuer}/oauth/authorize",
        "scope": " ".join(server.capabilities),
        "authorization_url": f"{server.issuer}/oauth/token",
        "authorization_content_type": "application/x-www-form-urlencoded",
        "verification_tokens": {"openai": settings.chatgpt_verification_token or ""},
    }


def description_for_people(settings: Settings, catalogue: Catalogue) -> str:
    """What the plugin does, at most 100 characters: in the capabilities' words, or by their names where these are too many."""
    told = " ".join(capability.description for capability in catalogue.capabilities)
    if len(told) > MAX_FOR_HUMAN:
        told = ", ".join(capability.name.replace("_", " ") for capability in catalogue.capabilities).capitalize() + "."
    return settings.plugin_description or _cut(told, MAX_FOR_HUMAN)


def description_for_models(settings: Settings, catalogue: Catalogue) -> str:
    """When to call what, at most 8,000 characters."""
    told = [f"{operation.name}: {operation.description}" for operation in catalogue.operations.values()]
    return settings.plugin_description_for_model or _cut("\n".join(told), MAX_FOR_MODEL)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + "…"
