# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings, transitions and texts -> what is to be remembered, segment by segment.

Runs beside the decoder, in a process of its own, and hears what it hears: topics in either order, with losses, from the middle
of a stream on, texts a second late or minutes old (they are latched). So it goes by stamps, epochs and boundaries, never by
which message came first. Knows nothing of files and pictures.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from vljepa_ros.memory.segment import Segment
from vljepa_ros.streaming.decode_policy import RESTART_AFTER
from vljepa_ros.streaming.types import DecodedText, Embedding, Transition
from vljepa_ros.streaming.ward import unit

log = logging.getLogger(__name__)

NS = 1_000_000_000
LATEST_NS = 16 * NS  # a boundary lies no further back than this (the detector's span_s is 2.5 s)
RECENT = 32  # ended segments that a late text may still be for
PATIENCE_NS = 3 * NS  # of stream time that a text waits for a segment that begins where it says
WAITING = 64  # texts


@dataclass(frozen=True, eq=False)
class Entry:
    """A segment as it is to be written now. The same serial comes again where more has become known."""

    serial: int  # counts segments over the tracker's life
    segment: Segment
    ended: bool  # vector and times are final; words may still come


@dataclass(frozen=True, eq=False)
class Stray:
    """A text for no segment that this tracker has seen: perhaps one that was written before the node was started."""

    text: DecodedText


class _Running:
    """The segment that goes on."""

    def __init__(self, serial: int, segment: Segment, by_transition: bool) -> None:
        self.serial, self.segment, self.by_transition = serial, segment, by_transition
        self.sum_D = np.zeros(len(segment.vector_D))
        self.count = self.foreign = 0  # embeddings, and those above novelty 1
        self.written_ns = segment.start_ns
        self.text: DecodedText | None = None

    def now(self) -> Segment:
        vector_D = unit(self.sum_D) if self.count else self.segment.vector_D
        return with_text(replace(self.segment, vector_D=vector_D, familiar=2 * self.foreign <= self.count), self.text)


def with_text(segment: Segment, text: DecodedText | None) -> Segment:
    if text is None:
        return segment
    familiar = segment.familiar and text.familiar
    return replace(segment, text=text.text, confidence=text.confidence, familiar=familiar, label=text.label)


class SegmentTracker:
    """Feed it what comes; it answers with what is to be written."""

    def __init__(self, query: str, update_s: float) -> None:
        """`query`: the standing query that drives the transitions, others are ignored. `update_s`: see MemoryParams."""
        self._query = query
        self._update_ns = round(update_s * NS)
        self._serial = 0
        self._running: _Running | None = None
        self._recent: deque[Entry] = deque(maxlen=RECENT)
        self._texts: list[DecodedText] = []  # that wait
        self._newest: Embedding | None = None  # of the current epoch
        self._backwards = 0
        self._transition_ns: int | None = None  # stamp of the epoch's latest transition
        self._latest: deque[tuple[int, bool]] = deque()  # stamp of the latest embeddings, and whether they were foreign

    @property
    def serial(self) -> int | None:
        """Of the segment that goes on, None where there is none."""
        return None if self._running is None else self._running.serial

    def embedding(self, embedding: Embedding) -> list[Entry | Stray]:
        if embedding.query != self._query:
            return []
        segment = self._begins(embedding)
        if segment is None and not self._advances(embedding):
            return []
        out: list[Entry | Stray] = []
        if segment is not None:
            out += self._end()
            self._begin(segment, embedding.stamp_ns, embedding, embedding.vector_D, by_transition=False)
        self._newest, self._backwards = embedding, 0
        self._take(embedding)
        if segment is not None or embedding.stamp_ns - self._running.written_ns >= self._update_ns:
            out.append(self._write())
        return out + self._place_texts()

    def transition(self, transition: Transition) -> list[Entry | Stray]:
        running = self._running
        if running is not None and transition.epoch < running.segment.epoch:
            return []
        known = running is not None and transition.epoch == running.segment.epoch
        if known and self._transition_ns is not None and transition.stamp_ns <= self._transition_ns:
            return []  # heard before
        out: list[Entry | Stray] = []
        if known:  # the message tells what this process may have missed: the index, the mean up to the boundary
            running.segment = replace(
                running.segment, segment=transition.segment - 1, end_ns=max(transition.boundary_ns, running.segment.start_ns)
            )
            running.foreign -= sum(foreign for stamp_ns, foreign in self._latest if stamp_ns >= transition.boundary_ns)
            running.count -= sum(stamp_ns >= transition.boundary_ns for stamp_ns, _ in self._latest)
            out += self._end(transition.before_D)
        else:
            out += self._end()
            self._newest, self._latest = None, deque()
        self._begin(transition.segment, transition.boundary_ns, transition, transition.after_D, by_transition=True)
        self._transition_ns = transition.stamp_ns
        latest = [foreign for stamp_ns, foreign in self._latest if stamp_ns >= transition.boundary_ns]
        running = self._running
        running.count, running.foreign = max(len(latest), 1), sum(latest)
        running.sum_D = running.count * transition.after_D.astype(np.float64)
        running.segment = replace(running.segment, end_ns=max(transition.stamp_ns, transition.boundary_ns))
        out.append(self._write())
        return out + self._place_texts()

    def text(self, text: DecodedText) -> list[Entry | Stray]:
        self._texts.append(text)
        overflow = [Stray(self._texts.pop(0))] if len(self._texts) > WAITING else []
        return overflow + self._place_texts()

    def finish(self) -> list[Entry | Stray]:
        """The stream ends here: everything that is to be written still."""
        out = self._end()
        return out + self._place_texts(at_last=True)

    # the stream

    def _begins(self, embedding: Embedding) -> int | None:
        """Index of the segment that begins with this embedding without a transition; None where none does."""
        running, newest = self._running, self._newest
        if running is None:
            return 0
        if embedding.epoch > running.segment.epoch:
            return running.segment.segment + 1
        if newest is None:
            return None
        if embedding.epoch < running.segment.epoch or embedding.stamp_ns <= newest.stamp_ns:
            if (embedding.stamp_ns, embedding.sequence) == (newest.stamp_ns, newest.sequence):
                return None
            self._backwards += 1
            return 0 if self._backwards >= RESTART_AFTER else None
        return 0 if embedding.sequence < newest.sequence else None

    def _advances(self, embedding: Embedding) -> bool:
        if embedding.epoch != self._running.segment.epoch:
            return False
        return self._newest is None or embedding.stamp_ns > self._newest.stamp_ns

    def _begin(
        self, index: int, start_ns: int, source: Embedding | Transition, vector_D: np.ndarray, by_transition: bool
    ) -> None:
        segment = Segment(
            start_ns=start_ns, end_ns=start_ns, epoch=source.epoch, segment=index, space_id=source.space_id, vector_D=vector_D,
            query=self._query, frame_id=source.frame_id,
        )  # fmt: skip
        self._running = _Running(self._serial, segment, by_transition)
        self._serial += 1
        if not by_transition:
            self._transition_ns, self._latest = None, deque()

    def _take(self, embedding: Embedding) -> None:
        """One embedding into the running segment. What is not after the transition lies in its mean already."""
        foreign = not embedding.novelty <= 1.0  # written so that a NaN is foreign
        self._latest.append((embedding.stamp_ns, foreign))
        while self._latest[0][0] < embedding.stamp_ns - LATEST_NS:
            self._latest.popleft()
        running = self._running
        if self._transition_ns is not None and embedding.stamp_ns <= self._transition_ns:
            return
        running.sum_D = running.sum_D + embedding.vector_D
        running.count += 1
        running.foreign += foreign
        running.segment = replace(running.segment, end_ns=max(embedding.stamp_ns, running.segment.end_ns))

    def _write(self) -> Entry:
        running = self._running
        running.written_ns = running.segment.end_ns
        return Entry(running.serial, running.now(), ended=False)

    def _end(self, vector_D: np.ndarray | None = None) -> list[Entry | Stray]:
        """`vector_D`: the segment's mean where it is known better than from what was heard."""
        if self._running is None:
            return []
        running, self._running = self._running, None
        segment = running.now()
        entry = Entry(running.serial, segment if vector_D is None else replace(segment, vector_D=vector_D), ended=True)
        self._recent.append(entry)
        return [entry]

    # texts

    def _place_texts(self, at_last: bool = False) -> list[Entry | Stray]:
        out: list[Entry | Stray] = []
        waiting, self._texts = self._texts, []
        for text in waiting:
            placed = self._place(text, at_last)
            if placed is None:
                self._texts.append(text)
            else:
                out += placed
        return out

    def _place(self, text: DecodedText, at_last: bool) -> list[Entry | Stray] | None:
        """What comes of a text; None where it should wait."""
        request, running = text.request, self._running
        segments = [] if running is None else [(running.segment, running)]
        segments += [(entry.segment, entry) for entry in reversed(self._recent)]
        segments = [(segment, owner) for segment, owner in segments if segment.epoch == request.epoch]
        for segment, owner in segments:
            if segment.start_ns == request.segment_start_ns:
                return [self._give(text, owner)]
        ours = None if running is None else running.segment
        may_come = ours is None or request.epoch > ours.epoch or (
            request.epoch == ours.epoch and ours.end_ns < request.stamp_ns + PATIENCE_NS
        )
        if may_come and not at_last:
            return None
        # Whoever began to listen later than the other has another beginning of the segment: the one that it overlaps most.
        overlaps = [
            (min(segment.end_ns, request.stamp_ns) - max(segment.start_ns, request.segment_start_ns), owner)
            for segment, owner in segments
        ]
        most, owner = max(overlaps, key=lambda one: one[0], default=(-1, None))
        if most >= 0:
            return [self._give(text, owner)]
        if ours is not None and ours.epoch == request.epoch and not running.by_transition and request.stamp_ns <= ours.start_ns:
            # Said before we listened, and nothing has changed since as far as we heard: true of the segment that we came into.
            # Should it have a row of an earlier run, that one is meant as well.
            return [self._give(text, running), Stray(text)]
        return [Stray(text)]

    def _give(self, text: DecodedText, owner: _Running | Entry) -> Entry:
        if isinstance(owner, _Running):
            owner.text = text
            return self._write()
        entry = replace(owner, segment=with_text(owner.segment, text))
        self._recent[self._recent.index(owner)] = entry
        return entry
