# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matching of boundaries against brute force and scipy; scores and delays."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_ros.evaluation.boundaries import BoundaryScore, delays, match, score

times = st.lists(st.integers(0, 60).map(lambda tenth: tenth / 10), max_size=5)


def brute_force(truth, detected, tolerance_s) -> tuple[int, float]:
    """Most pairs, and among those the least distance, over all one-to-one matchings."""
    best = (0, 0.0)
    for size in range(1, min(len(truth), len(detected)) + 1):
        for own in combinations(range(len(truth)), size):
            for other in permutations(range(len(detected)), size):
                distances = [abs(truth[i] - detected[j]) for i, j in zip(own, other)]
                if max(distances) <= tolerance_s + 1e-9:
                    best = max(best, (size, -sum(distances)))
    return best


@settings(max_examples=150, deadline=None)
@given(times, times, st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]))
def test_a_matching_is_one_to_one_within_tolerance_and_the_best_there_is(truth, detected, tolerance_s):
    pairs = match(truth, detected, tolerance_s)
    distances = [abs(truth[i] - detected[j]) for i, j in pairs]
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(one <= tolerance_s + 1e-9 for one in distances)
    count, least = brute_force(truth, detected, tolerance_s)
    assert len(pairs) == count == score(truth, detected, tolerance_s).matched
    assert sum(distances) == pytest.approx(-least, abs=1e-9)
    assert [truth[i] for i, _ in pairs] == sorted(truth[i] for i, _ in pairs)


def test_long_streams_match_as_many_as_maximum_bipartite_matching():
    sparse = pytest.importorskip("scipy.sparse")
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, detected = rng.uniform(0, 100, 40), rng.uniform(0, 100, 50)
        near = np.abs(truth[:, None] - detected[None]) <= 1.0
        most = int((csgraph.maximum_bipartite_matching(sparse.csr_matrix(near)) >= 0).sum())
        assert len(match(truth, detected, 1.0)) == score(truth, detected, 1.0).matched == most


def test_nearest_first_would_lose_a_pair():
    """2.0 is nearest to 2.1, yet only if it goes to 1.2 both find one."""
    assert match([1.2, 2.1], [2.0, 3.0], 1.0) == [(0, 0), (1, 1)]


def test_a_second_detection_of_one_boundary_is_a_false_one():
    got = score([5.0], [4.8, 5.1], 1.0)
    assert (got.precision, got.recall, got.f1) == (0.5, 1.0, pytest.approx(2 / 3))
    assert match([5.0], [4.8, 5.1], 1.0) == [(0, 1)]


def test_the_tolerance_itself_counts():
    assert score([5.0], [6.0], 1.0).f1 == 1.0 and score([0.1 + 0.2], [1.3], 1.0).f1 == 1.0
    assert score([5.0], [6.001], 1.0).f1 == 0.0


def test_nothing_to_find_and_nothing_found_is_perfect_anything_else_is_not():
    assert score([], [], 1.0) == BoundaryScore(0, 0, 0) and score([], [], 1.0).f1 == 1.0
    assert score([], [3.0], 1.0).f1 == 0.0 and score([], [3.0], 1.0).precision == 0.0
    assert score([3.0], [], 1.0).f1 == 0.0 and score([3.0], [], 1.0).recall == 0.0


def test_unsorted_input_keeps_its_indices():
    assert match([9.0, 1.0], [1.2, 9.1], 0.5) == [(1, 0), (0, 1)]


def test_delays_run_from_the_true_boundary_to_the_publication_of_its_detection():
    got = delays([10.0, 20.0, 30.0], [19.5, 10.2, 55.0], [21.0, 11.5, 56.0], 1.0)
    assert got == pytest.approx([1.5, 1.0])
    assert delays([10.0], [10.0], [math.nan], 1.0) == []
    with pytest.raises(ValueError, match="0 for 1"):
        delays([1.0], [1.0], [], 1.0)
