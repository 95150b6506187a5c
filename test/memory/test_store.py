# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What was written is there again, whole; the file stays small; a full disk costs nothing that fits later."""
from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_ros.memory import SegmentReader, SegmentStore, StoreError
from vljepa_ros.memory.database import WAL_BYTES

MIB = 2**20


def rows(path: Path, **how: Any) -> dict[int, Any]:
    reader = SegmentReader(path)
    try:
        ids = [int(one) for chunk in reader.vectors() for one in chunk.ids_N]
        return reader.segments(ids, **how)
    finally:
        reader.close()


def assert_same(one: Any, other: Any) -> None:
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b, field.name


def test_every_field_comes_back(segments, vectors, tmp_path):
    path = tmp_path / "new" / "folder" / "memory.sqlite"
    store = SegmentStore(path)
    first, second = segments(vectors(2), label="lamp Ω", thumbnail=b"\xff\xd8 picture", familiar=False)
    ids = store.write([(None, first), (None, second)])
    assert ids == [1, 2] and store.segments == 2
    found = rows(path, thumbnails=True)
    assert_same(found[1], first)
    assert_same(found[2], second)
    assert rows(path)[1].thumbnail == b"", "pictures are read where they are asked for"
    store.close()
    store.close()


def test_a_new_version_takes_the_place_of_the_old_one_and_leaves_its_picture(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite")
    (one,) = segments(vectors(1), thumbnail=b"picture")
    (id_,) = store.write([(None, one)])
    longer = replace(one, end_ns=one.end_ns + 1, text="later words", thumbnail=b"")
    assert store.write([(id_, longer)]) == [id_] and store.segments == 1
    assert_same(rows(store.path, thumbnails=True)[id_], replace(longer, thumbnail=b"picture"))


def test_words_find_a_segment_of_an_earlier_run_by_its_start(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite")
    written = segments(vectors(3))
    store.write([(None, one) for one in written])
    store.close()
    store = SegmentStore(tmp_path / "m.sqlite")
    assert store.attach(0, written[1].start_ns, "the lamp is on", 0.75, False, "lamp")
    assert not store.attach(1, written[1].start_ns, "another epoch", 1.0, True, "")
    assert not store.attach(0, written[1].start_ns + 1, "another time", 1.0, True, "")
    found = rows(store.path)[2]
    assert (found.text, found.confidence, found.familiar, found.label) == ("the lamp is on", 0.75, False, "lamp")


def test_all_of_a_write_or_nothing(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite")
    good, bad = segments(vectors(2))
    with pytest.raises(StoreError, match="m.sqlite: cannot be written"):
        store.write([(None, good), (None, replace(bad, text=None))])
    assert rows(store.path) == {} and store.segments == 0
    assert store.write([(None, good)]) == [1]


def test_the_file_is_wal_and_commits_reach_the_disk(tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite")
    ask = lambda name: store._db.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: E731
    assert (ask("journal_mode"), ask("synchronous"), ask("auto_vacuum")) == ("wal", 2, 2)


def test_a_file_of_bounded_size_keeps_the_newest(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite", max_mib=2)
    picture = np.random.default_rng(0).bytes(6000)
    largest = 0
    for k in range(0, 2000, 4):
        store.write([(None, one) for one in segments(vectors(4, seed=k), first=k, thumbnail=picture)])
        through = store.bound()
        assert not through or through < k + 4
        assert store.bytes <= 2 * MIB
        largest = max(largest, store.path.stat().st_size)
        assert store.path.with_name("m.sqlite-wal").stat().st_size <= WAL_BYTES
    assert 1.8 * MIB < largest <= 2 * MIB, largest
    found = rows(store.path, thumbnails=True)
    assert 150 < len(found) == store.segments == 2000 - store.dropped["size"]
    assert sorted(found) == list(range(2001 - len(found), 2001)), "the newest, without a gap"
    assert all(one.thumbnail == picture for one in found.values())
    assert store._db.execute("SELECT COUNT(*) FROM thumbnails").fetchone()[0] == len(found), "no picture outlives its segment"
    store.close()
    assert SegmentStore(store.path, max_mib=2).segments == len(found)


def test_a_lower_limit_gives_the_disk_back(segments, vectors, tmp_path):
    path = tmp_path / "m.sqlite"
    store = SegmentStore(path, max_mib=8)
    for k in range(0, 600, 100):
        store.write([(None, one) for one in segments(vectors(100, seed=k), first=k, thumbnail=bytes(8000))])
        store.bound()
    store.close()
    assert path.stat().st_size > 4 * MIB
    store = SegmentStore(path, max_mib=1)
    for k in range(600, 620):
        store.write([(None, segments(vectors(1, seed=k), first=k)[0])])
        store.bound()
    store.close()
    assert path.stat().st_size <= MIB


def test_a_write_ahead_log_that_a_reader_has_held_up_is_cut_back(segments, vectors, tmp_path):
    store, beside = SegmentStore(tmp_path / "m.sqlite"), tmp_path / "m.sqlite-wal"
    store.write([(None, segments(vectors(1))[0])])
    held = sqlite3.connect(store.path, isolation_level=None)
    held.execute("BEGIN")
    held.execute("SELECT COUNT(*) FROM segments").fetchone()
    for k in range(20):
        store.write([(None, one) for one in segments(vectors(40, seed=k), first=k * 40 + 1, thumbnail=bytes(20_000))])
    assert beside.stat().st_size > WAL_BYTES, "the reader holds it"
    held.close()
    for k in range(2):
        store.write([(None, segments(vectors(1), first=900 + k)[0])])
        store.bound()
    assert beside.stat().st_size <= WAL_BYTES


def test_age_is_counted_from_the_newest_segment(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite", max_days=1 / 24)
    made = segments(vectors(1000))  # 10 s each
    store.write([(None, one) for one in made])
    assert store.bound() == 1000 - 361
    assert sorted(rows(store.path)) == list(range(640, 1001)) and store.dropped == {"size": 0, "age": 639}
    assert store.bound() == 0


def test_the_newest_segment_stays_whatever_the_limits_say(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite", max_mib=1, max_days=1 / 86400)
    store.write([(None, one) for one in segments(vectors(2), thumbnail=bytes(2 * MIB))])
    store.bound()
    assert sorted(rows(store.path)) == [2]
    assert store.write([(None, segments(vectors(1))[0])]) == [3], "an id is never used twice"


def test_a_full_disk_is_told_and_writing_goes_on_once_there_is_room(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite")
    store._db.execute("PRAGMA max_page_count = 40")
    made = segments(vectors(200), thumbnail=bytes(3000))
    written = []
    with pytest.raises(StoreError, match="m.sqlite: cannot be written .database or disk is full.; free space"):
        for one in made:
            written += store.write([(None, one)])
    assert 10 < len(written) < 100 and sorted(rows(store.path)) == written
    store._db.execute("PRAGMA max_page_count = 100000")
    assert len(store.write([(None, one) for one in made[len(written) :]])) == 200 - len(written)
    assert len(rows(store.path)) == 200


def test_a_second_writer_is_refused_and_readers_are_not(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite")
    store.write([(None, segments(vectors(1))[0])])
    with pytest.raises(StoreError, match="written by another process; give this node another memory.path"):
        SegmentStore(store.path)
    code = f"from vljepa_ros.memory import SegmentReader as R; print(R({str(store.path)!r}).space_ids())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True).stdout
    assert said.strip() == "{'5bace00000000001': 1}"
    store.close()
    SegmentStore(store.path).close()


def test_a_reader_sees_what_was_written_since(segments, vectors, tmp_path):
    store = SegmentStore(tmp_path / "m.sqlite")
    first, second = segments(vectors(2))
    store.write([(None, first)])
    reader = SegmentReader(store.path)
    assert list(reader.segments([1, 2])) == [1]
    walk = reader.vectors()
    next(walk)  # in the middle of reading
    store.write([(None, second)])
    assert list(reader.segments([1, 2])) == [1, 2]


def test_a_copy_on_a_read_only_disk_is_read(segments, vectors, tmp_path):
    """Root may write everywhere, so the folder's rights prove nothing here; SQLite's own read-only way of opening does."""
    store = SegmentStore(tmp_path / "m.sqlite")
    store.write([(None, segments(vectors(1))[0])])
    store.close()
    path = tmp_path / "elsewhere" / "m.sqlite"
    path.parent.mkdir()
    path.write_bytes(store.path.read_bytes())
    assert list(rows(path)) == [1]
    assert sorted(one.name for one in path.parent.iterdir()) in (["m.sqlite"], ["m.sqlite", "m.sqlite-shm", "m.sqlite-wal"])
