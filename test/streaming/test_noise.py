"""The noise of a stream: robust quantiles in seconds, a prior that gives way, and drift that cannot run away."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.streaming.noise import DRIFT_S, MAX_DRIFT, RecentQuantile, StreamNoise


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


def noise(prior=1.0, prior_s=4.0) -> StreamNoise:
    return StreamNoise(0.5, 1000.0, prior, prior_s)


def test_the_prior_gives_way_slowly_downwards_and_at_once_upwards():
    stream = noise()
    assert stream.level == 1.0
    stream.add_step(100.0, 0.1)
    assert stream.step == 100.0 and stream.level == pytest.approx(100.0)
    stream, levels = noise(), []
    for _ in range(1000):
        stream.add_step(0.01, 0.1)
        levels.append(stream.level)
    assert levels == sorted(levels, reverse=True)
    assert levels[39] == pytest.approx(0.1, rel=0.01), "after prior_s seconds, half of the orders of magnitude"
    assert levels[-1] == pytest.approx(0.01, rel=0.25)


def test_drift_raises_the_level_by_and_by_and_not_the_step():
    stream = noise(prior_s=0.0)
    for _ in range(100):
        stream.add_step(1.0, 0.1)
    stream.add_cost(4.0, DRIFT_S)
    assert stream.level == pytest.approx(2.0), "half of the orders of magnitude"
    for _ in range(1000):
        stream.add_cost(4.0, 0.1)
    assert stream.level == pytest.approx(4.0, rel=0.05) and stream.step == 1.0


def test_drift_is_believed_up_to_a_multiple_of_the_steps_only():
    stream = noise(prior_s=0.0)
    for _ in range(1000):
        stream.add_step(1.0, 0.1)
        stream.add_cost(1000.0, 0.1)
    assert stream.level == pytest.approx(MAX_DRIFT, rel=0.05)


def test_costs_below_the_steps_do_not_lower_the_level():
    stream = noise(prior_s=0.0)
    for _ in range(100):
        stream.add_step(1.0, 0.1)
        stream.add_cost(0.01, 0.1)
    assert stream.level == 1.0


def test_no_noise_at_all_is_a_level_too():
    stream = noise()
    for _ in range(1000):
        stream.add_step(0.0, 0.1)
        stream.add_cost(0.0, 0.1)
    assert 0 <= stream.level < 1e-4
