# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which rows of a data set are the batch of a step: a function of (seed, step), so that a run goes on exactly where it was.

A global batch is the same on any number of ranks; each takes its part of it (`ranks.mine`). A run that goes on with fewer
ranks sees what it would have seen.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


class Order:
    """Epoch after epoch in ever new orders; a batch may span two epochs."""

    def __init__(self, rows: int, batch: int, seed: int = 0) -> None:
        """`rows`: of the data set. `batch`: rows of all ranks."""
        if rows < 1 or batch < 1:
            raise ValueError(f"an order needs at least one row, and a batch of at least one, got {rows} and {batch}")
        self.rows, self.batch, self.seed = rows, batch, seed
        self._epoch = lru_cache(maxsize=2)(self._permutation)

    def _permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(self.rows)

    def at(self, step: int) -> list[int]:
        """The global batch of a step, in order."""
        out, position = [], step * self.batch
        while len(out) < self.batch:
            epoch, first = divmod(position + len(out), self.rows)
            out += self._epoch(epoch)[first : first + self.batch - len(out)].tolist()
        return out
