# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The best clock and the best threshold, against exhaustive search on small cases."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.evaluation.baselines import (
    best_threshold,
    best_threshold_f1,
    best_threshold_over,
    best_uniform,
    best_uniform_f1,
    best_uniform_over,
    crossings,
)
from vljepa_ros.evaluation.boundaries import pooled, score


def grid(spacing: float, phase: float, duration: float) -> np.ndarray:
    return np.arange(phase, duration + 1e-9, spacing)


def test_regular_boundaries_are_a_clocks_to_have():
    truth = np.arange(3.0, 60.0, 5.0)
    best = best_uniform(truth, 60.0, 1.0)
    assert best.f1 == pytest.approx(1.0)
    assert score(truth, grid(best.spacing_s, best.phase_s, 60.0), 1.0).f1 == pytest.approx(best.f1)


@pytest.mark.parametrize("seed", range(6))
def test_no_clock_on_an_independent_search_is_better(seed):
    rng = np.random.default_rng(seed)
    truth, duration = np.cumsum(rng.uniform(2, 10, 6)), 40.0
    truth = truth[truth < duration]
    best = best_uniform(truth, duration, 1.0)
    assert best.f1 == best_uniform_f1(truth, duration, 1.0)
    tried = max(
        score(truth, grid(spacing, rng.uniform(0, spacing), duration), 1.0).f1 for spacing in rng.uniform(0.4, duration, 6000)
    )
    assert tried - 0.02 <= best.f1
    # and what it claims, it reaches
    assert score(truth, grid(best.spacing_s, best.phase_s, duration), 1.0).f1 == pytest.approx(best.f1, abs=1e-9)


def test_irregular_boundaries_leave_a_clock_behind():
    truth = np.cumsum(np.random.default_rng(3).uniform(2, 10, 9))
    assert 0.4 < best_uniform_f1(truth, 60.0, 1.0) < 0.8


def test_boundaries_closer_than_the_tolerance_get_a_close_clock():
    assert best_uniform_f1(np.arange(0.5, 10, 0.5), 10.0, 1.0) > 0.95


def test_a_still_stream_and_a_single_boundary():
    assert best_uniform_f1([], 60.0, 1.0) == 0.0, "a clock always says something"
    assert best_uniform_f1([17.0], 60.0, 1.0) == 1.0


@pytest.mark.parametrize("duration, tolerance", [(0.0, 1.0), (10.0, 0.0), (-1.0, 1.0)])
def test_impossible_streams_are_named(duration, tolerance):
    with pytest.raises(ValueError, match=str(duration)):
        best_uniform([1.0], duration, tolerance)


def bumps(truth, stamps, before=1.5) -> np.ndarray:
    """A score that is high while something moves: for `before` seconds up to each boundary."""
    return np.array([1.0 if any(b - before <= t <= b for b in truth) else 0.1 for t in stamps])


def test_a_score_that_shows_every_motion_is_perfect_at_its_falling_edge():
    stamps, truth = np.arange(0, 60, 1 / 15), [7.0, 15.0, 29.0, 44.0]
    best = best_threshold(bumps(truth, stamps), stamps, truth, 1.0)
    assert best.f1 == 1.0 and best.edge == "fall" and 0.1 < best.threshold <= 1.0
    assert best_threshold_f1(bumps(truth, stamps, 0.5), stamps, truth, 1.0, min_gap=[0.5, 2.0]) == 1.0


def test_a_score_that_shows_nothing_is_no_better_than_chance():
    rng = np.random.default_rng(0)
    stamps, truth = np.arange(0, 60, 1 / 15), np.cumsum(rng.uniform(2, 10, 9))
    assert best_threshold_f1(rng.random(len(stamps)), stamps, truth, 1.0) < 0.8


def test_the_threshold_is_as_good_as_trying_all_of_them():
    rng = np.random.default_rng(1)
    stamps, truth = np.arange(0, 40, 0.2), np.cumsum(rng.uniform(2, 10, 5))
    scores = bumps(truth, stamps) + rng.random(len(stamps))
    brute = max(score(truth, crossings(scores, stamps, t, 1.0, edge), 1.0).f1 for t in scores for edge in ("rise", "fall"))
    assert best_threshold_f1(scores, stamps, truth, 1.0) == brute


def test_crossings_are_where_motion_begins_and_ends():
    stamps = np.arange(10.0)
    scores = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 0])
    assert crossings(scores, stamps, 0.5, 3.0, "rise") == [1.0, 8.0]
    assert crossings(scores, stamps, 0.5, 3.0, "fall") == [4.0, 8.0]
    assert crossings(scores, stamps, 0.5, 1.5, "rise") == [1.0, 4.0, 8.0]
    assert crossings(scores, stamps, 2.0, 1.0, "rise") == []


def test_scores_must_belong_to_stamps():
    with pytest.raises(ValueError, match="one score per stamp"):
        best_threshold([1.0], [1.0, 2.0], [], 1.0)
    with pytest.raises(ValueError, match="ascend"):
        best_threshold([1.0, 2.0], [2.0, 1.0], [], 1.0)


def test_silence_is_the_best_threshold_on_a_still_stream():
    assert best_threshold(np.random.default_rng(0).random(100), np.arange(100.0), [], 1.0).threshold == float("inf")


def test_one_clock_for_several_streams_is_scored_on_their_pooled_counts():
    rng = np.random.default_rng(5)
    streams = [(np.cumsum(rng.uniform(2, 10, 5)), 30.0 + 10 * i) for i in range(3)]
    best = best_uniform_over(streams, 1.0)
    reached = pooled([score(t, grid(best.spacing_s, best.phase_s, end), 1.0) for t, end in streams])
    assert reached.f1 == pytest.approx(best.f1)
    tried = [(spacing, rng.uniform(0, spacing)) for spacing in rng.uniform(0.5, 50, 3000)]
    assert max(pooled([score(t, grid(*one, end), 1.0) for t, end in streams]).f1 for one in tried) - 0.02 <= best.f1
    assert best.f1 < np.mean([best_uniform_f1(t, end, 1.0) for t, end in streams])
    with pytest.raises(ValueError, match="above 0"):
        best_uniform_over([], 1.0)


def test_one_threshold_for_several_streams_must_serve_all():
    stamps, truths = np.arange(0, 40, 0.1), [[7.0, 15.0, 29.0], [5.0, 21.0]]
    loud, quiet = bumps(truths[0], stamps), 0.01 * bumps(truths[1], stamps)
    assert [best_threshold_f1(loud, stamps, truths[0], 1.0), best_threshold_f1(quiet, stamps, truths[1], 1.0)] == [1.0, 1.0]
    both = best_threshold_over([(loud, stamps, truths[0]), (quiet, stamps, truths[1])], 1.0)
    assert both.f1 == pytest.approx(2 * 3 / (3 + 5)) and both.threshold > 0.1
    same = best_threshold_over([(loud, stamps, truths[0]), (100 * quiet, stamps, truths[1])], 1.0)
    assert same.f1 == 1.0 and same.edge == "fall"
