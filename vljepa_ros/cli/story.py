# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What happened so far, for people: the detected segments with their words, and the true ones beside them. Knows no terminal."""
from __future__ import annotations

import re
from dataclasses import dataclass

from vljepa_ros.cli.recording import Heard, Recording
from vljepa_ros.cli.sources import TrueSegment
from vljepa_ros.evaluation.boundaries import match
from vljepa_ros.streaming.types import Transition, Trigger

Pieces = list[tuple[str, bool]]  # words in order, and whether they are the ones to look at
GRACE_S = 1.5  # how long after the tolerance a boundary may still be found: clips, settling and words take their time


@dataclass(frozen=True)
class Detected:
    """A segment as the predictor sees it, and the first words about it."""

    start_s: float
    transition: Transition | None  # None: it begins with its epoch
    text: Heard | None


@dataclass(frozen=True)
class Row:
    """A segment: what is true of it, what was detected of it, or both."""

    at_s: float
    truth: TrueSegment | None = None
    detected: Detected | None = None
    said_before: str = ""  # of the detected segment before

    def verdict(self, truth_known: bool) -> str:
        """found | missed | extra, or "" where there is no truth to judge by."""
        if not truth_known:
            return ""
        return "extra" if self.truth is None else "missed" if self.detected is None else "found"


def detected_segments(recording: Recording) -> list[Detected]:
    """By time. The first of every epoch begins with the epoch's first embedding, the others with a transition."""
    transitions = list(recording.transitions)
    segments = [
        Detected(recording.seconds(one.what.boundary_ns), one.what, recording.text_of(one.what.segment, one.what.epoch))
        for one in transitions
    ]
    seen: set[int] = set()
    for beat in list(recording.beats):
        if beat.epoch not in seen:
            seen.add(beat.epoch)
            segments.append(Detected(recording.seconds(beat.stamp_ns), None, _opening(recording, beat.epoch)))
    return sorted(segments, key=lambda one: one.start_s)


def rows(recording: Recording, now_s: float, tolerance_s: float = 1.0) -> list[Row]:
    """By time, up to `now_s`. What will only be true later is not told, and a miss is one only when its time is over."""
    happened = [(t, one) for one in recording.truth[1:] if (t := recording.seconds(one.start_ns)) <= now_s]
    segments = detected_segments(recording)
    changes = [one for one in segments if one.transition is not None]
    pairs = match([t for t, _ in happened], [one.start_s for one in changes], tolerance_s)
    truth_of, found = {j: happened[i] for i, j in pairs}, {i for i, _ in pairs}
    first = recording.truth[0] if recording.truth else None
    before, last = {}, ""
    for one in segments:
        before[id(one)], last = last, one.text.what.text if one.text is not None else last
    # The state that the stream begins with: nobody detects it, and yet it is found.
    out = [Row(0.0 if k == 0 else one.start_s, first if k == 0 else None, one, before[id(one)])
           for k, one in enumerate(one for one in segments if one.transition is None)]  # fmt: skip
    for j, one in enumerate(changes):
        t, segment = truth_of.get(j, (one.start_s, None))
        out.append(Row(t, segment, one, before[id(one)]))
    out += [Row(t, one) for i, (t, one) in enumerate(happened) if i not in found and now_s - t > tolerance_s + GRACE_S]
    return sorted(out, key=lambda row: row.at_s)


def true_pieces(segment: TrueSegment) -> Pieces:
    """The truth in words: the event, which is news, and the state that it leads to."""
    if segment.event == "start" and segment.state:
        return [(segment.state, True)]
    return [(segment.caption, True), *([(segment.state, False)] if segment.state else [])]


def news(text: str, before: str) -> Pieces:
    """A text by its sentences, each with whether it is new: not among those of the text before."""
    known = set(_sentences(before))
    return [(sentence, sentence not in known) for sentence in _sentences(text)]


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?;])\s+", text.strip()) if part]


def _opening(recording: Recording, epoch: int) -> Heard | None:
    """The START text of an epoch where it speaks of the first segment: that may have ended before it settled."""
    first_change = next((one.what.segment for one in recording.transitions if one.what.epoch == epoch), None)
    for heard in list(recording.texts):
        request = heard.what.request
        if request.epoch == epoch and request.trigger is Trigger.START:
            return heard if first_change is None or request.segment < first_change else None
    return None
