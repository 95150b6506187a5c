# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What boundaries are worth without a model: the best clock, and the best threshold on a per-frame score such as pixel
difference.

Both choose their settings by the truth they are measured on, so they are upper bounds. On one short stream that is a lot: with
boundaries 2 to 10 s apart, a tolerance of 1 s and 60 s of stream, some clock always fits (F1 0.79 on average over such streams),
while one clock for ten of them reaches 0.50. A set of streams is therefore measured by one setting for all (the functions in
`_over`), F1 from pooled counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_ros.evaluation.boundaries import SLACK_S, pooled, score

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
    """The fixed spacing and phase of highest F1 on one stream; see `best_uniform_over`."""
    return best_uniform_over([(truth_s, duration_s)], tolerance_s)


def best_uniform_f1(truth_s: Sequence[float], duration_s: float, tolerance_s: float) -> float:
    """The best F1 that any fixed spacing and phase reaches on one stream."""
    return best_uniform(truth_s, duration_s, tolerance_s).f1


def best_uniform_over(streams: Sequence[tuple[Sequence[float], float]], tolerance_s: float) -> Uniform:
    """The one spacing and phase of highest pooled F1 over streams, each (true boundaries in s, duration in s).

    Found on a grid so fine that no point moves by more than an eighth of the tolerance between neighbours. ValueError for no
    stream, or a duration or tolerance that is not above 0.
    """
    if not streams or tolerance_s <= 0 or any(duration_s <= 0 for _, duration_s in streams):
        raise ValueError(f"durations and tolerance_s must be above 0, got {[one for _, one in streams]} and {tolerance_s}")
    sorted_streams = [(np.sort(np.asarray(truth_s, float)), duration_s) for truth_s, duration_s in streams]
    longest = max(duration_s for _, duration_s in streams)
    step = tolerance_s / STEPS_PER_TOLERANCE
    # Closer spacings than these give four points to a true boundary, an F1 of 0.4 at the most, unless the tolerance is closer
    # still.
    spacing = min(tolerance_s, min(duration_s / (4 * len(truth) + 1) for truth, duration_s in sorted_streams))
    best, batch = _best_single(sorted_streams, longest, tolerance_s), []
    while spacing <= longest:
        phases = np.arange(0.0, spacing, step)
        batch.append((np.full(len(phases), spacing), phases))
        spacing *= 1 + step / longest
        if sum(len(one) for one, _ in batch) >= CHUNK or spacing > longest:
            best = max(best, _best_grid(sorted_streams, tolerance_s, *map(np.concatenate, zip(*batch))), key=lambda one: one.f1)
            batch = []
    return best


def best_threshold(
    scores: Sequence[float],
    stamps_s: Sequence[float],
    truth_s: Sequence[float],
    tolerance_s: float,
    min_gap_s: float | Sequence[float] = 1.0,
) -> Thresholded:
    """The threshold of highest F1 on a score per frame of one stream; see `best_threshold_over`."""
    return best_threshold_over([(scores, stamps_s, truth_s)], tolerance_s, min_gap_s)


def best_threshold_f1(
    scores: Sequence[float],
    stamps_s: Sequence[float],
    truth_s: Sequence[float],
    tolerance_s: float,
    min_gap: float | Sequence[float] = 1.0,
) -> float:
    """The best F1 that any threshold on a score per frame reaches on one stream."""
    return best_threshold(scores, stamps_s, truth_s, tolerance_s, min_gap).f1


def best_threshold_over(
    streams: Sequence[tuple[Sequence[float], Sequence[float], Sequence[float]]],
    tolerance_s: float,
    min_gap_s: float | Sequence[float] = 1.0,
) -> Thresholded:
    """The one threshold of highest pooled F1 over streams, each (score per frame, stamps in s, true boundaries in s).

    Edge and pause are whatever helps most: a boundary is said where motion begins (the score rises to the threshold) or where it
    ends, and motion goes on over pauses shorter than `min_gap_s` (one value, or several to choose from). ValueError where scores
    and stamps of a stream differ in length or stamps do not ascend.
    """
    arrays = [(np.asarray(scores, float), np.asarray(stamps_s, float), truth_s) for scores, stamps_s, truth_s in streams]
    for scores_T, stamps_T, _ in arrays:
        if scores_T.shape != stamps_T.shape or scores_T.ndim != 1:
            raise ValueError(f"one score per stamp: got {scores_T.shape} scores and {stamps_T.shape} stamps")
        if np.any(np.diff(stamps_T) <= 0):
            raise ValueError("stamps_s must ascend")
    gaps = [min_gap_s] if isinstance(min_gap_s, (int, float)) else list(min_gap_s)
    levels = np.unique(np.concatenate([scores_T for scores_T, _, _ in arrays]))
    if len(levels) > THRESHOLDS:
        levels = levels[np.linspace(0, len(levels) - 1, THRESHOLDS).round().astype(int)]
    best = Thresholded(pooled([score(truth_s, [], tolerance_s) for _, _, truth_s in arrays]).f1, float("inf"), "rise", gaps[0])
    for threshold in map(float, levels):
        for gap in gaps:
            for edge in ("rise", "fall"):
                f1 = pooled(
                    [score(truth_s, crossings(s_T, t_T, threshold, gap, edge), tolerance_s) for s_T, t_T, truth_s in arrays]
                ).f1
                if f1 > best.f1:
                    best = Thresholded(f1, threshold, edge, gap)
    return best


def crossings(scores: np.ndarray, stamps_s: np.ndarray, threshold: float, min_gap_s: float, edge: str) -> list[float]:
    """Stamps at which motion begins ("rise") or ends ("fall"). Motion goes on over pauses shorter than `min_gap_s`."""
    above = stamps_s[scores >= threshold]
    if not len(above):
        return []
    pauses = np.flatnonzero(np.diff(above) >= min_gap_s)
    return list(above[np.r_[0, pauses + 1]] if edge == "rise" else above[np.r_[pauses, len(above) - 1]])


def _best_grid(
    streams: Sequence[tuple[np.ndarray, float]], tolerance_s: float, spacings: np.ndarray, phases: np.ndarray
) -> Uniform:
    """Match all grids at once: each true boundary, in order, takes the earliest point that is free and near
    enough, which is optimal.
    """
    matched, points, true = np.zeros(len(phases)), np.zeros(len(phases)), 0
    for truth, duration_s in streams:
        last = np.full(len(phases), -1.0)  # index of the last point taken
        for t in truth:
            point = np.maximum(last + 1, np.ceil((t - tolerance_s - SLACK_S - phases) / spacings))
            at = phases + point * spacings
            hit = (at <= t + tolerance_s + SLACK_S) & (at <= duration_s)
            last = np.where(hit, point, last)
            matched += hit
        points += np.maximum(np.floor((duration_s - phases) / spacings) + 1, 0)
        true += len(truth)
    f1 = 2 * matched / np.maximum(points + true, 1)
    at = int(np.argmax(f1))
    return Uniform(float(f1[at]), float(spacings[at]), float(phases[at]))


def _best_single(streams: Sequence[tuple[np.ndarray, float]], longest_s: float, tolerance_s: float) -> Uniform:
    """A single point per stream, the clock that is slower than the streams are long."""
    tried = np.unique(np.concatenate([truth for truth, _ in streams] + [np.zeros(1)]))
    found = [pooled([score(truth, [phase] if phase <= end else [], tolerance_s) for truth, end in streams]).f1 for phase in tried]
    at = int(np.argmax(found))
    return Uniform(found[at], longest_s, float(tried[at]))
