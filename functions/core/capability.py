"""Capabilities and operations: what a developer writes, and everything that is derived from it.

An **operation** is one typed async function. Its name is the tool's name and the operationId, its docstring's first line the
description, its parameters and its result the schemas. A **capability** is the file it stands in and what a person consents to.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from types import ModuleType
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from functions.core import signature, strict_json
from functions.core.errors import CantileverError, CapabilityFault
from functions.core.model import Tool

CHAT, GET_ANSWER, GET_TRANSCRIPT, DELETE_CONVERSATION = RESERVED = ("chat", "get_answer", "get_transcript", "delete_conversation")
"""Our own operations (core/openapi.py, core/mcp_tools.py); no capability may publish one of these names."""


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
    title: str
    """The name for people."""
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

    @property
    def capability(self) -> str:
        """The name of the capability that it belongs to, which is also the scope of ours that covers it."""
        return self.function.__module__.rpartition(".")[2]

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
class Example:
    """Something that a user says: it is shown in the plugin's listing, and its reviewers try it (core/plugin_package.py)."""

    prompt: str
    expected: str
    """What should come of it, for a reviewer; nothing private, nothing that changes from day to day."""
    operation: Operation | None = None
    """What the model should call; None where it should call nothing of this plugin."""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capability:
    """One file of operations, and what a person consents to: its name and the text of its module's docstring."""

    name: str
    description: str
    operations: Sequence[Operation]
    examples: Sequence[Example]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All capabilities, in order of their names. There is one in a process, equal only to itself."""

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
    *,
    apis: Sequence[Api],
    scopes: Sequence[str],
    read_only: bool,
    open_world: bool,
    destructive: bool = False,
    title: str | None = None,
) -> Callable[[Callable[..., Awaitable[BaseModel]]], Operation]:
    """Publish an async function: `async def name(web: Web, …typed, described parameters…) -> Published`.

    `title` is the name for people; without it, the function's name is read as words.

    Raises:
        CapabilityFault: while the file is imported; the message names the file and the fault.
    """

    def publish(function: Callable[..., Awaitable[BaseModel]]) -> Operation:
        where = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}: {function.__name__}"
        hints = signature.annotations(where, function)
        return Operation(
            name=function.__name__,
            title=title or function.__name__.replace("_", " ").capitalize(),
            description=signature.first_line(where, function.__doc__),
            arguments=signature.arguments(where, function, hints, outside=Web),
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
        description = signature.first_line(str(module.__file__), module.__doc__)
        capabilities.append(Capability(operations[0].capability, description, tuple(operations), _examples(module)))
    return Catalogue(tuple(capabilities))


def lean(schema: Any) -> Any:
    """A JSON Schema without what pydantic adds and nobody needs, titles made of names and defaults of null: they cost every model tokens."""
    if isinstance(schema, list):
        return [lean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    noise = {"title": isinstance(schema.get("title"), str), "default": schema.get("default", "") is None}
    return {name: lean(value) for name, value in schema.items() if not noise.get(name)}


def _examples(module: ModuleType) -> Sequence[Example]:
    """The file's EXAMPLES, where it has some; their arguments are what the operations take."""
    examples: Sequence[Example] = getattr(module, "EXAMPLES", ())
    for example in examples:
        if example.operation:
            try:
                strict_json.read(example.operation.arguments, json.dumps(example.arguments))
            except CantileverError as error:
                raise CapabilityFault(f"{module.__file__}: the example {example.prompt!r} cannot be called so: {error.message}") from error
    return tuple(examples)
