"""P6: what a turn asks of its store, however long the conversation is: `python -m tests.bench P6`."""

import asyncio
import contextlib
import secrets
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from functions.adapters.firestore import FirestoreDocuments
from functions.adapters.sqlite import SqliteDocuments
from functions.core.deadline import Deadline
from functions.core.documents import Documents
from functions.core.model import Message, Reply, Tool
from functions.core.question import Done, Question
from tests import conversations, emulators
from tests.bench import counting
from tests.bench.report import Section, Verdict

LENGTHS = (10, 1_000, 10_000)
QUESTION, ANSWER = "q" * 200, "a" * 200

METHOD = """Turns run in this process against the real adapters, with a model that answers at once; question and answer have 200 characters each and
the buffer its default limits. Behind each length one more turn is run and counted: round trips, documents and bytes of their bodies at `Documents`;
RPCs and message bytes at a gRPC door in front of Google's emulator; SQLite's statements by its own trace."""

Count = Callable[[], Counter[str]]


class Echo:
    """A model that answers at once."""

    async def reply(self, messages: Sequence[Message], tools: Sequence[Tool], deadline: Deadline, *, may_call: bool = True) -> Reply:
        return Reply(ANSWER, "stop")


async def measure(lengths: Sequence[int] = LENGTHS) -> Section:
    """Count on both stores."""
    found = {"SQLite": await on_sqlite(lengths)}
    with contextlib.suppress(emulators.Missing), emulators.firestore() as address:
        found["Firestore emulator"] = await on_firestore(lengths, address)
    rows = [
        (store, f"{length:,}", *(str(turn[name]) for name in NAMES), ", ".join(f"{n} {name}" for name, n in wire(turn).items()))
        for store, turns in found.items()
        for length, turn in zip(lengths, turns, strict=True)
    ]
    verdicts = [_verdict(store, turns) for store, turns in found.items()]
    return Section("P6: what a turn asks of its store", METHOD, ("store", "turns behind it", *NAMES, "on the wire"), rows, verdicts)


NAMES = ("reads", "documents read", "bytes read", "commits", "writes", "bytes written")


def wire(turn: Counter[str]) -> dict[str, int]:
    """What was counted below `Documents`."""
    return {name: count for name, count in turn.items() if name not in NAMES}


async def on_sqlite(lengths: Sequence[int]) -> list[Counter[str]]:
    """One turn's counts at each length."""
    with tempfile.TemporaryDirectory() as folder:
        documents = SqliteDocuments(Path(folder) / "bench.db")
        try:
            return await _counts(documents, documents, await counting.statements(documents), lengths)
        finally:
            await documents.close()


async def on_firestore(lengths: Sequence[int], emulator: str) -> list[Counter[str]]:
    """One turn's counts at each length."""
    project = f"demo-{secrets.token_hex(4)}"
    async with counting.rpcs(emulator) as (door, counts), _firestore(emulator, project) as direct, _firestore(door, project) as counted:
        return await _counts(direct, counted, counts, lengths)


@contextlib.asynccontextmanager
async def _firestore(address: str, project: str) -> AsyncIterator[FirestoreDocuments]:
    documents = FirestoreDocuments(project, emulator_host=address)
    try:
        yield documents
    finally:
        await documents.close()


async def _counts(direct: Documents, counted: Documents, below: Counter[str], lengths: Sequence[int]) -> list[Counter[str]]:
    """Let a conversation grow over `direct`; at each length run one turn over `counted`."""
    at_protocol = counting.Counted(counted)
    found, behind = [], 0
    for length in lengths:
        for _ in range(length - behind):
            await turn(direct)
        at_protocol.counts.clear()
        below.clear()
        await turn(at_protocol)
        found.append(Counter(at_protocol.counts) + Counter(below))
        behind = length + 1
    return found


async def turn(documents: Documents) -> None:
    """One turn of one conversation."""
    turns = conversations.turns(documents, Echo())
    done = await turns.run(Question("", "bench", QUESTION, "any"), Deadline.after(10, asyncio.get_running_loop().time))
    assert isinstance(done, Done)


def _verdict(store: str, turns: Sequence[Counter[str]]) -> Verdict:
    first, last = turns[0], turns[-1]
    told = (
        f"{last['reads']} read, {last['commits']} commit of {last['writes']} writes, {last['bytes written']:,} bytes, at every length alike"
    )
    full = turns[1:]  # The buffer is full from 20 turns on; only its numbers grow by a digit.
    alike = all((turn["reads"], turn["commits"], turn["writes"]) == (1, 1, 2) for turn in turns)
    flat = max(turn["bytes written"] for turn in full) - min(turn["bytes written"] for turn in full) < 16
    met = alike and flat and "lists" not in first + last
    return Verdict("P6", f"{store}: 1 batched read and 1 commit of <= 2 writes, independent of length", told if met else "see below", met)
