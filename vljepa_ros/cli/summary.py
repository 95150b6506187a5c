# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo in numbers: a `Recording` becomes the keys of `summary.json`. Knows nothing of ROS.

Where the source has no truth, what needs it is null. Times are seconds on the stream's clock unless the key says otherwise.
"""
from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vljepa_ros.cli.recording import SPEAKS_OF_SEGMENT, Recording
from vljepa_ros.evaluation.baselines import best_threshold_f1, best_uniform_f1
from vljepa_ros.evaluation.boundaries import delays, score

TOLERANCE_S = 1.0  # a detection counts within this of the true boundary
CLIP_DROPS = ("newer_clip", "model_error")  # the causes for which a clip leaves no embedding; the others are frames'


def summarise(recording: Recording, pixels: tuple[Sequence[float], Sequence[float]] | None = None) -> dict:
    """All keys of the summary. `pixels`: seconds since the first frame, and each frame's difference to the one before."""
    duration_s = recording.duration_s
    latencies = recording.latencies_ms()
    texts = [heard for heard in recording.texts if heard.what.request.trigger in SPEAKS_OF_SEGMENT]
    per_s = 1 / duration_s if duration_s > 0 else 0.0
    return {
        "frames_in": recording.published,
        "embeddings": len(recording.beats),
        "embedding_hz": _rounded(_rate(recording)),
        "latency_ms_p50": _quantile(latencies, 0.50, 1),
        "latency_ms_p99": _quantile(latencies, 0.99, 1),
        "transitions": len(recording.transitions),
        "texts": len(texts),
        "true_segments": len(recording.truth) if recording.truth_known else None,
        "drops": drops(recording),
        **_boundaries(recording, pixels),
        "decodes_per_s": _rounded(len(recording.texts) * per_s),
        "seconds": _rounded(duration_s),
        "transitions_per_minute": _rounded(60 * len(recording.transitions) * per_s),
        "familiar_share": _rounded(float(np.mean([heard.what.familiar for heard in texts]))) if texts else None,
    }


def drops(recording: Recording) -> dict[str, int]:
    """What was lost, by cause: as the nodes count it, and what no node can know because it never arrived.

    `unexplained` counts clips that left a hole in the embeddings' sequence for which no node named a cause.
    """
    causes: dict[str, int] = {}
    frames = None
    for values in recording.diagnostics.values():
        for key, value in values.items():
            if key.startswith("drops.") and int(value):
                causes[key.removeprefix("drops.")] = causes.get(key.removeprefix("drops."), 0) + int(value)
            elif key == "frames":
                frames = int(value)
    lost = 0 if frames is None else recording.published - frames - causes.get("lost_in_transport", 0)
    if lost > 0:
        causes["lost_before_the_node"] = lost
    sequences = [beat.sequence for beat in recording.beats]
    holes = max(sequences) - min(sequences) + 1 - len(set(sequences)) if sequences else 0
    named = sum(causes.get(cause, 0) for cause in CLIP_DROPS)
    if holes > named:
        causes["unexplained"] = holes - named
    return causes


def write(summary: dict, path: Path) -> None:
    """As JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".json.part")
    beside.write_text(json.dumps(summary, indent=2) + "\n")
    os.replace(beside, path)


def _boundaries(recording: Recording, pixels: tuple[Sequence[float], Sequence[float]] | None) -> dict[str, float | None]:
    keys = (
        "boundary_precision",
        "boundary_recall",
        "boundary_f1",
        "boundary_f1_uniform",
        "boundary_f1_pixels",
        "delay_s_median",
        "delay_s_p95",
    )
    if not recording.truth_known:
        return dict.fromkeys(keys)
    true_s = [t for t in recording.true_boundaries_s() if t <= recording.duration_s]
    found_s = recording.boundaries_s()
    found = score(true_s, found_s, TOLERANCE_S)
    waits = delays(true_s, found_s, _words_s(recording), TOLERANCE_S)
    by_pixels = None if pixels is None else best_threshold_f1(pixels[1], pixels[0], true_s, TOLERANCE_S)
    return dict(
        zip(
            keys,
            (
                _rounded(found.precision),
                _rounded(found.recall),
                _rounded(found.f1),
                _rounded(best_uniform_f1(true_s, recording.duration_s, TOLERANCE_S)),
                _rounded(by_pixels),
                _quantile(waits, 0.5, 3),
                _quantile(waits, 0.95, 3),
            ),
            strict=True,
        )
    )


def _words_s(recording: Recording) -> list[float]:
    """For each transition, when the first text of the segment that it began arrived; NaN where none did."""
    heard = [recording.text_of(one.what.segment, one.what.epoch) for one in recording.transitions]
    return [float("nan") if one is None else recording.seconds(one.received_ns) for one in heard]


def _rate(recording: Recording) -> float | None:
    """Embeddings per second between the first and the last of them: how long the models took to load is no rate."""
    if len(recording.beats) < 2:
        return None
    seconds = (recording.beats[-1].stamp_ns - recording.beats[0].stamp_ns) / 1e9
    return (len(recording.beats) - 1) / seconds if seconds > 0 else None


def _quantile(values: Sequence[float], q: float, digits: int) -> float | None:
    return round(float(np.quantile(values, q)), digits) if len(values) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
