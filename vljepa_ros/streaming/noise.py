"""How large a merge cost is when nothing happens: the stream's own noise, measured while it runs."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

STEP_QUANTILE = 0.3  # of the costs from window to window, moving or not: in a busy stream something moves half of the time
MAX_DRIFT = 6.0  # costs against the mean are noise up to this many times the steps; what is larger is change that was not seen
DRIFT_S = 2.0  # seconds of costs against the mean that count half


class StreamNoise:
    """The noise of one stream as a merge cost, `level`, from two views of it.

    Steps from window to window are there all the time, so a quantile low enough leaves the moving ones out; but they do not see a
    slow drift. Costs against the segment's mean do, but only while nothing is suspected, and a change that was not seen makes
    them large, which would raise the threshold and hide the next change too. So drift is believed by and by, and only up to a
    multiple of the steps.

    A prior stands in for the steps of the first seconds. It gives way downwards by and by; a stream that is noisier than it is
    believed at once.
    """

    def __init__(self, quantile: float, memory_s: float, prior: float, prior_s: float) -> None:
        """`quantile`: of the costs against the mean. `prior`: a cost, above 0, that counts like `prior_s` seconds of evidence."""
        self._costs = RecentQuantile(quantile, memory_s)
        self._steps = RecentQuantile(STEP_QUANTILE, memory_s)
        self._prior, self._prior_s = prior, prior_s

    def add_step(self, cost: float, seconds: float) -> None:
        """What merging the newest window with the one before it would cost; at any time."""
        self._steps.add(cost, seconds)

    def add_cost(self, cost: float, seconds: float) -> None:
        """What merging the newest window with the segment's mean would cost; of a time in which the state did not change."""
        self._costs.add(cost, seconds)

    @property
    def step(self) -> float:
        """The usual cost from window to window."""
        return max(self._steps.value, _trusted(self._steps, self._steps.value, self._prior, self._prior_s))

    @property
    def level(self) -> float:
        """The usual merge cost, drift included."""
        step = self.step
        return max(step, _trusted(self._costs, min(self._costs.value, MAX_DRIFT * step), step, DRIFT_S))


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


def _trusted(seen: RecentQuantile, value: float, prior: float, prior_s: float) -> float:
    """Between prior and value by the seconds seen. Costs are a scale, so half the trust is half of the orders of magnitude."""
    trust = seen.seconds / (seen.seconds + prior_s) if seen.seconds else 0.0
    return math.exp(trust * math.log(max(value, prior * 1e-6)) + (1.0 - trust) * math.log(prior))
