# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The noise of a stream: robust quantiles in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.streaming.noise import RecentQuantile


def quantile_of(values, seconds=0.1, quantile=0.5, memory_s=1000.0) -> float:
    recent = RecentQuantile(quantile, memory_s)
    for value in values:
        recent.add(float(value), seconds)
    return recent.value


def test_it_is_the_quantile_of_what_came():
    values = np.random.default_rng(0).permutation(np.arange(1, 101))
    assert quantile_of(values) == pytest.approx(50, abs=1)
    assert quantile_of(values, quantile=0.9) == pytest.approx(90, abs=1)


def test_a_third_of_outliers_does_not_carry_it_away():
    values = np.concatenate([np.full(200, 1.0), np.full(100, 1e6)])
    assert quantile_of(np.random.default_rng(0).permutation(values)) == 1.0


def test_values_weigh_their_seconds():
    recent = RecentQuantile(0.5, 1000.0)
    for _ in range(30):
        recent.add(1.0, 0.01)
    for _ in range(3):
        recent.add(5.0, 1.0)
    assert recent.value == 5.0 and recent.seconds == pytest.approx(3.3)


def test_it_forgets_what_is_older_than_its_memory():
    assert quantile_of([9.0] * 100 + [1.0] * 100, memory_s=10.0) == 1.0
    assert quantile_of([9.0] * 100 + [1.0] * 60, memory_s=1000.0) == 9.0
