# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The memory's file: made, opened and checked. What is wrong with one is a `StoreError` of one line with the remedy.

SQLite in WAL mode, so that readers (a recall, the command line beside a running robot) never hold up the writer. `synchronous`
is FULL: with NORMAL, WAL commits reach the disk only at the next checkpoint, and a power cut takes back what was acknowledged. A
commit then costs one fsync, and there are a few per minute. Auto-vacuum is incremental, which must be said before the first
table: a file whose limit was lowered can give pages back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APPLICATION_ID = 0x564C4A4D  # "VLJM"
SCHEMA_VERSION = 1
MAGIC = b"SQLite format 3\0"
BUSY_S = 5.0  # how long a lock of somebody else is waited for
WAL_PAGES = 256  # pages in the write-ahead log after which it is moved into the file: 1 MiB
WAL_BYTES = 4 * 2**20  # it is cut back to this where a reader has held that up

SCHEMA = """
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    space_id TEXT NOT NULL,
    query TEXT NOT NULL,
    frame_id TEXT NOT NULL,
    vector BLOB NOT NULL,
    text TEXT NOT NULL,
    confidence REAL NOT NULL,
    familiar INTEGER NOT NULL,
    label TEXT NOT NULL
);
CREATE INDEX segments_by_time ON segments (start_ns);
CREATE TABLE thumbnails (id INTEGER PRIMARY KEY, jpeg BLOB NOT NULL);
"""  # ids are never used twice, so their order is the stream's; pictures lie apart, so that vectors are read without them

MOVE_AWAY = "move it away and a new memory is begun, or rescue what is in it with the sqlite3 command's .recover"


class StoreError(Exception):
    """The memory cannot be read or written; the message is one line that names the file and what to do."""

    def __init__(self, path: Path | str, problem: str, remedy: str) -> None:
        super().__init__(" ".join(f"{path}: {problem}; {remedy}".split()))


@contextmanager
def told(path: Path, doing: str) -> Iterator[None]:
    """What SQLite raises, as a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # absent where Python itself raised
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreError(path, f"is damaged ({error})", MOVE_AWAY) from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreError(path, f"cannot be {doing} ({error})", "free space on that disk, or lower memory.max_mib") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(path, f"cannot be {doing} ({error})", "end the other program that writes it") from error
        raise StoreError(path, f"cannot be {doing} ({error})", "check the disk, and the rights of file and folder") from error


def open_to_write(path: Path) -> sqlite3.Connection:
    """The file, made where it is missing. To be used by one thread at a time. Raises StoreError; never writes over a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(path, f"its folder cannot be made ({error.strerror})", "choose another memory.path") from error
    _check_head(path, missing_is_fine=True)
    with told(path, "opened"):
        db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        with told(path, "opened"):
            _identify(db, path, make=True)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    except BaseException:
        db.close()
        raise
    return db


def open_to_read(path: Path) -> sqlite3.Connection:
    """The file as it is, also while somebody writes it. To be used by one thread at a time. Raises StoreError."""
    _check_head(path, missing_is_fine=False)
    # A file in WAL mode is read through its -wal and -shm. Where they are not there and cannot be made (a read-only disk, a
    # copy of somebody else's), nobody is writing either, and the file alone is the whole.
    for option in ("mode=ro", "mode=ro&immutable=1"):
        db = None
        try:
            with told(path, "read"):
                uri = f"{path.absolute().as_uri()}?{option}"
                db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
                _identify(db, path, make=False)
            return db
        except StoreError as error:
            if db is not None:
                db.close()
            cause = getattr(error.__cause__, "sqlite_errorcode", None)
            beside = path.with_name(f"{path.name}-wal")
            if option != "mode=ro" or cause not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or beside.exists():
                raise
    raise AssertionError("unreachable")


def _check_head(path: Path, missing_is_fine: bool) -> None:
    """Before SQLite touches it: it takes an empty file for a new database, and a text file for a damaged one."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except FileNotFoundError:
        if missing_is_fine:
            return
        raise StoreError(path, "no such file", "give the file that the memory node writes (its parameter memory.path)") from None
    except OSError as error:
        raise StoreError(path, f"cannot be read ({error.strerror})", "check the path and its rights") from error
    if head != MAGIC and not (missing_is_fine and not head):  # empty: a memory node was killed while making it
        raise StoreError(path, "is no SQLite database", "give another path, or move it away and a new memory is begun")


def _identify(db: sqlite3.Connection, path: Path, make: bool) -> None:
    """Make the tables of a file that has none; refuse what is not ours."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if not tables and not application:
        if not make:
            raise StoreError(path, "holds nothing yet", "wait until the memory node has written to it")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
        return
    if application != APPLICATION_ID:
        raise StoreError(path, "is another program's database", "give the memory a path of its own")
    if version != SCHEMA_VERSION:
        raise StoreError(
            path, f"has schema version {version}, this vljepa_ros knows {SCHEMA_VERSION}",
            "use the vljepa_ros that wrote it, or move it away and a new memory is begun",
        )  # fmt: skip
