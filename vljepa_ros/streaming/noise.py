"""How large a merge cost is when nothing happens: the stream's own noise, measured while it runs."""

from __future__ import annotations

import math
from collections import deque

import numpy as np


class NoiseLevel:
    """A robust quantile of the latest merge costs, each weighing the seconds it stands for.

    What a stream's noise costs depends on camera, light, scene and checkpoint, so the threshold on merge costs is a multiple of
    this quantile. A prior stands in for the first seconds: it gives way as evidence comes, but only downwards; a stream that is
    noisier than the prior says raises the level at once.
    """

    def __init__(self, quantile: float, memory_s: float, prior: float, prior_s: float) -> None:
        """`prior`: the level assumed before anything was seen; it counts like `prior_s` seconds of evidence."""
        self._quantile = quantile
        self._memory_s = memory_s
        self._prior = prior
        self._prior_s = prior_s
        self._costs: deque[tuple[float, float]] = deque()  # (cost, seconds)
        self._seconds = 0.0
        self.level = prior

    def add(self, cost: float, seconds: float) -> None:
        """Take one merge cost of a time in which the state did not change."""
        self._costs.append((cost, seconds))
        self._seconds += seconds
        while self._seconds > self._memory_s and len(self._costs) > 1:
            self._seconds -= self._costs.popleft()[1]
        self.level = self._estimate()

    def _estimate(self) -> float:
        if self._seconds <= 0:
            return self._prior
        costs, seconds = np.array(self._costs).T
        order = np.argsort(costs, kind="stable")
        reached = np.cumsum(seconds[order])
        observed = float(costs[order][np.searchsorted(reached, self._quantile * reached[-1])])
        if observed >= self._prior:
            return observed
        # Geometric, because costs are a scale: half of the evidence lowers the level by half of the orders of magnitude.
        trust = self._seconds / (self._seconds + self._prior_s)
        tiny = self._prior * 1e-6
        return math.exp(trust * math.log(max(observed, tiny)) + (1.0 - trust) * math.log(self._prior))
