"""What describes this deployment to others: manifest, OpenAPI, logo, legal pages. Bytes and tags are made once, then looked up.

This function has no services: it loads neither gRPC nor aiohttp.
"""

import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import wiring
from functions.adapters.http import CHATGPT, FAULTS, Edge, Incoming, Pages, document
from functions.capabilities import CATALOGUE
from functions.core.ai_plugin import ai_plugin, description_for_people
from functions.core.capability import Capability, Catalogue
from functions.core.errors import NotFound
from functions.core.oauth.about import authorization_server, protected_resource
from functions.core.oauth.authorize import Server
from functions.core.openapi import openapi
from functions.core.settings import Settings
from functions.core.stored import TURN_LIFETIME
from functions.routes import ROUTES

ASSETS = Path(__file__).parent / "assets"

PAGES: Mapping[str, str] = {
    "/legal": "Legal information",
    "/privacy": "Privacy",
    "/terms": "Terms of use",
    "/support": "Support",
}
"""Path -> title; the text is assets/PATH.html."""


DISCOVERY = frozenset(path for path in ROUTES["manifest"] if path.startswith("/.well-known/oauth-"))
"""What a client in a web page reads first to sign in; the endpoints that these name are as open (functions/auth.py)."""


@dataclass(frozen=True, slots=True)
class Document:
    """A published document; its tag follows from its bytes."""

    content: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """A strong tag (RFC 9110 §8.8.3)."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


def documents(settings: Settings, catalogue: Catalogue) -> Mapping[str, Document]:
    """Every published document by its path; what a setting withholds is not there."""
    found = {
        "/openapi.json": _json(openapi(settings, catalogue, FAULTS)),
        "/logo.png": Document((ASSETS / "logo.png").read_bytes(), "image/png"),
        **{path: _page(path, settings, catalogue) for path in PAGES},
    }
    if settings.signs_in:
        server = Server.of(settings.public_base_url, catalogue)
        found["/.well-known/oauth-authorization-server"] = _json(authorization_server(server))
        resource = _json(protected_resource(server, settings.plugin_name))
        found["/.well-known/oauth-protected-resource"] = found["/.well-known/oauth-protected-resource/mcp"] = resource
    if settings.classic_manifest:
        found["/.well-known/ai-plugin.json"] = found["/manifest.json"] = _json(ai_plugin(settings, catalogue))
    if settings.openai_apps_challenge:
        # OpenAI compares it to the letter: no line feed, plain text (wire.md 6.1).
        found["/.well-known/openai-apps-challenge"] = Document(settings.openai_apps_challenge.encode(), "text/plain")
    return found


def edge(settings: Settings, catalogue: Catalogue) -> Edge:
    """The function's HTTP for these settings."""
    published = documents(settings, catalogue)

    async def serve(incoming: Incoming) -> Response:
        found = published.get(incoming.request.scope["path"])
        if found is None:
            raise NotFound("This deployment does not publish this document.")
        return document(found.content, found.media_type, found.etag, incoming.request)

    return Edge(
        "manifest",
        {path: {"GET": serve} for path in ROUTES["manifest"]},
        budget_seconds=settings.chat_budget_seconds,
        project=settings.google_cloud_project,
        names=settings.names,
        pages=Pages(CHATGPT, methods="GET, HEAD, OPTIONS", headers="*"),
        open=DISCOVERY,
    )


def _json(value: Any) -> Document:
    return Document(json.dumps(value, ensure_ascii=False, indent=1).encode(), "application/json")


def _page(path: str, settings: Settings, catalogue: Catalogue) -> Document:
    """A page of assets/ with what the settings say, escaped."""
    words = {
        "title": PAGES[path],
        "plugin": settings.plugin_name,
        "description": description_for_people(settings, catalogue),
        "publisher": settings.publisher_name or "the person who runs this local copy",
        "contact": settings.contact_email or "(CONTACT_EMAIL is not set)",
        "privacy": settings.privacy_email or "(PRIVACY_EMAIL is not set)",
        "hours": f"{settings.conversation_hours:g}",
        "days": str(TURN_LIFETIME.days),
        "model_host": urlsplit(settings.openai_base_url).hostname or "",
    }
    escaped = {name: html.escape(value) for name, value in words.items()}
    escaped["capabilities"] = "".join(
        f"<li><b>{html.escape(capability.name)}</b>: {html.escape(capability.description)}{_reached(capability, settings)}</li>"
        for capability in catalogue.capabilities
    )
    credited = dict.fromkeys(api.attribution for api in catalogue.apis if api.attribution)
    escaped["attributions"] = "".join(f"<p>{html.escape(credit)}.</p>" for credit in credited)
    signed_in = (ASSETS / "privacy_sign_in.html").read_text("utf-8")
    escaped["sign_in"] = signed_in if settings.signs_in else ""
    escaped["browser"] = "; of our pages to sign in it is that of your browser" if settings.signs_in else ""
    escaped["account"] = (
        "It needs no account; one is made where you sign in."
        if settings.signs_in
        else "There is no account, and no name, e-mail address or position is asked for."
    )
    body = Template((ASSETS / f"{path.strip('/')}.html").read_text("utf-8")).substitute(escaped)
    page = Template((ASSETS / "page.html").read_text("utf-8")).substitute(escaped, body=body)
    return Document(page.encode(), "text/html; charset=utf-8")


def _reached(capability: Capability, settings: Settings) -> str:
    """The hosts that a capability asks, which are recipients of what it is asked."""
    hosts = settings.hosts(api for operation in capability.operations for api in operation.apis)
    return f" (asks {html.escape(', '.join(hosts))})" if hosts else ""


EDGE = edge(wiring.settings(CATALOGUE.apis), wiring.enabled(CATALOGUE))


@functions_framework.aio.http
async def manifest(request: Request) -> Response:
    """The entry point."""
    return await EDGE(request)
