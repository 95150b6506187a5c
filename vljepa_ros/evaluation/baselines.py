"""What boundaries are worth without a model: the best clock, and the best threshold on a per-frame score such as pixel difference.

Both are given the truth to choose their settings by, so they are upper bounds: a detector that does not beat them sees nothing.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_ros.evaluation.boundaries import SLACK_S, score

CHUNK = 200_000  # grids (spacing, phase) tried at once
STEPS_PER_TOLERANCE = 8  # how finely spacings and phases are tried
THRESHOLDS = 400  # tried on scores, at evenly spaced ranks


@dataclass(frozen=True)
class Uniform:
    """A clock that says "boundary" at phase_s, phase_s + spacing_s, and so on."""

    f1: float
    spacing_s: float
    phase_s: float


@dataclass(frozen=True)
class Thresholded:
    """A detector that says "boundary" where a score passes a threshold upwards ("rise") or comes back below it ("fall")."""

    f1: float
    threshold: float
    edge: str
    min_gap_s: float


def best_uniform(truth_s: Sequence[float], duration_s: float, tolerance_s: float) -> Uniform:
    """The fixed spacing and phase of highest F1 over `duration_s`. Found on a grid so fine that no point moves by more than an
    eighth of the tolerance between neighbours. ValueError for a duration or tolerance that is not above 0.
    """
    if duration_s <= 0 or tolerance_s <= 0:
        raise ValueError(f"duration_s and tolerance_s must be above 0, got {duration_s} and {tolerance_s}")
    truth = np.sort(np.asarray(truth_s, float))
    best = Uniform(0.0, duration_s, 0.0)
    step = tolerance_s / STEPS_PER_TOLERANCE
    # With more than duration / tolerance points every true boundary has its own already; closer spacings only add false ones.
    spacing = min(tolerance_s, duration_s)
    batch: list[tuple[np.ndarray, np.ndarray]] = []
    while spacing <= duration_s:
        phases = np.arange(0.0, spacing, step)
        batch.append((np.full(len(phases), spacing), phases))
        spacing *= 1 + step / duration_s
        if sum(len(one) for one, _ in batch) >= CHUNK or spacing > duration_s:
            best = max(best, _best_grid(truth, duration_s, tolerance_s, *map(np.concatenate, zip(*batch))), key=lambda one: one.f1)
            batch = []
    return max(best, _best_single(truth, duration_s, tolerance_s), key=lambda one: one.f1)


def best_uniform_f1(truth_s: Sequence[float], duration_s: float, tolerance_s: float) -> float:
    """The best F1 that any fixed spacing and phase reaches."""
    return best_uniform(truth_s, duration_s, tolerance_s).f1


def best_threshold(
    scores: Sequence[float], stamps_s: Sequence[float], truth_s: Sequence[float], tolerance_s: float, min_gap_s: float | Sequence[float] = 1.0
) -> Thresholded:
    """The threshold of highest F1 on a score per frame (equal lengths, stamps ascending; ValueError otherwise).

    Score and edge are whatever helps most: a boundary is said where the score rises above the threshold or where it falls back, and
    crossings closer than `min_gap_s` (one value, or several to choose from) to the last boundary count as the same motion.
    """
    scores_T, stamps_T = np.asarray(scores, float), np.asarray(stamps_s, float)
    if scores_T.shape != stamps_T.shape or scores_T.ndim != 1:
        raise ValueError(f"one score per stamp: got {scores_T.shape} scores and {stamps_T.shape} stamps")
    if np.any(np.diff(stamps_T) <= 0):
        raise ValueError("stamps_s must ascend")
    gaps = [min_gap_s] if isinstance(min_gap_s, (int, float)) else list(min_gap_s)
    silent = score(truth_s, [], tolerance_s).f1
    best = Thresholded(silent, float("inf"), "rise", gaps[0])
    levels = np.unique(scores_T)
    if len(levels) > THRESHOLDS:
        levels = levels[np.linspace(0, len(levels) - 1, THRESHOLDS).round().astype(int)]
    for threshold in levels:
        for gap in gaps:
            for edge in ("rise", "fall"):
                f1 = score(truth_s, crossings(scores_T, stamps_T, float(threshold), gap, edge), tolerance_s).f1
                if f1 > best.f1:
                    best = Thresholded(f1, float(threshold), edge, gap)
    return best


def best_threshold_f1(
    scores: Sequence[float], stamps_s: Sequence[float], truth_s: Sequence[float], tolerance_s: float, min_gap: float | Sequence[float] = 1.0
) -> float:
    """The best F1 that any threshold on a score per frame reaches; see `best_threshold`."""
    return best_threshold(scores, stamps_s, truth_s, tolerance_s, min_gap).f1


def crossings(scores: np.ndarray, stamps_s: np.ndarray, threshold: float, min_gap_s: float, edge: str) -> list[float]:
    """Stamps at which motion begins ("rise") or ends ("fall"). Motion goes on over pauses shorter than `min_gap_s`."""
    above = stamps_s[scores >= threshold]
    if not len(above):
        return []
    pauses = np.flatnonzero(np.diff(above) >= min_gap_s)
    return list(above[np.r_[0, pauses + 1]] if edge == "rise" else above[np.r_[pauses, len(above) - 1]])


def _best_grid(truth: np.ndarray, duration_s: float, tolerance_s: float, spacings: np.ndarray, phases: np.ndarray) -> Uniform:
    """Match all grids at once: each true boundary, in order, takes the earliest point that is free and near enough, which is optimal."""
    last = np.full(len(phases), -1.0)  # index of the last point taken
    matched = np.zeros(len(phases))
    for t in truth:
        point = np.maximum(last + 1, np.ceil((t - tolerance_s - SLACK_S - phases) / spacings))
        at = phases + point * spacings
        hit = (at <= t + tolerance_s + SLACK_S) & (at <= duration_s)
        last = np.where(hit, point, last)
        matched += hit
    points = np.floor((duration_s - phases) / spacings) + 1
    f1 = 2 * matched / (points + len(truth))
    at = int(np.argmax(f1))
    return Uniform(float(f1[at]), float(spacings[at]), float(phases[at]))


def _best_single(truth: np.ndarray, duration_s: float, tolerance_s: float) -> Uniform:
    """A single point, the clock that is slower than the stream is long."""
    phases = truth if len(truth) else np.zeros(1)
    best = max(phases, key=lambda phase: score(truth, [phase], tolerance_s).f1)
    return Uniform(score(truth, [best], tolerance_s).f1, duration_s, float(best))
