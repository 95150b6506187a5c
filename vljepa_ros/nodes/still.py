# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a camera shows one picture again and again: sensors have noise, so equal pixels mean a driver that repeats a frame."""
from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

STEP = 8  # every eighth pixel of every eighth line: 32 thousand of a 1080p image, some tens of microseconds


class Still:
    """Looks at every image. Knows no ROS."""

    def __init__(self, frozen_s: float, clock: Callable[[], float]) -> None:
        """`frozen_s`: seconds of the same picture; 0: nobody looks. `clock`: seconds, as for Rate."""
        self._frozen_s, self._clock = frozen_s, clock
        self.restart()

    def restart(self) -> None:
        self._seen: int | None = None
        self._since = self._latest = self._clock()

    def look(self, image_HWC: np.ndarray) -> None:
        if not self._frozen_s:
            return
        seen, now = zlib.crc32(np.ascontiguousarray(image_HWC[::STEP, ::STEP])), self._clock()
        if seen != self._seen or now < self._latest:  # another picture, or the clock was set
            self._seen, self._since = seen, now
        self._latest = now

    @property
    def seconds(self) -> float:
        """How long the picture has been the same, as of the latest image."""
        return self._latest - self._since

    @property
    def frozen(self) -> bool:
        return 0 < self._frozen_s <= self.seconds
