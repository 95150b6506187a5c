# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One clock that never goes back for a stream of several epochs, so that seconds since the first frame mean something."""
from __future__ import annotations

from collections.abc import Sequence

NS = 1_000_000_000
JUMP_NS = 60 * NS  # as in streaming/clips.py: a longer step is the clock's, not the world's
JUMP_SHOWN_NS = 1 * NS


class Clock:
    """Stamps of all epochs in one line: a jump of the camera's clock, forward or back, becomes one second."""

    def __init__(self, spans: Sequence[Sequence[int]]) -> None:
        """`spans`: [first, last] stamp of every epoch."""
        self._spans = [tuple(span) for span in spans] or [(0, 0)]
        self._offsets = [0]
        for before, now in zip(self._spans, self._spans[1:]):
            jump = not 0 <= now[0] - before[1] <= JUMP_NS
            shift = before[1] + self._offsets[-1] + JUMP_SHOWN_NS - now[0] if jump else self._offsets[-1]
            self._offsets.append(shift)
        self.start_ns = self._spans[0][0]
        self.end_ns = self._spans[-1][1] + self._offsets[-1]

    def at(self, stamp_ns: int, epoch: int) -> int:
        """A stamp of this epoch, on the line."""
        return stamp_ns + self._offsets[min(epoch, len(self._offsets) - 1)]

    def find(self, stamp_ns: int) -> int:
        """A stamp of an epoch not known: of the first one that it lies in, else of the last one that began before it."""
        inside = [k for k, (first, last) in enumerate(self._spans) if first <= stamp_ns <= last]
        before = [k for k, (first, _) in enumerate(self._spans) if first <= stamp_ns]
        return self.at(stamp_ns, inside[0] if inside else before[-1] if before else 0)

    def seconds(self, stamp_ns: int, epoch: int) -> float:
        """Seconds since the first frame."""
        return (self.at(stamp_ns, epoch) - self.start_ns) / NS
