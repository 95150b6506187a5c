# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL in the middle of writing, twenty times: what was acknowledged is there, whole, and the file opens.

A process that is killed shows that no acknowledged write lives in the process alone. That a power cut takes nothing either rests
on SQLite's `synchronous = FULL`, which test_store.py looks at.
"""
from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.memory import SegmentReader, SegmentStore, VectorIndex

KILLS, WRITES = 20, 10_000
WRITERS_LEAST = 40  # segments of one life that are acknowledged before the signal

DRIVER = """
# Forks a writer for every line on stdin, which the test kills: a fresh process would spend its life on imports.
import os, sys

import numpy as np

from vljepa_ros.memory import Segment, SegmentStore

def tell(*words):
    # One write: what the test reads is whole, and was acknowledged when it was said.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def segment(number):
    rng = np.random.default_rng(number)
    return Segment(
        start_ns=number * 10, end_ns=number * 10 + 10, epoch=0, segment=number, space_id="5bace00000000001",
        vector_D=rng.standard_normal(32).astype(np.float32), text=f"words {number}",
        thumbnail=rng.bytes(int(rng.integers(1, 4000))),
    )

def write(path, first, seed):
    rng = np.random.default_rng(seed)
    store = SegmentStore(path, max_mib=1024)
    tell("open", os.getpid())
    number = first
    while True:
        many = [segment(n) for n in range(number, number + int(rng.integers(1, 30)))]
        ids = store.write([(None, one) for one in many])
        tell("written", number, *ids)
        number += len(many)
        store.bound()

for line in sys.stdin:
    path, first, seed = line.split()
    child = os.fork()
    if not child:
        write(path, int(first), int(seed))
    tell("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def segment_facts(number: int) -> tuple[np.ndarray, str, bytes]:
    """As the driver makes them."""
    rng = np.random.default_rng(number)
    vector_D = rng.standard_normal(32).astype(np.float32)
    return vector_D.astype(np.float16).astype(np.float32), f"words {number}", rng.bytes(int(rng.integers(1, 4000)))


@pytest.mark.timeout(600)  # a quarter of a minute where nothing else runs
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path, rng = tmp_path / "m.sqlite", random.Random(5)
    errors = (tmp_path / "stderr").open("w+")
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    acknowledged: dict[int, int] = {}  # id -> number
    try:
        for life in range(KILLS):
            # the last one goes on until all are written; every other dies at a moment of its own, in a write or between two
            goal = WRITES if life == KILLS - 1 else len(acknowledged) + WRITERS_LEAST + rng.randrange(2 * WRITES // KILLS - 100)
            first = life * 10 * WRITES
            driver.stdin.write(f"{path} {first} {life}\n")
            child, status = 0, None
            while status is None:
                word, *rest = driver.stdout.readline().split() or [f"the driver ended: {Path(errors.name).read_text()}"]
                assert word in ("open", "written", "ended"), word
                if word == "open":
                    child = int(rest[0])
                elif word == "written":  # also what was said while the signal was on its way
                    acknowledged |= {int(id_): int(rest[0]) + k for k, id_ in enumerate(rest[1:])}
                    if len(acknowledged) >= goal:
                        os.kill(child, signal.SIGKILL)
                else:
                    status = int(rest[0])
            assert status == -signal.SIGKILL, Path(errors.name).read_text()
            check(path, acknowledged)
    finally:
        driver.stdin.close()
        driver.kill()
        driver.wait()
        driver.stdout.close()
        errors.close()
    assert len(acknowledged) >= WRITES


def check(path: Path, acknowledged: dict[int, int]) -> None:
    """All of it is there as it was, beside at most one write that was not acknowledged any more."""
    reader = SegmentReader(path)
    found = reader.segments(list(acknowledged), thumbnails=True)
    assert found.keys() == acknowledged.keys()
    newest = sorted(acknowledged)[-600:]  # the others were looked at in the lives before
    for id_ in newest:
        vector_D, text, thumbnail = segment_facts(acknowledged[id_])
        assert np.array_equal(found[id_].vector_D, vector_D) and found[id_].text == text and found[id_].thumbnail == thumbnail
    index = VectorIndex("5bace00000000001", 32)
    index.load(reader.vectors())
    reader.close()
    assert set(acknowledged) <= set(index.view().rows.ids_N.tolist())
    assert len(index) - len(acknowledged) < 30 * KILLS
    store = SegmentStore(path)
    assert store.segments == len(index) and store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()
