# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rates by a clock that may be set: a bag that begins, is paused, begins again."""
from __future__ import annotations

import pytest

from vljepa_ros.nodes.statistics import JUMP_S, Rate


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_events_per_second_and_silence_by_the_clock_that_is_given(clock: Clock) -> None:
    rate = Rate(window_s=5.0, clock=clock)
    for _ in range(20):
        clock.now += 0.5
        rate.tick()
    assert rate.per_second == pytest.approx(2.0, rel=0.11) and rate.total == 20 and rate.settled
    assert rate.silent_s == 0.0
    clock.now += 4.0
    assert rate.silent_s == 4.0
    assert rate.per_second == pytest.approx(0.6), "of the latest five seconds"


def test_a_clock_that_stands_still_makes_no_silence(clock: Clock) -> None:
    rate = Rate(clock=clock)
    rate.tick()
    assert [rate.silent_s for _ in range(3)] == [0.0, 0.0, 0.0] and not rate.settled


@pytest.mark.parametrize("step_s", [-30.0, JUMP_S + 1.0])
def test_a_clock_that_was_set_begins_anew(clock: Clock, step_s: float) -> None:
    rate = Rate(window_s=5.0, clock=clock)
    for _ in range(20):
        clock.now += 0.5
        rate.tick()
    clock.now += step_s
    assert (rate.silent_s, rate.per_second, rate.settled, rate.total) == (0.0, 0.0, False, 20)
    clock.now += 1.0
    rate.tick()
    clock.now += 2.0
    assert rate.silent_s == 2.0 and rate.per_second == pytest.approx(1 / 3)


def test_long_silence_is_seen_by_who_looks_now_and_then(clock: Clock) -> None:
    rate = Rate(clock=clock)
    for _ in range(200):
        clock.now += 1.0
        assert rate.silent_s > 0
    assert rate.silent_s == 200.0
