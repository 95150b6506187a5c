# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How many clips go through the model at once: half after an out-of-memory, and carefully back. Knows no ROS and no model."""
from __future__ import annotations

GROW_AFTER = 100  # batches that went well before one more clip is tried
PATIENCE = 16  # a step back up that failed is tried again after so many times as long, at the most


class BatchSize:
    """Up to `most`. Halved by `failed`; one more after GROW_AFTER batches went well, twice as late where that just failed."""

    def __init__(self, most: int) -> None:
        self.most = self.now = most
        self.failures_in_a_row = 0
        self._well = 0
        self._patience = 1
        self._grew = False

    def worked(self) -> None:
        self.failures_in_a_row = 0
        if self.now >= self.most:
            return
        self._well += 1
        if self._well >= GROW_AFTER * self._patience:
            self._well, self._grew = 0, True
            self.now += 1

    def failed(self, clips: int) -> None:
        """`clips` at once had no room."""
        self.failures_in_a_row += 1
        if self._grew:
            self._patience = min(2 * self._patience, PATIENCE)
        self._well, self._grew = 0, False
        self.now = max(1, min(self.now, clips) // 2)
