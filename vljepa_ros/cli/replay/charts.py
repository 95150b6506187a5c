# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Curves as SVG paths, drawn here so that the page needs no script. Words and numbers beside them are the page's own text: in a
drawing that is squeezed to a phone's width they would shrink.

A path fills a box of `WIDE` x `HIGH` units, which the page stretches to any size; strokes keep their width.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

WIDE, HIGH = 1000.0, 100.0
POINTS = 1600  # a path has about so many at most, or one for each unit of its width


@dataclass(frozen=True)
class Tick:
    """A label at a share (0..1) of an axis, counted from left or from below."""

    at: float
    text: str


@dataclass
class Chart:
    """What the page draws: paths by name, ticks, and a sentence for those who do not see it."""

    label: str
    paths: dict[str, str] = field(default_factory=dict)
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    marks: list[tuple[float, float, str]] = field(default_factory=list)  # x and y shares, name
    told: dict[str, str] = field(default_factory=dict)  # what stands beside a mark, by its name


def line(x: Sequence[float], y: Sequence[float], x_range: tuple[float, float], y_range: tuple[float, float], breaks=(),
         wide: float = WIDE, high: float = HIGH) -> str:  # fmt: skip
    """An SVG path through the points; at the indices in `breaks` a new line begins. "" for none."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    parts = []
    for part in np.split(np.arange(len(x)), [k for k in breaks if 0 < k < len(x)]):
        most = max(POINTS, int(wide))
        at = part[_fewer(y[part], most)] if len(part) > most else part
        px = (x[at] - x_range[0]) / max(x_range[1] - x_range[0], 1e-12) * wide
        py = high - (np.clip(y[at], *y_range) - y_range[0]) / max(y_range[1] - y_range[0], 1e-12) * high
        if len(at):
            parts.append("M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py)))
    return "".join(parts)


def area(x: Sequence[float], y: Sequence[float], x_range: tuple[float, float], y_range: tuple[float, float], breaks=(),
         wide: float = WIDE, high: float = HIGH) -> str:  # fmt: skip
    """The same, filled down to the lower edge."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    parts = []
    for part in np.split(np.arange(len(x)), [k for k in breaks if 0 < k < len(x)]):
        if len(part) > 1:
            upper = line(x[part], y[part], x_range, y_range, wide=wide, high=high)
            first, last = ((x[k] - x_range[0]) / max(x_range[1] - x_range[0], 1e-12) * wide for k in (part[0], part[-1]))
            parts.append(f"{upper}L{last:.1f},{high:.1f}L{first:.1f},{high:.1f}Z")
    return "".join(parts)


def bars(counts: Sequence[float]) -> str:
    """A histogram: bars of equal width over the whole box, the highest as high as the box."""
    highest, width = max([1e-9, *counts]), WIDE / max(len(counts), 1)
    return "".join(
        f"M{k * width + 0.08 * width:.1f},{HIGH:.1f}V{HIGH * (1 - count / highest):.2f}H{(k + 0.92) * width:.1f}V{HIGH:.1f}Z"
        for k, count in enumerate(counts) if count
    )


def time_ticks(start_s: float, end_s: float, most: int) -> list[Tick]:
    """Round times, at most about `most` of them."""
    length = max(end_s - start_s, 1e-9)
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200) if length / s <= most), 14400)
    first = math.ceil(start_s / step - 1e-9) * step
    return [Tick((t - start_s) / length, clock(t)) for t in np.arange(first, end_s + 1e-9, step)]


def value_ticks(low: float, high: float, most: int = 4) -> list[Tick]:
    """Round values, at most about `most` of them."""
    length = max(high - low, 1e-12)
    power = 10.0 ** math.floor(math.log10(length / most))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if length / (m * power) <= most)
    digits = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if step / power == 2.5 else 0))
    values = np.arange(math.ceil(low / step - 1e-9) * step, high + 1e-9, step)
    return [Tick((v - low) / length, f"{v:.{digits}f}") for v in values]


def clock(seconds: float) -> str:
    """0:07, 12:30, 1:02:03."""
    whole = round(float(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _fewer(y: np.ndarray, points: int) -> np.ndarray:
    """Indices of the lowest and the highest of every stretch: what a drawing of this width would show."""
    kept: set[int] = {0, len(y) - 1}
    for part in np.array_split(np.arange(len(y)), points // 2):
        kept |= {int(part[np.argmin(y[part])]), int(part[np.argmax(y[part])])}
    return np.array(sorted(kept))
