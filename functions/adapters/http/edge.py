"""The edge of one function: which request goes where, every fault in one shape, one log line for each."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from functions.adapters.http.answers import Resource, failure, health
from functions.adapters.http.incoming import Incoming, refuse_ambiguous, refuse_long_head, refuse_other_names
from functions.adapters.http.life import Life
from functions.adapters.http.pages import ANYBODY, Pages
from functions.adapters.log import log
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, InsufficientScope, MethodNotAllowed, NotFound, Unauthenticated

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")  # https://www.w3.org/TR/trace-context/
_CLOUD_TRACE = re.compile(r"([0-9a-f]{32})/\d+(?:;o=\d)?")  # https://cloud.google.com/trace/docs/trace-context#legacy-http-header

Endpoint = Callable[[Incoming], Awaitable[Response]]

HEALTH = "/_health"
"""Where every function tells whether it is ready; a startup probe's path. Cloud Run keeps paths that end in z for itself."""


@dataclass(frozen=True)
class Edge:
    """One function's HTTP: an endpoint for each path and method, everything else refused, every fault told in one shape."""

    function: str
    endpoints: Mapping[str, Mapping[str, Endpoint]]
    """Path template -> method -> endpoint. HEAD is answered as GET is."""
    budget_seconds: float
    project: str | None
    """Google Cloud's project, which the log's trace field names."""
    names: frozenset[str] | None = None
    """The names under which we may be called; None: any."""
    pages: Pages | None = None
    """Which web pages may call from a browser; None: none may read an answer."""
    open: frozenset[str] = frozenset()
    """Paths that every web page may call: they answer everybody alike, and no cookie counts there."""
    failure: Callable[[CantileverError, Request], Response] = lambda error, _: failure(error)
    """How a fault is told."""
    resource: Resource | None = None
    """Where a caller can sign in who is refused for not having done so; None: nowhere."""
    life: Life = field(default_factory=Life)
    """The process's."""

    @cached_property
    def _served(self) -> Mapping[str, Mapping[str, Endpoint]]:
        return {**self.endpoints, HEALTH: {"GET": self._health}}

    @cached_property
    def _patterns(self) -> Mapping[str, re.Pattern[str]]:
        return {template: pattern(template) for template in self._served}

    async def __call__(self, request: Request) -> Response:
        """The answer to a request, and its log line. Raises nothing."""
        began = time.monotonic()
        self.life.begin()
        template, path = self._found(request.scope["path"])
        incoming = Incoming(request, path, Deadline.after(self.budget_seconds, asyncio.get_running_loop().time))
        try:
            response = await self._answer(incoming, template)
        except CantileverError as error:
            incoming.failed(error)
            response = self._told(error, request)
        except Exception as error:
            # The edge of the event loop: nothing may escape to the framework, which would log the text of the exception.
            response = self._told(incoming.broke(error), request)
        if pages := ANYBODY if template in self.open else self.pages:
            pages.tell(request, response)
        self._log(incoming, template, response.status_code, time.monotonic() - began)
        return response

    def _found(self, path: str) -> tuple[str | None, Mapping[str, str]]:
        for template, matcher in self._patterns.items():
            if match := matcher.fullmatch(path):
                return template, match.groupdict()
        return None, {}

    def _told(self, error: CantileverError, request: Request) -> Response:
        response = self.failure(error, request)
        if self.resource and isinstance(error, Unauthenticated | InsufficientScope):
            response.headers["WWW-Authenticate"] = self.resource.challenge(error)
        return response

    async def _answer(self, incoming: Incoming, template: str | None) -> Response:
        request = incoming.request
        refuse_long_head(request)
        refuse_ambiguous(request)
        refuse_other_names(request, self.names)
        if self.pages:
            self.pages.refuse_others(request)
        if template is None:
            raise NotFound("There is nothing at this path; /openapi.json lists what there is.")
        methods = self._served[template]
        allowed = tuple(sorted({*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(allowed)})
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            raise MethodNotAllowed(f"{request.method} is not possible here; possible: {', '.join(allowed)}.", allowed=allowed)
        return await endpoint(incoming)

    def _log(self, incoming: Incoming, template: str | None, status: int, seconds: float) -> None:
        worst = max(status, incoming.fault_status)
        fields: dict[str, Any] = {
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
            fields["logging.googleapis.com/trace"] = f"projects/{self.project}/traces/{traced[1]}"
        log("request", severity="ERROR" if worst >= 500 else "WARNING" if worst >= 400 else "INFO", **fields)

    async def _health(self, incoming: Incoming) -> Response:
        """GET /_health: alive, since it answers; ready, once everything is open that a request would have to wait for."""
        lacking = await self.life.lacks(incoming.deadline)
        for _, error in lacking:
            if error:
                incoming.failed(error)
        return health([name for name, _ in lacking])


def pattern(template: str) -> re.Pattern[str]:
    """What matches the paths of a template: each `{name}` is one segment, and a group."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)))
