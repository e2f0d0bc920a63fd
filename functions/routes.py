"""Which function serves which path: the one table that the local router, the URL map of a load balancer and the tests read."""

from collections.abc import Mapping

ROUTES: Mapping[str, tuple[str, ...]] = {
    "manifest": (
        "/.well-known/ai-plugin.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/openai-apps-challenge",
        "/manifest.json",
        "/openapi.json",
        "/logo.png",
        "/legal",
        "/privacy",
        "/terms",
        "/support",
    ),
    "chat": (
        "/chat",
        "/answer",
        "/chat/{session_id}",
        "/tools/{operation}",
    ),
    "auth": (
        "/oauth/authorize",
        "/oauth/consent",
        "/oauth/allow",
        "/oauth/callback",
        "/oauth/token",
        "/oauth/revoke",
        "/oauth/register",
        "/oauth/jwks",
        "/account",
    ),
    # Some clients add the slash; a redirect would lose their body. Nothing lies below.
    "mcp": ("/mcp", "/mcp/"),
    # Pub/Sub's alone: no load balancer leads here, and `plugin`, which the world reaches, does not serve it.
    "worker": ("/pubsub",),
}
"""Function -> path templates; `{name}` stands for one segment."""
