# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings and transitions -> decode requests: words once per segment, when its state has settled, from the mean of its
embeddings.

Runs in the decoder's process, to which embeddings and transitions come over two topics: in either order, with losses, from the
middle of a stream on, from a predictor that starts again. So it goes by stamps, epochs and boundaries, never by which message
came first. Knows nothing of ROS and of the decoder.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

import numpy as np

from vljepa_ros.streaming.parameters import check, parameter
from vljepa_ros.streaming.types import DecodeRequest, Embedding, Transition, Trigger
from vljepa_ros.streaming.ward import unit

log = logging.getLogger(__name__)

NS = 1_000_000_000
RESTART_AFTER = 3  # embeddings in a row that lead backwards: the predictor began anew; fewer are stragglers


@dataclass(frozen=True)
class DecodeParams:
    """When words are due."""

    settle_s: float = parameter(0.6, "seconds after a segment's start before its text is asked for", (0.0, 60.0))
    max_silence_s: float = parameter(0.0, "seconds without a text after which the state is told again; 0: never", (0.0, 86400.0))
    mean_s: float = parameter(3.0, "seconds of newest embeddings that a request's mean reaches back at most", (0.1, 600.0))

    def __post_init__(self) -> None:
        check(self, "decode")


class DecodePolicy:
    """Decides when a text is due and from which vector.

    The first text of every epoch has the trigger START, also where a transition came before it was spoken: whoever listens can
    take START as the moment to forget what was. A segment that ends before it settled is never spoken of.

    `segment` in a request is the detector's index as far as it was heard: from the latest transition, plus the epochs since. A
    decoder that starts in the middle of a stream counts from 0 until the first transition tells it better.
    """

    def __init__(self, params: DecodeParams = DecodeParams(), query: str | None = None) -> None:
        """`query`: the standing query that drives the transitions; others are ignored. None: the first one heard."""
        self.params = params
        self._query = query
        self._settle_ns = round(params.settle_s * NS)
        self._silence_ns = round(params.max_silence_s * NS)
        self._mean_ns = round(params.mean_s * NS)
        self._embeddings: deque[Embedding] = deque()  # of the current epoch, ascending, the newest mean_s of them
        self._epoch: int | None = None
        self._space_id = ""
        self._backwards = 0
        self._segment = 0
        self._segment_start_ns = 0
        self._transition: Transition | None = None  # the one that began the current segment; None in an epoch's first
        self._owed: Trigger | None = None  # what the current segment has yet to say
        self._spoken_ns: int | None = None  # stream time of the epoch's latest text; None: START is still owed

    def update(self, embedding: Embedding | None = None, transition: Transition | None = None) -> DecodeRequest | None:
        """Take what arrived, an embedding or a transition or both; answer with a request where one is due."""
        if embedding is not None:
            self._take_embedding(embedding)
        if transition is not None:
            self._take_transition(transition)
        return self._request()

    def _take_embedding(self, embedding: Embedding) -> None:
        if self._query is None:
            self._query = embedding.query
        if embedding.query != self._query or not self._advances(embedding):
            return
        if not self._embeddings and self._transition is None:
            self._segment_start_ns = embedding.stamp_ns
        self._embeddings.append(embedding)
        while self._embeddings[0].stamp_ns < embedding.stamp_ns - self._mean_ns:
            self._embeddings.popleft()

    def _take_transition(self, transition: Transition) -> None:
        if self._epoch is None or (transition.epoch > self._epoch and transition.space_id == self._space_id):
            self._begin_epoch(transition.epoch, transition.space_id, segment=transition.segment)
        if transition.epoch != self._epoch or transition.space_id != self._space_id:
            return  # of an epoch that is over, or of a predictor whose embeddings are not here yet
        if self._transition is not None and transition.stamp_ns <= self._transition.stamp_ns:
            return  # heard before
        self._transition = transition
        self._segment, self._segment_start_ns = transition.segment, transition.boundary_ns
        self._owed = Trigger.CHANGE

    def _advances(self, embedding: Embedding) -> bool:
        """Whether an embedding leads the stream on. Begins a new epoch where it does, or a new stream."""
        newest = self._embeddings[-1] if self._embeddings else None
        if self._epoch is None or embedding.space_id != self._space_id:
            self._begin_epoch(embedding.epoch, embedding.space_id, segment=0)
        elif embedding.epoch > self._epoch:
            self._begin_epoch(embedding.epoch, embedding.space_id, segment=self._segment + 1)
        elif embedding.epoch < self._epoch or (newest is not None and embedding.stamp_ns <= newest.stamp_ns):
            if newest is not None and (embedding.stamp_ns, embedding.sequence) == (newest.stamp_ns, newest.sequence):
                return False
            self._backwards += 1
            if self._backwards < RESTART_AFTER:
                return False
            log.info("embeddings lead back to epoch %d: the predictor began anew", embedding.epoch)
            self._begin_epoch(embedding.epoch, embedding.space_id, segment=0)
        elif newest is not None and embedding.sequence < newest.sequence:
            log.info("sequence %d after %d at a later stamp: the predictor began anew", embedding.sequence, newest.sequence)
            self._begin_epoch(embedding.epoch, embedding.space_id, segment=0)
        self._backwards = 0
        return True

    def _begin_epoch(self, epoch: int, space_id: str, segment: int) -> None:
        self._epoch, self._space_id, self._segment = epoch, space_id, segment
        self._embeddings.clear()
        self._transition, self._spoken_ns = None, None
        self._owed = Trigger.START

    def _now_ns(self) -> int | None:
        """Stream time of the current epoch, as far as it was heard."""
        heard = [self._embeddings[-1]] if self._embeddings else []
        return max((one.stamp_ns for one in [*heard, self._transition] if one is not None), default=None)

    def _request(self) -> DecodeRequest | None:
        now_ns = self._now_ns()
        trigger = None if now_ns is None else self._due(now_ns)
        if trigger is None:
            return None
        self._owed, self._spoken_ns = None, now_ns
        heard = self._embeddings[-1] if self._embeddings else self._transition
        return DecodeRequest(
            vector_D=self._mean(now_ns),
            stamp_ns=now_ns,
            segment_start_ns=self._segment_start_ns,
            segment=self._segment,
            epoch=self._epoch,
            trigger=trigger,
            space_id=self._space_id,
            query=self._query or "",
            frame_id=heard.frame_id,
            novelty=self._novelty(),
        )

    def _due(self, now_ns: int) -> Trigger | None:
        if self._owed is not None:
            if now_ns - self._segment_start_ns < self._settle_ns:
                return None
            return Trigger.START if self._spoken_ns is None else self._owed
        if self._silence_ns and now_ns - self._spoken_ns >= self._silence_ns:
            return Trigger.MAX_SILENCE
        return None

    def _novelty(self) -> float:
        """Median novelty of the segment's embeddings: a flash or a passing hand does not make a known world foreign.

        0 where the transition came before any of its embeddings.
        """
        own = [one.novelty for one in self._embeddings if one.stamp_ns >= self._segment_start_ns]
        return float(np.median(own)) if own else 0.0

    def _mean(self, now_ns: int) -> np.ndarray:
        """The mean of the segment's embeddings so far, float32 of norm 1.

        After a transition that is its `after_D`, for the embeddings up to its stamp, and what came since; never the glide before
        them.
        """
        if self._transition is None:
            return unit(np.sum([one.vector_D.astype(np.float64) for one in self._embeddings], axis=0))
        vectors = [one.vector_D.astype(np.float64) for one in self._embeddings if one.stamp_ns > self._transition.stamp_ns]
        if now_ns - self._transition.stamp_ns <= self._mean_ns:
            known = sum(self._segment_start_ns <= one.stamp_ns <= self._transition.stamp_ns for one in self._embeddings)
            vectors.append(max(known, 1) * self._transition.after_D.astype(np.float64))
        return unit(np.sum(vectors, axis=0))
