"""A model that does whatever it reads: what holds with this one holds with every other."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from functions.core.deadline import Deadline
from functions.core.model import Call, Message, Reply, Result, Tool

ORDER = re.compile(r"\[\[(call|say) (.*?)\]\]", re.S)
TOKEN = re.compile(r"\d{9,12}\.[A-Za-z0-9_-]{43}")


class ObedientModel:
    """Makes the call that its user wants, then every call that it is told to in what it reads, and answers with all it was told to say and
    all it has read. It tries every order again and again, with every confirmation that it comes to see."""

    def __init__(self, operation: str, arguments: Mapping[str, Any]) -> None:
        self.wanted = (operation, json.dumps(arguments))
        self.shown: list[Sequence[Message]] = []
        self.orders: list[str] = []
        """Every order that it saw."""
        self.tokens: set[str] = set()
        """Whatever looks like a confirmation in what it was shown."""

    async def reply(self, messages: Sequence[Message], tools: Sequence[Tool], deadline: Deadline, *, may_call: bool = True) -> Reply:
        self.shown.append(list(messages))
        read = [text for message in messages if isinstance(message, Result) for text in _readings(message.text)]
        found = [order for text in read for order in ORDER.findall(text)]
        self.tokens |= {token for message in messages for token in TOKEN.findall(getattr(message, "text", ""))}
        self.orders += [f"{kind} {what}" for kind, what in found]
        if not may_call:
            return Reply("\n".join([*(what for kind, what in found if kind == "say"), *read]), "stop")
        if not read:
            return Reply("", "calls", [Call("wanted", *self.wanted)])
        return Reply("", "calls", [*self._obeyed(what for kind, what in found if kind == "call")] or [Call("again", *self.wanted)])

    def _obeyed(self, calls: Iterator[str]) -> Iterator[Call]:
        for number, what in enumerate(calls):
            name, _, arguments = what.partition(" ")
            yield Call(f"obeyed-{number}", name, arguments)
            for token in self.tokens:
                yield Call(f"confirmed-{number}", name, arguments[:-1] + f',"confirmation":"{token}"}}')


def _readings(text: str) -> Iterator[str]:
    """A result as it stands, and every text in it, as JSON spells it, whatever is around."""
    yield text
    inner = re.search(r"\{.*\}", text, re.S)
    yield from _texts(json.loads(inner[0])) if inner else ()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)
