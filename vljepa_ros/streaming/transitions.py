"""Embeddings -> transitions: an online Ward clustering that says when one state of the world has given way to another.

The segment so far is a mean m of n seconds, the newest `window_s` seconds of embeddings are a mean v of k seconds, and
n*k/(n+k) * |m-v|^2 is what merging the two costs. Everything is in seconds: an embedding weighs the time it stands for, so
neither rate nor drops move the cost.

    steady    cost below the threshold: embeddings that leave the window join the segment
    suspect   cost above it: nothing joins. Back below hysteresis * threshold: the excursion is forgotten. Above it for
              `settle_s`, with evidence enough, and still again (or `patience_s` have passed): the segment ends

Embeddings glide from one state to the next while an event runs, and stand still when it is complete. So a transition waits until
the newest embeddings have stopped gliding, its boundary is the moment they had covered `arrival` of the way, and the new
segment's mean begins with the still ones: the glide belongs to neither mean and makes no second transition.

Knows nothing of cameras or networks. Causal: a transition depends on embeddings up to its own stamp only.
"""

from __future__ import annotations

import logging
from collections import deque

import numpy as np

from vljepa_ros.streaming.noise import StreamNoise
from vljepa_ros.streaming.transition_params import TransitionParams
from vljepa_ros.streaming.types import Embedding, Transition
from vljepa_ros.streaming.ward import Piece, mean, merge_cost, unit

log = logging.getLogger(__name__)

NS = 1_000_000_000
CERTAIN_EMBEDDINGS = 3  # a transition rests on at least this many embeddings above the threshold, however slow the stream
REST_NOISE = 2.0  # a window's step that costs less than this many times the stream's noise is no movement


class TransitionDetector:
    """Feed it every embedding of one query in order; now and then it answers with a transition."""

    def __init__(self, params: TransitionParams = TransitionParams()) -> None:
        self.params = params
        self.segment = 0  # index of the current segment over the stream's whole life; an epoch begins one too
        self.segment_start_ns = 0
        self.distance = 0.0  # the latest merge cost
        self.threshold = params.threshold
        self._window_ns = round(params.window_s * NS)
        self._floor = params.cost_of(params.min_change)
        prior = max(params.cost_of(params.prior_change), 1e-9) / params.noise_factor
        self._noise = StreamNoise(params.noise_quantile, params.noise_memory_s, prior, params.prior_s)
        self._epoch: int | None = None
        self._space_id = ""
        self._recent: deque[Piece] = deque()  # two windows at least, and all since a change was suspected
        self._joined_ns = 0  # pieces up to here are in the segment's mean, or were left out of it for good
        self._mean_D: np.ndarray | None = None
        self._mean_seconds = 0.0
        self._mean_ns = 0  # when the mean was begun
        self._suspect_ns: int | None = None  # stamp of the first embedding above the threshold
        self._suspect_costs: list[tuple[float, float]] = []

    @property
    def mean_D(self) -> np.ndarray | None:
        """The current segment's mean embedding so far, float32 of norm 1; None before the first embedding."""
        return None if self._mean_D is None else unit(self._mean_D)

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
        step_ns = embedding.stamp_ns - self._recent[-1].stamp_ns
        if step_ns <= 0:
            log.debug("embedding at %d does not advance the stream; ignored", embedding.stamp_ns)
            return None
        piece = Piece(embedding.stamp_ns, min(step_ns / NS, self.params.max_weight_s), embedding.vector_D.astype(np.float64))
        self._recent.append(piece)
        v_D, k = mean(self._window())
        still = self._still(v_D, k, piece.seconds)
        if not still and self._young(piece.stamp_ns):
            self._restart_mean(v_D, k, piece.stamp_ns)  # the last event is not quite over: its end belongs to no mean
        self.distance = merge_cost(self._mean_D, self._mean_seconds, v_D, k)
        transition = self._judge(embedding, piece, v_D, k, still)
        self._forget()
        return transition

    def _begin_epoch(self, embedding: Embedding) -> None:
        if self._epoch is not None:
            self.segment += 1
        self._epoch, self._space_id = embedding.epoch, embedding.space_id
        self.segment_start_ns = self._joined_ns = embedding.stamp_ns
        # How long the first embedding stands for is not known; the cap is small enough for it.
        first = Piece(
            embedding.stamp_ns, min(self.params.window_s, self.params.max_weight_s), embedding.vector_D.astype(np.float64)
        )
        self._recent = deque([first])
        self._restart_mean(first.vector_D, first.seconds, first.stamp_ns)
        self._suspect_ns, self._suspect_costs = None, []
        self.distance = 0.0
        self._calibrate()

    def _judge(self, embedding: Embedding, piece: Piece, v_D: np.ndarray, k: float, still: bool) -> Transition | None:
        """Steady or suspect, and what follows from it."""
        p = self.params
        if self._suspect_ns is None:
            if self.distance <= self.threshold:
                if self._mature(piece.stamp_ns):
                    self._noise.add_cost(self.distance, piece.seconds)
                self._calibrate()
                self._join()
                return None
            self._suspect_ns = piece.stamp_ns
        self._suspect_costs.append((self.distance, piece.seconds))
        above_s = (piece.stamp_ns - self._suspect_ns) / NS
        if self.distance <= self.threshold:
            # Either it went back, or it hovers below the threshold: a slow drift, which the mean shall follow.
            if self.distance < p.hysteresis * self.threshold or above_s > max(p.patience_s, p.settle_s):
                self._forget_suspicion()
            return None
        evidence_s = sum(seconds * (cost / self.threshold - p.hysteresis) for cost, seconds in self._suspect_costs)
        certain = len(self._suspect_costs) >= CERTAIN_EMBEDDINGS and above_s >= p.settle_s and evidence_s >= p.evidence_s
        if not certain or not (still or above_s >= p.patience_s):
            return None
        earliest_ns = self.segment_start_ns + round(p.min_segment_s * NS)
        if embedding.stamp_ns < earliest_ns:
            return None
        return self._end_segment(embedding, max(self._boundary(v_D), earliest_ns), v_D, k)

    def _end_segment(self, embedding: Embedding, boundary_ns: int, v_D: np.ndarray, k: float) -> Transition:
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
            before_D=unit(self._mean_D),
            after_D=unit(v_D),
            frame_id=embedding.frame_id,
        )
        self.segment_start_ns = boundary_ns
        self._joined_ns = embedding.stamp_ns
        self._restart_mean(v_D, k, embedding.stamp_ns)
        self._suspect_ns, self._suspect_costs = None, []
        return transition

    def _forget_suspicion(self) -> None:
        """It was an excursion. It says how restless this stream is, and is left out of the segment's mean."""
        for cost, seconds in self._suspect_costs:
            self._noise.add_cost(cost, seconds)
        self._calibrate()
        self._suspect_ns, self._suspect_costs = None, []
        self._joined_ns = self._recent[-1].stamp_ns

    def _boundary(self, v_D: np.ndarray) -> int:
        """Stamp of the first embedding of the new state: from it on, all have covered `arrival` of the way from m to v."""
        way_D = v_D - self._mean_D
        reach = self.params.arrival * float(way_D @ way_D)
        boundary_ns = self._recent[-1].stamp_ns
        for piece in reversed(self._recent):
            if piece.stamp_ns <= self._joined_ns or float((piece.vector_D - self._mean_D) @ way_D) < reach:
                break
            boundary_ns = piece.stamp_ns
        return boundary_ns

    def _window(self) -> list[Piece]:
        return [piece for piece in self._recent if piece.stamp_ns > self._recent[-1].stamp_ns - self._window_ns]

    def _still(self, v_D: np.ndarray, k: float, seconds: float) -> bool:
        """Embeddings have stopped moving: the step from the window before is small beside the change so far, or no more than
        noise.

        The step's cost is also what noise looks like in a stream that always moves, so it is measured here.
        """
        edge_ns = self._recent[-1].stamp_ns - self._window_ns
        older = [piece for piece in self._recent if piece.stamp_ns <= edge_ns]
        if not older:
            return False  # the epoch is younger than a window
        u_D, _ = mean([piece for piece in older if piece.stamp_ns > edge_ns - self._window_ns] or older[-1:])
        step, change = merge_cost(u_D, k, v_D, k), merge_cost(self._mean_D, k, v_D, k)
        self._noise.add_step(step, seconds)
        return step <= max(self.params.rest**2 * change, REST_NOISE * self._noise.step)

    def _young(self, stamp_ns: int) -> bool:
        return self._suspect_ns is None and stamp_ns - self.segment_start_ns < self.params.min_segment_s * NS

    def _mature(self, stamp_ns: int) -> bool:
        """The mean is two windows older than the newest one. Before, it is made of the very embeddings it is held against."""
        return stamp_ns - self._mean_ns > 2 * self._window_ns

    def _restart_mean(self, vector_D: np.ndarray, seconds: float, stamp_ns: int) -> None:
        self._mean_D, self._mean_seconds, self._mean_ns = vector_D, seconds, stamp_ns

    def _join(self) -> None:
        """What has left the window joins the segment's mean, which remembers `cap_s` seconds."""
        now_ns = self._recent[-1].stamp_ns
        for piece in self._recent:
            if self._joined_ns < piece.stamp_ns <= now_ns - self._window_ns:
                self._mean_D = self._mean_D + piece.seconds / (self._mean_seconds + piece.seconds) * (
                    piece.vector_D - self._mean_D
                )
                self._mean_seconds = min(self._mean_seconds + piece.seconds, self.params.cap_s)
                self._joined_ns = piece.stamp_ns

    def _forget(self) -> None:
        """Keep two windows, and all that no mean holds yet: a suspected change needs it to find its boundary."""
        last_ns = min(self._joined_ns, self._recent[-1].stamp_ns - 2 * self._window_ns)
        while len(self._recent) > 2 and self._recent[0].stamp_ns <= last_ns:
            self._recent.popleft()

    def _calibrate(self) -> None:
        if self.params.threshold == 0:
            self.threshold = max(self._floor, self.params.noise_factor * self._noise.level)
