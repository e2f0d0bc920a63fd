"""Every request of ours to Google against Google's own description of its APIs, as the package google-api-python-client carries it."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import jsonschema
import pytest

from functions.capabilities import CATALOGUE, calendar, docs, gmail
from functions.core.capability import Api, Operation, Query
from tests.fakes import CannedWeb

APIS: Mapping[str, tuple[str, str]] = {"calendar": ("calendar", "v3"), "docs": ("docs", "v1"), "gmail": ("gmail", "v1")}
"""Our name of an API -> its name and version at Google."""

MOMENTS = {"start": "2026-12-01T09:00", "end": "2026-12-07"}
ASKED: tuple[tuple[Operation, Mapping[str, Any]], ...] = (
    (calendar.list_calendar_events, MOMENTS),
    (calendar.list_calendar_events, MOMENTS | {"query": "x", "time_zone": "Asia/Shanghai", "calendar": "anna@example.com"}),
    (calendar.find_free_time, MOMENTS | {"time_zone": "Asia/Shanghai", "people": ["anna@example.com"]}),
    (docs.read_document, {"document": "1AbC"}),
    (gmail.search_mail, {"query": "budget"}),
    (gmail.read_mail, {"mail": "18c1"}),
    (calendar.FINDER.search, {"query": "budget"}),
    (calendar.FINDER.fetch, {"name": "abc_20261201T013000Z"}),
    (docs.FINDER.search, {"query": "https://docs.google.com/document/d/1AbC/edit"}),
    (docs.FINDER.fetch, {"name": "1AbC"}),
    (gmail.FINDER.search, {"query": "budget"}),
    (gmail.FINDER.fetch, {"name": "18c1"}),
)


class Recording(CannedWeb):
    """Answers as Google does where it has nothing, and keeps every request."""

    def __init__(self) -> None:
        super().__init__({})
        self.requests: list[tuple[Api, str, str, Mapping[str, Any], Any]] = []

    async def get(self, api: Api, path: str, **query: Query) -> Any:
        self.requests.append((api, "GET", path, query, None))
        mail = {"id": "18c1", "internalDate": "0", "payload": {"headers": []}}
        event = {"start": {"date": "2026-12-01"}, "end": {"date": "2026-12-02"}}
        return {"timeZone": "Asia/Shanghai", "items": [], "tabs": [], "messages": [{"id": "18c1"}], **mail, **event}

    async def post(self, api: Api, path: str, body: Mapping[str, Any]) -> Any:
        self.requests.append((api, "POST", path, {}, body))
        return {"calendars": {item["id"]: {"busy": []} for item in body["items"]}}


@cache
def discovered(api: str) -> Any:
    """Google's description of an API."""
    name, version = APIS[api]
    folder = resources.files("googleapiclient.discovery_cache.documents")
    return json.loads((folder / f"{name}.{version}.json").read_text("utf-8"))


def methods(resource: Any) -> Iterator[Any]:
    """Every method of a resource and of those within it."""
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from methods(inner)


def method_of(api: Api, verb: str, path: str) -> Any:
    """The one method that a request is for."""
    described = discovered(api.name)
    below = api.base_url.removeprefix(described["rootUrl"]).removeprefix(described["servicePath"].rstrip("/")).strip("/")
    whole = f"{below}/{path}".strip("/")
    templates = [(re.sub(r"\\{\+?\w+\\}", "[^/]+", re.escape(method["path"])), method) for method in methods(described)]
    (found,) = [method for template, method in templates if method["httpMethod"] == verb and re.fullmatch(template, whole)]
    return found


def json_schema(api: str, ref: str) -> Any:
    """Google's schema as JSON Schema, closed."""
    schemas = {
        name: schema | ({"additionalProperties": False} if "properties" in schema and "additionalProperties" not in schema else {})
        for name, schema in discovered(api)["schemas"].items()
    }
    text = re.sub(r'"\$ref": "(\w+)"', r'"$ref": "#/$defs/\1"', json.dumps(schemas))
    defs = json.loads(text)
    defs.pop("EventWorkingLocationProperties", None)  # It has a type of its own, "any".
    for schema in defs.values():
        schema.pop("id", None)
    return {"$ref": f"#/$defs/{ref}", "$defs": defs}


def selected(mask: str) -> dict[str, Any]:
    """A mask of `fields` as names within names."""
    tokens = iter(re.findall(r"[\w]+|[/(),]", mask))

    def read() -> dict[str, Any]:
        found: dict[str, Any] = {}
        at = found
        for token in tokens:
            if token == ")":
                break
            if token == "(":
                at |= read()
            elif token == ",":
                at = found
            elif token != "/":
                at = at.setdefault(token, {})
        return found

    return read()


def unknown_fields(api: str, schema: Any, mask: Mapping[str, Any], where: str = "") -> list[str]:
    """What a mask asks for and Google's schema does not have."""
    while "$ref" in schema or "items" in schema:
        schema = discovered(api)["schemas"][schema["$ref"]] if "$ref" in schema else schema["items"]
    properties, found = schema.get("properties", {}), []
    for name, below in mask.items():
        if name not in properties:
            found.append(f"{where}{name}")
        elif below:
            found += unknown_fields(api, properties[name], below, f"{where}{name}.")
    return found


async def requests(operation: Operation, arguments: Mapping[str, Any]) -> list[tuple[Api, str, str, Mapping[str, Any], Any]]:
    web = Recording()
    await operation.run(web, json.dumps(arguments))
    assert web.requests
    return web.requests


@pytest.mark.parametrize(("operation", "arguments"), ASKED)
async def test_every_parameter_is_one_of_googles(operation: Operation, arguments: Mapping[str, Any]) -> None:
    for api, verb, path, query, _ in await requests(operation, arguments):
        method = method_of(api, verb, path)
        known = method["parameters"] | discovered(api.name)["parameters"] if "parameters" in method else discovered(api.name)["parameters"]

        for name, value in query.items():
            parameter = known[name]
            kind = {"string": str, "integer": int, "boolean": str}[parameter["type"]]
            values = value if parameter.get("repeated") else [value]
            assert all(isinstance(one, kind) for one in values), name
            assert "enum" not in parameter or set(values) <= set(parameter["enum"])
            assert parameter["type"] != "boolean" or set(values) <= {"true", "false"}
            assert parameter.get("format") != "date-time" or re.fullmatch(r"[\d-]{10}T[\d:]{8}(Z|[+-]\d\d:\d\d)", value)


@pytest.mark.parametrize(("operation", "arguments"), ASKED)
async def test_every_field_that_is_asked_for_is_one_of_googles(operation: Operation, arguments: Mapping[str, Any]) -> None:
    for api, verb, path, query, _ in await requests(operation, arguments):
        if "fields" in query:
            answer = method_of(api, verb, path)["response"]

            assert unknown_fields(api.name, answer, selected(query["fields"])) == []


@pytest.mark.parametrize(("operation", "arguments"), ASKED)
async def test_every_body_is_of_googles_schema(operation: Operation, arguments: Mapping[str, Any]) -> None:
    for api, verb, path, _, body in await requests(operation, arguments):
        method = method_of(api, verb, path)

        assert ("request" in method) == (body is not None)
        if body is not None:
            jsonschema.validate(body, json_schema(api.name, method["request"]["$ref"]), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(("operation", "arguments"), ASKED)
async def test_the_scopes_that_are_named_are_enough_and_none_is_idle(operation: Operation, arguments: Mapping[str, Any]) -> None:
    named = {scope.name for scope in operation.scopes}
    used = set()
    for api, verb, path, _, _ in await requests(operation, arguments):
        enough = named & set(method_of(api, verb, path)["scopes"])
        assert enough
        used |= enough

    assert used == named


def test_every_operation_that_asks_google_is_held_to_this() -> None:
    found = [one for finder in CATALOGUE.finders.values() for one in (finder.search, finder.fetch)]

    assert {operation for operation, _ in ASKED} == {one for one in (*CATALOGUE.operations.values(), *found) if one.scopes}


def test_the_check_of_fields_can_fail() -> None:
    asked = selected("timeZone,items(id,titel,organizer(email,name)),kind/x")

    assert unknown_fields("calendar", {"$ref": "Events"}, asked) == ["items.titel", "items.organizer.name", "kind.x"]
