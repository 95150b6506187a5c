# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings -> transitions: says when one state of the world has given way to another, by the best split of the latest seconds.

With every embedding, the segment's latest seconds are parted into before and after wherever merging the two would cost most
(Ward's increment, n*k/(n+k) * |m-v|^2; `ward.py`). Everything is in seconds: an embedding weighs the time it stands for, so
neither rate nor drops move the cost. A large change is told by few embeddings after the split, a small one by more: the cost
grows with the time that the new state lasts.

    the segment ends    when that cost is above the threshold, the new state has lasted `settle_s`, the newest embeddings belong
                        to it, and they are still (or `patience_s` have passed)
    its boundary        is the split: the middle of the glide between the states, where a trained model's event completes
    the new segment     begins with the embeddings that have arrived: the glide is in neither mean and makes no second transition
    the threshold       is a multiple of the stream's own usual cost, and no less than `min_change` costs

Knows nothing of cameras or networks. Causal: a transition depends on embeddings up to its own stamp only.
"""

from __future__ import annotations

import logging

import numpy as np

from vljepa_ros.streaming.noise import RecentQuantile
from vljepa_ros.streaming.transition_params import TransitionParams
from vljepa_ros.streaming.types import Distance, Embedding, Transition
from vljepa_ros.streaming.ward import Split, best_split, mean, unit

log = logging.getLogger(__name__)

NS = 1_000_000_000
CERTAIN_EMBEDDINGS = 3  # a transition rests on at least this many embeddings of the new state, however slow the stream
ARRIVED = 0.75  # an embedding that has come this share of the way is of the new state


class TransitionDetector:
    """Feed it every embedding of one query in order; now and then it answers with a transition."""

    def __init__(self, params: TransitionParams = TransitionParams()) -> None:
        self.params = params
        self.segment = 0  # index of the current segment over the stream's whole life; an epoch begins one too
        self.segment_start_ns = 0
        self.distance = 0.0  # the latest merge cost
        self.threshold = params.threshold or params.floor
        self._window_ns = round(params.window_s * NS)
        self._kept_ns = round((params.cap_s + params.span_s) * NS)
        self._noise = RecentQuantile(params.noise_quantile, params.noise_memory_s)
        self._epoch: int | None = None
        self._space_id = ""
        # The current segment's embeddings of the latest cap_s + span_s, oldest first
        self._stamps_ns = np.zeros(0, np.int64)
        self._seconds_T = np.zeros(0)
        self._vectors_TD = np.zeros((0, 0))

    @property
    def mean_D(self) -> np.ndarray | None:
        """The current segment's mean embedding of its latest seconds, float32 of norm 1; None before the first embedding."""
        return unit(mean(self._vectors_TD, self._seconds_T)) if len(self._stamps_ns) else None

    def measured(self, embedding: Embedding) -> Distance:
        """How near the stream is to a transition, after `update` has taken that embedding."""
        return Distance(
            stamp_ns=embedding.stamp_ns,
            epoch=embedding.epoch,
            segment=self.segment,
            segment_start_ns=self.segment_start_ns,
            distance=self.distance,
            threshold=self.threshold,
            frame_id=embedding.frame_id,
        )

    def update(self, embedding: Embedding) -> Transition | None:
        """Take the next embedding. ValueError where it belongs to another space than those before it.

        A new epoch begins a segment without a transition. Within an epoch a stamp that does not advance is ignored.
        """
        if self._space_id and embedding.space_id != self._space_id:
            raise ValueError(
                f"embedding of space {embedding.space_id} after space {self._space_id}: distances across spaces mean nothing; "
                "make a new TransitionDetector"
            )
        if embedding.epoch != self._epoch:
            self._begin_epoch(embedding)
            return None
        step_ns = embedding.stamp_ns - int(self._stamps_ns[-1])
        if step_ns <= 0:
            log.debug("embedding at %d does not advance the stream; ignored", embedding.stamp_ns)
            return None
        self._take(embedding, min(step_ns / NS, self.params.max_weight_s))
        split = self._split()
        self.distance = 0.0 if split is None else split.cost
        if split is None:
            return None
        if split.cost <= self.threshold or split.seconds < self.params.settle_s:
            self._noise.add(split.cost, float(self._seconds_T[-1]))
            self._calibrate()
            return None
        earliest_ns = self.segment_start_ns + round(self.params.min_segment_s * NS)
        if embedding.stamp_ns < earliest_ns or not self._arrived(split):
            return None
        return self._end_segment(embedding, split, max(int(self._stamps_ns[split.index]), earliest_ns))

    def _begin_epoch(self, embedding: Embedding) -> None:
        if self._epoch is not None:
            self.segment += 1
        self._epoch, self._space_id = embedding.epoch, embedding.space_id
        self.segment_start_ns = embedding.stamp_ns
        self._stamps_ns, self._seconds_T = np.zeros(0, np.int64), np.zeros(0)
        self._vectors_TD = np.zeros((0, len(embedding.vector_D)))
        # How long the first embedding stands for is not known; the cap is small enough for it.
        self._take(embedding, min(self.params.window_s, self.params.max_weight_s))
        self.distance = 0.0

    def _take(self, embedding: Embedding, seconds: float) -> None:
        kept = self._stamps_ns > embedding.stamp_ns - self._kept_ns
        self._stamps_ns = np.append(self._stamps_ns[kept], embedding.stamp_ns)
        self._seconds_T = np.append(self._seconds_T[kept], seconds)
        self._vectors_TD = np.concatenate([self._vectors_TD[kept], embedding.vector_D[None].astype(np.float64)])

    def _split(self) -> Split | None:
        p = self.params
        return best_split(self._vectors_TD, self._seconds_T, (p.window_s, p.span_s), p.cap_s, p.correlation_s)

    def _arrived(self, split: Split) -> bool:
        """The newest embeddings belong to the new state and are at rest in it, or have moved for longer than patience goes."""
        if len(self._stamps_ns) - split.index < CERTAIN_EMBEDDINGS:
            return False
        newest = self._stamps_ns > self._stamps_ns[-1] - self._window_ns
        before = ~newest & (self._stamps_ns > self._stamps_ns[-1] - 2 * self._window_ns)
        before = before if before.any() else np.arange(len(newest)) == np.flatnonzero(newest)[0] - 1
        v_D, change = mean(self._vectors_TD[newest], self._seconds_T[newest]), float(split.way_D @ split.way_D)
        if (v_D - split.before_D) @ split.way_D < 0.5 * change:
            return False  # on its way back: an excursion
        step_D = v_D - mean(self._vectors_TD[before], self._seconds_T[before])
        return step_D @ step_D <= self.params.rest**2 * change or split.seconds >= min(self.params.patience_s, self.params.span_s)

    def _end_segment(self, embedding: Embedding, split: Split, boundary_ns: int) -> Transition:
        self._forget_glide(split)
        self.segment += 1
        transition = Transition(
            stamp_ns=embedding.stamp_ns,
            boundary_ns=boundary_ns,
            epoch=embedding.epoch,
            segment=self.segment,
            segment_start_ns=self.segment_start_ns,
            distance=self.distance,
            threshold=self.threshold,
            space_id=embedding.space_id,
            before_D=unit(split.before_D),
            after_D=self.mean_D,
            frame_id=embedding.frame_id,
        )
        self.segment_start_ns = boundary_ns
        return transition

    def _forget_glide(self, split: Split) -> None:
        """Keep of the new state what came after the last embedding still on its way, the newest window at least."""
        come_T = (self._vectors_TD - split.before_D) @ split.way_D / float(split.way_D @ split.way_D)
        window = int(np.searchsorted(self._stamps_ns, self._stamps_ns[-1] - self._window_ns, side="right"))
        gliding = np.flatnonzero(come_T[:window] < ARRIVED)
        first = max(split.index, gliding[-1] + 1 if len(gliding) else 0)
        self._stamps_ns, self._seconds_T = self._stamps_ns[first:], self._seconds_T[first:]
        self._vectors_TD = self._vectors_TD[first:]

    def _calibrate(self) -> None:
        if self.params.threshold == 0:
            self.threshold = max(self.params.floor, self.params.noise_factor * self._noise.value)
