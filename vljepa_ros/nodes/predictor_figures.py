# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a predictor counts and times over its life, and what /diagnostics says of it."""
from __future__ import annotations

from collections import Counter

from vljepa_ros.model import VLJEPA
from vljepa_ros.nodes.batches import BatchSize
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.statistics import Durations, Rate, Recent
from vljepa_ros.nodes.worker import TOLERATED_FAILURES, Worker
from vljepa_ros.streaming import ClipBuffer, TransitionDetector

DROPS = ("duplicate_stamp", "zero_stamp")  # what ClipBuffer counts and loses; its other counts are why epochs began
NEW_QUERY = "queries"  # why an epoch began: query 0 was changed


class PredictorFigures:
    """The node counts; the reports are made of that and of what the node has at the moment, None where it has none."""

    def __init__(self) -> None:
        self.embeddings, self.latency, self.model_time = Rate(), Durations(), Durations()
        self.transitions = 0
        self.drops: Counter[str] = Counter(newer_clip=0, deactivated=0, model_error=0, out_of_memory=0)
        self._recent_drops, self._recent_epochs = Recent(), Recent()

    def report_clips(self, status: Status, clips: ClipBuffer | None) -> None:
        """Epochs and images that made no clip, by cause."""
        if clips is None:
            status.summary = "not configured"
            return
        counts, epoch = clips.counts, clips.epoch
        epochs = {cause: count for cause, count in counts.items() if cause not in DROPS}
        status.summary = f"epoch {epoch}"
        status.value("epoch", epoch)
        status.counts("drops", {cause: counts[cause] for cause in DROPS})
        status.counts("epochs", epochs)
        recent = self._recent_epochs.look(counts)
        if "zero_stamp" in recent:
            status.error(f"{counts['zero_stamp']} images came without a stamp and were dropped; set clip.stamp_source to arrival")
        if "duplicate_stamp" in recent:
            status.warn(f"{counts['duplicate_stamp']} images repeated the stamp before them and were dropped")
        broke = [cause for cause in epochs if cause in recent and cause != NEW_QUERY]
        if broken := [f"{cause} {epochs[cause]}" for cause in broke]:
            status.warn(f"the stream broke and epoch {epoch} began ({', '.join(broken)})")

    def report_model(
        self, status: Status, model: VLJEPA | None, worker: Worker | None, detector: TransitionDetector | None,
        batches: BatchSize,
    ) -> None:
        """Embeddings out, what they cost, and what is wrong with the model."""
        drops = self.drops.copy()
        error = worker.last_error if worker is not None else ""
        for key, value in (
            ("embeddings", self.embeddings.total), ("embeddings_per_s", self.embeddings.per_second),
            ("transitions", self.transitions), *self.latency.values("latency_ms"), *self.model_time.values("model_ms"),
            ("last_error", error),
        ):
            status.value(key, value)
        status.counts("drops", drops)
        if model is None or detector is None:
            status.summary = "not configured"
            return
        status.value("clips_at_once", batches.now)
        status.hardware_id = model.config.name
        status.value("space_id", model.space_id)
        status.value("engine", model.engine.name)
        for key in ("segment", "distance", "threshold"):
            status.value(key, getattr(detector, key))
        status.summary = f"{self.embeddings.per_second:.1f} embeddings/s"
        recent = self._recent_drops.look(drops)
        if "newer_clip" in recent:
            status.warn(f"{drops['newer_clip']} clips gave way to newer ones: the model is slower than clip.stride_s")
        if "out_of_memory" in recent:
            status.warn(
                f"the device had no room for {drops['out_of_memory']} clips, which were lost; at most {batches.now} at once now, "
                "more later. Free its memory, or give the node fewer cameras or queries"
            )
        if batches.now == 1 and batches.failures_in_a_row >= TOLERATED_FAILURES:
            status.error(
                f"the device has no room for a single clip ({batches.failures_in_a_row} times in a row): end what else uses "
                "it, or set device to cpu, or take a smaller checkpoint"
            )
        if worker is not None and worker.problem:
            status.error(worker.problem)
        elif "model_error" in recent:
            status.warn(f"the model failed on {drops['model_error']} clips; the last: {error}")
