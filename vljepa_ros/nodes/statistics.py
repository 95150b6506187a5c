# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a running node counts and times, for its diagnostics. Fed by one thread and read by another. Knows no ROS."""
from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

import numpy as np

JUMP_S = 60.0  # as for frames (streaming/clips.py): a longer step is the clock's, not the world's


class Rate:
    """Events per second over the latest `window_s` seconds of a clock. Where it is set, everything is measured anew."""

    def __init__(self, window_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds. One that goes back, or JUMP_S forward between two looks, was set: a bag begins, or begins again."""
        self.total = 0
        self._window_s = window_s
        self._clock = clock
        self._lock = threading.Lock()
        self._times: deque[float] = deque()
        self._started = self._last = self._looked = clock()

    def tick(self) -> None:
        with self._lock:
            self.total += 1
            self._last = self._now()
            self._times.append(self._last)
            self._forget(self._last)

    def restart(self) -> None:
        """Measure anew, e.g. after a pause; `total` stays."""
        with self._lock:
            self._restart(self._clock())

    @property
    def per_second(self) -> float:
        with self._lock:
            now = self._now()
            self._forget(now)
            return len(self._times) / max(min(self._window_s, now - self._started), 1e-3)

    @property
    def silent_s(self) -> float:
        """Seconds since the latest event, or since the start."""
        with self._lock:
            return self._now() - self._last

    @property
    def settled(self) -> bool:
        """A whole window has passed since the start."""
        with self._lock:
            return self._now() - self._started >= self._window_s

    def _now(self) -> float:
        now = self._clock()
        if not 0 <= now - self._looked <= JUMP_S:
            self._restart(now)
        self._looked = now
        return now

    def _restart(self, now: float) -> None:
        self._times.clear()
        self._started = self._last = self._looked = now

    def _forget(self, now: float) -> None:
        while self._times and self._times[0] < now - self._window_s:
            self._times.popleft()


class Durations:
    """Quantiles of the latest `count` durations."""

    def __init__(self, count: int = 500) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[float] = deque(maxlen=count)

    def add(self, seconds: float) -> None:
        with self._lock:
            self._seconds.append(seconds)

    def values(self, name: str) -> list[tuple[str, float]]:
        """`<name>_p50` and `<name>_p99` in milliseconds; NaN where nothing was timed yet."""
        with self._lock:
            milliseconds = np.array(self._seconds) * 1e3
        p50, p99 = np.quantile(milliseconds, (0.5, 0.99)) if len(milliseconds) else (np.nan, np.nan)
        return [(f"{name}_p50", float(p50)), (f"{name}_p99", float(p99))]


class Recent:
    """Which of some ever-growing counts grew within the latest `window_s` seconds, as far as whoever looks has seen."""

    def __init__(self, window_s: float = 10.0) -> None:
        self._window_s = window_s
        self._seen: Counter[str] = Counter()
        self._grown: dict[str, float] = {}

    def look(self, counts: Mapping[str, int]) -> list[str]:
        """Names of the counts that grew lately, in the order of `counts`."""
        now = time.monotonic()
        for name, count in counts.items():
            if count > self._seen[name]:
                self._grown[name] = now
            self._seen[name] = count
        return [name for name in counts if now - self._grown.get(name, -np.inf) <= self._window_s]
