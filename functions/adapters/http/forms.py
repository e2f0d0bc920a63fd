"""What a form sends: each field once, in the one reading that a browser and we share (https://url.spec.whatwg.org/#urlencoded-parsing)."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from functions.core.errors import Invalid, Malformed

MAX_FORM = 32 * 1024
"""Bytes: the consent page sends back, sealed, what the client asked for: a client_id and a state that may be whole URLs, percent-encoded."""

MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form."""

    fields: Mapping[str, str]
    """Those that may be given once."""
    switches: Mapping[str, frozenset[str]]
    """Those that may be given several times: each value once, for its order says nothing."""

    def __getitem__(self, name: str) -> str:
        """A field that must be there.

        Raises:
            Invalid: it is not.
        """
        if name not in self.fields:
            raise Invalid(f"The form lacks the field {name}.")
        return self.fields[name]


def form_of(body: bytes, several: Collection[str] = ()) -> Form:
    """The form in a body of the type application/x-www-form-urlencoded. Fields in `several` may be given more than once, or not at all.

    Raises:
        Malformed: it is none, or one that another program might read otherwise.
        Invalid: a field is given twice.
    """
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS) if text else []
    except ValueError as error:
        raise Malformed("The body is not a form that everybody reads alike.") from error
    if re.search("%(?![0-9A-Fa-f]{2})", text) or any(_control(part) for pair in pairs for part in pair):
        raise Malformed("The body is not a form that everybody reads alike.")
    single = [(name, value) for name, value in pairs if name not in several]
    if len(dict(single)) != len(single):
        raise Invalid("A field of the form is given twice.")
    return Form(dict(single), {name: frozenset(value for given, value in pairs if given == name) for name in several})


def _control(text: str) -> bool:
    return any(character < " " or character == "\x7f" for character in text)
