"""NoiseLevel: a robust quantile, in seconds, that trusts the prior downwards only."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.streaming.noise import NoiseLevel


def level_of(costs, seconds=0.1, quantile=0.5, memory_s=1000.0, prior=0.0, prior_s=0.0) -> float:
    noise = NoiseLevel(quantile, memory_s, prior, prior_s)
    for cost in costs:
        noise.add(float(cost), seconds)
    return noise.level


def test_it_is_the_quantile_of_what_came():
    costs = np.random.default_rng(0).permutation(np.arange(1, 101))
    assert level_of(costs) == pytest.approx(50, abs=1)
    assert level_of(costs, quantile=0.9) == pytest.approx(90, abs=1)


def test_a_third_of_outliers_does_not_carry_it_away():
    costs = np.concatenate([np.full(200, 1.0), np.full(100, 1e6)])
    assert level_of(np.random.default_rng(0).permutation(costs)) == 1.0


def test_costs_weigh_their_seconds():
    noise = NoiseLevel(0.5, 1000.0, 0.0, 0.0)
    for _ in range(30):
        noise.add(1.0, 0.01)
    for _ in range(3):
        noise.add(5.0, 1.0)
    assert noise.level == 5.0


def test_it_forgets_what_is_older_than_its_memory():
    assert level_of([9.0] * 100 + [1.0] * 100, memory_s=10.0) == 1.0
    assert level_of([9.0] * 100 + [1.0] * 60, memory_s=1000.0) == 9.0


def test_the_prior_gives_way_slowly_downwards_and_at_once_upwards():
    noise = NoiseLevel(0.5, 1000.0, prior=1.0, prior_s=4.0)
    assert noise.level == 1.0
    noise.add(100.0, 0.1)
    assert noise.level == 100.0
    levels = []
    noise = NoiseLevel(0.5, 1000.0, prior=1.0, prior_s=4.0)
    for _ in range(1000):
        noise.add(0.01, 0.1)
        levels.append(noise.level)
    assert levels == sorted(levels, reverse=True)
    assert levels[39] == pytest.approx(0.1, rel=0.01), "after prior_s seconds, half of the orders of magnitude"
    assert levels[-1] == pytest.approx(0.01, rel=0.25)


def test_no_noise_at_all_is_a_level_too():
    assert 0 < level_of([0.0] * 1000, prior=1.0, prior_s=4.0) < 1e-4
    assert level_of([0.0] * 10) == 0.0
