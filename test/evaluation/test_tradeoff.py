# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matching against brute force; curves made up so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_ros.evaluation.tradeoff import MATCHINGS, SILENT, at_rate, latest, nearest, reach

TIMES = st.lists(st.integers(0, 200), unique=True, min_size=1, max_size=12).map(sorted)
REFERENCES = st.lists(st.integers(0, 200), max_size=12)


@given(TIMES, REFERENCES)
def test_nearest_is_the_decode_of_least_distance_and_the_earlier_of_two(times, references):
    expected = [int(np.argmin([abs(t - r) for t in times])) for r in references]
    assert nearest(np.array(times, float), np.array(references, float)).tolist() == expected


@given(TIMES, REFERENCES)
def test_latest_is_what_was_said_by_then_and_the_first_words_before(times, references):
    expected = [max([i for i, t in enumerate(times) if t <= r], default=0) for r in references]
    assert latest(np.array(times, float), np.array(references, float)).tolist() == expected


def test_who_never_speaks_is_matched_by_silence():
    for matching in MATCHINGS.values():
        assert matching(np.zeros(0), np.array([1.0, 2.0])).tolist() == [SILENT, SILENT]


def test_words_that_come_late_are_found_by_the_nearest_only():
    assert nearest(np.array([1.0, 5.2]), np.array([5.0])) == [1] and latest(np.array([1.0, 5.2]), np.array([5.0])) == [0]


RATES, SCORES = (1.0, 0.1, 0.01), (6.0, 5.0, 2.0)


def test_between_two_points_the_score_is_linear_in_the_rate_s_logarithm():
    assert at_rate(RATES, SCORES, 0.1) == pytest.approx(5.0)
    assert at_rate(RATES, SCORES, np.sqrt(0.1)) == pytest.approx(5.5)
    assert np.isnan(at_rate(RATES, SCORES, 2.0)) and np.isnan(at_rate(RATES, SCORES, 0.001))
    assert at_rate((1.0, 1.0, 0.1), (4.0, 6.0, 1.0), 1.0) == pytest.approx(5.0), "points of one rate become their mean"


def test_a_score_is_reached_at_the_lowest_rate_that_has_it():
    found = reach(RATES, SCORES, 5.5)
    assert found.rate == pytest.approx(np.sqrt(0.1)) and not found.at_once
    assert reach((0.1, 0.2, 0.4, 0.8), (1.0, 3.0, 2.0, 3.0), 3.0).rate == pytest.approx(0.2)


def test_a_score_that_is_never_reached_has_no_rate_and_one_that_always_is_the_lowest():
    assert reach(RATES, SCORES, 6.01) is None
    assert reach(RATES, SCORES, 1.0).at_once and reach(RATES, SCORES, 1.0).rate == pytest.approx(0.01)


@pytest.mark.parametrize("rates, scores", [((), ()), ((1.0, 0.0), (1.0, 2.0)), ((1.0,), (1.0, 2.0))])
def test_curves_that_are_none_are_named(rates, scores):
    with pytest.raises(ValueError, match="one score per rate"):
        reach(rates, scores, 1.0)
