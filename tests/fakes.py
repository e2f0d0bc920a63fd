"""Stand-ins for what lies outside core, named by how they behave. Each is an implementation of the protocol that it stands for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from functions.adapters.html_text import text_of
from functions.core.capability import Api, Operation, Query
from functions.core.deadline import Deadline
from functions.core.documents import Document, Documents, Key, Snapshot, Write
from functions.core.errors import CantileverError, StoreUnavailable
from functions.core.model import Message, Reply, Tool

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
"""When it is in a canned world."""

Scripted = Reply | CantileverError | float
"""What a scripted model does when it is asked: reply, fail, or wait so many seconds and go on to the next."""


class ScriptedModel:
    """A model that does what its script says, and keeps what it was asked."""

    def __init__(self, *script: Scripted) -> None:
        self.script = list(script)
        self.asked: list[Sequence[Message]] = []
        self.might_call: list[bool] = []

    async def reply(self, messages: Sequence[Message], tools: Sequence[Tool], deadline: Deadline, *, may_call: bool = True) -> Reply:
        self.asked.append(list(messages))
        self.might_call.append(may_call)
        step = self.script.pop(0)
        while isinstance(step, float):
            await asyncio.sleep(step)
            step = self.script.pop(0)
        if isinstance(step, CantileverError):
            raise step
        return step


class SilentModel:
    """A model that never answers."""

    async def reply(self, messages: Sequence[Message], tools: Sequence[Tool], deadline: Deadline, *, may_call: bool = True) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError("Nobody sets that event.")


class CannedWeb:
    """An outside world with one answer for each path, or an error that it raises there."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []

    async def get(self, api: Api, path: str, **query: Query) -> Any:
        return self._answered(api, path, query)

    async def post(self, api: Api, path: str, body: Mapping[str, Any]) -> Any:
        return self._answered(api, path, body)

    def text(self, html: str) -> str:
        return text_of(html)

    def now(self) -> datetime:
        return NOW

    def _answered(self, api: Api, path: str, told: Mapping[str, Any]) -> Any:
        self.asked.append((api.name, path, told))
        answer = self.answers[path]
        if isinstance(answer, CantileverError):
            raise answer
        return answer


class Everything:
    """The access of a user who allowed everything."""

    links = ("https://plugin.example.com/oauth/allow?client_id=c-1&capability=",)

    async def require(self, operation: Operation, deadline: Deadline) -> None:
        pass

    async def allowed(self, operations: Sequence[Operation], deadline: Deadline) -> Sequence[Operation]:
        return operations

    async def token(self, deadline: Deadline, *, refused: str | None = None) -> str:
        return "ya29.of-everybody"


class Published:
    """A topic that keeps what is published, or fails."""

    def __init__(self, *failures: CantileverError) -> None:
        self.failures = list(failures)
        self.texts: list[str] = []

    async def publish(self, text: str, deadline: Deadline) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.texts.append(text)


class Distant:
    """A store that takes so many seconds for everything."""

    def __init__(self, documents: Documents, seconds: float) -> None:
        self.documents = documents
        self.seconds = seconds

    async def get(self, keys: Sequence[Key], deadline: Deadline) -> Snapshot:
        await asyncio.sleep(self.seconds)
        return await self.documents.get(keys, deadline)

    async def list(self, collection: str, parent: str, *, after: str = "", limit: int, deadline: Deadline) -> Sequence[Document]:
        await asyncio.sleep(self.seconds)
        return await self.documents.list(collection, parent, after=after, limit=limit, deadline=deadline)

    async def expired(self, collection: str, before: datetime, *, limit: int, deadline: Deadline) -> Sequence[Document]:
        await asyncio.sleep(self.seconds)
        return await self.documents.expired(collection, before, limit=limit, deadline=deadline)

    async def commit(self, writes: Sequence[Write], deadline: Deadline) -> None:
        await asyncio.sleep(self.seconds)
        await self.documents.commit(writes, deadline)


class Meddling:
    """A store that lets a test act just before each of the first commits, and may lose acknowledgements or refuse to write."""

    def __init__(
        self,
        documents: Documents,
        *,
        before: Iterable[Callable[[], Awaitable[object]]] = (),
        lose_acknowledgements: int = 0,
        refuse_writes: bool = False,
    ) -> None:
        self.documents = documents
        self.before = list(before)
        self.lose_acknowledgements = lose_acknowledgements
        self.refuse_writes = refuse_writes
        self.commits: list[Sequence[Write]] = []
        self.calls: list[tuple[str, Sequence[Key]]] = []
        """Every get and every commit, with its documents."""

    async def get(self, keys: Sequence[Key], deadline: Deadline) -> Snapshot:
        self.calls.append(("get", keys))
        return await self.documents.get(keys, deadline)

    async def list(self, collection: str, parent: str, *, after: str = "", limit: int, deadline: Deadline) -> Sequence[Document]:
        return await self.documents.list(collection, parent, after=after, limit=limit, deadline=deadline)

    async def expired(self, collection: str, before: datetime, *, limit: int, deadline: Deadline) -> Sequence[Document]:
        return await self.documents.expired(collection, before, limit=limit, deadline=deadline)

    async def commit(self, writes: Sequence[Write], deadline: Deadline) -> None:
        if self.before:
            await self.before.pop(0)()
        self.commits.append(writes)
        self.calls.append(("commit", [write.key for write in writes]))
        if self.refuse_writes:
            raise StoreUnavailable("The disk is full.")
        await self.documents.commit(writes, deadline)
        if self.lose_acknowledgements:
            self.lose_acknowledgements -= 1
            raise StoreUnavailable("The connection broke.")
