"""The edge of HTTP: what may come in, what goes out, one log line for each request. Only this module knows status codes.

What the framework leaves open and is closed here (measured in reliability.md section 0): unbounded bodies, bodies that never come, two
framings at once, errors as plain text, tracebacks with secrets in the log.
"""

import asyncio
import json
import re
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from secrets import token_hex
from typing import Any

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from functions.core import errors
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, Malformed, MethodNotAllowed, NotFound, TooLarge, TooSlow, UnsupportedMedia

MAX_BODY = 1024 * 1024
"""Bytes of a request body; ten times what ChatGPT sends at most (https://developers.openai.com/api/docs/actions/production)."""

BODY_SECONDS = 10.0
"""How long a body may take, where the request's own deadline is not sooner."""

CORS_ORIGINS = frozenset({"https://chat.openai.com", "https://chatgpt.com"})
"""ChatGPT's front ends, which fetch the documents of a plugin under development from the browser."""

STATUS: Mapping[type[CantileverError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.TooSlow: 408,
    errors.SessionBusy: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.Invalid: 422,
    errors.Filtered: 422,
    errors.TellOperator: 500,
    errors.Refused: 502,
    errors.Upstream: 502,
    errors.StoreUnavailable: 503,
    errors.DeadlinePassed: 504,
}
"""A class that is not named has the status of its base."""

FAULTS: Mapping[str, str] = {
    "400": "Not JSON, or not a request that everybody reads alike.",
    "401": "An authorization is needed.",
    "404": "There is no such thing.",
    "408": "The body did not arrive in time.",
    "409": "Other questions of this session are being answered; try again.",
    "413": "The body is too large.",
    "415": "The body is not plain JSON.",
    "422": "Not of this shape, or refused by the model's provider.",
    "500": "A fault on our side.",
    "502": "A foreign system failed.",
    "503": "The store failed; try again.",
    "504": "Not done in time; try again.",
}
"""What each of them means, for the published document; 405 is for what the document does not name."""

UNGUESSED = {"X-Content-Type-Options": "nosniff"}
"""No browser may take an answer for something else than it says it is."""

PAGE_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""What our pages may do: show the logo and their own style."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")  # https://www.w3.org/TR/trace-context/
_CLOUD_TRACE = re.compile(r"([0-9a-f]{32})/\d+(?:;o=\d)?")  # https://cloud.google.com/trace/docs/trace-context#legacy-http-header


@dataclass(slots=True)
class Incoming:
    """A request that was let in: its path's parameters, its deadline, and what its log line is to tell."""

    request: Request
    path: Mapping[str, str]
    deadline: Deadline
    notes: dict[str, Any] = field(default_factory=dict)
    """Fields of the log line: numbers, names and ids of ours; never a text, a token or an address."""

    async def body(self) -> bytes:
        """The body, whole, of a request that says it is JSON.

        Raises:
            UnsupportedMedia, TooLarge, TooSlow, Malformed: as their names say; nothing beyond the cap was read.
        """
        headers = self.request.headers
        media = headers.get("content-type", "").lower().replace(" ", "").replace('"', "")
        if media not in ("application/json", "application/json;charset=utf-8"):
            raise UnsupportedMedia("Send JSON, with the header Content-Type: application/json.")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMedia("Send the body as it is, without Content-Encoding.")
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > MAX_BODY:
            raise TooLarge(f"The body may have at most {MAX_BODY} bytes.")
        try:
            async with self.deadline.limit(BODY_SECONDS):
                return await self._bytes()
        except TimeoutError as error:
            raise TooSlow("The body did not arrive in time; send it whole.") from error
        except ClientDisconnect as error:
            raise Malformed("The body ended early.") from error

    async def _bytes(self) -> bytes:
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise TooLarge(f"The body may have at most {MAX_BODY} bytes.")
        return bytes(body)


Endpoint = Callable[[Incoming], Awaitable[Response]]


@dataclass(frozen=True)
class Edge:
    """One function's HTTP: an endpoint for each path and method, everything else refused, every fault told in one shape."""

    function: str
    endpoints: Mapping[str, Mapping[str, Endpoint]]
    """Path template -> method -> endpoint. HEAD is answered as GET is."""
    budget_seconds: float
    project: str | None
    """Google Cloud's project, which the log's trace field names."""
    cross_origin: bool = False
    """Whether ChatGPT's front ends may read the answers."""

    @cached_property
    def patterns(self) -> Mapping[str, re.Pattern[str]]:
        """Path template -> what matches it."""
        return {template: pattern(template) for template in self.endpoints}

    async def __call__(self, request: Request) -> Response:
        """The answer to a request, and its log line. Raises nothing."""
        began = time.monotonic()
        template, path = self._found(request.scope["path"])
        incoming = Incoming(request, path, Deadline.after(self.budget_seconds, asyncio.get_running_loop().time))
        try:
            response = await self._answer(incoming, template)
        except CantileverError as error:
            response = failure(error)
            incoming.notes["error"] = error.code
            if isinstance(error, errors.TellOperator):
                incoming.notes |= _origin(error.__cause__ or error)
        except Exception as error:
            # The edge of the event loop: nothing may escape to the framework, which would log the text of the exception.
            error_id = token_hex(8)
            response = failure(CantileverError(f"Something broke on our side; tell the plugin's owner the number {error_id}."))
            incoming.notes |= {"error": "internal", "error_id": error_id, **_origin(error)}
        if self.cross_origin:
            _allow_chatgpt(request, response)
        self._log(incoming, template, response.status_code, time.monotonic() - began)
        return response

    def _found(self, path: str) -> tuple[str | None, Mapping[str, str]]:
        for template, matcher in self.patterns.items():
            if match := matcher.fullmatch(path):
                return template, match.groupdict()
        return None, {}

    async def _answer(self, incoming: Incoming, template: str | None) -> Response:
        request = incoming.request
        _refuse_ambiguous(request)
        if template is None:
            raise NotFound("There is nothing at this path; /openapi.json lists what there is.")
        methods = self.endpoints[template]
        allowed = tuple(sorted({*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(allowed)})
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            raise MethodNotAllowed(f"{request.method} is not possible here; possible: {', '.join(allowed)}.", allowed=allowed)
        return await endpoint(incoming)

    def _log(self, incoming: Incoming, template: str | None, status: int, seconds: float) -> None:
        entry: dict[str, Any] = {
            "severity": "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO",
            "message": "request",
            "function": self.function,
            "method": incoming.request.method,
            "path": template or "unknown",  # The template: a session token may stand in the path itself.
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
            **incoming.notes,
        }
        headers = incoming.request.headers
        traced = _TRACEPARENT.fullmatch(headers.get("traceparent", "")) or _CLOUD_TRACE.fullmatch(headers.get("x-cloud-trace-context", ""))
        if traced and self.project:
            entry["logging.googleapis.com/trace"] = f"projects/{self.project}/traces/{traced[1]}"
        print(json.dumps(entry), file=sys.stdout, flush=True)


def pattern(template: str) -> re.Pattern[str]:
    """What matches the paths of a template: each `{name}` is one segment, and a group."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)))


def answer(body: BaseModel) -> Response:
    """200 with a model as JSON, not to be cached: answers are one caller's."""
    return json_text(body.model_dump_json(exclude_none=True))


def json_text(text: str, status: int = 200) -> Response:
    """JSON text as it is, not to be cached."""
    return Response(text, status, {"Cache-Control": "no-store", **UNGUESSED}, "application/json")


def document(content: bytes, media_type: str, etag: str, incoming: Incoming) -> Response:
    """A public document, or 304 where the caller has it already (RFC 9110 §13.1.2)."""
    headers = {"ETag": etag, "Cache-Control": "public, max-age=300", "Content-Security-Policy": PAGE_POLICY, **UNGUESSED}
    known = {tag.strip().removeprefix("W/") for tag in incoming.request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, media_type)


def nothing() -> Response:
    """204: done, and there is nothing to tell."""
    return Response(status_code=204)


def failure(error: CantileverError) -> Response:
    """The one shape of every fault: {"error": {"code", "message", "retryable"}}."""
    told = {"error": {"code": error.code, "message": error.message, "retryable": error.retryable}}
    status = next((STATUS[base] for base in type(error).__mro__ if base in STATUS), 500)
    response = json_text(json.dumps(told, ensure_ascii=False), status)
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, errors.Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 6750 §3
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after.total_seconds())))
    elif status == 503:
        response.headers["Retry-After"] = "1"
    if isinstance(error, TooLarge | TooSlow):
        response.headers["Connection"] = "close"  # What is left of the body is not read as another request.
    return response


def _refuse_ambiguous(request: Request) -> None:
    """Refuse what a proxy in front of us may have read in another way; the parser refuses the rest (tests/functions/test_hostile_bytes.py).

    Raises:
        Malformed: which part of the request is ambiguous.
    """
    headers = request.headers
    hosts = len(headers.getlist("host"))
    if hosts > 1 or (hosts == 0 and request.scope["http_version"] == "1.1"):
        raise Malformed("A request names one Host (RFC 9112 §3.2).")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Malformed("Content-Length and Transfer-Encoding exclude each other (RFC 9112 §6.3).")
    if headers.get("transfer-encoding", "chunked").lower() != "chunked":
        raise Malformed("The only Transfer-Encoding here is chunked (RFC 9112 §6.1).")


def _allow_chatgpt(request: Request, response: Response) -> None:
    """CORS for two origins; the others are told nothing (https://fetch.spec.whatwg.org/#http-cors-protocol)."""
    response.headers["Vary"] = "Origin"
    origin = request.headers.get("origin")
    if origin not in CORS_ORIGINS:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
        response.headers["Access-Control-Allow-Headers"] = "*"
        response.headers["Access-Control-Max-Age"] = "600"


def _origin(error: BaseException) -> Mapping[str, str]:
    """What broke and where, without the words of the exception, which may be anybody's."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno} {frames[-1].name}" if frames else "unknown"
    return {"exception": type(error).__name__, "where": where}
