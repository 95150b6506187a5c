# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keyframed motion: a value that moves between knots with an ease in and out. Knows nothing of what it moves."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np


class Channel:
    """A vector over time. Holds its first value before the first knot and its last one after the last."""

    def __init__(self, value) -> None:
        self._times: list[float] = [0.0]
        self._values: list[np.ndarray] = [np.asarray(value, dtype=float)]

    @property
    def last(self) -> np.ndarray:
        return self._values[-1]

    @property
    def end(self) -> float:
        return self._times[-1]

    def move(self, start: float, end: float, value) -> None:
        """Stay until `start`, then go to `value` by `end`. Raises ValueError when that lies before the last knot."""
        if start < self.end - 1e-9 or end < start:
            raise ValueError(f"channel ends at {self.end:.3f} s, cannot move from {start:.3f} s to {end:.3f} s")
        self._times += [start, end]
        self._values += [self.last, np.asarray(value, dtype=float)]

    def at(self, t: float) -> np.ndarray:
        i = bisect_right(self._times, t)
        if i == 0:
            return self._values[0]
        if i == len(self._times):
            return self._values[-1]
        t0, t1 = self._times[i - 1], self._times[i]
        if t1 <= t0:
            return self._values[i]
        u = (t - t0) / (t1 - t0)
        ease = u * u * (3 - 2 * u)
        return (1 - ease) * self._values[i - 1] + ease * self._values[i]
