"""Capabilities and operations: what a developer writes, and everything that is derived from it.

An **operation** is one typed async function. Its name is the tool's name and the operationId, its docstring's first line the
description, its parameters and its result the schemas. A **capability** is the file it stands in and what a person consents to.
"""

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from types import ModuleType
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo

from functions.core import strict_json
from functions.core.errors import CantileverError, CapabilityFault
from functions.core.model import Tool

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""What OpenAI accepts as a function's name (wire.md 2.1), less capitals and dashes: it is also a Python name."""

CHAT, GET_TRANSCRIPT, DELETE_CONVERSATION = RESERVED = ("chat", "get_transcript", "delete_conversation")
"""The REST interface's own operations (core/openapi.py); no capability may publish one of these names."""

MAX_DESCRIPTION = 300  # characters of an endpoint, https://developers.openai.com/api/docs/actions/production
MAX_PARAMETER_DESCRIPTION = 700  # characters, same page


class Published(BaseModel):
    """A value that goes out: frozen, closed, and a string under a field is that field's description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Api:
    """A foreign HTTP API by name. Settings named after it (`weather` -> WEATHER_URL) replace its address and, where it takes one, give a key."""

    name: str
    base_url: str
    key_parameter: str | None = None
    """The query parameter that carries a key, where the API takes one."""
    key_setting: str | None = None
    """The environment variable that holds the key; several APIs of one provider may share it."""
    attribution: str | None = None
    """What its owner wants to be credited with, on the legal page."""
    reusable: timedelta = timedelta(0)
    """How long an answer may be given again, to anybody: only for an API that gives everybody the same."""

    @property
    def url_setting(self) -> str:
        """The environment variable that replaces `base_url`."""
        return f"{self.name.upper().replace('-', '_')}_URL"


Query = str | int | float | Sequence[str]


class Web(Protocol):
    """The outside world as one call of one operation may see it: only the APIs that the operation names, until the request's deadline."""

    async def get(self, api: Api, path: str, **query: Query) -> Any:
        """The JSON at `path` below the API's address; a sequence is sent comma-separated.

        Raises:
            Upstream: it failed, was busy, or did not answer JSON, also after retries.
            Refused: it refuses the request itself.
            DeadlinePassed: the request's deadline passed.
            CapabilityFault: the operation does not name this API, or the path leaves its address.
        """


@dataclass(frozen=True)
class Operation:
    """One typed async function with everything that describes it."""

    name: str
    description: str
    arguments: type[BaseModel]
    result: type[BaseModel]
    apis: Sequence[Api]
    scopes: Sequence[str]
    """Google's scopes, the narrowest that suffice; none: the operation carries no token."""
    read_only: bool
    destructive: bool
    open_world: bool
    """Whether it can change what others see: OpenAI's reading of the hint (wire.md 3.3)."""
    function: Callable[..., Awaitable[BaseModel]]

    async def run(self, web: Web, arguments: bytes | str) -> str:
        """Call it with `arguments`, JSON text of an object, and give its result as JSON text.

        Raises:
            Malformed, Invalid: the arguments are not what the operation takes; nothing was called.
            CapabilityFault: the operation has a bug; its own exception is the cause.
            CantileverError: whatever the operation raises.
        """
        given = strict_json.read(self.arguments, arguments)
        try:
            result = await self.function(web, **{name: getattr(given, name) for name in self.arguments.model_fields})
            return self.result.model_validate(result, strict=True).model_dump_json()
        except CantileverError:
            raise
        except Exception as error:  # A developer's code may raise anything, and must not lose the turn that called it.
            raise CapabilityFault(f"{self.name} has a bug; tell the plugin's owner, whose log says where.") from error

    @cached_property
    def tool(self) -> Tool:
        """What a model is told of it."""
        return Tool(self.name, self.description, lean(self.arguments.model_json_schema()))


@dataclass(frozen=True, slots=True)
class Capability:
    """One file of operations, and what a person consents to: its name and the text of its module's docstring."""

    name: str
    description: str
    operations: Sequence[Operation]


@dataclass(frozen=True)
class Catalogue:
    """All capabilities, in order of their names."""

    capabilities: Sequence[Capability]

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """Every operation by name, in the capabilities' order and then the files' own."""
        return {operation.name: operation for capability in self.capabilities for operation in capability.operations}

    @cached_property
    def apis(self) -> tuple[Api, ...]:
        """Every API that an operation names, once."""
        return tuple(dict.fromkeys(api for operation in self.operations.values() for api in operation.apis))

    @property
    def read_only(self) -> bool:
        """Whether no operation changes anything."""
        return all(operation.read_only for operation in self.operations.values())


def operation(
    *, apis: Sequence[Api], scopes: Sequence[str], read_only: bool, open_world: bool, destructive: bool = False
) -> Callable[[Callable[..., Awaitable[BaseModel]]], Operation]:
    """Publish an async function: `async def name(web: Web, …typed, described parameters…) -> Published`.

    Raises:
        CapabilityFault: while the file is imported; the message names the file and the fault.
    """

    def publish(function: Callable[..., Awaitable[BaseModel]]) -> Operation:
        where = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}: {function.__name__}"
        hints = _hints(where, function)
        return Operation(
            name=function.__name__,
            description=_description(where, function.__doc__),
            arguments=_arguments(where, function, hints),
            result=hints["return"],
            apis=tuple(apis),
            scopes=tuple(scopes),
            read_only=read_only,
            destructive=destructive,
            open_world=open_world,
            function=function,
        )

    return publish


def collect(modules: Sequence[ModuleType]) -> Catalogue:
    """The catalogue of these capability files.

    Raises:
        CapabilityFault: a file says nothing of itself, publishes nothing, or publishes a name that another has.
    """
    owners = dict.fromkeys(RESERVED, "the REST interface itself")
    capabilities = []
    for module in sorted(modules, key=lambda module: module.__name__):
        operations = [item for item in vars(module).values() if isinstance(item, Operation) and item.function.__module__ == module.__name__]
        if not operations:
            raise CapabilityFault(f"{module.__file__} publishes no operation: put @operation on one, or move the file elsewhere.")
        for published in operations:
            if published.name in owners:
                raise CapabilityFault(f"{module.__file__}: {published.name} is already published by {owners[published.name]}.")
            owners[published.name] = str(module.__file__)
        description = _description(str(module.__file__), module.__doc__)
        capabilities.append(Capability(module.__name__.rpartition(".")[2], description, tuple(operations)))
    return Catalogue(tuple(capabilities))


def lean(schema: Any) -> Any:
    """A JSON Schema without what pydantic adds and nobody needs, titles made of names and defaults of null: they cost every model tokens."""
    if isinstance(schema, list):
        return [lean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    noise = {"title": isinstance(schema.get("title"), str), "default": schema.get("default", "") is None}
    return {name: lean(value) for name, value in schema.items() if not noise.get(name)}


def _description(where: str, docstring: str | None) -> str:
    first = (docstring or "").strip().partition("\n")[0].strip()
    if not first:
        raise CapabilityFault(f"{where} has no docstring: its first line is what people and models read.")
    if len(first) > MAX_DESCRIPTION:
        raise CapabilityFault(f"{where}: the docstring's first line has {len(first)} characters; ChatGPT reads {MAX_DESCRIPTION}.")
    return first


def _hints(where: str, function: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotations of a function that may be published."""
    if not NAME.fullmatch(function.__name__):
        raise CapabilityFault(f"{where}: name it in lower case, at most 64 of a-z, 0-9 and _; it is the tool's name too.")
    if not inspect.iscoroutinefunction(function):
        raise CapabilityFault(f"{where} is not async: a function that blocks stalls every other request.")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise CapabilityFault(f"{where}: an annotation names what the file does not: {error}.") from error
    result = hints.get("return")
    if not (isinstance(result, type) and issubclass(result, BaseModel)):
        raise CapabilityFault(f"{where} does not say what it returns: annotate a model (a subclass of Published).")
    return hints


def _arguments(where: str, function: Callable[..., Any], hints: Mapping[str, Any]) -> type[BaseModel]:
    """The model of what is published of a signature: every parameter but the first, which is the outside world."""
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or hints.get(parameters[0].name) is not Web:
        raise CapabilityFault(f"{where}: its first parameter is the outside world; write `web: Web`.")
    fields: dict[str, Any] = {
        parameter.name: (_kind(where, parameter, hints), ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters[1:]
    }
    title = "".join(word.capitalize() for word in function.__name__.split("_")) + "Arguments"
    return create_model(title, __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def _kind(where: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    """The annotation of a parameter that may be published."""
    name = parameter.name
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise CapabilityFault(f"{where}: {name} cannot be published; name every parameter.")
    if not NAME.fullmatch(name) or hasattr(BaseModel, name):
        raise CapabilityFault(f"{where}: {name} cannot be published under this name; choose another.")
    if name not in hints:
        raise CapabilityFault(f"{where}: {name} has no type.")
    description = FieldInfo.from_annotation(hints[name]).description
    if not description or len(description) > MAX_PARAMETER_DESCRIPTION:
        raise CapabilityFault(
            f"{where}: {name} needs a description of at most {MAX_PARAMETER_DESCRIPTION} characters: Annotated[…, Field(description=…)]."
        )
    if parameter.default is not parameter.empty:
        try:
            TypeAdapter(hints[name]).validate_python(parameter.default)
        except ValidationError as error:
            raise CapabilityFault(f"{where}: the default of {name} is not one of its own values.") from error
    return hints[name]
