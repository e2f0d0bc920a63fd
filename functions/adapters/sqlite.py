"""Documents in one SQLite file: the embedded default, for the local world and for a single machine.

The event loop never waits for the file. Reads and writes each have a lane: one thread with one connection. What arrives while a lane
works is done in its next round, so that a thread's hop and a transaction are shared by everybody who waits (tests/bench/stores.py).
"""

import asyncio
import json
import os
import random
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, ANY, Conflict, Delete, Document, Key, Place, Put, Snapshot, Version
from functions.core.errors import StoreUnavailable

T = TypeVar("T")

SWEEP_EVERY = timedelta(hours=1)
SWEEP_AFTER = timedelta(days=1)
"""Firestore deletes "typically within 24 hours" after expiry (https://firebase.google.com/docs/firestore/ttl); both stores are late alike."""
SWEEP_AT_MOST = 100  # documents in one write, whose caller waits for it; the next write goes on

# WAL with NORMAL loses nothing when a process dies, only the last moments when the machine does (https://www.sqlite.org/wal.html).
# A table with a rowid: bodies of 9 kB cost twice the time WITHOUT ROWID. `body` is last so that sweeping never reads one.
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    expires_at TEXT,
    parent TEXT,
    position TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (collection, id)
);
CREATE INDEX IF NOT EXISTS documents_by_place ON documents (collection, parent, position) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS documents_by_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL;
"""
# One statement sees one moment. SQLite would scan the whole table for `(collection, id) IN (VALUES …)`; this join uses the key.
GET = """
SELECT d.collection, d.id, d.version, d.updated_at, d.parent, d.position, d.body FROM json_each(?) AS wanted
JOIN documents AS d ON d.collection = json_extract(wanted.value, '$[0]') AND d.id = json_extract(wanted.value, '$[1]')
"""
LIST = """
SELECT collection, id, version, updated_at, parent, position, body FROM documents
WHERE collection = ? AND parent = ? AND position > ? ORDER BY position LIMIT ?
"""
CREATE = """
INSERT INTO documents (version, updated_at, expires_at, parent, position, body, collection, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (collection, id) DO NOTHING
"""
REPLACE = """
INSERT INTO documents (version, updated_at, expires_at, parent, position, body, collection, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (collection, id) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at,
    expires_at = excluded.expires_at, parent = excluded.parent, position = excluded.position, body = excluded.body
"""
UPDATE = """
UPDATE documents SET version = ?, updated_at = ?, expires_at = ?, parent = ?, position = ?, body = ?
WHERE collection = ? AND id = ? AND version = ?
"""
FIND = "SELECT 1 FROM documents WHERE collection = ? AND id = ?"
DELETE = "DELETE FROM documents WHERE collection = ? AND id = ?"
DELETE_VERSION = "DELETE FROM documents WHERE collection = ? AND id = ? AND version = ?"
SWEEP = "DELETE FROM documents WHERE rowid IN (SELECT rowid FROM documents WHERE expires_at < ? LIMIT ?)"


class SqliteDocuments:
    """`Documents` in the file at `path`, which any number of processes of one machine may share. Opened on first use, after the fork."""

    def __init__(self, path: Path) -> None:
        self._reads = _Lane(path, _read)
        self._writes = _Lane(path, self._write)
        self._sweep_due = 0.0

    async def get(self, keys: Sequence[Key], deadline: Deadline) -> Snapshot:
        """See `Documents.get`."""
        return await self._reads.ask(partial(_get, json.dumps([(key.collection, key.id) for key in keys])), deadline)

    async def list(self, collection: str, parent: str, *, after: str = "", limit: int, deadline: Deadline) -> Sequence[Document]:
        """See `Documents.list`."""
        return await self._reads.ask(partial(_list, (collection, parent, after, limit)), deadline)

    async def commit(self, writes: Sequence[Put | Delete], deadline: Deadline) -> None:
        """See `Documents.commit`."""
        if not await self._writes.ask(partial(_commit, writes), deadline):
            raise Conflict("A document was not as the commit expected it; nothing was written.")

    async def close(self) -> None:
        """Close the file when nobody waits for it; a later use opens it again."""
        await self._reads.close()
        await self._writes.close()

    def _write(self, connection: sqlite3.Connection, jobs: "Sequence[_Job[Any]]", until: float) -> None:
        """Do all jobs in one transaction; none is answered before it is committed."""
        _patiently(partial(connection.execute, "BEGIN IMMEDIATE"), until)
        try:
            self._sweep(connection)
            outcomes = [(job, job.act(connection)) for job in jobs if job.awaited]
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        for job, outcome in outcomes:
            job.outcome = outcome

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Delete what expired long ago, now and then."""
        if time.monotonic() < self._sweep_due:
            return
        swept = connection.execute(SWEEP, (_text(datetime.now(UTC) - SWEEP_AFTER), SWEEP_AT_MOST)).rowcount
        if swept < SWEEP_AT_MOST:
            self._sweep_due = time.monotonic() + SWEEP_EVERY.total_seconds()


@dataclass(slots=True)
class _Job(Generic[T]):
    """One caller's work, done on the lane's thread."""

    act: Callable[[sqlite3.Connection], T]
    until: float
    """When its caller gives up, on the clock of `time.monotonic`: a loop's own clock may stand still while the loop sleeps (uvloop's does)."""
    answer: asyncio.Future[T]
    outcome: T | BaseException

    @property
    def awaited(self) -> bool:
        """Whether its caller is still there to hear what came of it."""
        return not self.answer.cancelled() and time.monotonic() < self.until


class _Lane:
    """One thread with one connection; what arrives while it works is done together in its next round."""

    def __init__(self, path: Path, perform: Callable[[sqlite3.Connection, Sequence[_Job[Any]], float], None]) -> None:
        self._path = path
        self._perform = perform
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._waiting: list[_Job[Any]] = []
        self._working = False
        self._connection: sqlite3.Connection | None = None
        """Touched by the lane's thread alone."""

    async def ask(self, act: Callable[[sqlite3.Connection], T], deadline: Deadline) -> T:
        """What `act` returns on the lane's thread.

        Raises:
            StoreUnavailable: the file failed, or the deadline passed; what had not begun by then is never done.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        late = StoreUnavailable("The document store did not answer in time.")
        self._waiting.append(_Job(act, time.monotonic() + deadline.left(), answer, late))
        if not self._working:
            self._begin_round(answer.get_loop())
        try:
            async with deadline.limit():
                return await answer
        except TimeoutError as error:
            raise late from error

    async def close(self) -> None:
        """Close the connection after the round that is under way."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)

    def _begin_round(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs, self._waiting = self._waiting, []
        self._working = True
        done = self._thread.submit(self._round, jobs)
        done.add_done_callback(lambda done: loop.call_soon_threadsafe(self._end_round, loop, jobs, done))

    def _end_round(self, loop: asyncio.AbstractEventLoop, jobs: Sequence[_Job[Any]], done: Future[None]) -> None:
        self._working = False
        if self._waiting:
            self._begin_round(loop)
        for job in jobs:
            outcome = done.exception() or job.outcome
            if job.answer.done():
                continue
            if isinstance(outcome, BaseException):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(outcome)

    def _round(self, jobs: Sequence[_Job[Any]]) -> None:
        until = max(job.until for job in jobs)
        try:
            if self._connection is None:
                self._connection = _patiently(partial(_open, self._path), until)
            self._perform(self._connection, jobs, until)
        except (sqlite3.Error, OSError) as error:
            for job in jobs:
                job.outcome = StoreUnavailable("The document store failed.")
                job.outcome.__cause__ = error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its side files the mode of this one.
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.executescript(SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _patiently(act: Callable[[], T], until: float) -> T:
    """Do `act`, again and again while another process holds the file, until the moment `until`.

    In place of SQLite's own waiting, which sleeps up to 100 ms at a time and is not used at all while a file is turned to WAL.
    """
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= until:
                raise
        time.sleep(random.uniform(0.001, 0.010))


def _read(connection: sqlite3.Connection, jobs: Sequence[_Job[Any]], until: float) -> None:
    for job in jobs:
        if job.awaited:
            job.outcome = _patiently(partial(job.act, connection), until)


def _get(keys: str, connection: sqlite3.Connection) -> Snapshot:
    read_at = datetime.now(UTC)
    documents = map(_document, connection.execute(GET, (keys,)).fetchall())
    return Snapshot(read_at, {document.key: document for document in documents})


def _list(query: tuple[str, str, str, int], connection: sqlite3.Connection) -> Sequence[Document]:
    return [_document(row) for row in connection.execute(LIST, query).fetchall()]


def _commit(writes: Sequence[Put | Delete], connection: sqlite3.Connection) -> bool:
    """Whether all expectations held and all writes were applied; otherwise none was."""
    connection.execute("SAVEPOINT this_commit")
    applied = all(_put(write, connection) if isinstance(write, Put) else _delete(write, connection) for write in writes)
    if not applied:
        connection.execute("ROLLBACK TO this_commit")
    connection.execute("RELEASE this_commit")
    return applied


def _put(put: Put, connection: sqlite3.Connection) -> bool:
    place = (put.place.parent, put.place.position) if put.place else (None, None)
    expires_at = _text(put.expires_at) if put.expires_at else None
    values = (secrets.token_hex(8), _text(datetime.now(UTC)), expires_at, *place, put.body, put.key.collection, put.key.id)
    if put.expected == ANY:
        return connection.execute(REPLACE, values).rowcount == 1
    if put.expected == ABSENT:
        return connection.execute(CREATE, values).rowcount == 1
    return connection.execute(UPDATE, (*values, put.expected)).rowcount == 1


def _delete(delete: Delete, connection: sqlite3.Connection) -> bool:
    key = (delete.key.collection, delete.key.id)
    if delete.expected == ABSENT:
        return connection.execute(FIND, key).fetchone() is None
    if delete.expected == ANY:
        return connection.execute(DELETE, key).rowcount >= 0
    return connection.execute(DELETE_VERSION, (*key, delete.expected)).rowcount == 1


def _document(row: tuple[str, str, str, str, str | None, str | None, str]) -> Document:
    collection, name, version, updated_at, parent, position, body = row
    place = Place(parent, position) if parent is not None and position is not None else None
    return Document(Key(collection, name), body, Version(version), datetime.fromisoformat(updated_at), place)


def _text(moment: datetime) -> str:
    """A moment as text that sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
