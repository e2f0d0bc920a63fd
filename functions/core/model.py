"""What we ask of a language model: one reply to a list of messages, perhaps with calls to our operations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from functions.core.deadline import Deadline


@dataclass(frozen=True, slots=True)
class System:
    """What the operator says to the model."""

    text: str


@dataclass(frozen=True, slots=True)
class User:
    """What a person said."""

    text: str
    own: bool = True
    """Whether it is known to be the person who asks: what a stranger said whose conversation they go on with counts for no word of theirs."""


@dataclass(frozen=True, slots=True)
class Call:
    """The model asks for an operation. `arguments` is JSON text as the model wrote it: possibly invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Assistant:
    """What the model said before, with the calls it made."""

    text: str
    calls: Sequence[Call] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a call: JSON text."""

    call_id: str
    text: str


Message = System | User | Assistant | Result


@dataclass(frozen=True, slots=True)
class Tool:
    """An operation as the model is told of it; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; zero where it did not say."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, complete: a reply that was cut off in transit is an error, never a Reply.

    `finish` says why the model stopped: `stop` (it was done), `calls` (it waits for results), `length` (it ran into the token limit,
    `text` is a beginning), `content_filter` (its provider withheld the rest), `refusal` (`text` says why it will not).
    """

    text: str
    finish: Literal["stop", "calls", "length", "content_filter", "refusal"]
    calls: Sequence[Call] = ()
    usage: Usage = field(default_factory=Usage)


class Model(Protocol):
    """A language model."""

    async def reply(self, messages: Sequence[Message], tools: Sequence[Tool], deadline: Deadline, *, may_call: bool = True) -> Reply:
        """Ask for one reply; with `may_call` false the tools are described but may not be called.

        Raises:
            Upstream: it failed, was busy, or its answer made no sense, also after the retries that fit the deadline.
            DeadlinePassed: the deadline passed.
            Filtered: its provider refuses the conversation's content.
            Refused: it will not serve us as we are configured (key, quota, model name).
        """
