# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How large a cost is when nothing happens: a robust quantile of the stream's own latest costs."""

from __future__ import annotations

from collections import deque

import numpy as np


class RecentQuantile:
    """A quantile of the latest values, each weighing the seconds it stands for."""

    def __init__(self, quantile: float, memory_s: float) -> None:
        self._quantile, self._memory_s = quantile, memory_s
        self._latest: deque[tuple[float, float]] = deque()  # (value, seconds)
        self.seconds = 0.0
        self.value = 0.0  # 0 before the first

    def add(self, value: float, seconds: float) -> None:
        """Take the next value; `seconds` above 0."""
        self._latest.append((value, seconds))
        self.seconds += seconds
        while self.seconds > self._memory_s and len(self._latest) > 1:
            self.seconds -= self._latest.popleft()[1]
        values, weights = np.array(self._latest).T
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(weights[order])
        self.value = float(values[order][np.searchsorted(reached, self._quantile * reached[-1])])
