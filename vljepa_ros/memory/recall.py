# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A text's vector against what is remembered: when the world was like that, or when it became so.

A segment's vector answers what the state of the scene was. So "the drawer is open" has an answer among the segments as they are
(STATE), and "when was the drawer opened" has none: no vector tells of an action. But the segment that the opening led to is one
to which "the drawer is open" lies nearer than to the segment before it. CHANGE ranks by that rise, and so finds the moment,
however many segments have passed since in which the drawer was still open.

A text may be held against its opposite in either mode: both share most of their words, and with them whatever else a vector says
(which things are there, how certain it is). The difference of both scores leaves what tells them apart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum

import numpy as np

from vljepa_ros.memory.index import VectorIndex, View
from vljepa_ros.memory.reader import SegmentReader
from vljepa_ros.memory.segment import Segment

MOST = 1000  # segments in one answer


class Mode(Enum):
    """What is ranked."""

    STATE = "STATE"  # segments by how near their state is to the text
    CHANGE = "CHANGE"  # segments by how much nearer to the text their state is than that of the segment before


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, already as vectors."""

    query_D: np.ndarray  # of the text, norm 1; where there is an opposite, minus its vector
    space_id: str
    mode: Mode = Mode.STATE
    count: int = 5
    since_ns: int | None = None  # STATE: segments that reach into this range; CHANGE: that begin in it. None: no limit
    until_ns: int | None = None


@dataclass(frozen=True, eq=False)
class Recalled:
    """One segment of an answer."""

    id: int
    segment: Segment
    score: float  # STATE: the cosine similarity; CHANGE: its rise from the segment before. Against a text: of both differences
    before_ns: int | None = None  # CHANGE: end of the segment before, so the change lies in [before_ns, start_ns]


@dataclass(frozen=True, eq=False)
class Answer:
    """Best first. `searched` and `skipped` count segments of the time range: of the question's space, and of others."""

    recalled: list[Recalled]
    searched: int
    skipped: int
    seconds: float  # that it took


def ask(text_D: np.ndarray, against_D: np.ndarray | None = None) -> np.ndarray:
    """The query of a text, and of a text against its opposite."""
    return np.asarray(text_D if against_D is None else text_D - against_D, np.float32)


def recall(index: VectorIndex, reader: SegmentReader, question: Question, thumbnails: bool = False) -> Answer:
    """ValueError for a question that cannot be asked of this index, StoreError where the file cannot be read."""
    began = time.perf_counter()
    if question.space_id != index.space_id:
        raise ValueError(f"a question of space {question.space_id} to an index of {index.space_id}: their vectors do not compare")
    if question.query_D.shape != (index.dim,):
        raise ValueError(f"the query has the shape {question.query_D.shape}, the index holds vectors of {index.dim} numbers")
    if not 1 <= question.count <= MOST:
        raise ValueError(f"count must be from 1 to {MOST}, got {question.count}")
    if None not in (question.since_ns, question.until_ns) and question.since_ns > question.until_ns:
        raise ValueError(f"since ({question.since_ns} ns) is later than until ({question.until_ns} ns): nothing lies between")
    view = index.view()
    inside_N = _inside(view.rows, question)
    places, scores = _best(view, inside_N, question)
    ids = view.rows.ids_N[places].tolist()
    found = reader.segments(ids, thumbnails)
    recalled = []
    for place, id_, score in zip(places.tolist(), ids, scores.tolist()):
        if id_ in found:  # else it was dropped a moment ago
            before_ns = int(view.rows.ends_N[place - 1]) if question.mode is Mode.CHANGE else None
            recalled.append(Recalled(id_, found[id_], score, before_ns))
    skipped = int(np.count_nonzero(_inside(view.foreign, question)))
    return Answer(recalled, int(np.count_nonzero(inside_N)), skipped, time.perf_counter() - began)


def _inside(rows, question: Question) -> np.ndarray:
    """Which rows lie in the time range, bool."""
    inside_N = np.ones(len(rows.ids_N), np.bool_)
    if question.since_ns is not None:
        inside_N &= (rows.starts_N if question.mode is Mode.CHANGE else rows.ends_N) >= question.since_ns
    if question.until_ns is not None:
        inside_N &= rows.starts_N <= question.until_ns
    return inside_N


def _best(view: View, inside_N: np.ndarray, question: Question) -> tuple[np.ndarray, np.ndarray]:
    """Places of the best rows and their scores, best first; of equal ones the newest."""
    places = np.flatnonzero(inside_N)
    change = question.mode is Mode.CHANGE
    if change:
        places = places[view.rows.linked_N[places]]
    if not len(places):
        return places, np.zeros(0, np.float32)
    first, last = int(places[0]) - change, int(places[-1]) + 1
    all_N = view.scores(first, last, question.query_D)
    scores = all_N[places - first]
    if change:
        scores = scores - all_N[places - first - 1]
        risen = scores > 0  # the world has not become so where it became less so
        places, scores = places[risen], scores[risen]
    if question.count < len(scores):
        least = np.partition(scores, len(scores) - question.count)[len(scores) - question.count]
        candidates = np.flatnonzero(scores >= least)  # with all that are equal to the last of them
        places, scores = places[candidates], scores[candidates]
    order = np.lexsort((-places, -scores))[: question.count]
    return places[order], scores[order]
