"""One strict reading of JSON for everything that arrives: request bodies and what a model writes as arguments.

JSON as RFC 8259 wants it, and narrower where readers disagree (RFC 8259 §4, §6, §8): UTF-8 without a byte order mark, no repeated
names, no NaN or Infinity, integers of 64 bits, at most 32 levels, no U+0000 and no lone surrogates in text. All of it is bounded, because
one event loop reads for everybody: a hostile megabyte costs it a tenth of a second, not one.
"""

import json
import math
import re
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from functions.core.errors import Invalid, Malformed

MAX_DEPTH = 32
"""Deeper than any of our schemas by far; shallow enough for every reader behind us."""

MAX_INT = 2**63
"""Firestore, SQLite and most JSON readers hold integers in 64 bits."""

MAX_VALUES = 100_000
"""Counted as commas and opening brackets: never too few. Two megabytes of a calendar hold half as many; a document may be a table of 200,000
numbers with commas between them, which is one text."""

MAX_NAMES = 1000
"""Of one object; our largest have twenty. Each unknown one is a fault of its own to pydantic."""

MAX_FAULTS = 10  # that are told, each name in them cut to so many characters:
MAX_FAULT_NAME = 64

M = TypeVar("M", bound=BaseModel)


class TooRich(Malformed):
    """JSON with more in it than we read, and otherwise perhaps without a fault."""


_TEXT = re.compile('"[^"]*"')
"""A string without escapes: `_values` takes those out first, or each quotation mark of a text without an end would be looked at anew."""

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))

_REFUSABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""An escape that may spell U+0000 or a surrogate."""


def loads(raw: bytes | str) -> Any:
    """The value that `raw` spells.

    Raises:
        Malformed: it is not JSON as described above; the message says where or why, and quotes nothing.
    """
    try:
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        if sum(map(text.count, ",[{")) > MAX_VALUES and _values(text) > MAX_VALUES:
            raise TooRich(f"JSON with more than {MAX_VALUES} values.")
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant)
        # Octets without such escapes, and with no more brackets than levels are allowed, can hold nothing that is refused.
        if isinstance(raw, str) or _REFUSABLE.search(text) or text.count("[") + text.count("{") > MAX_DEPTH:
            _check(value)
    except UnicodeDecodeError as error:
        raise Malformed("The body is not UTF-8.") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"Not JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except RecursionError as error:
        raise Malformed(f"JSON nested deeper than {MAX_DEPTH} levels.") from error
    return value


def read(model: type[M], raw: bytes | str) -> M:
    """A `model` from JSON, with no guessing: "3" is not 3, and an unknown name is a fault.

    Raises:
        Malformed: it is not JSON.
        Invalid: it is JSON of another shape; the message names its first faults, and quotes no value.
    """
    return model_of(model, loads(raw))


def model_of(model: type[M], value: Any) -> M:
    """A `model` from what `loads` gave, read as `read` does.

    Raises:
        Invalid: it is of another shape.
    """
    try:
        # Spelled anew, so that no second reader can understand the caller's bytes in another way.
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise Invalid(faults(error)) from error


def faults(error: ValidationError) -> str:
    """The first faults of a validation in one sentence each, without the values, which may be private."""
    told = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]
    return " ".join(
        f"{'.'.join(str(name)[:MAX_FAULT_NAME] for name in fault['loc']) or 'The body'}: {fault['msg'].rstrip('.')}." for fault in told
    )


def _values(text: str) -> int:
    """Commas and opening brackets outside texts."""
    rest = _TEXT.sub("", text.replace("\\\\", "").replace('\\"', ""))
    return sum(map(rest.count, ",[{"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_NAMES:
        raise TooRich(f"A JSON object has more than {MAX_NAMES} names.")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("A JSON object repeats a name.")
    return found


def _integer(digits: str) -> int:
    # The length first: int() of 5,000 digits raises, and of 4,000 is slow.
    if len(digits) > 20 or not -MAX_INT <= (value := int(digits)) < MAX_INT:
        raise Malformed("A JSON integer is beyond 64 bits.")
    return value


def _number(digits: str) -> float | int:
    value = float(digits)
    if not math.isfinite(value):
        raise Malformed("A JSON number is too large.")
    # To JSON Schema 3.0 is an integer (Validation §6.1.1, draft 2020-12), and some writers make every number a float.
    return int(value) if value.is_integer() and -MAX_INT <= value < MAX_INT else value


def _constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON.")


def _check(value: Any) -> None:
    """Refuse texts that readers disagree about, and depth.

    Spelled anew, where each thing can be spelled in one way only: to look at every value one by one would take ten times as long.
    """
    spelled = json.dumps(value, ensure_ascii=False, check_circular=False)
    try:
        spelled.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("JSON text may not hold a lone surrogate.") from error
    if "\\u0000" in spelled.replace("\\\\", ""):
        raise Malformed("JSON text may not hold U+0000.")
    brackets = _STRING.sub("", spelled).encode("ascii").translate(_SQUARE, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")  # The innermost pairs: one level less.
    if brackets:
        raise TooRich(f"JSON nested deeper than {MAX_DEPTH} levels.")
