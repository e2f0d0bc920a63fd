"""POST /mcp: the same operations for ChatGPT, Codex, Claude and every other client of the Model Context Protocol.

The official SDK speaks the protocol, revision 2026-07-28 and, for clients that begin with `initialize`, 2025-11-25. Nothing is kept
between requests: each is served by a session manager of its own, so that any process can answer any call.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn, TypeVar, get_args

import functions_framework.aio
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    GetPromptRequestParams,
    Icon,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    TextContent,
    Tool,
)
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from functions import wiring
from functions.adapters.http import CHATGPT, Edge, Exchange, Incoming, Life, Pages, Resource, address_of, rpc_failure
from functions.capabilities import CATALOGUE
from functions.core import strict_json
from functions.core.ai_plugin import description_for_people
from functions.core.asking import Toolbox
from functions.core.caller import Caller, Callers
from functions.core.capability import CHAT, FETCH, GET_ANSWER, GET_PROFILE, SEARCH, Catalogue
from functions.core.errors import CantileverError, InsufficientScope, Malformed, Unauthenticated
from functions.core.finding import Finding
from functions.core.mcp_tools import MAX_TOOL_RESULT, ChatResult, Profile, instructions, tools
from functions.core.question import Done
from functions.core.rest import AnswerRequest, ChatRequest
from functions.core.settings import Settings
from functions.core.turn import Turns
from functions.core.visible import visible_json
from functions.mcp.messages import METHODS, contradicts, error_code, message_of
from functions.routes import ROUTES

LISTS_LAST: Mapping[CacheableMethod, CacheHint] = dict.fromkeys(get_args(CacheableMethod), CacheHint(ttl_ms=300_000, scope="public"))
"""What is listed is the same for everybody, until a deploy."""

CONVERSATION_META = "openai/session"
"""ChatGPT's own name for the conversation, in `_meta` of each call (https://developers.openai.com/plugins/reference): a hint, never an identity."""

INCOMING, CALLER = "cantilever.incoming", "cantilever.caller"
"""Under these names a handler finds the request that it works for, and who sent it, in the ASGI scope."""

VERSION_HEADER = b"mcp-protocol-version"

SETTLED = {b"accept": b"application/json, text/event-stream", b"content-type": b"application/json"}
"""What the SDK is told of every request: the edge has read the body already, and whoever accepts another form than ours gets ours
(RFC 9110 section 12.5.1)."""

Listed = TypeVar("Listed")

# The SDK logs what it could not read or serve, with the caller's words in it. The edge writes a line for each request without them.
logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)


class Mcp:
    """The endpoint."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        callers: Callers,
        resource: Resource | None,
        toolbox: Toolbox,
        turns: Turns | None,
        life: Life,
    ) -> None:
        self._settings = settings
        self._callers = callers
        self._toolbox = toolbox
        self._finding = Finding(catalogue.finders)
        self._life = life
        self._turns = turns
        """None where there are no conversations here (MCP_CHAT)."""
        self._tools = {tool["name"]: tool for tool in tools(settings, catalogue)}
        self._resource = resource
        self._server: Server[Any] = Server(
            settings.plugin_name_for_model,
            version=settings.plugin_version,
            title=settings.plugin_name,
            description=description_for_people(settings, catalogue),
            instructions=instructions(settings, catalogue),
            website_url=settings.website,
            icons=[Icon(src=f"{settings.public_base_url}/logo.png", mime_type="image/png")],
            cache_hints=LISTS_LAST,
            get_tool_input_schema=lambda name: self._tools[name]["inputSchema"] if name in self._tools else None,
            on_list_tools=_always(ListToolsResult(tools=[Tool.model_validate(tool) for tool in self._tools.values()])),
            on_call_tool=self._call,
            # Many clients ask for these wherever they connect; an empty list tells them more than an error.
            on_list_resources=_always(ListResourcesResult(resources=[])),
            on_list_resource_templates=_always(ListResourceTemplatesResult(resource_templates=[])),
            on_read_resource=_nothing,
            on_list_prompts=_always(ListPromptsResult(prompts=[])),
            on_get_prompt=_nothing,
        )
        self._server.middleware.append(self._around)

    def edge(self) -> Edge:
        """The function's HTTP."""
        base = self._settings.public_base_url
        return Edge(
            "mcp",
            {path: {"POST": self.serve} for path in ROUTES["mcp"]},
            budget_seconds=self._settings.chat_budget_seconds,
            project=self._settings.google_cloud_project,
            names=self._settings.names,
            pages=Pages(
                CHATGPT | {base, *self._settings.mcp_allowed_origins},
                methods="POST, OPTIONS",
                headers="*, Authorization",
                exposed="WWW-Authenticate, MCP-Protocol-Version, Retry-After",
                others_refused=True,
                loopback=not self._settings.deployed,
            ),
            failure=lambda error, _: rpc_failure(error),
            resource=self._resource,
            life=self._life,
        )

    async def serve(self, incoming: Incoming) -> Response:
        """POST /mcp: one message of the protocol."""
        caller = self._callers.identified(incoming.request.headers.get("authorization"))
        await caller.access.require_alive(incoming.deadline)
        message = message_of(strict_json.loads(await incoming.body()))
        incoming.notes["mcp"] = message["method"] if message["method"] in METHODS else "unknown"
        # White space around a value is none of it (RFC 9110 section 5.5); httptools leaves what stands behind.
        headers = [(name, value.strip(b" \t")) for name, value in incoming.request.scope["headers"] if name not in SETTLED]
        if contradicts(message, [value for name, value in headers if name == VERSION_HEADER]):
            incoming.refused(HEADER_MISMATCH)
            mismatch = Malformed("MCP-Protocol-Version is there once, and names the version that the body's _meta names.")
            return rpc_failure(mismatch, code=HEADER_MISMATCH, request_id=message.get("id"))
        scope = {**incoming.request.scope, "headers": [*headers, *SETTLED.items()], INCOMING: incoming, CALLER: caller}
        # Spelled anew, so that the SDK's reader cannot understand the caller's bytes in another way than ours.
        exchange = Exchange(json.dumps(message).encode(), incoming.request.receive)
        # A manager is made anew for each request: what it would keep is a task group, and nothing outlives the request that way.
        manager = StreamableHTTPSessionManager(self._server, json_response=True, stateless=True)
        async with manager.run():
            await manager.handle_request(scope, exchange.receive, exchange.send)
        if not incoming.fault_status and (code := error_code(exchange.body)) is not None:
            incoming.refused(code)
        return exchange.response()

    async def _call(self, context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        if params.name not in self._tools:
            raise MCPError(INVALID_PARAMS, f"There is no tool of that name; there are: {', '.join(self._tools)}.")
        incoming = _incoming(context)
        incoming.notes["operation"] = params.name
        try:
            text = await self._answer(params, incoming, _given(context, CALLER))
        except CantileverError as error:
            incoming.failed(error)
            return self._fault(error)
        except Exception as error:  # Not to the SDK, which would log and tell the text of the exception.
            return self._fault(incoming.broke(error))
        return CallToolResult(content=[TextContent(text=text)], structured_content=json.loads(text))

    async def _answer(self, params: CallToolRequestParams, incoming: Incoming, caller: Caller) -> str:
        """The result of a tool as JSON text."""
        arguments = json.dumps(params.arguments or {})
        if params.name == GET_PROFILE:
            return Profile.of(await caller.access.person(incoming.deadline)).text
        toolbox = replace(self._toolbox, access=caller.access)
        if params.name == SEARCH:
            searched = await self._finding.search(toolbox, arguments, incoming.deadline)
            incoming.notes |= {"not_searched": searched.failed} if searched.failed else {}
            return searched.text
        if params.name == FETCH:
            return await self._finding.fetch(toolbox, arguments, incoming.deadline)
        if self._turns is None or params.name not in (CHAT, GET_ANSWER):
            return await toolbox.call(params.name, arguments, incoming.deadline)
        self._callers.require_admitted(caller)
        address, hint = address_of(incoming.request, self._settings.hops), _hint(params)
        naming = self._callers.naming(caller, address, hint, incoming.deadline.clock)
        with naming.counted():
            if params.name == GET_ANSWER:
                wanted = strict_json.read(AnswerRequest, arguments)
                session_id = wanted.session_id
                outcome = await self._turns.poll(caller.owner, session_id, wanted.turn_id, incoming.deadline)
            else:
                asked = strict_json.read(ChatRequest, arguments)
                question = caller.question(asked.query, asked.session_id, hint, wiring.new_secret, missed=naming.missed)
                session_id = question.session_id
                outcome = await self._turns.run(question, incoming.deadline)
        incoming.notes |= outcome.turn.spent if isinstance(outcome, Done) else {}
        return ChatResult.of(session_id, outcome).text

    def _fault(self, error: CantileverError) -> CallToolResult:
        """An error that the client's model reads and acts on; where signing in would help, the client is told where."""
        meta = None
        if self._resource and isinstance(error, Unauthenticated | InsufficientScope):
            meta = {"mcp/www_authenticate": [self._resource.challenge(error)]}
        text = visible_json(json.dumps(error.told(), ensure_ascii=False))
        return CallToolResult(content=[TextContent(text=text)], is_error=True, _meta=meta)

    async def _around(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Around every message: add what the SDK's models have no field for, and keep from it what broke, as `_call` does."""
        try:
            result = await call_next(ctx)
            if ctx.method == "tools/list" and isinstance(result, dict):
                return {
                    **result,
                    "tools": [{**tool, "securitySchemes": self._tools[tool["name"]]["securitySchemes"]} for tool in result["tools"]],
                }
            return result
        except (MCPError, ValidationError):  # What the SDK refuses: parameters that are none.
            raise
        except Exception as error:
            raise MCPError(INTERNAL_ERROR, _incoming(ctx).broke(error).message) from error


def _always(result: Listed) -> Callable[[ServerRequestContext[Any], PaginatedRequestParams | None], Awaitable[Listed]]:
    """A handler that knows one answer."""

    async def listed(_context: ServerRequestContext[Any], _params: PaginatedRequestParams | None) -> Listed:
        return result

    return listed


async def _nothing(_context: ServerRequestContext[Any], params: ReadResourceRequestParams | GetPromptRequestParams) -> NoReturn:
    """Refuse as https://modelcontextprotocol.io/specification/2026-07-28/server/resources#error-handling says, and so with prompts."""
    raise MCPError(INVALID_PARAMS, "There are no resources and no prompts here.", params.model_dump(mode="json", include={"uri", "name"}))


def _incoming(context: ServerRequestContext[Any]) -> Incoming:
    """The request that a handler works for."""
    incoming: Incoming = _given(context, INCOMING)
    return incoming


def _given(context: ServerRequestContext[Any], name: str) -> Any:
    """What `serve` gave to the handlers under this name."""
    request: Any = context.request  # Starlette's; the SDK's types leave it open.
    return request.scope[name]


def _hint(params: CallToolRequestParams) -> str | None:
    hint = (params.meta or {}).get(CONVERSATION_META)
    return hint if isinstance(hint, str) else None


_settings = wiring.settings(CATALOGUE.apis)
_services = wiring.services(CATALOGUE)
EDGE = Mcp(
    _settings,
    _services.catalogue,
    _services.callers(rest=False),
    _services.resource,
    _services.toolbox(MAX_TOOL_RESULT),
    _services.turns if _settings.mcp_chat else None,
    _services.life,
).edge()


@functions_framework.aio.http
async def mcp(request: Request) -> Response:
    """The entry point."""
    return await EDGE(request)
