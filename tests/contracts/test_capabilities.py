"""What every capability keeps to, ours and those to come."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.capabilities import CATALOGUE
from functions.core.capability import RESERVED, Api, Capability, Operation
from functions.core.errors import CantileverError, CapabilityFault, Invalid
from tests.fakes import CannedWeb

CAPABILITIES = [*CATALOGUE.capabilities]
FINDING = [one for finder in CATALOGUE.finders.values() for one in (finder.search, finder.fetch)]
OPERATIONS = [*CATALOGUE.operations.values(), *FINDING]
FOR_USERS = [operation for operation in CATALOGUE.operations.values() if operation.scopes]

READS = {"https://www.googleapis.com/auth/calendar.freebusy"}
"""Scopes that only read, and whose names do not say so."""


OTHERS = {"read_mail": {"mail": "18c1"}, "search": {"query": "https://docs.google.com/document/d/1AbC/edit"}, "fetch": {"name": "1AbC"}}
"""Arguments of what no example shows."""


def named(operation: Operation) -> str:
    return f"{operation.capability}.{operation.name}"


def arguments(operation: Operation) -> dict[str, Any]:
    """Arguments that the operation takes: those of its first example, or else of OTHERS."""
    examples = (example for capability in CAPABILITIES for example in capability.examples if example.operation is operation)
    return dict(next((example.arguments for example in examples), OTHERS.get(operation.name, {})))


def properties(schema: Any, whole: Any) -> Iterator[tuple[str, Any]]:
    """Every property in a schema, those of what it refers to included, with its name."""
    for model in (schema, *schema.get("$defs", {}).values()):
        yield from ((f"{model['title']}.{name}", described) for name, described in model.get("properties", {}).items())


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_unknown_arguments_are_refused_before_anything_is_asked(operation: Operation) -> None:
    web = CannedWeb({})

    with pytest.raises(Invalid, match="unknown: Extra inputs"):
        await operation.run(web, json.dumps(arguments(operation) | {"unknown": 1}))

    assert web.asked == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_its_examples_are_taken_and_reach_only_the_apis_that_it_names(operation: Operation) -> None:
    class Reached(CantileverError):
        pass

    class Web(CannedWeb):
        def _answered(self, api: Api, path: str, told: Any) -> Any:
            assert api in operation.apis
            raise Reached("Far enough.")

    with pytest.raises(Reached):
        await operation.run(Web({}), json.dumps(arguments(operation)))


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_an_answer_that_nobody_foresaw_is_no_bug_of_ours(operation: Operation) -> None:
    class Web(CannedWeb):
        def _answered(self, api: Api, path: str, told: Any) -> Any:
            return self.answers["all"]

    for answer in ({}, [], {"items": None}, {"results": [None]}, {"messages": [{"id": "x"}]}, {"tabs": None}, {"calendars": None}):
        try:
            await operation.run(Web({"all": answer}), json.dumps(arguments(operation)))
        except CapabilityFault as error:
            raise AssertionError(f"{operation.name} breaks on {answer}") from error
        except CantileverError:
            continue


@pytest.mark.parametrize("operation", FOR_USERS, ids=lambda operation: operation.name)
def test_its_scopes_are_googles_and_read_only_where_it_says_so(operation: Operation) -> None:
    assert all(scope.name.startswith("https://www.googleapis.com/auth/") for scope in operation.scopes)
    assert not operation.read_only or all(scope.name.endswith(".readonly") or scope.name in READS for scope in operation.scopes)
    assert {api.base_url.split("/")[2].endswith(".googleapis.com") for api in operation.apis if api.google} == {True}


@pytest.mark.parametrize("finding", FINDING, ids=named)
def test_what_finds_something_asks_for_no_more_than_an_operation_of_the_file(finding: Operation) -> None:
    own = next(capability for capability in CAPABILITIES if capability.name == finding.capability)

    assert (finding.apis, finding.scopes) in [(operation.apis, operation.scopes) for operation in own.operations]
    assert (finding.read_only, finding.destructive, finding.open_world) == (True, False, False)
    assert finding.name in RESERVED


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda capability: capability.name)
def test_its_consent_is_asked_for_in_english_and_chinese(capability: Capability) -> None:
    texts = [capability.text, *(scope.text for scope in capability.scopes)]

    assert all(text("en").isascii() for text in texts)
    assert all(any("\u4e00" <= character <= "\u9fff" for character in text("zh")) for text in texts)


@pytest.mark.parametrize("operation", FOR_USERS, ids=lambda operation: operation.name)
def test_every_field_of_its_result_is_typed_and_described(operation: Operation) -> None:
    schema = operation.result.model_json_schema(mode="serialization")

    found = dict(properties(schema, schema))

    assert found
    assert [name for name, described in found.items() if "description" not in described] == []
    assert [name for name, described in found.items() if not {"type", "anyOf", "$ref", "enum"} & described.keys()] == []


def test_only_what_google_calls_restricted_is_off() -> None:
    assert [capability.name for capability in CAPABILITIES if capability.restricted] == ["gmail"]
    assert [capability.name for capability in CATALOGUE.enabled([], sign_in=True).capabilities] == ["calendar", "docs", "weather"]
