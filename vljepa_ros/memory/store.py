# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The memory's one writer: segments into SQLite, durable when `write` returns, in a file of bounded size.

Full, it drops the oldest segments in batches; SQLite then fills the freed pages before it asks for new ones, so the file stops
growing. "Oldest" is by order of writing: a stream's clock may jump, its order does not. Knows no stream and no vectors' meaning.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from vljepa_ros.memory.database import StoreError, open_to_write, told
from vljepa_ros.memory.segment import Segment

BATCH = 256  # segments that are dropped together at the most: a transaction that takes a moment
HIGH_WATER = 0.98  # share of the limit above which segments are dropped: the rest is for the write that comes before dropping
LOW_WATER = 0.96  # and down to which, so that not every write has to
VACUUM_PAGES = 256  # pages given back per write, where the limit was lowered: 1 MiB, a moment
DAY_NS = 86_400 * 10**9

COLUMNS = "start_ns, end_ns, epoch, segment, space_id, query, frame_id, vector, text, confidence, familiar, label"
INSERT = f"INSERT INTO segments ({COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS.split(',')))})"
UPDATE = f"UPDATE segments SET {', '.join(f'{name.strip()} = ?' for name in COLUMNS.split(','))} WHERE id = ?"


class SegmentStore:
    """To be used by one thread at a time; `segments`, `bytes` and `dropped` may be read by any."""

    def __init__(self, path: Path | str, max_mib: int = 1024, max_days: float = 0.0) -> None:
        """Open or make the file. Raises StoreError, also where another process writes it."""
        self.path = Path(path).expanduser()
        self.max_bytes = max_mib * 2**20
        self.max_age_ns = round(max_days * DAY_NS)
        self.segments = 0  # in the file
        self.bytes = 0  # of the file, its write-ahead log not counted
        self.dropped: Counter[str] = Counter(size=0, age=0)  # segments, by cause, since it was opened
        self._db: sqlite3.Connection | None = open_to_write(self.path)
        self._lock: TextIO | None = None
        try:
            self._lock = self._claim()
            with told(self.path, "read"):
                self.segments = self._db.execute("SELECT COUNT(*) FROM segments").fetchone()[0]
                self._page = self._db.execute("PRAGMA page_size").fetchone()[0]
                self.bytes = self._pages() * self._page
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The file is whole at any time; closing moves the write-ahead log into it. A second call does nothing."""
        db, self._db = self._db, None
        lock, self._lock = self._lock, None
        try:
            if db is not None:
                db.close()
        finally:
            if lock is not None:
                lock.close()

    def write(self, entries: Sequence[tuple[int | None, Segment]]) -> list[int]:
        """New segments (id None) and new versions of segments written before, all of them or none; their ids.

        They are on disk when this returns. An empty thumbnail leaves the one that is there. Raises StoreError.
        """
        with self._transaction() as db:
            ids = [self._write_one(db, id_, segment) for id_, segment in entries]
        self.segments += sum(id_ is None for id_, _ in entries)
        return ids

    def attach(self, epoch: int, start_ns: int, text: str, confidence: float, familiar: bool, label: str) -> bool:
        """Words for a segment of an earlier run of the node; False where there is no such segment. Raises StoreError."""
        with self._transaction() as db:
            found = db.execute(
                "SELECT id FROM segments WHERE start_ns = ? AND epoch = ? ORDER BY id DESC LIMIT 1", (start_ns, epoch)
            ).fetchone()
            if found is not None:
                db.execute(
                    "UPDATE segments SET text = ?, confidence = ?, familiar = familiar AND ?, label = ? WHERE id = ?",
                    (text, confidence, int(familiar), label, found[0]),
                )
        return found is not None

    def bound(self) -> int:
        """Drop what is beyond the limits, never the newest segment; the highest id that went, 0: none did. Raises StoreError."""
        through = 0
        if self.max_age_ns:
            while (old := self._outdated()) and (last := self._drop(old, "age")):
                through = last
        with told(self.path, "read"):
            used = self._used()
        if used > HIGH_WATER * self.max_bytes:
            while used > LOW_WATER * self.max_bytes and (last := self._drop(self.segments // 64 + 1, "size")):
                through = last
                with told(self.path, "read"):
                    used = self._used()
        with told(self.path, "written"):
            beyond = self._pages() - self.max_bytes // self._page
            if beyond > 0 and self._db.execute("PRAGMA freelist_count").fetchone()[0]:
                # `execute` would stop after the first page: the pragma has a step for each, and no columns to fetch
                self._db.executescript(f"PRAGMA incremental_vacuum({min(beyond, VACUUM_PAGES)})")
            self.bytes = self._pages() * self._page
        return through

    # inside

    def _claim(self) -> TextIO:
        """A lock beside the file: SQLite would let two writers take turns, and neither would know of the other's segments."""
        beside = self.path.with_name(f"{self.path.name}-writer")
        try:
            lock = beside.open("w")
        except OSError as error:
            raise StoreError(beside, f"cannot be made ({error.strerror})", "check the rights of the folder") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise StoreError(self.path, "is written by another process", "give this node another memory.path") from None
        return lock

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        if db is None:
            raise StoreError(self.path, "is closed", "open it again")
        with told(self.path, "written"):
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # SQLite has ended some of them itself, a full disk's for one
                    db.execute("ROLLBACK")
                raise

    @staticmethod
    def _write_one(db: sqlite3.Connection, id_: int | None, segment: Segment) -> int:
        vector = np.ascontiguousarray(segment.vector_D, np.float16).tobytes()
        values = (
            segment.start_ns, segment.end_ns, segment.epoch, segment.segment, segment.space_id, segment.query, segment.frame_id,
            vector, segment.text, float(segment.confidence), int(segment.familiar), segment.label,
        )  # fmt: skip
        if id_ is None:
            id_ = db.execute(INSERT, values).lastrowid
        else:
            db.execute(UPDATE, (*values, id_))
        if segment.thumbnail:
            db.execute("INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", (id_, segment.thumbnail))
        return id_

    def _pages(self) -> int:
        return self._db.execute("PRAGMA page_count").fetchone()[0]

    def _used(self) -> int:
        return (self._pages() - self._db.execute("PRAGMA freelist_count").fetchone()[0]) * self._page

    def _outdated(self) -> int:
        """How many of the oldest segments ended too long before the newest one did."""
        with told(self.path, "read"):
            oldest = [row[0] for row in self._db.execute("SELECT end_ns FROM segments ORDER BY id LIMIT ?", (BATCH,))]
            newest = self._db.execute("SELECT end_ns FROM segments ORDER BY id DESC LIMIT 1").fetchone()
        return next((k for k, end_ns in enumerate(oldest) if end_ns >= newest[0] - self.max_age_ns), len(oldest))

    def _drop(self, count: int, cause: str) -> int:
        """The oldest ones, so many at most; the last one's id, 0 where there is none but the newest."""
        with self._transaction() as db:
            oldest = "SELECT id FROM segments WHERE id < (SELECT MAX(id) FROM segments) ORDER BY id LIMIT ?"
            last = db.execute(f"SELECT MAX(id), COUNT(*) FROM ({oldest})", (min(count, BATCH),)).fetchone()
            if not last[1]:
                return 0
            db.execute("DELETE FROM segments WHERE id <= ?", (last[0],))
            db.execute("DELETE FROM thumbnails WHERE id <= ?", (last[0],))
        self.segments -= last[1]
        self.dropped[cause] += last[1]
        return last[0]
