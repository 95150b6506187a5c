"""Embeddings and transitions -> decode requests: words once per segment, when its state has settled, from the mean of its embeddings.

Runs in the decoder's process, to which embeddings and transitions come over two topics: in either order, with losses, from the middle of a
stream on, from a predictor that starts again. What it answers follows from stamps, epochs and boundaries alone, never from the order of arrival.
Knows nothing of ROS and of the decoder.
"""
from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

import numpy as np

from vljepa_ros.streaming.parameters import check, parameter
from vljepa_ros.streaming.types import DecodeRequest, Embedding, Transition, Trigger

log = logging.getLogger(__name__)

NS = 1_000_000_000
RESTART_AFTER = 3  # embeddings of a lower epoch in a row: the predictor began anew; fewer are stragglers


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

    The first text of every epoch has the trigger START, also where a transition came before it was spoken: whoever listens can take START
    as the moment to forget what was. A segment that ends before it settled is never spoken of.

    `segment` in a request is the detector's index as far as it was heard: from the latest transition, plus the epochs since. A decoder that
    starts in the middle of a stream counts from 0 until the first transition tells it better.
    """

    def __init__(self, params: DecodeParams = DecodeParams(), query: str | None = None) -> None:
        """`query`: the standing query that drives the transitions; embeddings of others are ignored. None: the first one heard."""
        self.params = params
        self._query = query
        self._settle_ns = round(params.settle_s * NS)
        self._mean_ns = round(params.mean_s * NS)
        self._embeddings: deque[Embedding] = deque()  # of the current epoch, ascending, the newest mean_s of them
        self._epoch: int | None = None
        self._space_id = ""
        self._lower_epochs = 0
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
        if embedding.query != self._query:
            return
        if not self._same_stream(embedding.epoch, embedding.space_id, from_transition=False):
            return
        if self._embeddings and embedding.stamp_ns <= self._embeddings[-1].stamp_ns:
            return
        if not self._embeddings and self._transition is None:
            self._segment_start_ns = embedding.stamp_ns
        self._embeddings.append(embedding)
        while self._embeddings[0].stamp_ns < embedding.stamp_ns - self._mean_ns:
            self._embeddings.popleft()

    def _take_transition(self, transition: Transition) -> None:
        if not self._same_stream(transition.epoch, transition.space_id, from_transition=True):
            return
        if self._transition is not None and transition.segment <= self._transition.segment:
            return  # heard before
        self._transition = transition
        self._segment, self._segment_start_ns = transition.segment, transition.boundary_ns
        self._owed = Trigger.CHANGE

    def _same_stream(self, epoch: int, space_id: str, from_transition: bool) -> bool:
        """Whether something of this epoch counts; begins the epoch where it is a new one."""
        if epoch == self._epoch and space_id == self._space_id:
            self._lower_epochs = 0
            return True
        if self._epoch is not None and space_id == self._space_id and epoch < self._epoch:
            if from_transition:
                return False
            self._lower_epochs += 1
            if self._lower_epochs < RESTART_AFTER:
                return False
        restarted = self._epoch is None or space_id != self._space_id or epoch < self._epoch
        self._segment = 0 if restarted else self._segment + 1
        self._epoch, self._space_id, self._lower_epochs = epoch, space_id, 0
        self._embeddings.clear()
        self._transition, self._spoken_ns = None, None
        self._owed = Trigger.START
        return True

    def _now_ns(self) -> int | None:
        """Stream time as far as it was heard."""
        stamps = [one.stamp_ns for one in (self._transition, self._embeddings[-1] if self._embeddings else None) if one is not None]
        return max(stamps, default=None)

    def _request(self) -> DecodeRequest | None:
        now_ns = self._now_ns()
        if now_ns is None:
            return None
        trigger = self._owed
        if trigger is None:
            silent_ns = now_ns - (self._spoken_ns or 0)
            if not self.params.max_silence_s or silent_ns < self.params.max_silence_s * NS:
                return None
            trigger = Trigger.MAX_SILENCE
        elif now_ns - self._segment_start_ns < self._settle_ns:
            return None
        elif self._spoken_ns is None:
            trigger = Trigger.START
        newest = self._embeddings[-1] if self._embeddings else None
        self._owed, self._spoken_ns = None, now_ns
        return DecodeRequest(
            vector_D=self._mean(), stamp_ns=now_ns, segment_start_ns=self._segment_start_ns, segment=self._segment, epoch=self._epoch or 0,
            trigger=trigger, space_id=self._space_id, query=self._query or "",
            frame_id=newest.frame_id if newest is not None else self._transition.frame_id,
        )

    def _mean(self) -> np.ndarray:
        """The mean of the segment's embeddings so far, norm 1.

        After a transition that is its `after_D`, the still embeddings up to its stamp, and what came since; never the glide before them.
        """
        vectors = [one.vector_D.astype(np.float64) for one in self._embeddings]
        if self._transition is not None:
            known = sum(self._segment_start_ns <= one.stamp_ns <= self._transition.stamp_ns for one in self._embeddings)
            since = [one.vector_D.astype(np.float64) for one in self._embeddings if one.stamp_ns > self._transition.stamp_ns]
            if self._now_ns() - self._transition.stamp_ns <= self._mean_ns:
                since.append(max(known, 1) * self._transition.after_D.astype(np.float64))
            vectors = since
        total_D = np.sum(vectors, axis=0)
        return (total_D / max(float(np.linalg.norm(total_D)), 1e-12)).astype(np.float32)
