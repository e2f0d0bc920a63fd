"""What Google publishes of its APIs: the discovery documents that the package google-api-python-client carries.

They say of every method where it is, which parameters it takes and what goes in and out, so that requests of ours and replies of the
emulator can be held against them: `problems(google.received)`, `Api("calendar.v3").check("calendar.events.list", reply)`.
"""

import functools
import importlib.resources
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema

from infra.local.google_emulator.apis import moment
from infra.local.google_emulator.fields import Mask, mask
from tests.upstream import Received

NAMES = ("calendar.v3", "docs.v1", "gmail.v1")
HOSTS = {"calendar.v3": "https://www.googleapis.com/calendar/v3", "docs.v1": "https://docs.googleapis.com/v1"} | {
    "gmail.v1": "https://gmail.googleapis.com/gmail/v1"
}
"""The base addresses that a client replaces to reach the emulator; their paths are the emulator's."""

FORMATS = jsonschema.FormatChecker(formats=[])


@FORMATS.checks("date-time", raises=ValueError)
@FORMATS.checks("google-datetime", raises=ValueError)
def _date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(moment(value))


@FORMATS.checks("date")
def _date(value: object) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))


@FORMATS.checks("byte")
def _byte(value: object) -> bool:
    """Base64 in the alphabet for URLs, padded, as Gmail writes it."""
    return not isinstance(value, str) or bool(re.fullmatch(r"([\w-]{4})*([\w-]{2}==|[\w-]{3}=)?", value, re.A))


@FORMATS.checks("int64")
@FORMATS.checks("uint64")
def _long(value: object) -> bool:
    """Too long for JavaScript, so they are strings."""
    return not isinstance(value, str) or bool(re.fullmatch(r"-?\d+", value, re.A))


class Api:
    """One API's discovery document."""

    def __init__(self, name: str) -> None:
        path = importlib.resources.files("googleapiclient") / f"discovery_cache/documents/{name}.json"
        self.document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        self.methods: dict[str, dict[str, Any]] = {method["id"]: method for method in _methods(self.document)}
        self._definitions = {name: _converted(given) for name, given in self.document.get("schemas", {}).items()}

    def path(self, method_id: str) -> str:
        """A method's path below the host."""
        return "/" + self.document["servicePath"] + self.methods[method_id]["path"]

    def parameters(self, method_id: str) -> dict[str, dict[str, Any]]:
        """What a method takes in its query; what all methods take is among it."""
        own = self.methods[method_id].get("parameters", {})
        return self.document["parameters"] | {name: given for name, given in own.items() if given["location"] == "query"}

    def check(self, method_id: str, reply: Any) -> None:
        """Hold a reply against the schema; a field that Google does not know is as wrong as a value of the wrong type.

        Raises:
            jsonschema.ValidationError: it is not what the method answers.
        """
        self._validator(self.methods[method_id]["response"]["$ref"]).validate(reply)

    def _validator(self, schema: str) -> jsonschema.Draft202012Validator:
        whole = {"$ref": f"#/$defs/{schema}", "$defs": self._definitions}
        return jsonschema.Draft202012Validator(whole, format_checker=FORMATS)

    def problems(self, method_id: str, query: Mapping[str, str], body: bytes = b"") -> Iterator[str]:
        """What Google would not understand of a request; a sentence each."""
        known = self.parameters(method_id)
        for name, value in query.items():
            if name not in known:
                yield f"{method_id} has no parameter {name!r}"
            elif not _fits(known[name], value):
                yield f"{method_id}: {name}={value!r} is not of its kind"
        yield from (f"{method_id} wants {name!r}" for name, given in known.items() if given.get("required") and name not in query)
        method = self.methods[method_id]
        if "request" in method:
            errors = self._validator(method["request"]["$ref"]).iter_errors(json.loads(body or b"null"))
            yield from (f"{method_id}: {error.message}" for error in errors)
        if "fields" in query:
            yield from self._selection(method["response"], mask(query["fields"]), method_id)

    def _selection(self, schema: Mapping[str, Any], selected: Mask, where: str) -> Iterator[str]:
        """The names of a partial reply that the schema does not have."""
        while "$ref" in schema or schema.get("type") == "array":
            schema = self.document["schemas"][schema["$ref"]] if "$ref" in schema else schema["items"]
        if "additionalProperties" in schema:
            selected, schema = {}, {}
        for name, below in selected.items():
            if name != "*" and name not in schema.get("properties", {}):
                yield f"{where}: fields names {name!r}, which is no field there"
            elif name != "*":
                yield from self._selection(schema["properties"][name], below, f"{where}.{name}")


@functools.cache
def api(name: str) -> Api:
    """The document, read once."""
    return Api(name)


def problems(received: Iterable[Received]) -> list[str]:
    """Every request to an API that Google's documents do not cover, or not so. Requests to the sign-in are no API's and pass."""
    return [problem for request in received if _is_api(request.path) for problem in _problems(request)]


def _is_api(path: str) -> bool:
    return path.startswith(("/calendar/", "/v1/documents", "/gmail/"))


def _problems(request: Received) -> Iterator[str]:
    for name in NAMES:
        for method_id, method in api(name).methods.items():
            if method["httpMethod"] == request.method and _pattern(api(name).path(method_id)).fullmatch(request.path):
                yield from api(name).problems(method_id, request.query, request.body)
                return
    yield f"{request.method} {request.path} is no method of Google's"


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", path)))


def _methods(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from resource.get("methods", {}).values()
    for below in resource.get("resources", {}).values():
        yield from _methods(below)


def _fits(parameter: Mapping[str, Any], value: str) -> bool:
    if "enum" in parameter:
        return value in parameter["enum"]
    match parameter["type"]:
        case "boolean":
            return value in ("true", "false")
        case "integer":
            return value.isdecimal() and int(value) >= int(parameter.get("minimum", 0))
        case _ if parameter.get("format") == "date-time":
            return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value, re.A))
        case _:
            return True


def _converted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of the discovery format as JSON Schema, with every object closed."""
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    if schema["type"] == "any":
        return {}
    converted = {name: schema[name] for name in ("type", "format", "enum") if name in schema}
    if schema["type"] == "array":
        converted["items"] = _converted(schema["items"])
    if schema["type"] == "object":
        converted["properties"] = {name: _converted(given) for name, given in schema.get("properties", {}).items()}
        more = schema.get("additionalProperties")
        converted["additionalProperties"] = _converted(more) if more else False
    return converted
