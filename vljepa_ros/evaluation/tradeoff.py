# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What was said against what was true, and a curve of scores over rates: which words a reference is held against, what a way
reaches at a rate, and at which rate it reaches a score.

Rates are decodes per second, and between two points of a curve the score is linear in the rate's logarithm, as on the paper's
axis. Knows nothing of texts, embeddings and of how anything was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

SILENT = -1  # nothing was ever said


def nearest(times_s: np.ndarray, references_s: np.ndarray) -> np.ndarray:
    """For each reference the decode nearest in time, before or after it (the paper's matching); the earlier one of two as near.

    `times_s` ascending. Returns indices, `SILENT` where there is no decode at all.
    """
    times_s, references_s = np.asarray(times_s, float), np.asarray(references_s, float)
    if not len(times_s):
        return np.full(len(references_s), SILENT)
    middles_s = (times_s[:-1] + times_s[1:]) / 2
    return np.searchsorted(middles_s, references_s, side="left")


def latest(times_s: np.ndarray, references_s: np.ndarray) -> np.ndarray:
    """For each reference the last decode at or before it: what had been said by then. Before its first words a way is given
    those, so that nobody is judged by the phase in which it begins.

    `times_s` ascending. Returns indices, `SILENT` where there is no decode at all.
    """
    times_s, references_s = np.asarray(times_s, float), np.asarray(references_s, float)
    if not len(times_s):
        return np.full(len(references_s), SILENT)
    return np.maximum(np.searchsorted(times_s, references_s + 1e-9, side="right") - 1, 0)


MATCHINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"nearest": nearest, "latest": latest}


def _curve(rates: Sequence[float], scores: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the rates, ascending, and scores; points of one rate become their mean."""
    rates, scores = np.asarray(rates, float), np.asarray(scores, float)
    if len(rates) != len(scores) or not len(rates) or np.any(rates <= 0):
        raise ValueError(f"a curve needs one score per rate and rates above 0, got {rates.tolist()} and {len(scores)} scores")
    distinct, of = np.unique(rates, return_inverse=True)
    return np.log(distinct), np.bincount(of, scores) / np.bincount(of)


def at_rate(rates: Sequence[float], scores: Sequence[float], rate: float) -> float:
    """What the curve reaches at a rate; NaN beyond its ends."""
    x, y = _curve(rates, scores)
    return float(np.interp(np.log(rate), x, y, left=np.nan, right=np.nan))


@dataclass(frozen=True)
class Reach:
    """Where a curve first comes up to a score."""

    rate: float
    at_once: bool  # already at its lowest rate: it might do with fewer


def reach(rates: Sequence[float], scores: Sequence[float], target: float) -> Reach | None:
    """The lowest rate at which the curve is at `target` or above; None where it never is."""
    x, y = _curve(rates, scores)
    above = np.flatnonzero(y >= target)
    if not len(above):
        return None
    i = int(above[0])
    if i == 0:
        return Reach(float(np.exp(x[0])), at_once=True)
    share = (target - y[i - 1]) / (y[i] - y[i - 1])
    return Reach(float(np.exp(x[i - 1] + share * (x[i] - x[i - 1]))), at_once=False)
