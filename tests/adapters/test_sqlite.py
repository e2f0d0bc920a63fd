"""What only the SQLite store has to promise: other processes, a locked file, a killed process."""

import asyncio
import contextlib
import os
import random
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.adapters import sqlite
from functions.adapters.sqlite import SqliteDocuments
from functions.core.documents import ANY, Key, Put
from functions.core.errors import StoreUnavailable
from tests.deadlines import soon

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("SQLITE_KILLS", "20"))  # as many as CI can wait for; before a release, hundreds

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(f"PRAGMA locking_mode = {sys.argv[2]}")
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO documents (version, updated_at, body, collection, id) VALUES ('', '', '', 'locks', 'lock')")
print("locked", flush=True)
sys.stdin.read()
"""

LOOK = """
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as connection:
    print(*(row[0] for row in connection.execute("SELECT id FROM documents ORDER BY id")))
"""

WRITE = """
import asyncio, os, sys
from pathlib import Path
from functions.adapters.sqlite import SqliteDocuments
from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, Key, Put

async def write(documents, writer, limit):
    for number in range(limit):
        name = f"{os.getpid()}-{writer}-{number}"
        pair = [Put(Key("left", name), name, ABSENT), Put(Key("right", name), name, ABSENT)]
        await documents.commit(pair, Deadline.after(10, asyncio.get_running_loop().time))
        os.write(1, f"{name}\\n".encode())

async def main(path, writers, limit):
    documents = SqliteDocuments(Path(path))
    await asyncio.gather(*(write(documents, writer, limit) for writer in range(writers)))
    await documents.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""

FORK = """
import asyncio, os, sys
from pathlib import Path
from functions.adapters.sqlite import SqliteDocuments
from functions.core.deadline import Deadline
from functions.core.documents import ABSENT, Key, Put

documents = SqliteDocuments(Path(sys.argv[1]))
child = os.fork()

async def main():
    name = "parent" if child else "child"
    await documents.commit([Put(Key("forks", name), name, ABSENT)], Deadline.after(5, asyncio.get_running_loop().time))
    await documents.close()

asyncio.run(main())
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "documents.db"


@pytest.fixture
async def documents(path: Path) -> AsyncIterator[SqliteDocuments]:
    store = SqliteDocuments(path)
    yield store
    await store.close()


def start(script: str, *arguments: str | int | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})


@contextlib.contextmanager
def locked(path: Path, mode: str = "NORMAL") -> Iterator[None]:
    """The file is locked by another process; in mode EXCLUSIVE for readers too."""
    with start(LOCK, path, mode) as other:
        assert other.stdout
        assert other.stdout.readline() == "locked\n"
        yield
        other.kill()


@contextlib.asynccontextmanager
async def lags() -> AsyncIterator[list[float]]:
    """How much later than asked the event loop came back to a sleeper, in seconds."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.002)
            late.append(time.monotonic() - begun - 0.002)

    watcher = asyncio.create_task(watch())
    yield late
    watcher.cancel()


def put(name: str, expires_at: datetime | None = None) -> Put:
    return Put(Key("things", name), name, ANY, expires_at=expires_at)


async def names(documents: SqliteDocuments, *asked: str) -> set[str]:
    return {key.id for key in (await documents.get([Key("things", name) for name in asked], soon())).documents}


def integrity(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        result: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
        return result


@pytest.mark.parametrize("mode", ["NORMAL", "EXCLUSIVE"])
async def test_the_event_loop_goes_on_while_another_process_holds_the_file(path: Path, documents: SqliteDocuments, mode: str) -> None:
    await documents.commit([put("before")], soon())
    await documents.close()  # The file is opened again while it is locked.

    with locked(path, mode):
        async with lags() as late:
            commits = (documents.commit([put(f"n{n}")], soon(0.5)) for n in range(20))
            gets = (documents.get([Key("things", "before")], soon(0.5)) for _ in range(20))
            outcomes = await asyncio.gather(*commits, *gets, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes[:20]] == [StoreUnavailable] * 20
    assert {type(outcome).__name__ for outcome in outcomes[20:]} == {"NORMAL": {"Snapshot"}, "EXCLUSIVE": {"StoreUnavailable"}}[mode]
    assert len(late) > 50
    assert max(late) < 0.1


async def test_a_locked_file_ends_at_the_deadline_and_what_was_given_up_is_not_written_later(
    path: Path, documents: SqliteDocuments
) -> None:
    await documents.commit([put("before")], soon())

    with locked(path):
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable) as failure:
            await documents.commit([put("given up")], soon(0.3))
        took = time.monotonic() - begun
        async with asyncio.timeout(1):
            await documents.close()  # Its threads have given up too.
    await documents.commit([put("after")], soon())

    assert 0.3 <= took < 0.5
    assert str(path) not in str(failure.value)
    assert await names(documents, "given up", "after") == {"after"}


async def test_who_gave_up_is_left_out_and_who_still_waits_is_served(path: Path, documents: SqliteDocuments) -> None:
    await documents.commit([put("before")], soon())

    with locked(path):
        first = asyncio.create_task(documents.commit([put("first")], soon(0.1)))
        await asyncio.sleep(0)
        impatient = asyncio.create_task(documents.commit([put("impatient")], soon(0.3)))
        patient = asyncio.create_task(documents.commit([put("patient")], soon(5)))
        cancelled = asyncio.create_task(documents.commit([put("cancelled")], soon(5)))
        await asyncio.sleep(0.5)
        cancelled.cancel()
    outcomes = await asyncio.gather(first, impatient, patient, cancelled, return_exceptions=True)

    assert [type(outcome).__name__ for outcome in outcomes] == ["StoreUnavailable", "StoreUnavailable", "NoneType", "CancelledError"]
    assert await names(documents, "first", "impatient", "patient", "cancelled") == {"patient"}


async def test_a_file_that_cannot_be_opened_is_an_unavailable_store_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "secret name"
    path.mkdir()
    documents = SqliteDocuments(path)

    with pytest.raises(StoreUnavailable) as failure:
        await documents.commit([put("one")], soon())
    path.rmdir()
    await documents.commit([put("two")], soon())

    assert "secret name" not in str(failure.value)
    assert await names(documents, "one", "two") == {"two"}
    await documents.close()


async def test_a_file_that_is_no_database_is_an_unavailable_store(path: Path, documents: SqliteDocuments) -> None:
    await asyncio.to_thread(path.write_bytes, b"This is a letter to a friend, not a database. " * 100)

    with pytest.raises(StoreUnavailable):
        await documents.get([Key("things", "one")], soon())


async def test_the_file_is_made_with_its_folders_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "newer" / "documents.db"
    documents = SqliteDocuments(path)
    assert not path.parent.exists()

    await documents.commit([put("one")], soon())

    assert {file.name: stat.filemode(file.stat().st_mode) for file in path.parent.iterdir()} == {
        "documents.db": "-rw-------",
        "documents.db-wal": "-rw-------",
        "documents.db-shm": "-rw-------",
    }
    await documents.close()


async def test_what_expired_long_ago_is_swept_away_by_a_later_write(path: Path, documents: SqliteDocuments) -> None:
    now = datetime.now(UTC)
    await documents.commit([put("long ago", now - timedelta(hours=25)), put("lately", now - timedelta(hours=23)), put("never")], soon())
    assert await names(documents, "long ago", "lately", "never") == {"long ago", "lately", "never"}
    later = SqliteDocuments(path)

    await later.commit([put("late")], soon())

    assert await names(later, "long ago", "lately", "never", "late") == {"lately", "never", "late"}
    await later.close()


async def test_a_long_backlog_is_swept_by_several_writes(path: Path, documents: SqliteDocuments) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    for hundred in range(3):
        await documents.commit([put(f"n{hundred}-{n}", long_ago) for n in range(100)], soon())
    later = SqliteDocuments(path)

    for n in range(4):
        await later.commit([put(f"late {n}")], soon())

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (4,)
    await later.close()


async def test_lists_and_reads_use_the_indexes(path: Path, documents: SqliteDocuments) -> None:
    await documents.commit([put("one")], soon())

    with contextlib.closing(sqlite3.connect(path)) as connection:
        plans = {
            name: " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))
            for name, statement, parameters in [
                ("get", sqlite.GET, ("[]",)),
                ("list", sqlite.LIST, ("", "", "", 1)),
                ("sweep", sqlite.SWEEP, ("", 1)),
            ]
        }

    assert re.fullmatch(r"SCAN wanted.* SEARCH d USING INDEX \S+ \(collection=\? AND id=\?\)", plans["get"])
    assert plans["list"] == "SEARCH documents USING INDEX documents_by_place (collection=? AND parent=? AND position>?)"
    assert "documents_by_expiry (expires_at<?)" in plans["sweep"]


async def test_who_opens_the_file_and_closes_it_takes_nothing_away(path: Path, documents: SqliteDocuments) -> None:
    """Whoever believes to be the last that has the file open deletes its log, and with it what the others write from then on."""

    def look() -> str:
        return start(LOOK, path).communicate(timeout=30)[0].strip()

    assert await names(documents, "first") == set()  # The connection for reading is the first one.
    await documents.commit([put("first")], soon())
    seen = [await asyncio.to_thread(look)]

    await documents.commit([put("second")], soon())

    seen.append(await asyncio.to_thread(look))
    assert seen == ["first", "first second"]
    assert path.with_name(f"{path.name}-wal").exists()


def test_eight_processes_may_open_a_new_file_at_once(path: Path) -> None:
    writers = [start(WRITE, path, 2, 25) for _ in range(8)]

    acknowledged = [name for writer in writers for name in writer.communicate(timeout=60)[0].splitlines()]

    assert [writer.returncode for writer in writers] == [0] * 8
    assert len(set(acknowledged)) == 8 * 2 * 25
    assert integrity(path) == "ok"


def test_a_store_made_before_a_fork_serves_parent_and_child(path: Path) -> None:
    with start(FORK, path) as parent:
        assert parent.wait(timeout=30) == 0

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert sorted(connection.execute("SELECT id FROM documents")) == [("child",), ("parent",)]


def test_no_acknowledged_commit_is_lost_when_the_process_is_killed(path: Path) -> None:
    acknowledged = set()
    for _ in range(KILLS):
        with start(WRITE, path, 8, 1_000_000) as writer:
            assert writer.stdout
            acknowledged.add(writer.stdout.readline().strip())
            time.sleep(random.uniform(0, 0.1))
            writer.send_signal(signal.SIGKILL)
            acknowledged.update(writer.stdout.read().split())

    with contextlib.closing(sqlite3.connect(path)) as connection:
        kept = {
            side: {row[0] for row in connection.execute("SELECT id FROM documents WHERE collection = ?", (side,))}
            for side in ("left", "right")
        }
    assert len(acknowledged) > KILLS
    assert acknowledged <= kept["left"]
    assert kept["left"] == kept["right"]
    assert integrity(path) == "ok"
