# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The best split of a span, in seconds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_ros.streaming.ward import best_split, mean, merge_cost, unit

A, B = np.eye(4)[:2]


def split(vectors, seconds=None, after_s=(0.1, 100.0), before_s=100.0, correlation_s=0.0):
    vectors = np.asarray(vectors, float)
    return best_split(
        vectors, np.full(len(vectors), 0.1) if seconds is None else np.asarray(seconds), after_s, before_s, correlation_s
    )


def test_it_parts_two_states_where_they_meet():
    got = split([A] * 7 + [B] * 3)
    assert got.index == 7 and got.seconds == pytest.approx(0.3)
    assert np.allclose(got.before_D, A) and np.allclose(got.after_D, B) and np.allclose(got.way_D, B - A)
    assert got.cost == pytest.approx(0.7 * 0.3 / 1.0 * 2)


def test_sides_are_as_long_as_asked():
    assert split([A] * 7 + [B] * 3, after_s=(0.5, 9.0)).seconds == pytest.approx(0.5)
    assert split([A] * 3 + [B] * 7, after_s=(0.1, 0.4)).seconds <= 0.4 + 1e-6
    assert split([A] * 3, after_s=(0.4, 9.0)) is None and split([A]) is None
    old = split([B] * 5 + [A] * 5 + [B] * 5, after_s=(0.5, 0.5), before_s=0.5)
    assert np.allclose(old.before_D, A), "what lies further back than before_s does not count"


def test_embeddings_weigh_their_seconds():
    got = split([A, B, B], seconds=[1.0, 0.1, 0.3])
    assert got.index == 1 and got.cost == pytest.approx(merge_cost(1.0, 0.4, 2.0, 0.0))
    assert np.allclose(mean(np.array([A, B]), np.array([3.0, 1.0])), 0.75 * A + 0.25 * B)


@given(st.integers(2, 12), st.integers(1, 4), st.floats(0.0, 2.0), st.integers(0, 1000))
def test_no_other_split_costs_more(count, least, correlation_s, seed):
    rng = np.random.default_rng(seed)
    vectors, seconds = rng.normal(size=(count, 3)), rng.uniform(0.05, 0.3, count)
    got = split(vectors, seconds, after_s=(0.1 * least, 1.5), before_s=100.0, correlation_s=correlation_s)
    costs = {}
    for i in range(1, count):
        n, k = seconds[:i].sum(), seconds[i:].sum()
        if 0.1 * least <= k <= 1.5:
            way = mean(vectors[i:], seconds[i:]) - mean(vectors[:i], seconds[:i])
            costs[i] = merge_cost(n, k, way @ way, correlation_s)
    assert (got is None) == (not costs)
    if got is not None:
        assert got.cost == pytest.approx(max(costs.values())) and got.cost == pytest.approx(costs[got.index])


def test_alike_neighbours_tell_little_more_the_longer_they_are():
    long, short = (merge_cost(1e9, k, 1.0, 10.0) for k in (2.0, 1.0))
    assert long / short == pytest.approx(12 / 11) and merge_cost(1e9, 2.0, 1.0, 0.0) == pytest.approx(2.0)


def test_no_direction_stays_none():
    assert unit(np.zeros(3)).tolist() == [0, 0, 0] and unit(np.array([0, 2.0])).dtype == np.float32
