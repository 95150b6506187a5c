# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo as a picture: film strip, truth, distance curve with its threshold, and what was said, over one axis of time.

Long streams are set like music, in systems of at most `SYSTEM_S` seconds one below the other, so that texts stay legible. Pure
drawing: it reads a `Recording` and writes a PNG.
"""
from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from vljepa_ros.cli.recording import Recording
from vljepa_ros.cli.strips import (
    FAINT,
    INK,
    PAPER,
    SAID,
    SOFT,
    TRUTH,
    WRONG,
    Judged,
    band,
    band_height,
    curve,
    film,
    said_spans,
    truth_spans,
)

SYSTEM_S = 40.0
MAX_SYSTEMS = 14  # beyond it, systems grow longer: a picture of an hour is an overview
WIDTH, LEFT, RIGHT, HEAD, FOOT, FILM, CURVE, GAP, LEGEND = 15.0, 0.92, 0.25, 0.86, 0.3, 0.62, 0.95, 0.3, 0.36  # inches


def draw(recording: Recording, path: Path, summary: dict, tolerance_s: float = 1.0) -> None:
    """Write the picture. A stream without embeddings or truth gives one without a curve or a truth band, not an error."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    duration_s = max(recording.duration_s, 1.0)
    systems = min(max(1, math.ceil(duration_s / SYSTEM_S - 0.05)), MAX_SYSTEMS)
    length_s = duration_s / systems
    truth, said = truth_spans(recording, duration_s), said_spans(recording, duration_s)
    inches_per_s = (WIDTH - LEFT - RIGHT) / length_s
    windows = [(k * length_s, (k + 1) * length_s) for k in range(systems)]
    heights = [(band_height(truth, window, inches_per_s), band_height(said, window, inches_per_s)) for window in windows]
    total = HEAD + LEGEND - GAP + sum(FILM + CURVE + FOOT + GAP + a + b for a, b in heights)
    figure = plt.figure(figsize=(WIDTH, total), dpi=120, facecolor=PAPER)
    try:
        _header(figure, total, recording, summary)
        judged = Judged(recording, tolerance_s)
        top = total - HEAD
        _legend(figure, total, recording)
        for window, (truth_in, said_in) in zip(windows, heights, strict=True):
            top = _system(figure, total, top, window, (truth, truth_in), (said, said_in), recording, judged) - GAP
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, facecolor=PAPER)
    finally:
        plt.close(figure)


def _header(figure, total: float, recording: Recording, summary: dict) -> None:
    def put(x: float, y_in: float, text: str, **style) -> None:
        figure.text(x / WIDTH, 1 - y_in / total, text, va="baseline", **style)

    put(LEFT, 0.42, "What the camera meant", fontsize=17, color=INK, weight="bold")
    put(LEFT, 0.66, "  ·  ".join(part for part in (recording.source, recording.model) if part), fontsize=8.5, color=SOFT)

    def number(key: str, form: str) -> str:
        return "–" if summary.get(key) is None else form.format(summary[key])

    facts = [("embeddings per s", number("embedding_hz", "{:.1f}")), ("latency p99", number("latency_ms_p99", "{:.0f} ms"))]
    if recording.truth_known:
        facts += [
            ("boundary F1", number("boundary_f1", "{:.2f}")),
            ("best clock", number("boundary_f1_uniform", "{:.2f}")),
            ("best pixel difference", number("boundary_f1_pixels", "{:.2f}")),
            ("event to words", number("delay_s_median", "{:.1f} s")),
        ]
    facts += [("texts", number("texts", "{}"))]
    x = WIDTH - RIGHT
    for name, value in reversed(facts):
        put(x, 0.42, value, fontsize=13, color=INK, weight="bold", ha="right")
        put(x, 0.66, name, fontsize=7.5, color=SOFT, ha="right")
        x -= max(0.85, 0.065 * len(name) + 0.3)


def _legend(figure, total: float, recording: Recording) -> None:
    """One line at the bottom: what the strokes and fills stand for."""
    from matplotlib.lines import Line2D

    x, y = LEFT, 0.17

    def put(text: str, **stroke) -> None:
        nonlocal x
        marker = {"marker": "o", "ms": 4, "mew": 0, "ls": ""} | stroke if "marker" in stroke else {"lw": 1.4} | stroke
        ends = [x + 0.12] if "marker" in stroke else [x, x + 0.24]
        figure.add_artist(Line2D([e / WIDTH for e in ends], [y / total] * len(ends), **marker))
        figure.text((x + 0.32) / WIDTH, (y - 0.035) / total, text, fontsize=7.5, color=SOFT)
        x += 0.62 + 0.062 * len(text)

    if recording.truth_known:
        put("an event completes", color=TRUTH)
    put("a boundary is detected", color=SAID)
    put("its words arrive", color=SAID, marker="o")
    if recording.truth_known:
        put("missed, or one too many", color=WRONG)
    put("threshold", color=SOFT, ls=(0, (4, 3)), lw=0.9)
    put("slanted on grey: unfamiliar to the model · dark words: what is new", color=FAINT, lw=6)


def _system(figure, total, top, window, truth, said, recording, judged) -> float:
    """One line of music; returns the inches from the bottom at which it ends."""

    def axes(height: float, label: str):
        nonlocal top
        top -= height
        one = figure.add_axes((LEFT / WIDTH, top / total, (WIDTH - LEFT - RIGHT) / WIDTH, height / total), facecolor=PAPER)
        one.set_xlim(*window)
        for spine in one.spines.values():
            spine.set_visible(False)
        one.set_yticks([])
        one.tick_params(length=0, labelbottom=False)
        figure.text((LEFT - 0.1) / WIDTH, (top + height / 2) / total, label, ha="right", va="center", fontsize=8, color=SOFT)
        return one

    film(axes(FILM, "camera"), window, recording, (WIDTH - LEFT - RIGHT, FILM))
    inches_per_s = (WIDTH - LEFT - RIGHT) / (window[1] - window[0])
    if truth[1]:
        band(axes(truth[1], "truth"), window, truth, inches_per_s, TRUTH)
    distance = axes(CURVE, "distance")
    curve(distance, window, recording, judged)
    if said[1]:
        band(axes(said[1], "said"), window, said, inches_per_s, SAID)
        last = figure.axes[-1]
    else:
        last = distance
    last.tick_params(length=3, labelbottom=True, labelsize=7.5, colors=SOFT, pad=2)
    step = next((s for s in (1, 2, 5, 10, 30, 60, 120, 300, 600) if (window[1] - window[0]) / s <= 22), 1800)
    ticks = np.arange(math.ceil(window[0] / step - 1e-9) * step, window[1] + 1e-9, step)
    last.set_xticks(ticks, [f"{int(t // 60)}:{int(t % 60):02d}" for t in ticks])
    return top - FOOT
