"""Reading environment variables one by one, so that every fault is told and not only the first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads variables one by one, and keeps what is wrong with each."""

    variables: Mapping[str, str]
    faults: dict[str, str] = field(default_factory=dict)

    def value(self, variable: str, kind: Any) -> Any:
        """The variable as `kind`; None where it is unset or wrong."""
        if not self.variables.get(variable):
            return None
        try:
            return TypeAdapter(kind).validate_python(self.variables[variable])
        except ValidationError as error:
            # Without the value: it may be a key.
            told = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
            self.faults[variable] = told.removeprefix("Value error, ")
            return None


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}
