"""One strict reading of JSON for everything that arrives: request bodies and what a model writes as arguments.

JSON as RFC 8259 wants it, and narrower where readers disagree (RFC 8259 §4, §6, §8): UTF-8 without a byte order mark, no repeated
names, no NaN or Infinity, integers of 64 bits, at most 32 levels, no U+0000 and no lone surrogates in text.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from functions.core.errors import Invalid, Malformed

MAX_DEPTH = 32
"""Deeper than any of our schemas by far; shallow enough for every reader behind us."""

MAX_INT = 2**63
"""Firestore, SQLite and most JSON readers hold integers in 64 bits."""

M = TypeVar("M", bound=BaseModel)


def loads(raw: bytes | str) -> Any:
    """The value that `raw` spells.

    Raises:
        Malformed: it is not JSON as described above; the message says where or why, and quotes nothing.
    """
    try:
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise Malformed("The body is not UTF-8.") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"Not JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except RecursionError as error:
        raise Malformed(f"JSON nested deeper than {MAX_DEPTH} levels.") from error
    for string in _strings(value):
        if "\0" in string:
            raise Malformed("JSON text may not hold U+0000.")
        if any("\ud800" <= character <= "\udfff" for character in string):
            raise Malformed("JSON text may not hold a lone surrogate.")
    return value


def read(model: type[M], raw: bytes | str) -> M:
    """A `model` from JSON, with no guessing: "3" is not 3, and an unknown name is a fault.

    Raises:
        Malformed: it is not JSON.
        Invalid: it is JSON of another shape; the message names every fault, and quotes no value.
    """
    loads(raw)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise Invalid(faults(error)) from error


def faults(error: ValidationError) -> str:
    """Every fault of a validation in one sentence each, without the values, which may be private."""
    return " ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'The body'}: {fault['msg'].rstrip('.')}."
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("A JSON object repeats a name.")
    return found


def _integer(digits: str) -> int:
    # The length first: int() of 5,000 digits raises, and of 4,000 is slow.
    if len(digits) > 20 or not -MAX_INT <= (value := int(digits)) < MAX_INT:
        raise Malformed("A JSON integer is beyond 64 bits.")
    return value


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Malformed("A JSON number is too large.")
    return value


def _constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON.")


def _strings(value: Any) -> Iterator[str]:
    """Every name and text in `value`; without recursion, so that depth is counted and not suffered."""
    waiting = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, (dict, list)):
            if depth > MAX_DEPTH:
                raise Malformed(f"JSON nested deeper than {MAX_DEPTH} levels.")
            if isinstance(item, dict):
                yield from item
            waiting.extend((child, depth + 1) for child in (item.values() if isinstance(item, dict) else item))
