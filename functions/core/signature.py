"""What of a typed async function may be published: its name, its words, its parameters. What may not, stops the import with a reason."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo

from functions.core.errors import CapabilityFault

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""What OpenAI accepts as a function's name (wire.md 2.1), less capitals and dashes: it is also a Python name."""

MAX_DESCRIPTION = 300  # characters of an endpoint, https://developers.openai.com/api/docs/actions/production
MAX_PARAMETER_DESCRIPTION = 700  # characters, same page


def first_line(where: str, docstring: str | None) -> str:
    """What people and models read of a docstring."""
    first = (docstring or "").strip().partition("\n")[0].strip()
    if not first:
        raise CapabilityFault(f"{where} has no docstring: its first line is what people and models read.")
    if len(first) > MAX_DESCRIPTION:
        raise CapabilityFault(f"{where}: the docstring's first line has {len(first)} characters; ChatGPT reads {MAX_DESCRIPTION}.")
    return first


@dataclass(frozen=True, slots=True)
class Signature:
    """What is published of a function's signature."""

    where: str
    """File, line and name, for whoever has to correct it."""
    arguments: type[BaseModel]
    result: type[BaseModel]


def of(function: Callable[..., Any], *, outside: type) -> Signature:
    """The signature of a function that may be published; `outside` is the type of its first parameter."""
    where = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}: {function.__name__}"
    hints = _annotations(where, function)
    return Signature(where, _arguments(where, function, hints, outside), hints["return"])


def _annotations(where: str, function: Callable[..., Any]) -> Mapping[str, Any]:
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
    if not (isinstance(result, type) and issubclass(result, BaseModel)) or issubclass(result, RootModel):
        raise CapabilityFault(f"{where} does not say what it returns: annotate a model with fields (a subclass of Published).")
    return hints


def _arguments(where: str, function: Callable[..., Any], hints: Mapping[str, Any], outside: type) -> type[BaseModel]:
    """The model of what is published of a signature: every parameter but the first, which is the outside world."""
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or hints.get(parameters[0].name) is not outside:
        raise CapabilityFault(f"{where}: its first parameter is the outside world; write `web: {outside.__name__}`.")
    fields: dict[str, Any] = {
        parameter.name: (_kind(where, parameter, hints), ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters[1:]
    }
    title = "".join(word.capitalize() for word in function.__name__.split("_")) + "Arguments"
    return create_model(title, __config__=ConfigDict(extra="forbid", frozen=True, defer_build=True), **fields)


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
