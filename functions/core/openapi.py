"""The OpenAPI 3.1.0 document of the REST interface, derived from capabilities, shapes and settings.

Its limits are those of GPT Actions (https://developers.openai.com/api/docs/actions/production): one server, no header parameters,
300 characters for an operation, 700 for a parameter, `x-openai-isConsequential` on whatever is no GET. Responses that every operation
has are said once, under `components`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from functions.core.ai_plugin import description_for_people
from functions.core.capability import CHAT, DELETE_CONVERSATION, GET_ANSWER, GET_TRANSCRIPT, Catalogue, Operation, lean
from functions.core.errors import CapabilityFault
from functions.core.oauth.authorize import Server
from functions.core.rest import AnswerRequest, ChatAnswer, ChatRequest, ErrorAnswer, PageRequest, PendingAnswer, Transcript
from functions.core.settings import Settings
from functions.core.stored import SessionId

Json = dict[str, Any]

OAUTH = "oauth"
"""The security scheme's name in the document."""


def openapi(settings: Settings, catalogue: Catalogue, faults: Mapping[str, str]) -> Json:
    """The document as a JSON object. `faults` says of each status that is no success what it means.

    Raises:
        CapabilityFault: two models have one name.
    """
    operations = catalogue.operations.values()
    # An anonymous session token may not stand in a URL (functions/chat.py): outside a local world nobody could call these.
    by_token = settings.local
    answers = (ChatAnswer, PendingAnswer, ErrorAnswer)
    schemas, names = _schemas(operations, (*answers, Transcript) if by_token else answers)
    refusals = {status: {"description": meaning, "content": _content(names[ErrorAnswer])} for status, meaning in faults.items()}
    refused = {status: {"$ref": f"#/components/responses/{status}"} for status in refusals}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": settings.plugin_name,
            "description": description_for_people(settings, catalogue),
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings.public_base_url}],
        "security": [{}, {OAUTH: []}] if settings.signs_in else [],
        "paths": {
            "/chat": {"post": _chat(catalogue, names) | {"responses": _answered(names) | refused}},
            "/answer": {"post": _answer(names) | {"responses": _answered(names) | refused}},
            **({"/chat/{session_id}": _conversation(names, refused)} if by_token else {}),
            **{
                f"/tools/{operation.name}": {
                    "post": _tool(settings, operation, names) | {"responses": _done(names[operation.result]) | refused}
                }
                for operation in operations
            },
        },
        "components": {"schemas": schemas, "responses": refusals, **_schemes(settings, catalogue)},
    }


def _schemes(settings: Settings, catalogue: Catalogue) -> Json:
    """How one signs in, where one can: the addresses are on our own host, as GPT Actions want them (wire.md 2.3)."""
    if not settings.signs_in:
        return {}
    server = Server.of(settings.public_base_url, catalogue)
    described = {capability.name: capability.description for capability in catalogue.capabilities if capability.name in server.capabilities}
    flow = {
        "authorizationUrl": f"{server.issuer}/oauth/authorize",
        "tokenUrl": f"{server.issuer}/oauth/token",
        "refreshUrl": f"{server.issuer}/oauth/token",
        "scopes": described,
    }
    return {"securitySchemes": {OAUTH: {"type": "oauth2", "flows": {"authorizationCode": flow}}}}


def _chat(catalogue: Catalogue, names: Mapping[type[BaseModel], str]) -> Json:
    return {
        "operationId": CHAT,
        "summary": "Ask in a conversation that is remembered.",
        "description": "Answers a question with the operations below where they help. Send the session_id of the answer with the next question. "
        f"Where the status is pending, get the answer by {GET_ANSWER}.",
        "x-openai-isConsequential": not catalogue.read_only,
        "requestBody": _body(names[ChatRequest]),
    }


def _answer(names: Mapping[type[BaseModel], str]) -> Json:
    return {
        "operationId": GET_ANSWER,
        "summary": "Get the answer of a turn that was pending.",
        "description": "Waits a few seconds for it. Where the status is pending again, ask again after poll_after_ms.",
        "x-openai-isConsequential": False,
        "requestBody": _body(names[AnswerRequest]),
    }


def _conversation(names: Mapping[type[BaseModel], str], refused: Json) -> Json:
    fields = PageRequest.model_json_schema()["properties"]
    page = [
        {"name": name, "in": "query", "required": False, "description": schema.pop("description"), "schema": lean(schema)}
        for name, schema in fields.items()
    ]
    return {
        "get": {
            "operationId": GET_TRANSCRIPT,
            "summary": "Read a conversation, oldest turn first.",
            "parameters": [_session(), *page],
            "responses": _done(names[Transcript]) | refused,
        },
        "delete": {
            "operationId": DELETE_CONVERSATION,
            "summary": "Delete a conversation with all its turns.",
            "x-openai-isConsequential": True,
            "parameters": [_session()],
            "responses": {"204": {"description": "It is gone."}} | refused,
        },
    }


def _tool(settings: Settings, operation: Operation, names: Mapping[type[BaseModel], str]) -> Json:
    return {
        "operationId": operation.name,
        "summary": operation.description,
        "x-openai-isConsequential": not operation.read_only,
        **({"security": [{OAUTH: [operation.capability]}]} if operation.scopes and settings.signs_in else {}),
        "requestBody": _body(names[operation.arguments]),
    }


def _session() -> Json:
    schema = lean(TypeAdapter(SessionId).json_schema())
    return {"name": "session_id", "in": "path", "required": True, "description": schema.pop("description"), "schema": schema}


def _body(name: str) -> Json:
    return {"required": True, "content": _content(name)}


def _content(name: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _done(name: str) -> Json:
    return {"200": {"description": "Done.", "content": _content(name)}}


def _answered(names: Mapping[type[BaseModel], str]) -> Json:
    return _done(names[ChatAnswer]) | {"202": {"description": "There is no answer yet.", "content": _content(names[PendingAnswer])}}


def _schemas(operations: Iterable[Operation], answers: Iterable[type[BaseModel]]) -> tuple[Json, Mapping[type[BaseModel], str]]:
    """The component schemas, and the name of each model among them."""
    incoming: list[type[BaseModel]] = [ChatRequest, AnswerRequest, *(operation.arguments for operation in operations)]
    outgoing: list[type[BaseModel]] = [*answers, *(operation.result for operation in operations)]
    wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        *((model, "validation") for model in incoming),
        *((model, "serialization") for model in outgoing),
    ]
    references, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    if clash := next((name for name in found.get("$defs", {}) if "__" in name), None):
        raise CapabilityFault(f"Two models have one name: {clash}. Rename one; the document's readers tell them by it.")
    names = {model: references[model, mode]["$ref"].rpartition("/")[2] for model, mode in wanted}
    return lean(found.get("$defs", {})), names
