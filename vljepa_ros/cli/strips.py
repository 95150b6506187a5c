# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The strips of the timeline: film, band of texts, distance curve. Each fills axes of its own for one window of seconds."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vljepa_ros.cli.recording import Recording
from vljepa_ros.cli.story import Pieces, detected_segments, news, true_pieces
from vljepa_ros.cli.wrapping import LINE, runs, width_of, wrap
from vljepa_ros.evaluation.boundaries import match

TEXT_PT, PAD = 7.0, 0.05
MAX_LINES, FEW_LINES = 12, 8  # in a box, and in one so narrow that its words should not set the height of all
# inches: a box narrower than this that only ends or begins here, and is wider in the neighbouring system, stays empty
STUB = 0.75
INK, SOFT, FAINT, PAPER = "#1d2733", "#66727f", "#c9d0d6", "#fbfaf7"
TRUTH, SAID, WRONG, CURVE_INK = "#1f7a5c", "#b4530a", "#c02f3f", "#3d5a80"
TRUTH_FILL, SAID_FILL, ODD_FILL = ("#e3f1ea", "#d3e8dd"), ("#fdeedd", "#f9e0c4"), "#e9e9e6"


@dataclass(frozen=True)
class Span:
    """A box of a band: seconds from and to, the words in it, its colour, and whether they are to be doubted."""

    start_s: float
    end_s: float
    pieces: Pieces
    fill: str
    odd: bool = False


class Judged:
    """Boundaries in seconds, and which belong to each other."""

    def __init__(self, recording: Recording, tolerance_s: float) -> None:
        self.true_s, self.found_s = recording.true_boundaries_s(), recording.boundaries_s()
        self.pairs = match(self.true_s, self.found_s, tolerance_s)
        self.missed = set(range(len(self.true_s))) - {i for i, _ in self.pairs}
        self.extra = set(range(len(self.found_s))) - {j for _, j in self.pairs} if recording.truth_known else set()


def truth_spans(recording: Recording, duration_s: float) -> list[Span]:
    starts = [recording.seconds(segment.start_ns) for segment in recording.truth] + [duration_s]
    return [
        Span(start_s, min(end_s, duration_s), true_pieces(segment), TRUTH_FILL[k % 2])
        for k, (segment, start_s, end_s) in enumerate(zip(recording.truth, starts, starts[1:]))
        if start_s < duration_s
    ]


def said_spans(recording: Recording, duration_s: float) -> list[Span]:
    """The detected segments, each with the first text said of it."""
    segments = detected_segments(recording)
    spans, before = [], ""
    for k, (one, end_s) in enumerate(zip(segments, [*(later.start_s for later in segments[1:]), duration_s])):
        text = "(nothing said)" if one.text is None else one.text.what.text
        odd = one.text is None or not one.text.what.familiar
        pieces = [(text, False)] if odd else news(text, before)
        spans.append(Span(one.start_s, max(end_s, one.start_s), pieces, ODD_FILL if odd else SAID_FILL[k % 2], odd))
        before = text if one.text is not None else before
    return spans


def band_height(spans: list[Span], window: tuple[float, float], inches_per_s: float) -> float:
    """Inches for the tallest text of the band in this window; 0 for a band with nothing in it."""
    shown = [span for span in spans if span.end_s > window[0] and span.start_s < window[1]]
    lines = [len(_lines(span, window, inches_per_s)) for span in shown]
    return 0.0 if not spans else max([1, *lines]) * TEXT_PT * LINE / 72 + 2 * PAD


def _lines(span: Span, window: tuple[float, float], inches_per_s: float) -> list[list[tuple[str, bool]]]:
    """Its words in this window, in lines of runs of equal weight. What goes on from the system above repeats them."""
    width = (min(span.end_s, window[1]) - max(span.start_s, window[0])) * inches_per_s - 2 * PAD
    split = span.start_s < window[0] or span.end_s > window[1]
    if split and width < STUB and (span.end_s - span.start_s) * inches_per_s > 2 * STUB:
        return []
    pieces = span.pieces if span.start_s >= window[0] else [("…", False), *span.pieces]
    text = " ".join(words for words, _ in pieces)
    lines = wrap(text, width, TEXT_PT, MAX_LINES if width > STUB else FEW_LINES, style="italic" if span.odd else "normal")
    return runs(lines, pieces)


def film(ax, window, recording, inches: tuple[float, float]) -> None:
    """Pictures side by side, each the one seen nearest to the middle of its place, on a dark band with sprocket holes.

    `inches`: width and height of the strip.
    """
    ax.set_ylim(0, 1)
    ax.axhspan(0, 1, color="#20262e", lw=0)
    holes = np.arange(window[0], window[1], (window[1] - window[0]) / 150)
    for y in (0.055, 0.945):
        ax.plot(holes, np.full(len(holes), y), ls="", marker="s", ms=1.9, color="#5b6570", mew=0)
    thumbnails = recording.thumbnails
    if not thumbnails:
        return
    height, width = thumbnails[0].image_HWC.shape[:2]
    place_s = inches[1] * 0.78 * width / height / inches[0] * (window[1] - window[0])
    places = max(1, int((window[1] - window[0]) / (place_s * 1.03)))
    step_s = (window[1] - window[0]) / places
    times = np.array([recording.seconds(one.stamp_ns) for one in thumbnails])
    for k in range(places):
        middle = window[0] + (k + 0.5) * step_s
        nearest = int(np.argmin(np.abs(times - middle)))
        if abs(times[nearest] - middle) <= max(step_s, 1.0):
            extent = (middle - place_s / 2, middle + place_s / 2, 0.11, 0.89)
            ax.imshow(thumbnails[nearest].image_HWC, extent=extent, aspect="auto", interpolation="antialiased", zorder=2)
    ax.set_xlim(*window)


def band(ax, window, band, inches_per_s, ink) -> None:
    """Boxes of one band with their texts inside."""
    spans, height = band
    ax.set_ylim(0, height)
    for span in spans:
        start, end = max(span.start_s, window[0]), min(span.end_s, window[1])
        if end <= start:
            continue
        ax.axvspan(start, end, color=span.fill, lw=0)
        if span.start_s >= window[0]:
            ax.axvline(span.start_s, color=ink, lw=1.1)
        for n, line in enumerate(_lines(span, window, inches_per_s)):
            x, y = start + PAD / inches_per_s, height - PAD - (n + 0.82) * TEXT_PT * LINE / 72
            style = "italic" if span.odd else "normal"
            for words, new in line:
                ax.text(x, y, words, fontsize=TEXT_PT, color=INK if new else SOFT, style=style, clip_on=True)
                x += width_of(words + " ", TEXT_PT, style=style) / inches_per_s


def curve(ax, window, recording, judged) -> None:
    """Distance and threshold; true boundaries fall from above, detected ones rise from below, a shade joins those that match."""
    ax.set_xlim(*window)
    ax.autoscale(False, axis="x")
    beats = list(recording.beats)
    highest = max([1e-3, *(beat.distance for beat in beats), *(1.6 * beat.threshold for beat in beats)])
    ax.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    ax.set_ylim(0, 1.25 * highest)
    ax.set_yticks([])
    ax.set_zorder(2)  # arrivals sit on its lower edge, over the band below
    times = np.array([recording.seconds(beat.stamp_ns) for beat in beats])
    if len(beats):
        # A new epoch starts a new line: no curve across a gap.
        breaks = np.flatnonzero(np.diff([beat.epoch for beat in beats])) + 1
        for part in np.split(np.arange(len(beats)), breaks):
            distance = np.array([beats[i].distance for i in part])
            ax.fill_between(times[part], 0, distance, color=CURVE_INK, alpha=0.18, lw=0)
            ax.plot(times[part], distance, color=CURVE_INK, lw=1.2)
            ax.plot(times[part], [beats[i].threshold for i in part], color=SOFT, lw=0.9, ls=(0, (4, 3)))
    middle = ax.get_ylim()[1] * 0.36
    for i, j in judged.pairs:
        ax.axvspan(*sorted((judged.true_s[i], judged.found_s[j])), color=TRUTH, alpha=0.16, lw=0)
    for i, t in enumerate(judged.true_s):
        missed = i in judged.missed
        ax.plot([t, t], [middle, ax.get_ylim()[1]], color=WRONG if missed else TRUTH, lw=1.3)
        if missed and window[0] <= t < window[1]:
            _note(ax, "missed", t, ax.get_ylim()[1], -8)
    for j, t in enumerate(judged.found_s):
        extra = j in judged.extra
        ax.plot([t, t], [0, middle], color=WRONG if extra else SAID, lw=1.3)
        if extra and window[0] <= t < window[1]:
            _note(ax, "extra", t, 0, 5)
    arrivals = [t for heard in recording.texts if window[0] <= (t := recording.seconds(heard.received_ns)) < window[1]]
    ax.plot(arrivals, np.zeros(len(arrivals)), ls="", marker="o", ms=5, color=SAID, mec=PAPER, mew=0.8, clip_on=False, zorder=5)
    ax.set_xlim(*window)


def _note(ax, text: str, t: float, y: float, up_pt: float) -> None:
    """A word beside a stroke, on its left where the right has no room."""
    start, end = ax.get_xlim()
    left = t > end - 0.04 * (end - start)
    ax.annotate(
        text,
        (t, y),
        (-3 if left else 3, up_pt),
        textcoords="offset points",
        fontsize=6.5,
        color=WRONG,
        ha="right" if left else "left",
    )
