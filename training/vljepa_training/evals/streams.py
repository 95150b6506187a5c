# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out tabletop streams through the robot's own streaming code: boundaries, delays, texts, and what must stay silent.

A true boundary is the moment an event completes; detections match one to one. Delay runs from the true boundary to the moment
the text
was due, plus what this machine took to embed and decode. Still scenes carry sensor noise, shaken and drifting ones more.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from vljepa_ros.evaluation import baselines, boundaries
from vljepa_ros.evaluation import stream as runner
from vljepa_ros.model import VLJEPA
from vljepa_ros.streaming import Frame

from ..calibrate import sentences_right
from ..tabletop import language
from ..tabletop.stream import Sensor, Stream

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
STILL = {
    "noise": Sensor(noise=3.0),
    "camera_shake": Sensor(noise=3.0, shake=0.002),
    "exposure_drift": Sensor(noise=3.0, drift=0.15),
}


def frames_of(stream: Stream, fps: float = 15.0) -> Iterator[Frame]:
    for t, image in stream.frames(fps):
        yield Frame(START_NS + round(t * NS), image, "camera")


def run_streams(
    model: VLJEPA, seed: int, count: int, seconds: float, gap_s: tuple[float, float] = (2.0, 10.0)
) -> list[tuple[Stream, runner.StreamResult]]:
    streams = [Stream(seed * 100_003 + 50_000 + i, seconds, gap_s=gap_s) for i in range(count)]
    return [(s, runner.run(frames_of(s), model)) for s in tqdm(streams, desc="streams", unit="stream")]


def score_streams(runs: list[tuple[Stream, runner.StreamResult]], tolerance_s: float = 1.0) -> dict:
    """Counts are summed over the streams before precision and recall are taken.

    The baselines are told the truth. `boundary_f1_uniform` and `boundary_f1_pixels` are the one clock and the one threshold that
    are best for the whole set; `..._per_stream` choose anew for every stream, which fits a minute with ten boundaries to almost
    anything.
    """
    matched = detected = true = 0
    uniform, pixels, delays, texts, right = [], [], [], 0, []
    missed: dict[str, int] = {}
    per_stream: list[float] = []
    clocks: list[tuple[list[float], float]] = []
    scores: list[tuple[list[float], list[float], list[float]]] = []
    for s, result in runs:
        truth = [g.start_s for g in s.segments[1:]]
        found = boundaries.score(truth, result.boundaries_s, tolerance_s)
        matched, detected, true = matched + found.matched, detected + found.detected, true + found.true
        per_stream.append(found.f1)
        hits = {i for i, _ in boundaries.match(truth, result.boundaries_s, tolerance_s)}
        for i, g in enumerate(s.segments[1:]):
            if i not in hits:
                missed[g.event] = missed.get(g.event, 0) + 1
        uniform.append(baselines.best_uniform_f1(truth, result.seconds, tolerance_s))
        clocks.append((truth, result.seconds))
        stamps = [(n - result.first_ns) / NS for n in result.frame_stamps_ns]
        scores.append((result.pixel_differences, stamps, truth))
        pixels.append(baselines.best_threshold_f1(result.pixel_differences, stamps, truth, tolerance_s))
        compute = float(np.median(result.embed_s)) + float(np.median([t.seconds for t in result.texts] or [0.0]))
        delays += [
            d + compute for d in boundaries.delays(truth, result.boundaries_s, result.spoken_s(), tolerance_s) if np.isfinite(d)
        ]
        texts += len(result.texts)
        for t in result.texts:
            now = s.state_at((t.request.stamp_ns - result.first_ns) / NS)
            right += sentences_right(t.text, language.state_text(now, s.scene))
    precision, recall = matched / max(1, detected), matched / max(1, true)
    segments = sum(len(s.segments) for s, _ in runs)
    return {
        "tolerance_s": tolerance_s,
        "streams": len(runs),
        "true_boundaries": true,
        "detected": detected,
        "boundary_precision": precision,
        "boundary_recall": recall,
        "boundary_f1": 2 * precision * recall / max(1e-9, precision + recall),
        "boundary_f1_lowest_stream": min(per_stream),
        "boundary_f1_uniform": baselines.best_uniform_over(clocks, tolerance_s).f1,
        "boundary_f1_pixels": baselines.best_threshold_over(scores, tolerance_s).f1,
        "boundary_f1_uniform_per_stream": float(np.mean(uniform)),
        "boundary_f1_pixels_per_stream": float(np.mean(pixels)),
        "delay_s_median": float(np.median(delays)) if delays else None,
        "delay_s_p95": float(np.quantile(delays, 0.95)) if delays else None,
        "texts_per_segment": texts / segments,
        "sentences_right": float(np.mean(right)) if right else None,
        "missed": missed,
        "familiar_share": float(np.mean([t.familiar for _, r in runs for t in r.texts] or [np.nan])),
    }


def run_still(model: VLJEPA, seed: int, seconds: float = 60.0) -> dict:
    """Transitions and texts of scenes in which nothing happens, per kind of disturbance."""
    out = {}
    for name, sensor in STILL.items():
        stream = Stream(seed * 100_003 + 60_000, seconds, events=False, sensor=sensor)
        result = runner.run(frames_of(stream), model)
        out[name] = {
            "seconds": seconds,
            "transitions": len(result.transitions),
            "texts": len(result.texts),
            "triggers": [t.request.trigger.value for t in result.texts],
        }
    return out
