# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How many clips go at once: half after an out-of-memory, carefully back."""
from __future__ import annotations

from vljepa_ros.nodes.batches import GROW_AFTER, BatchSize


def works(size: BatchSize, room: int) -> None:
    if size.now > room:
        size.failed(size.now)
    else:
        size.worked()


def test_it_halves_down_to_one_and_says_how_often() -> None:
    size = BatchSize(8)
    seen = []
    for _ in range(5):
        size.failed(size.now)
        seen.append(size.now)
    assert seen == [4, 2, 1, 1, 1] and size.failures_in_a_row == 5
    size.worked()
    assert size.failures_in_a_row == 0


def test_it_comes_back_where_there_is_room_again() -> None:
    size = BatchSize(4)
    size.failed(4)
    for _ in range(2 * GROW_AFTER):
        size.worked()
    assert size.now == 4
    for _ in range(10 * GROW_AFTER):
        size.worked()
    assert size.now == 4, "and no further"


def test_what_never_fits_is_tried_ever_more_seldom() -> None:
    size, failures = BatchSize(4), []
    for batch in range(200 * GROW_AFTER):
        before = size.now
        works(size, room=3)
        if before > 3:
            failures.append(batch)
    gaps = [later - earlier for earlier, later in zip(failures, failures[1:])]
    assert len(failures) < 30 and gaps[-1] > 4 * gaps[0]


def test_a_smaller_batch_that_fails_halves_what_it_was() -> None:
    size = BatchSize(8)
    size.failed(3)
    assert size.now == 1
