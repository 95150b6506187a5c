# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pixel differences: how much a frame differs from the one before, which is all that a change detector without a model sees."""

from __future__ import annotations

import cv2
import numpy as np

SIZE = (64, 48)  # width, height: small enough that sensor noise averages out


class PixelDifference:
    """Mean absolute difference of successive frames, grey, at 64x48."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None

    def update(self, image_HWC: np.ndarray) -> float:
        """Grey levels (0..255) by which this frame (uint8 RGB, any size) differs from the last on average; 0 for the first."""
        grey = cv2.resize(cv2.cvtColor(image_HWC, cv2.COLOR_RGB2GRAY), SIZE, interpolation=cv2.INTER_AREA)
        difference = 0.0 if self._last is None else float(np.mean(cv2.absdiff(grey, self._last)))
        self._last = grey
        return difference
