"""What goes wrong at the emulated Google when it is told to. `python -m infra.local.google_emulator --help` describes the faults."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from infra.local.google_emulator import refusals
from infra.local.google_emulator.refusals import CALENDAR, DOCS, GMAIL, Refused

REFRESHING = "/token"


@dataclass
class Fault:
    """Something that goes wrong. Whoever keeps the list of them may change it while the emulator serves."""

    name: str
    """One of `FAULTS`."""
    on: str = "/"
    """The beginning of the paths where it happens: `/calendar/v3`, `/v1/documents`, `/gmail/v1`, `/token`."""
    times: int | None = None
    """How often; None: always."""
    latency: float = 0.0
    """Seconds before it happens; all that `slow` does."""
    retry_after: str = ""
    """The Retry-After header that goes with it; Google itself seldom sends one."""

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"no fault is called {self.name!r}; there are {', '.join(FAULTS)}")

    async def takes(self, request: web.Request) -> bool:
        """Whether it happens to this request; that uses up one of its times."""
        if self.times == 0 or not request.path.startswith(self.on):
            return False
        if self.name in OF_REFRESH and (request.path != REFRESHING or (await request.post()).get("grant_type") != "refresh_token"):
            return False
        if self.times is not None:
            self.times -= 1
        return True


def failing(faults: list[Fault]) -> Middleware:
    """The middleware that lets the first fault happen which a request matches."""

    @web.middleware
    async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
        for fault in faults:
            if await fault.takes(request):
                await asyncio.sleep(fault.latency)
                response = await FAULTS[fault.name](request, handler)
                if fault.retry_after:
                    response.headers["retry-after"] = fault.retry_after
                return response
        return await handler(request)

    return fail


Happening = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


async def _served(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)


async def _forever(request: web.Request, handler: Handler) -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("Nobody sets that event: only the client's going ends the wait.")


async def _html(request: web.Request, handler: Handler) -> web.StreamResponse:
    return web.Response(status=502, text="<!doctype html><title>Error 502 (Server Error)!!1</title>", content_type="text/html")


def _api(refused: Callable[[str], Refused]) -> Happening:
    """An error in the form of the API that the path belongs to."""

    async def happen(request: web.Request, handler: Handler) -> web.StreamResponse:
        error = refused(_service(request.path))
        return web.json_response(error.body, status=error.status, headers=error.headers)

    return happen


def _oauth(status: int, error: str, description: str) -> Happening:
    async def happen(request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.json_response({"error": error, "error_description": description}, status=status)

    return happen


def _service(path: str) -> str:
    if path.startswith("/calendar/"):
        return CALENDAR
    return DOCS if path.startswith("/v1/documents") else GMAIL


def _limited(status: int, reason: str, message: str) -> Callable[[str], Refused]:
    """A quota is used up: Calendar says it in the old form, with 403 or 429 (its page "Handle API errors"); the others with 429."""

    def refused(service: str) -> Refused:
        if service == CALENDAR:
            return refusals.backend(status, reason, message, domain="usageLimits")
        errors: dict[str, Any] = {} if service == DOCS else {"errors": [{"message": message, "domain": "usageLimits", "reason": reason}]}
        return refusals.front(status, "RESOURCE_EXHAUSTED" if status == 429 else "PERMISSION_DENIED", message, **errors)

    return refused


def _broken(status: int, code: str, message: str) -> Callable[[str], Refused]:
    def refused(service: str) -> Refused:
        if service == CALENDAR:
            return refusals.backend(status, "backendError", "Backend Error")
        errors: dict[str, Any] = {} if service == DOCS else {"errors": [{"message": message, "domain": "global", "reason": "backendError"}]}
        return refusals.front(status, code, message, **errors)

    return refused


FAULTS: dict[str, Happening] = {
    "401": _api(refusals.invalid_credentials),
    "rateLimitExceeded": _api(_limited(403, "rateLimitExceeded", "Rate Limit Exceeded")),
    "userRateLimitExceeded": _api(_limited(403, "userRateLimitExceeded", "User Rate Limit Exceeded")),
    "quotaExceeded": _api(_limited(403, "quotaExceeded", "Calendar usage limits exceeded.")),
    "429": _api(_limited(429, "rateLimitExceeded", "Rate Limit Exceeded")),
    "500": _api(_broken(500, "INTERNAL", "Internal error encountered.")),
    "503": _api(_broken(503, "UNAVAILABLE", "The service is currently unavailable.")),
    "html": _html,
    "slow": _served,
    "hang": _forever,
    "invalid_grant": _oauth(400, "invalid_grant", "Token has been expired or revoked."),
    "invalid_client": _oauth(401, "invalid_client", "The OAuth client was not found."),
    "internal_failure": _oauth(500, "internal_failure", "Backend Error"),
}

OF_REFRESH = {"invalid_grant", "internal_failure"}
"""They happen to refreshes at the token endpoint, and nowhere else."""
