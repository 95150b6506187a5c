# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of a stream at a moment, as much of it as people are shown: kept up to date by a `Board`. Knows no pixels.

Everything is told on the camera's clock, by the stamps of embeddings; a picture and what is known of it may be a clip's length
apart, and how long a segment has lasted is the embeddings' matter, not the picture's.
"""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from vljepa_ros.streaming import DecodedText, Distance, Embedding, Transition

NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class History:
    """The detector's latest seconds, oldest first; arrays of one index belong together."""

    seconds: float = 20.0  # how far back it is shown
    ago_s: np.ndarray = field(default_factory=lambda: np.zeros(0))  # seconds before the newest
    distance: np.ndarray = field(default_factory=lambda: np.zeros(0))  # merge cost, seconds times squared distance
    threshold: np.ndarray = field(default_factory=lambda: np.zeros(0))  # the same unit
    epoch: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    changes_ago_s: tuple[float, ...] = ()  # where segments began


@dataclass(frozen=True, eq=False)
class Understanding:
    """A moment's."""

    text: str = ""  # the newest words; "" before the first
    current: bool = True  # False: they are of an earlier segment, those of this one are still to come
    confidence: float | None = None  # 0..1, of the words; None without words
    familiar: bool = True  # of the words
    segment: int | None = None  # index of the current segment; None: not told yet
    age_s: float | None = None  # seconds since it began
    novelty: float | None = None  # of the newest clip, above 1 foreign; None: nobody judges
    similarities: tuple[tuple[str, float | None], ...] = ()  # texts and their cosines to the newest embedding; None: not yet
    history: History = field(default_factory=History)
    note: str = ""  # what keeps the rest from being up to date


class Board:
    """Takes what the nodes say, in whatever order it comes, and tells what is known now. For one thread."""

    def __init__(self, history_s: float = 20.0) -> None:
        self._history_s = history_s
        self._epoch: int | None = None
        self._stamp_ns = 0  # of the newest embedding or distance
        self._sequence = -1  # of the newest embedding
        self._segment: int | None = None
        self._start_ns: int | None = None
        self._novelty: float | None = None
        self._words: DecodedText | None = None
        self._similarities: tuple[tuple[str, float | None], ...] = ()
        self._distances: deque[Distance] = deque()
        self._changes_ns: deque[int] = deque()

    def embed(self, embedding: Embedding) -> None:
        """An embedding of the query that drives the transitions."""
        restarted = embedding.sequence < self._sequence
        if embedding.epoch != self._epoch or embedding.stamp_ns < self._stamp_ns or restarted:
            self._begin(embedding.epoch, embedding.stamp_ns, None, embedding.stamp_ns)
        self._sequence = embedding.sequence
        self._stamp_ns = max(self._stamp_ns, embedding.stamp_ns)
        self._novelty = embedding.novelty or None
        self._forget()

    def measure(self, distance: Distance) -> None:
        """The detector's view of an embedding: it alone knows what the current segment is."""
        if distance.epoch != self._epoch or distance.stamp_ns < (self._distances[-1].stamp_ns if self._distances else 0):
            self._begin(distance.epoch, distance.stamp_ns, distance.segment, distance.segment_start_ns)
        self._stamp_ns = max(self._stamp_ns, distance.stamp_ns)
        self._segment, self._start_ns = distance.segment, distance.segment_start_ns
        self._distances.append(distance)
        self._forget()

    def change(self, transition: Transition) -> None:
        """A segment begins; told by `measure` as well where somebody measures."""
        if transition.epoch == self._epoch:
            if self._segment is None or transition.segment > self._segment:
                self._segment, self._start_ns = transition.segment, transition.boundary_ns
            if transition.boundary_ns not in self._changes_ns:
                self._changes_ns.append(transition.boundary_ns)

    def say(self, text: DecodedText) -> None:
        """Words, of whatever segment: they are shown until others come."""
        self._words = text

    def compare(self, similarities: tuple[tuple[str, float | None], ...]) -> None:
        self._similarities = similarities

    @property
    def segment(self) -> int | None:
        return self._segment

    def look(self, note: str = "") -> Understanding:
        words, known = self._words, self._segment is not None
        current = words is None or not known or (words.request.segment, words.request.epoch) == (self._segment, self._epoch)
        return Understanding(
            text="" if words is None else words.text, current=current,
            confidence=None if words is None else words.confidence, familiar=words is None or words.familiar,
            segment=self._segment, age_s=None if self._start_ns is None else max(0.0, (self._stamp_ns - self._start_ns) / NS),
            novelty=self._novelty, similarities=self._similarities, history=self._history(), note=note,
        )

    def _begin(self, epoch: int, stamp_ns: int, segment: int | None, start_ns: int) -> None:
        """A new epoch, or a predictor that began anew. What is shown of before stays where it lies before."""
        if stamp_ns < self._stamp_ns:
            self._distances.clear()
            self._changes_ns.clear()
        self._epoch, self._stamp_ns, self._segment, self._start_ns = epoch, stamp_ns, segment, start_ns

    def _forget(self) -> None:
        oldest_ns = self._stamp_ns - round(self._history_s * NS)
        while self._distances and self._distances[0].stamp_ns < oldest_ns:
            self._distances.popleft()
        while self._changes_ns and self._changes_ns[0] < oldest_ns:
            self._changes_ns.popleft()

    def _history(self) -> History:
        now_ns, shown = self._stamp_ns, self._distances
        return History(
            seconds=self._history_s,
            ago_s=np.array([(now_ns - one.stamp_ns) / NS for one in shown]),
            distance=np.array([one.distance for one in shown]),
            threshold=np.array([one.threshold for one in shown]),
            epoch=np.array([one.epoch for one in shown], int),
            changes_ago_s=tuple((now_ns - one) / NS for one in self._changes_ns),
        )
