"""What all emulated APIs do with a request: is its token good, does it reach, are the parameters Google's; and then the answer.

Stricter than Google in one thing: a parameter that the method does not have is refused and never ignored, so that a misspelt request
fails here and not in front of a user.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from infra.local.google_emulator import refusals
from infra.local.google_emulator.accounts import Accounts
from infra.local.google_emulator.fields import kept, mask
from infra.local.google_emulator.people import Person
from infra.local.google_emulator.refusals import Refused

JSON_TYPE = "application/json; charset=UTF-8"

Value = str | int | bool | datetime | list[str]


@dataclass(frozen=True)
class Parameter:
    """A parameter in the query, as the discovery document has it."""

    kind: str = "string"
    """`string`, `integer`, `boolean`, or `date-time`: RFC 3339 with an offset."""
    enum: tuple[str, ...] = ()
    repeated: bool = False
    minimum: int = 0


STRING, INTEGER, BOOLEAN, MOMENT = Parameter(), Parameter("integer"), Parameter("boolean"), Parameter("date-time")
COUNT = Parameter("integer", minimum=1)

COMMON = {"alt": Parameter(enum=("json",)), "fields": STRING, "key": STRING, "prettyPrint": BOOLEAN, "quotaUser": STRING}
"""What every method takes: https://docs.cloud.google.com/apis/docs/system-parameters"""


@dataclass(frozen=True)
class Method:
    """A method as the discovery document has it."""

    id: str
    verb: str
    path: str
    service: str
    name: str
    """What errors call it."""
    scopes: tuple[str, ...]
    """One of them is enough. Those that show only a part (gmail.metadata, drive.file) are not emulated, and so not granted."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request that has been let in."""

    person: Person
    now: datetime
    path: Mapping[str, str]
    query: dict[str, Any]
    """Values by name, of the parameters' kinds; what did not come is absent."""
    body: Any = None


Answer = Callable[[Call], Any]
"""What a method does: a request becomes the reply's JSON.

Raises:
    Refused: it becomes an error.
"""


def route(method: Method, answer: Answer, accounts: Accounts, clock: Callable[[], float]) -> web.RouteDef:
    """Answer a method at its path."""

    async def handle(request: web.Request) -> web.Response:
        try:
            person = _admitted(method, request, accounts)
            query = _query(method, request)
            body = await _body(method, request)
            now = datetime.fromtimestamp(clock(), person.zone)
            reply = answer(Call(person, now, dict(request.match_info), query, body))
            return _json(200, _partial(method, reply, query))
        except Refused as refused:
            return _json(refused.status, refused.body, refused.headers)

    return web.route(method.verb, method.path, handle)


def _admitted(method: Method, request: web.Request, accounts: Accounts) -> Person:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise refusals.missing_credentials(method.service, method.name)
    access = accounts.access(token)
    if access is None:
        raise refusals.invalid_credentials(method.service)
    if not access.scopes.intersection(method.scopes):
        raise refusals.insufficient_scopes(method.service, method.name, method.scopes)
    return access.person


def _query(method: Method, request: web.Request) -> dict[str, Any]:
    known = COMMON | dict(method.parameters)
    read: dict[str, Any] = {}
    for name in request.query:
        if name not in known:
            raise refusals.invalid(method.service, name, f'Unknown name "{name}": Cannot bind query parameter. {method.id} has none such.')
        values = request.query.getall(name)
        if len(values) > 1 and not known[name].repeated:
            raise refusals.invalid(method.service, name, f"{name} is no repeated parameter.")
        try:
            whole = [value(known[name], text) for text in values]
        except ValueError as error:
            raise refusals.invalid(method.service, name, f"Invalid value at '{name}': {error}") from error
        read[name] = whole if known[name].repeated else whole[0]
    return read


def value(parameter: Parameter, text: str) -> Value:
    """A parameter's text as a value of its kind.

    Raises:
        ValueError: it is none.
    """
    if parameter.enum and text not in parameter.enum:
        raise ValueError(f"{text!r} is none of {', '.join(parameter.enum)}")
    match parameter.kind:
        case "integer" if re.fullmatch(r"\d{1,9}", text, re.A) and int(text) >= parameter.minimum:
            return int(text)
        case "boolean" if text in ("true", "false"):
            return text == "true"
        case "date-time":
            return moment(text)
        case "string":
            return text
    raise ValueError(f"{text!r} is no {parameter.kind}" + (f" of {parameter.minimum} or more" if parameter.minimum else ""))


def moment(text: str) -> datetime:
    """An RFC 3339 timestamp with its mandatory offset.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", text, re.A):
        raise ValueError(f"{text!r} is no RFC 3339 timestamp with an offset")
    return datetime.fromisoformat(text)


async def _body(method: Method, request: web.Request) -> Any:
    raw = await request.read()
    if method.verb == "GET":
        return None
    try:
        read = json.loads(raw)
    except ValueError as error:
        raise refusals.backend(400, "parseError", "Parse Error") from error
    if not isinstance(read, dict):
        raise refusals.backend(400, "parseError", "Parse Error")
    return read


def _partial(method: Method, reply: Any, query: Mapping[str, Any]) -> Any:
    if "fields" not in query:
        return reply
    try:
        return kept(reply, mask(query["fields"]))
    except ValueError as error:
        raise refusals.invalid(method.service, "fields", str(error)) from error


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    raw = json.dumps(body, ensure_ascii=False, indent=1).encode()
    more = {"content-type": JSON_TYPE, "cache-control": "private, max-age=0", "vary": "Origin, X-Origin, Referer"}
    return web.Response(status=status, body=raw, headers={**more, **(headers or {})})


@dataclass(frozen=True)
class Page:
    """A part of a list, and the token that asks for the next one; None at the end."""

    items: list[Any]
    next: str | None


def page(service: str, call: Call, items: list[Any], size: int) -> Page:
    """The part that the request's pageToken asks for. A token goes with its query: with another one it is refused."""
    rest = {name: str(given) for name, given in call.query.items() if name not in ("pageToken", "maxResults", "fields")}
    mark = hashlib.sha256(json.dumps([call.person.sub, *call.path.values(), rest], sort_keys=True).encode()).hexdigest()[:16]
    start = 0
    if token := call.query.get("pageToken"):
        found = re.fullmatch(rf"{mark}(\d{{1,9}})", token, re.A)
        if not found:
            raise refusals.invalid(service, "pageToken", "Invalid page token value.")
        start = int(found[1])
    end = start + size
    return Page(items[start:end], f"{mark}{end}" if end < len(items) else None)
