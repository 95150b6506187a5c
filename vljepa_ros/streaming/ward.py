# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ward's arithmetic in seconds: a span of embeddings parted into an old state and a new one, and what the parting is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING_S = 1e-6  # seconds are sums of stamps' differences


@dataclass(frozen=True, eq=False)
class Split:
    """The best parting of a span into before and after."""

    index: int  # of the first embedding after it
    seconds: float  # that lie after it
    cost: float  # what merging both sides would cost, in seconds times squared distance
    before_D: np.ndarray  # mean of the side, float64, not normalised
    after_D: np.ndarray

    @property
    def way_D(self) -> np.ndarray:
        return self.after_D - self.before_D


def mean(vectors_TD: np.ndarray, seconds_T: np.ndarray) -> np.ndarray:
    """Mean vector, not normalised, of embeddings that stand for so many seconds each."""
    return seconds_T @ vectors_TD / seconds_T.sum()


def merge_cost(n: np.ndarray | float, k: np.ndarray | float, squared_distance: np.ndarray | float, correlation_s: float):
    """By how much the summed squared distance to the mean grows when n seconds and k seconds of embeddings become one.

    Neighbouring embeddings are alike: k seconds tell as much as (k + correlation_s) / correlation_s that are not, so a mean of
    many seconds counts for more than one of few, but not in proportion.
    """
    n, k = n + correlation_s, k + correlation_s
    return n * k / (n + k) * squared_distance


def best_split(
    vectors_TD: np.ndarray, seconds_T: np.ndarray, after_s: tuple[float, float], before_s: float, correlation_s: float
) -> Split | None:
    """The parting of highest merge cost among those with `after_s` seconds (least, most) after it; None where there is none.

    `vectors_TD`: float64, in order; `seconds_T`: what each stands for, above 0. Of what lies before, the last `before_s` count.
    """
    ends_T = np.concatenate([[0.0], np.cumsum(seconds_T)])
    k = ends_T[-1] - ends_T
    tried = np.flatnonzero((k >= after_s[0] - ROUNDING_S) & (k <= after_s[1] + ROUNDING_S))
    tried = tried[tried > 0]
    if not len(tried):
        return None
    sums_TD = np.concatenate([np.zeros((1, vectors_TD.shape[1])), np.cumsum(vectors_TD * seconds_T[:, None], axis=0)])
    k = k[tried]
    first = np.minimum(np.searchsorted(ends_T, ends_T[tried] - before_s - ROUNDING_S), tried - 1)
    n = ends_T[tried] - ends_T[first]
    before_KD = (sums_TD[tried] - sums_TD[first]) / n[:, None]
    after_KD = (sums_TD[-1] - sums_TD[tried]) / k[:, None]
    costs = merge_cost(n, k, ((after_KD - before_KD) ** 2).sum(1), correlation_s)
    best = int(np.argmax(costs))
    return Split(int(tried[best]), float(k[best]), float(costs[best]), before_KD[best], after_KD[best])


def unit(vector_D: np.ndarray) -> np.ndarray:
    """float32 of norm 1. A mean of zero (opposite vectors) has no direction and stays zero."""
    return (vector_D / max(float(np.linalg.norm(vector_D)), 1e-12)).astype(np.float32)
