"""Documents in one SQLite file: the embedded default, for the local world and for a single machine.

The event loop never waits for the file. It reads where that is possible at once: a read of a few pages costs less than a thread's hop.
What would wait, and every write, goes to a lane: one thread with one connection. What arrives while a lane works is done in its next
round, so that the hop and the transaction are shared by everybody who waits (tests/bench/stores.py).
"""

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from functions.adapters.sqlite_lane import Job, Lane, patiently
from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, ANY, Conflict, Delete, Document, Key, Place, Put, Snapshot, Version, Write

T = TypeVar("T")

_MAKING = Lock()
"""Held from opening a new file until it is closed: who finds it made may use it."""

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
EXPIRED = """
SELECT collection, id, version, updated_at, parent, position, body FROM documents
WHERE collection = ? AND expires_at < ? ORDER BY expires_at LIMIT ?
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
        self._path = path
        self._glance: sqlite3.Connection | None = None
        self._reads = Lane(partial(_open, path), _read)
        self._writes = Lane(partial(_open, path), self._write)
        self._sweep_due = 0.0

    async def get(self, keys: Sequence[Key], deadline: Deadline) -> Snapshot:
        """See `Documents.get`."""
        return await self._read(partial(_get, json.dumps([(key.collection, key.id) for key in keys])), deadline)

    async def list(self, collection: str, parent: str, *, after: str = "", limit: int, deadline: Deadline) -> Sequence[Document]:
        """See `Documents.list`."""
        return await self._read(partial(_list, LIST, (collection, parent, after, limit)), deadline)

    async def expired(self, collection: str, before: datetime, *, limit: int, deadline: Deadline) -> Sequence[Document]:
        """See `Documents.expired`."""
        return await self._read(partial(_list, EXPIRED, (collection, _text(before), limit)), deadline)

    async def commit(self, writes: Sequence[Write], deadline: Deadline) -> None:
        """See `Documents.commit`."""
        if not await self._writes.ask(partial(_commit, writes), deadline):
            raise Conflict("A document was not as the commit expected it; nothing was written.")

    async def close(self) -> None:
        """Close the file when nobody waits for it; a later use opens it again."""
        if self._glance is not None:
            self._glance.close()
            self._glance = None
        await self._reads.close()
        await self._writes.close()

    async def _read(self, act: Callable[[sqlite3.Connection], T], deadline: Deadline) -> T:
        """What `act` reads: at once, where nobody holds the file; else on the lane's thread, which waits for it."""
        if deadline.left():
            # What fails here, the lane tells apart: a file that is held by another process, not there yet, or broken.
            with suppress(sqlite3.Error):
                self._glance = self._glance or _glance(self._path)
                return act(self._glance)
        return await self._reads.ask(act, deadline)

    def _write(self, connection: sqlite3.Connection, jobs: Sequence[Job[Any]], until: float) -> None:
        """Do all jobs in one transaction; none is answered before it is committed."""
        patiently(partial(connection.execute, "BEGIN IMMEDIATE"), until)
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


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    _make(path)
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.executescript(SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """An empty file for the owner alone, where there is none; SQLite gives its side files the mode of this one.

    A file that is there is not opened: closing it would release the locks that this process holds on it, SQLite's own among them
    (https://www.sqlite.org/howtocorrupt.html section 2.2), and the next process to
    leave would believe to be the last, and delete the log that we go on writing to.
    """
    with _MAKING, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _glance(path: Path) -> sqlite3.Connection:
    """A connection for the event loop: it neither makes a file nor waits for one. In WAL mode writers do not hold up readers."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None, check_same_thread=False)


def _read(connection: sqlite3.Connection, jobs: Sequence[Job[Any]], until: float) -> None:
    for job in jobs:
        if job.awaited:
            job.outcome = patiently(partial(job.act, connection), until)


def _get(keys: str, connection: sqlite3.Connection) -> Snapshot:
    read_at = datetime.now(UTC)
    return Snapshot(read_at, {document.key: document for document in map(_document, connection.execute(GET, (keys,)).fetchall())})


def _list(query: str, values: Sequence[str | int], connection: sqlite3.Connection) -> Sequence[Document]:
    return list(map(_document, connection.execute(query, values).fetchall()))


def _commit(writes: Sequence[Write], connection: sqlite3.Connection) -> bool:
    """Whether all expectations held and all writes were applied; otherwise none was."""
    connection.execute("SAVEPOINT this_commit")
    applied = all(_apply(write, connection) for write in writes)
    if not applied:
        connection.execute("ROLLBACK TO this_commit")
    connection.execute("RELEASE this_commit")
    return applied


def _apply(write: Write, connection: sqlite3.Connection) -> bool:
    if isinstance(write, Put):
        return _put(write, connection)
    if isinstance(write, Delete):
        return _delete(write, connection)
    return connection.execute(f"{FIND} AND version = ?", (write.key.collection, write.key.id, write.expected)).fetchone() is not None


def _put(put: Put, connection: sqlite3.Connection) -> bool:
    place = (put.place.parent, put.place.position) if put.place else (None, None)
    expires_at = _text(put.expires_at) if put.expires_at else None
    values = (secrets.token_hex(8), _text(datetime.now(UTC)), expires_at, *place, put.body, put.key.collection, put.key.id)
    if put.expected in (ANY, ABSENT):
        return connection.execute(REPLACE if put.expected == ANY else CREATE, values).rowcount == 1
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
