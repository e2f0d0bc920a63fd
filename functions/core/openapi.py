"""The OpenAPI 3.1.0 document of the REST interface, derived from capabilities, shapes and settings.

Its limits are those of GPT Actions (https://developers.openai.com/api/docs/actions/production): one server, no header parameters,
300 characters for an operation, 700 for a parameter, `x-openai-isConsequential` on whatever is no GET.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from functions.core.ai_plugin import description_for_people
from functions.core.capability import Catalogue, Operation, lean
from functions.core.conversation import SessionId
from functions.core.rest import ChatAnswer, ChatRequest, ErrorAnswer, PageRequest, Transcript
from functions.core.settings import Settings

Json = dict[str, Any]

FAULTS: Mapping[str, str] = {
    "400": "Not JSON.",
    "401": "An authorization is needed.",
    "404": "There is no such thing.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is not plain JSON.",
    "422": "Not of this shape, or refused by the model's provider.",
    "500": "A fault on our side.",
    "502": "A foreign system failed.",
    "503": "The store failed; try again.",
    "504": "Not done in time; try again.",
}
"""Status -> what it means here; its shape is always ErrorAnswer."""

WITHOUT_BODY = ("401", "404", "422", "500", "503")


def openapi(settings: Settings, catalogue: Catalogue) -> Json:
    """The document as a JSON object."""
    operations = catalogue.operations.values()
    # An anonymous session token may not stand in a URL where deployed (functions/chat.py): nobody could call these there.
    by_token = not settings.deployed
    schemas, names = _schemas(operations, (ChatAnswer, Transcript, ErrorAnswer) if by_token else (ChatAnswer, ErrorAnswer))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": settings.plugin_name,
            "description": description_for_people(settings, catalogue),
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings.public_base_url}],
        "security": [],
        "paths": {
            "/chat": {"post": _chat(catalogue, names)},
            **({"/chat/{session_id}": {"get": _transcript(names), "delete": _removal()}} if by_token else {}),
            **{f"/tools/{operation.name}": {"post": _tool(operation, names)} for operation in operations},
        },
        "components": {"schemas": schemas},
    }


def _chat(catalogue: Catalogue, names: Mapping[type[BaseModel], str]) -> Json:
    return {
        "operationId": "chat",
        "summary": "Ask in a conversation that is remembered.",
        "description": "Answers a question with the operations below where they help. Send the session_id of the answer with the next question.",
        "x-openai-isConsequential": not catalogue.read_only,
        "requestBody": _body(names[ChatRequest]),
        "responses": _responses(names[ChatAnswer], FAULTS),
    }


def _transcript(names: Mapping[type[BaseModel], str]) -> Json:
    fields = PageRequest.model_json_schema()["properties"]
    return {
        "operationId": "get_transcript",
        "summary": "Read a conversation, oldest turn first.",
        "parameters": [
            _session(),
            *(
                {"name": name, "in": "query", "required": False, "description": schema.pop("description"), "schema": lean(schema)}
                for name, schema in fields.items()
            ),
        ],
        "responses": _responses(names[Transcript], WITHOUT_BODY),
    }


def _removal() -> Json:
    return {
        "operationId": "delete_conversation",
        "summary": "Delete a conversation with all its turns.",
        "x-openai-isConsequential": True,
        "parameters": [_session()],
        "responses": {"204": {"description": "It is gone."}, **_faults(WITHOUT_BODY)},
    }


def _tool(operation: Operation, names: Mapping[type[BaseModel], str]) -> Json:
    return {
        "operationId": operation.name,
        "summary": operation.description,
        "x-openai-isConsequential": not operation.read_only,
        "requestBody": _body(names[operation.arguments]),
        "responses": _responses(names[operation.result], FAULTS),
    }


def _session() -> Json:
    schema = lean(TypeAdapter(SessionId).json_schema())
    return {"name": "session_id", "in": "path", "required": True, "description": schema.pop("description"), "schema": schema}


def _body(name: str) -> Json:
    return {"required": True, "content": _content(name)}


def _content(name: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _responses(success: str, faults: Iterable[str]) -> Json:
    return {"200": {"description": "Done.", "content": _content(success)}, **_faults(faults)}


def _faults(statuses: Iterable[str]) -> Json:
    return {status: {"description": FAULTS[status], "content": _content(ErrorAnswer.__name__)} for status in statuses}


def _schemas(operations: Iterable[Operation], answers: Iterable[type[BaseModel]]) -> tuple[Json, Mapping[type[BaseModel], str]]:
    """The component schemas, and the name of each model among them."""
    incoming: list[type[BaseModel]] = [ChatRequest, *(operation.arguments for operation in operations)]
    outgoing: list[type[BaseModel]] = [*answers, *(operation.result for operation in operations)]
    wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        *((model, "validation") for model in incoming),
        *((model, "serialization") for model in outgoing),
    ]
    references, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    names = {model: references[model, mode]["$ref"].rpartition("/")[2] for model, mode in wanted}
    return lean(found.get("$defs", {})), names
