# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which rows a step's batch has: every row once in each epoch, the same on any number of ranks."""

from __future__ import annotations

import pytest

from vljepa_training.order import Order
from vljepa_training.ranks import mine


@pytest.mark.parametrize(("rows", "batch"), [(10, 4), (7, 7), (5, 3), (3, 8), (1, 1)])
def test_each_epoch_has_every_row_once(rows, batch):
    order = Order(rows, batch, seed=2)
    seen = [i for step in range(4 * rows) for i in order.at(step)]
    assert len(seen) == 4 * rows * batch
    epochs = [seen[k : k + rows] for k in range(0, len(seen) - rows + 1, rows)]
    assert all(sorted(epoch) == list(range(rows)) for epoch in epochs)
    if rows > 3:
        assert len({tuple(epoch) for epoch in epochs[:4]}) == 4, "an order comes again"


def test_a_batch_may_span_two_epochs():
    order = Order(10, 4, seed=0)
    spanning = order.at(2)  # rows 8 to 11: two of the first epoch, two of the second
    first = [i for step in range(2) for i in order.at(step)] + spanning[:2]
    assert sorted(first) == list(range(10))
    assert not set(spanning[2:]) & {i for step in (3, 4) for i in order.at(step)}


def test_a_step_is_the_same_whoever_asks_and_when():
    one, other = Order(50, 6, seed=3), Order(50, 6, seed=3)
    late = other.at(40)
    assert [one.at(step) for step in range(41)][-1] == late
    assert Order(50, 6, seed=4).at(0) != one.at(0)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_ranks_rebuild_the_global_batch(ranks):
    batch = Order(100, 12, seed=1).at(7)
    parts = [mine(batch, rank, ranks) for rank in range(ranks)]
    assert [i for part in parts for i in part] == batch
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("rows", "batch"), [(0, 1), (1, 0)])
def test_nothing_has_no_order(rows, batch):
    with pytest.raises(ValueError, match=f"got {rows} and {batch}"):
        Order(rows, batch)
