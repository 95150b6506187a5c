# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What selective decoding is worth on one stream: how current the latest words are, against how often words are made.

Words are as current as the vector they were made from is near to what the camera means now: the mean cosine of each embedding
with the vector that was decoded last. A clock decodes the newest embedding at a fixed rate; the selective policy decodes when a
segment has settled. No text is compared, so it needs no truth and no decoder. With truth there is a second measure: the share of
time in which the latest words were made after the latest true change.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_ros.cli.replay.session import Session

RATES = (2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02)  # decodes per second of the clocks


@dataclass(frozen=True)
class Worth:
    """One way of deciding when to speak."""

    name: str  # "selective", or "uniform" at `rate`
    rate: float | None  # of the clock, per second
    decodes: int
    per_minute: float
    currency: float  # mean cosine of what is meant now with what was last put into words
    up_to_date: float | None  # share of time in which the latest words were made after the latest true change


def compare(session: Session) -> list[Worth]:
    """The selective policy first, then the clocks, fastest first. Empty where nothing was said."""
    if not len(session.t_s) or not session.result.texts:
        return []
    vectors_ED = np.stack([one.vector_D for one in session.result.embeddings])
    requests = [one.request for one in session.result.texts]
    spoken_s = np.array([session.clock.seconds(one.stamp_ns, one.epoch) for one in requests])
    out = [_worth("selective", None, session, vectors_ED, spoken_s, np.stack([one.vector_D for one in requests]))]
    for rate in RATES:
        times = np.arange(session.t_s[0], session.t_s[-1] + 1e-9, 1 / rate)
        at = np.searchsorted(session.t_s, times + 1e-9, side="right") - 1
        out.append(_worth("uniform", rate, session, vectors_ED, session.t_s[at], vectors_ED[at]))
    return out


def as_often_as(ways: Sequence[Worth]) -> float | None:
    """How many times the selective policy's decodes a clock needs to be as current; None where no clock here is, or all are."""
    if not ways:
        return None
    chosen, clocks = ways[0], ways[1:][::-1]  # slowest first
    for slower, faster in zip(clocks, clocks[1:]):
        if slower.currency <= chosen.currency <= faster.currency and faster.currency > slower.currency:
            share = (chosen.currency - slower.currency) / (faster.currency - slower.currency)
            log = (1 - share) * np.log(slower.per_minute) + share * np.log(faster.per_minute)
            return float(np.exp(log) / chosen.per_minute)
    return None


def _worth(
    name: str, rate: float | None, session: Session, vectors_ED: np.ndarray, spoken_s: np.ndarray, spoken_RD: np.ndarray
) -> Worth:
    latest = np.searchsorted(spoken_s, session.t_s + 1e-9, side="right") - 1
    heard = latest >= 0  # nothing was said before the first words: those moments count for no way
    cosines = np.sum(vectors_ED[heard] * spoken_RD[latest[heard]], axis=1)
    up_to_date = None
    if session.recording.truth_known:
        changes = np.array([0.0, *session.recording.true_boundaries_s()])
        change_s = changes[np.maximum(np.searchsorted(changes, session.t_s + 1e-9, side="right") - 1, 0)]
        up_to_date = float(np.mean(heard & (spoken_s[np.maximum(latest, 0)] >= change_s)))
    minutes = max(session.seconds, 1e-9) / 60
    return Worth(name, rate, len(spoken_s), len(spoken_s) / minutes, float(np.mean(cosines)) if heard.any() else 0.0, up_to_date)
