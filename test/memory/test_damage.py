# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files that are none of ours, or were: one line that names the file and the remedy, and the file stays as it is."""
from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.memory import SegmentReader, SegmentStore, StoreError, VectorIndex


def text_file(path: Path) -> None:
    path.write_text("notes of somebody, longer than a header would be\n" * 9)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    db.close()


def foreign_with_id(path: Path) -> None:
    foreign(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id = 77")
    db.close()


def newer(path: Path) -> None:
    SegmentStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def folder(path: Path) -> None:
    path.mkdir()


ALIEN = {
    text_file: "is no SQLite database; give another path",
    foreign: "is another program's database; give the memory a path of its own",
    foreign_with_id: "is another program's database; give the memory a path of its own",
    newer: "has schema version 99, this vljepa_ros knows 1; use the vljepa_ros that wrote it",
    folder: "cannot be read",
}


@pytest.mark.parametrize("make", ALIEN, ids=lambda make: make.__name__)
@pytest.mark.parametrize("open_", [SegmentStore, SegmentReader])
def test_what_is_not_ours_is_refused_and_left_alone(make, open_, tmp_path):
    path = tmp_path / "m.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    for _ in range(2):
        with pytest.raises(StoreError) as raised:
            open_(path)
        said = str(raised.value)
        assert said.startswith(f"{path}: ") and ALIEN[make] in said and "\n" not in said
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_reader_makes_no_file(tmp_path):
    with pytest.raises(StoreError, match="gone.sqlite: no such file; give the file that the memory node writes"):
        SegmentReader(tmp_path / "gone.sqlite")
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(StoreError, match="no SQLite database"):
        SegmentReader(tmp_path / "empty.sqlite")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["empty.sqlite"]


def test_what_was_killed_while_it_was_made_is_made_again(tmp_path):
    path = tmp_path / "m.sqlite"
    path.touch()
    SegmentStore(path).close()
    half = tmp_path / "half.sqlite"
    db = sqlite3.connect(half)
    db.execute("PRAGMA journal_mode = WAL")  # a header, and no table yet
    db.close()
    assert half.stat().st_size > 0
    assert SegmentStore(half).segments == 0


def read_all(path: Path) -> None:
    """What a node does with a file when it is started, and a first write."""
    store = SegmentStore(path)
    try:
        reader = SegmentReader(path)
        try:
            index = VectorIndex("5bace00000000001", 32)
            index.load(reader.vectors())
            reader.segments(index.view().rows.ids_N.tolist(), thumbnails=True)
        finally:
            reader.close()
        store.bound()
    finally:
        store.close()


def test_damage_is_told_wherever_it_is(segments, vectors, tmp_path):
    """A page of the file at a time becomes noise: it is read all the same, or refused in one line, never anything else."""
    path = tmp_path / "whole.sqlite"
    store = SegmentStore(path)
    store.write([(None, one) for one in segments(vectors(300), thumbnail=bytes(5000))])
    store.close()
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    pages = len(whole) // 4096
    for k, page in enumerate([*range(6), *rng.choice(range(6, pages), 24, replace=False)]):
        damaged = tmp_path / f"damaged{k}.sqlite"
        damaged.write_bytes(whole[: page * 4096] + rng.bytes(4096) + whole[(page + 1) * 4096 :])
        before = damaged.read_bytes()
        try:
            read_all(damaged)
        except StoreError as error:
            refused += 1
            assert str(error).startswith(f"{damaged}: ") and "; " in str(error) and "\n" not in str(error)
            assert damaged.read_bytes() == before, "what is damaged is not made worse"
    assert refused >= 5


@pytest.mark.parametrize("share", [0.0005, 0.3, 0.9])
def test_a_truncated_file_is_told(segments, vectors, tmp_path, share):
    path = tmp_path / "m.sqlite"
    store = SegmentStore(path)
    store.write([(None, one) for one in segments(vectors(300), thumbnail=bytes(5000))])
    store.close()
    path.write_bytes(path.read_bytes()[: max(20, int(share * path.stat().st_size))])
    with pytest.raises(StoreError, match=r"m.sqlite: .*; move it away"):
        read_all(path)
