"""What the authorization server and the resources say of themselves: RFC 8414, RFC 9728."""

from typing import Any

from functions.core.oauth.authorize import Server
from functions.core.oauth.clients import METHODS


def authorization_server(server: Server) -> dict[str, Any]:
    """`/.well-known/oauth-authorization-server`."""
    issuer = server.issuer
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "registration_endpoint": f"{issuer}/oauth/register",
        "jwks_uri": f"{issuer}/oauth/jwks",
        "scopes_supported": list(server.capabilities),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "client_id_metadata_document_supported": True,
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": f"{issuer}/support",
        "op_policy_uri": f"{issuer}/privacy",
        "op_tos_uri": f"{issuer}/terms",
    }


def protected_resource(server: Server, name: str) -> dict[str, Any]:
    """`/.well-known/oauth-protected-resource` and the same with `/mcp` behind it: ChatGPT looks for it at the root, the specification of MCP
    at the path of its endpoint, and both have to name the endpoint to the letter (wire.md, D9)."""
    return {
        "resource": server.mcp,
        "resource_name": name,
        "authorization_servers": [server.issuer],
        "scopes_supported": list(server.capabilities),
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{server.issuer}/support",
        "resource_policy_uri": f"{server.issuer}/privacy",
        "resource_tos_uri": f"{server.issuer}/terms",
    }
