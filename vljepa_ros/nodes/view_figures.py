# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a view counts and times over its life, and what /diagnostics says of it."""
from __future__ import annotations

from collections import Counter

from vljepa_ros.nodes.comparison import Comparison
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.statistics import Durations, Rate, Recent
from vljepa_ros.nodes.worker import Worker


class ViewFigures:
    """The node counts; the report is made of that and of what the node has at the moment, None where it has none."""

    def __init__(self) -> None:
        self.drawn, self.draw_time = Rate(), Durations()
        self.drops: Counter[str] = Counter(newer_frame=0, bad_text=0, draw_error=0)
        self._recent = Recent()

    def report(self, status: Status, comparison: Comparison | None, worker: Worker | None) -> None:
        """Pictures out, texts compared, and what is wrong with either."""
        drops = self.drops.copy()
        drops["draw_error"] += worker.failures if worker is not None else 0
        error = worker.last_error if worker is not None else ""
        for key, value in (
            ("pictures", self.drawn.total), ("pictures_per_s", self.drawn.per_second), *self.draw_time.values("draw_ms"),
            ("last_error", error),
        ):
            status.value(key, value)
        status.counts("drops", drops)
        if comparison is None:
            status.summary = "not configured"
            return
        status.value("texts", len(comparison.texts))
        status.value("texts_missing", comparison.missing)
        status.summary = f"{self.drawn.per_second:.1f} pictures/s"
        recent = self._recent.look(drops)
        if comparison.problem:
            status.error(f"{comparison.missing} of {len(comparison.texts)} texts are not compared: {comparison.problem}")
        if worker is not None and worker.problem:
            status.error(worker.problem)
        elif "draw_error" in recent:
            status.warn(f"drawing failed {drops['draw_error']} times; the last: {error}")
        if "newer_frame" in recent:
            status.warn(f"{drops['newer_frame']} frames gave way to newer ones: drawing is slower than rate_hz")
        if "bad_text" in recent:
            status.warn(f"{drops['bad_text']} texts were of a kind that is not known here")
