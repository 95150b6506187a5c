"""What happened so far, as rows for people: true and detected boundaries side by side where they belong together. Knows no terminal."""
from __future__ import annotations

from dataclasses import dataclass

from vljepa_ros.cli.recording import Heard, Recording
from vljepa_ros.cli.sources import TrueSegment
from vljepa_ros.evaluation.boundaries import match


@dataclass(frozen=True)
class Row:
    """A segment: what is true of it, what was detected, what was said. At least one of `truth` and `detected_s` is there."""

    at_s: float
    truth: TrueSegment | None = None
    true_s: float | None = None
    detected_s: float | None = None
    text: Heard | None = None

    def verdict(self, truth_known: bool) -> str:
        """"" where there is no truth to judge by, else found | missed | extra."""
        if not truth_known:
            return ""
        return "extra" if self.truth is None else "missed" if self.detected_s is None else "found"


def rows(recording: Recording, now_s: float, tolerance_s: float = 1.0) -> list[Row]:
    """By time, up to `now_s`. What will only be true later is not told, and a miss is one only when its time is over."""
    truth = [(recording.seconds(one.start_ns), one) for one in recording.truth]
    happened = [(t, one) for t, one in truth[1:] if t <= now_s]
    found = [(recording.seconds(heard.what.boundary_ns), recording.text_of(heard.what.segment, heard.what.epoch)) for heard in list(recording.transitions)]
    pairs = match([t for t, _ in happened], [t for t, _ in found], tolerance_s)
    true_of, found_of = {j: i for i, j in pairs}, {i: j for i, j in pairs}
    out = [_first(recording, truth)] if recording.beats else []
    for j, (t, text) in enumerate(found):
        i = true_of.get(j)
        true_s, segment = happened[i] if i is not None else (None, None)
        out.append(Row(true_s if true_s is not None else t, segment, true_s, t, text))
    for i, (t, segment) in enumerate(happened):
        if i not in found_of and now_s - t > tolerance_s + 1.5:
            out.append(Row(t, segment, t))
    return sorted(out, key=lambda row: row.at_s)


def _first(recording: Recording, truth: list[tuple[float, TrueSegment]]) -> Row:
    """The segment the stream begins with: nobody detects it, and yet it is found."""
    first = recording.beats[0]
    said = next((heard for heard in list(recording.texts) if heard.what.request.epoch == first.epoch), None)
    if said is not None and recording.transitions and said.what.request.segment >= recording.transitions[0].what.segment:
        said = None
    start = truth[0] if truth else (None, None)
    return Row(0.0, start[1], start[0], recording.seconds(first.stamp_ns), said)
