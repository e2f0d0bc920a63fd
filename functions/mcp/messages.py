"""Messages of JSON-RPC as MCP sends them: read by ourselves first, because the SDK would refuse odd ones in its validator's words."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCNotification, JSONRPCRequest
from mcp_types.methods import SPEC_CLIENT_METHODS, SPEC_CLIENT_NOTIFICATION_METHODS
from pydantic import ValidationError

from functions.core.errors import Invalid

METHODS = SPEC_CLIENT_METHODS | SPEC_CLIENT_NOTIFICATION_METHODS
"""What a log line may name; another name is the caller's own words."""


def message_of(value: Any) -> dict[str, Any]:
    """The one request or notification that a body is; the SDK would refuse others in its validator's words, or answer nothing to a broken id.

    Raises:
        Invalid: it is a batch, a response, or no message at all.
    """
    kind = JSONRPCRequest if isinstance(value, dict) and "id" in value else JSONRPCNotification
    try:
        kind.model_validate(value)
    except ValidationError as error:
        raise Invalid("Send one request or notification of JSON-RPC 2.0.") from error
    message: dict[str, Any] = value
    return message


def contradicts(message: Mapping[str, Any], versions: Sequence[bytes]) -> bool:
    """Whether the header leaves open by which revision a request is meant: the SDK goes by the header alone, a proxy by either.

    https://modelcontextprotocol.io/specification/2026-07-28/basic/transports#protocol-version-header
    """
    meta = (message.get("params") or {}).get("_meta")
    told = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None
    return len(versions) > 1 or (isinstance(told, str) and [told.encode()] != list(versions))


def error_code(body: bytes) -> int | None:
    """JSON-RPC's code, where the answer is an error. Only what may be one is read: before the mark may stand an id of any length."""
    error = json.loads(body).get("error", {}) if b'"error":{' in body else {}
    code: int | None = error.get("code")
    return code
