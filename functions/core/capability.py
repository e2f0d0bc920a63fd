"""Capabilities and operations: what a developer writes, and everything that is derived from it.

An **operation** is one typed async function. Its name is the tool's name and the operationId, its docstring's first line the
description, its parameters and its result the schemas. A **capability** is the file it stands in and what a person consents to.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict

from functions.core import signature, strict_json
from functions.core.errors import CantileverError, CapabilityFault
from functions.core.model import Tool
from functions.core.outside import ENGLISH, Api, Query, Scope, Web
from functions.core.shape import Shape

__all__ = [
    "CHAT",
    "DELETE_CONVERSATION",
    "FETCH",
    "GET_ANSWER",
    "GET_PROFILE",
    "GET_TRANSCRIPT",
    "RESERVED",
    "SEARCH",
    "Api",
    "Capability",
    "Catalogue",
    "Example",
    "Finder",
    "Operation",
    "Published",
    "Query",
    "Scope",
    "Web",
    "collect",
    "lean",
    "operation",
]

CHAT, GET_ANSWER, GET_TRANSCRIPT, DELETE_CONVERSATION, GET_PROFILE, SEARCH, FETCH = RESERVED = (
    "chat", "get_answer", "get_transcript", "delete_conversation", "get_profile", "search", "fetch",
)  # fmt: skip
"""Our own operations (core/openapi.py, core/mcp_tools.py); no capability may publish one of these names."""


class Published(Shape):
    """A value that goes out: frozen, closed, and a string under a field is that field's description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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
    scopes: Sequence[Scope]
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

    def allows(self, function: Callable[..., Awaitable[BaseModel]]) -> "Operation":
        """Another function of the same file by leave of this one: whoever may run this may run that, with the same scopes and APIs.

        Raises:
            CapabilityFault: while the file is imported; it is of another file, or this one changes something.
        """
        shape = signature.of(function, outside=Web)
        if function.__module__ != self.function.__module__ or not self.read_only:
            raise CapabilityFault(f"{shape.where}: {self.name} cannot allow it: it has to read only, and to stand in the same file.")
        return replace(self, name=function.__name__, arguments=shape.arguments, result=shape.result, function=function)


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
class Finder:
    """How the tools `search` and `fetch` find something in a capability (core/finding.py): the file's FINDER.

    Both functions are written as operations are, and are published by no name of their own; `Operation.allows` makes them.
    """

    finds: str
    """What is found, and by what, for models: "mails by words"."""
    search: Operation
    """`async def search(web: Web, query: Words) -> Sources`, the best first."""
    fetch: Operation
    """`async def fetch(web: Web, name: …, start: Start = 0) -> Part`; `name` is the id of a `Source`, and its type says which there are."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One file of operations, and what a person consents to: its name and the text of its module's docstring."""

    name: str
    description: str
    operations: Sequence[Operation]
    examples: Sequence[Example]
    translations: Mapping[str, str] = field(default_factory=dict)
    """Language -> the description in it: the file's TRANSLATIONS."""
    restricted: bool = False
    """Whether it is off unless the deployment's owner enables it, because of what Google asks of whoever has its scopes: RESTRICTED."""

    titles: Mapping[str, str] = field(default_factory=dict)
    """Language -> its name for people: the file's TITLES; else the file's own name as words."""
    finder: Finder | None = None
    """How something is found in it: FINDER. None: it is not."""

    def title(self, language: str) -> str:
        """Its name for people, in a language, or else in English."""
        return self.titles.get(language) or self.titles.get(ENGLISH) or self.name.replace("_", " ").capitalize()

    @property
    def scopes(self) -> Sequence[Scope]:
        """Every scope that an operation of it names, once."""
        return tuple(dict.fromkeys(scope for operation in self.operations for scope in operation.scopes))

    def text(self, language: str) -> str:
        """What a person consents to, in a language, or else in English."""
        return self.translations.get(language, self.description)


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

    @cached_property
    def finders(self) -> Mapping[str, Finder]:
        """How something is found, by the name of each capability in which it is."""
        return {capability.name: capability.finder for capability in self.capabilities if capability.finder}

    @property
    def read_only(self) -> bool:
        """Whether no operation changes anything."""
        return all(operation.read_only for operation in self.operations.values())

    def enabled(self, names: Collection[str], *, sign_in: bool) -> "Catalogue":
        """What a deployment offers: of the restricted capabilities those among `names`, and where nobody can sign in none that needs it.

        Raises:
            CapabilityFault: a name is none of a restricted capability.
        """
        restricted = [capability.name for capability in self.capabilities if capability.restricted]
        if unknown := sorted(set(names) - set(restricted)):
            raise CapabilityFault(f"No restricted capability is called {unknown[0]}; there are: {', '.join(restricted) or 'none'}.")
        on = [capability for capability in self.capabilities if not capability.restricted or capability.name in names]
        return Catalogue(tuple(capability for capability in on if sign_in or not capability.scopes))


def operation(
    *,
    apis: Sequence[Api],
    scopes: Sequence[Scope],
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
        shape = signature.of(function, outside=Web)
        if bool(scopes) != any(api.google for api in apis):
            raise CapabilityFault(f"{shape.where}: a token goes to an API of Google's, with scopes: name both, or neither.")
        return Operation(
            name=function.__name__,
            title=title or function.__name__.replace("_", " ").capitalize(),
            description=signature.first_line(shape.where, function.__doc__),
            arguments=shape.arguments,
            result=shape.result,
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
        translations, restricted = getattr(module, "TRANSLATIONS", {}), getattr(module, "RESTRICTED", False)
        if ENGLISH in translations:
            raise CapabilityFault(f"{module.__file__}: the English text is the docstring's first line; take it out of TRANSLATIONS.")
        name, titles, finder = operations[0].capability, getattr(module, "TITLES", {}), getattr(module, "FINDER", None)
        capabilities.append(Capability(name, description, tuple(operations), _examples(module), translations, restricted, titles, finder))
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
