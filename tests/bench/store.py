"""P6: what a turn asks of its store, however long the conversation is: `python -m tests.bench P6`."""

import asyncio
import contextlib
import secrets
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from functions.adapters.firestore import FirestoreDocuments
from functions.adapters.sqlite import SqliteDocuments
from functions.core.access import Accesses, Grants
from functions.core.deadline import Deadline
from functions.core.documents import Documents
from functions.core.model import Message, Reply, Tool
from functions.core.question import Done, Pending, Question
from tests import conversations, emulators
from tests.authorization import ObedientGoogle
from tests.bench import counting, signed_in
from tests.bench.report import Section, Verdict

LENGTHS = (10, 1_000, 10_000)
TIMED = 10
"""How often each kind is timed at each length; the conversation grows meanwhile."""
WARMING = 200
"""Turns before anything: Google's emulator, just started, has Java to compile first, and so the shortest conversation would look dear."""
BUDGET = 0.8
"""Seconds of a turn that is not done in them."""
QUESTION, ANSWER = "q" * 200, "a" * 200

METHOD = f"""Turns run in this process against the real adapters; question and answer have 200 characters each and the buffer its default limits. Each
kind has a conversation of its own, which grows by fast turns with a model that answers at once; one is of somebody who has signed in. Behind
each length one more is run and counted: round trips, documents and bytes of their bodies at `Documents`; RPCs and message bytes at a gRPC door
in front of Google's emulator; SQLite's statements by its own trace. Then {TIMED} more are timed without door and trace, medians: what passed
while the store was awaited, and the processor time of this process, the store's own included where that is SQLite."""

NAMES = ("reads", "documents read", "bytes read", "commits", "writes", "bytes written")


@dataclass(frozen=True)
class Kind:
    """Something that is asked of a conversation, and what it may ask of the store, however long the conversation is."""

    name: str
    run: Callable[[Documents, str], Awaitable[None]]
    """Do it once, on the conversation of this session."""
    budget: Mapping[str, int]
    """What it may ask at most; what is not named, not at all."""
    grow: Callable[[Documents, str], Awaitable[None]]
    """Add a turn to the conversation without waiting for anything."""


@dataclass(frozen=True)
class Cost:
    """What one thing cost."""

    counts: Counter[str]
    store_ms: float
    cpu_ms: float


Costs = Mapping[str, Sequence[Cost]]
"""By the kind's name; one for each length."""


class Echo:
    """A model that answers after a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds

    async def reply(self, messages: Sequence[Message], tools: Sequence[Tool], deadline: Deadline, *, may_call: bool = True) -> Reply:
        if self._seconds:
            await asyncio.sleep(self._seconds)
        return Reply(ANSWER, "stop")


async def turn(documents: Documents, session: str) -> None:
    """One turn that the model answers at once."""
    done = await conversations.turns(documents, Echo()).run(Question("", session, QUESTION, "any"), _within(10))
    assert isinstance(done, Done)


async def pending_turn(documents: Documents, session: str) -> None:
    """One turn that is pending at first, and one poll that waits for it."""
    turns = conversations.turns(documents, Echo(1.1 * BUDGET))
    pending = await turns.run(Question("", session, QUESTION, "any"), _within(BUDGET))
    assert isinstance(pending, Pending)
    assert isinstance(await turns.poll("", session, pending.turn_id, _within(10)), Done)


async def signed_in_turn(documents: Documents, session: str) -> None:
    """The same, asked by somebody who has signed in."""
    person = signed_in.person(0)
    accesses = Accesses(Grants(documents, ObedientGoogle(), signed_in.ISSUER, _now))
    question = Question(person.user, session, QUESTION, "any", bearer=person)
    assert isinstance(await conversations.turns(documents, Echo(), accesses=accesses).run(question, _within(10)), Done)


def _now() -> datetime:
    return datetime.now(UTC)


def _within(seconds: float) -> Deadline:
    return Deadline.after(seconds, asyncio.get_running_loop().time)


KINDS = (
    Kind("fast turn", turn, {"reads": 1, "commits": 1, "writes": 2}, turn),
    # Whether the grant still lives is read together with the conversation: three documents more, no round trip.
    Kind("fast turn, signed in", signed_in_turn, {"reads": 1, "commits": 1, "writes": 2}, signed_in_turn),
    # The attempt reads and writes it as pending; its end reads the head and writes both; the poll reads before it waits and after.
    Kind("pending turn and a poll", pending_turn, {"reads": 4, "commits": 2, "writes": 4}, turn),
)


async def measure(lengths: Sequence[int] = LENGTHS) -> Section:
    """Count and time on both stores."""
    found = {"SQLite": await on_sqlite(lengths)}
    with contextlib.suppress(emulators.Missing), emulators.firestore() as address:
        found["Firestore emulator"] = await on_firestore(lengths, address)
    rows = [
        (store, kind, f"{length:,}", *_figures(cost))
        for store, costs in found.items()
        for kind, of_kind in costs.items()
        for length, cost in zip(lengths, of_kind, strict=True)
    ]
    verdicts = [_verdict(f"{store}, {kind.name}", kind, costs[kind.name]) for store, costs in found.items() for kind in KINDS]
    columns = ("store", "what", "turns behind it", *NAMES, "store ms", "CPU ms", "on the wire")
    return Section("P6: what a turn asks of its store", METHOD, columns, rows, verdicts)


def _figures(cost: Cost) -> Sequence[str]:
    counted = (str(cost.counts[name]) for name in NAMES)
    on_the_wire = ", ".join(f"{n} {name}" for name, n in wire(cost.counts).items())
    return (*counted, f"{cost.store_ms:.2f}", f"{cost.cpu_ms:.2f}", on_the_wire)


def wire(counts: Counter[str]) -> dict[str, int]:
    """What was counted below `Documents`."""
    return {name: count for name, count in counts.items() if name not in NAMES}


async def on_sqlite(lengths: Sequence[int], kinds: Sequence[Kind] = KINDS) -> Costs:
    """What each kind costs at each length."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        direct, counted = SqliteDocuments(path), SqliteDocuments(path)
        try:
            return await _costs(direct, counted, await counting.statements(counted), lengths, kinds)
        finally:
            await direct.close()
            await counted.close()


async def on_firestore(lengths: Sequence[int], emulator: str, kinds: Sequence[Kind] = KINDS) -> Costs:
    """What each kind costs at each length."""
    project = f"demo-{secrets.token_hex(4)}"
    async with counting.rpcs(emulator) as (door, counts), _firestore(emulator, project) as direct, _firestore(door, project) as counted:
        return await _costs(direct, counted, counts, lengths, kinds)


@contextlib.asynccontextmanager
async def _firestore(address: str, project: str) -> AsyncIterator[FirestoreDocuments]:
    documents = FirestoreDocuments(project, emulator_host=address)
    try:
        yield documents
    finally:
        await documents.close()


async def _costs(direct: Documents, counted: Documents, below: Counter[str], lengths: Sequence[int], kinds: Sequence[Kind]) -> Costs:
    """Let a conversation of each kind grow over `direct`; at each length run one thing over `counted`, and time more over `direct`."""
    await signed_in.signed_in(direct, 1)
    await _grow(direct, turn, "first of all", WARMING)
    found: dict[str, list[Cost]] = {kind.name: [] for kind in kinds}
    behind = dict.fromkeys(found, 0)
    for length in lengths:
        await asyncio.gather(*(_grow(direct, kind.grow, kind.name, length - behind[kind.name]) for kind in kinds))
        for kind in kinds:
            counts = await _counted(kind, counted, below)
            found[kind.name].append(Cost(counts, *(await _timed(kind, direct))))
            behind[kind.name] = length + 1 + TIMED
    return found


async def _grow(documents: Documents, one: Callable[[Documents, str], Awaitable[None]], session: str, turns: int) -> None:
    for _ in range(turns):
        await one(documents, session)


async def _counted(kind: Kind, documents: Documents, below: Counter[str]) -> Counter[str]:
    at_protocol = counting.Counted(documents)
    below.clear()
    await kind.run(at_protocol, kind.name)
    return Counter(at_protocol.counts) + Counter(below)


async def _timed(kind: Kind, documents: Documents) -> tuple[float, float]:
    """Milliseconds for which the store was awaited, and of processor time."""
    store_ms, cpu_ms = list[float](), list[float]()
    for _ in range(TIMED):
        timed, cpu = counting.Counted(documents), time.process_time()
        await kind.run(timed, kind.name)
        cpu_ms.append((time.process_time() - cpu) * 1000)
        store_ms.append(timed.seconds * 1000)
    return statistics.median(store_ms), statistics.median(cpu_ms)


def within(budget: Mapping[str, int], counts: Counter[str]) -> bool:
    """Whether round trips and writes keep to a kind's budget."""
    return all(counts[name] <= budget.get(name, 0) for name in ("reads", "lists", "commits", "writes"))


def _verdict(name: str, kind: Kind, costs: Sequence[Cost]) -> Verdict:
    first, last = costs[0], costs[-1]
    asked = ", ".join(f"{what} {most}" for what, most in kind.budget.items())
    told = (
        f"so; {last.counts['bytes read']:,} bytes read, {last.counts['bytes written']:,} written, {last.store_ms:.2f} ms at the store "
        f"where the first has {first.store_ms:.2f}, {last.cpu_ms:.2f} of processor time where it has {first.cpu_ms:.2f}"
    )
    full = [
        cost.counts["bytes read"] + cost.counts["bytes written"] for cost in costs[1:]
    ]  # From 20 turns on only numbers grow, by a digit.
    met = all(within(kind.budget, cost.counts) for cost in costs) and max(full) - min(full) < 32
    return Verdict("P6", f"{name}: at most {asked}, at every length", told if met else "see below", met)
