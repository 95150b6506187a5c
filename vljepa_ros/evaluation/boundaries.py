# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boundaries against truth: one-to-one matching within a tolerance, and what a clock or a pixel difference would have reached.

All times are seconds on one clock, in any order. Knows nothing of how boundaries were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SLACK_S = 1e-9  # stamps are integer nanoseconds: a distance of exactly the tolerance counts whatever floating point makes of it


@dataclass(frozen=True)
class BoundaryScore:
    """How well detected boundaries match the true ones. Without any of either, all three are 1."""

    matched: int
    detected: int
    true: int

    @property
    def precision(self) -> float:
        return self.matched / self.detected if self.detected else 1.0

    @property
    def recall(self) -> float:
        return self.matched / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        return 2 * self.matched / (self.detected + self.true) if self.detected + self.true else 1.0


def match(truth_s: Sequence[float], detected_s: Sequence[float], tolerance_s: float) -> list[tuple[int, int]]:
    """Pair each true boundary with at most one detection at most `tolerance_s` away, and the reverse.

    As many pairs as there can be; among those matchings, the least sum of distances. Returns (truth index, detected index), by
    time. Such a matching never needs to cross, so it is an alignment of the two sorted lists.
    """
    truth_order, detected_order = np.argsort(truth_s, kind="stable"), np.argsort(detected_s, kind="stable")
    truth, detected = np.asarray(truth_s, float)[truth_order], np.asarray(detected_s, float)[detected_order]
    # best[i][j]: (pairs, minus their distance) of the first i true and the first j detected boundaries
    best = [[(0, 0.0)] * (len(detected) + 1) for _ in range(len(truth) + 1)]
    for i in range(1, len(truth) + 1):
        for j in range(1, len(detected) + 1):
            best[i][j] = max(best[i - 1][j], best[i][j - 1])
            distance = abs(truth[i - 1] - detected[j - 1])
            if distance <= tolerance_s + SLACK_S:
                pairs, cost = best[i - 1][j - 1]
                best[i][j] = max(best[i][j], (pairs + 1, cost - distance))
    pairs, i, j = [], len(truth), len(detected)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((int(truth_order[i]), int(detected_order[j])))
    return pairs[::-1]


def score(truth_s: Sequence[float], detected_s: Sequence[float], tolerance_s: float) -> BoundaryScore:
    """Precision, recall and F1 of detections at a tolerance."""
    return BoundaryScore(_matched(truth_s, detected_s, tolerance_s), len(detected_s), len(truth_s))


def pooled(scores: Sequence[BoundaryScore]) -> BoundaryScore:
    """Several streams as one: their counts added up."""
    return BoundaryScore(sum(one.matched for one in scores), sum(one.detected for one in scores), sum(one.true for one in scores))


def delays(
    truth_s: Sequence[float], detected_s: Sequence[float], published_s: Sequence[float], tolerance_s: float
) -> list[float]:
    """Seconds from each matched true boundary to the publication that belongs to its detection, by time of the boundary.

    `published_s` has one time per detection, NaN where nothing was published; those pairs are left out.
    """
    if len(published_s) != len(detected_s):
        raise ValueError(f"one publication time per detection: got {len(published_s)} for {len(detected_s)} detections")
    pairs = match(truth_s, detected_s, tolerance_s)
    return [float(published_s[j] - truth_s[i]) for i, j in pairs if not np.isnan(published_s[j])]


def _matched(truth_s: Sequence[float], detected_s: Sequence[float], tolerance_s: float) -> int:
    """How many pairs `match` makes, without making them: with one tolerance for all, earliest to earliest is optimal."""
    truth, detected = sorted(truth_s), sorted(detected_s)
    i = j = count = 0
    while i < len(truth) and j < len(detected):
        if abs(truth[i] - detected[j]) <= tolerance_s + SLACK_S:
            i, j, count = i + 1, j + 1, count + 1
        elif truth[i] < detected[j]:
            i += 1
        else:
            j += 1
    return count
