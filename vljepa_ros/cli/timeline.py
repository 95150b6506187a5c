"""The demo as a picture: film strip, truth, distance curve with its threshold, and what was said, over one axis of time.

Long streams are set like music, in systems of at most `SYSTEM_S` seconds one below the other, so that texts stay legible. Pure drawing: it
reads a `Recording` and writes a PNG.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vljepa_ros.cli.recording import Recording
from vljepa_ros.cli.wrapping import LINE, wrap
from vljepa_ros.evaluation.boundaries import match

SYSTEM_S = 40.0
MAX_SYSTEMS = 14  # beyond it, systems grow longer: a picture of an hour is an overview
WIDTH, LEFT, RIGHT, HEAD, FOOT, FILM, CURVE, GAP, LEGEND = 15.0, 0.92, 0.25, 0.86, 0.3, 0.62, 0.95, 0.3, 0.36  # inches
TEXT_PT, MAX_LINES, PAD = 7.0, 8, 0.05
STUB = 0.75  # inches: a box narrower than this that only ends or begins here, and is wider in the neighbouring system, stays empty
INK, SOFT, FAINT, PAPER = "#1d2733", "#66727f", "#c9d0d6", "#fbfaf7"
TRUTH, SAID, WRONG, CURVE_INK = "#1f7a5c", "#b4530a", "#c02f3f", "#3d5a80"
TRUTH_FILL, SAID_FILL, ODD_FILL = ("#e3f1ea", "#d3e8dd"), ("#fdeedd", "#f9e0c4"), "#e9e9e6"


@dataclass(frozen=True)
class _Span:
    """A box of a band: seconds from and to, what stands in it, and how."""

    start_s: float
    end_s: float
    text: str
    fill: str
    italic: bool = False


def draw(recording: Recording, path: Path, summary: dict, tolerance_s: float = 1.0) -> None:
    """Write the picture. A stream without embeddings or truth gives one without a curve or a truth band, not an error."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    duration_s = max(recording.duration_s, 1.0)
    systems = min(max(1, math.ceil(duration_s / SYSTEM_S - 0.05)), MAX_SYSTEMS)
    length_s = duration_s / systems
    truth, said = _truth_spans(recording, duration_s), _said_spans(recording, duration_s)
    inches_per_s = (WIDTH - LEFT - RIGHT) / length_s
    windows = [(k * length_s, (k + 1) * length_s) for k in range(systems)]
    heights = [(_band_height(truth, window, inches_per_s), _band_height(said, window, inches_per_s)) for window in windows]
    total = HEAD + LEGEND - GAP + sum(FILM + CURVE + FOOT + GAP + a + b for a, b in heights)
    figure = plt.figure(figsize=(WIDTH, total), dpi=120, facecolor=PAPER)
    try:
        _header(figure, total, recording, summary)
        judged = _Judged(recording, tolerance_s)
        top = total - HEAD
        _legend(figure, total, recording)
        for window, (truth_in, said_in) in zip(windows, heights, strict=True):
            top = _system(figure, total, top, window, (truth, truth_in), (said, said_in), recording, judged) - GAP
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, facecolor=PAPER)
    finally:
        plt.close(figure)


class _Judged:
    """Boundaries in seconds, and which belong to each other."""

    def __init__(self, recording: Recording, tolerance_s: float) -> None:
        self.true_s, self.found_s = recording.true_boundaries_s(), recording.boundaries_s()
        self.pairs = match(self.true_s, self.found_s, tolerance_s)
        self.missed = set(range(len(self.true_s))) - {i for i, _ in self.pairs}
        self.extra = set(range(len(self.found_s))) - {j for _, j in self.pairs} if recording.truth_known else set()


def _truth_spans(recording: Recording, duration_s: float) -> list[_Span]:
    starts = [recording.seconds(segment.start_ns) for segment in recording.truth] + [duration_s]
    return [
        _Span(starts[k], min(starts[k + 1], duration_s), segment.state if segment.event == "start" and segment.state else segment.caption, TRUTH_FILL[k % 2])
        for k, segment in enumerate(recording.truth) if starts[k] < duration_s
    ]


def _said_spans(recording: Recording, duration_s: float) -> list[_Span]:
    """The detected segments, each with the first text said of it."""
    if not recording.beats:
        return []
    starts = [(recording.seconds(recording.beats[0].stamp_ns), None)]
    starts += [(recording.seconds(heard.what.boundary_ns), heard.what) for heard in recording.transitions]
    spans = []
    for k, (start_s, transition) in enumerate(starts):
        end_s = starts[k + 1][0] if k + 1 < len(starts) else duration_s
        if transition is None:
            heard = next(iter(recording.texts), None)
            heard = heard if heard is not None and recording.seconds(heard.what.request.stamp_ns) <= end_s + 1.0 else None
        else:
            heard = recording.text_of(transition.segment, transition.epoch)
        familiar = heard is None or heard.what.familiar
        text = heard.what.text if heard is not None else "(nothing said)"
        spans.append(_Span(start_s, max(end_s, start_s), text, SAID_FILL[k % 2] if familiar and heard else ODD_FILL, not familiar or heard is None))
    return spans


def _band_height(spans: list[_Span], window: tuple[float, float], inches_per_s: float) -> float:
    """Inches for the tallest text of the band in this window; 0 for a band with nothing in it."""
    shown = [span for span in spans if span.end_s > window[0] and span.start_s < window[1]]
    lines = [len(_lines(span, window, inches_per_s)) for span in shown]
    return 0.0 if not spans else max([1, *lines]) * TEXT_PT * LINE / 72 + 2 * PAD


def _lines(span: _Span, window: tuple[float, float], inches_per_s: float) -> list[str]:
    """Its text, wrapped, where it begins in this window; a span that goes on from the line above repeats it with an ellipsis."""
    width = (min(span.end_s, window[1]) - max(span.start_s, window[0])) * inches_per_s - 2 * PAD
    split = span.start_s < window[0] or span.end_s > window[1]
    if split and width < STUB and (span.end_s - span.start_s) * inches_per_s > 2 * STUB:
        return []
    text = span.text if span.start_s >= window[0] else f"… {span.text}"
    return wrap(text, width, TEXT_PT, MAX_LINES, style="italic" if span.italic else "normal")


def _header(figure, total: float, recording: Recording, summary: dict) -> None:
    def put(x: float, y_in: float, text: str, **style) -> None:
        figure.text(x / WIDTH, 1 - y_in / total, text, va="baseline", **style)

    put(LEFT, 0.42, "What the camera meant", fontsize=17, color=INK, weight="bold")
    put(LEFT, 0.66, "  ·  ".join(part for part in (recording.source, recording.model) if part), fontsize=8.5, color=SOFT)

    def number(key: str, form: str) -> str:
        return "–" if summary.get(key) is None else form.format(summary[key])

    facts = [("embeddings per s", number("embedding_hz", "{:.1f}")), ("latency p99", number("latency_ms_p99", "{:.0f} ms"))]
    if recording.truth_known:
        facts += [("boundary F1", number("boundary_f1", "{:.2f}")), ("best clock", number("boundary_f1_uniform", "{:.2f}")),
                  ("best pixel difference", number("boundary_f1_pixels", "{:.2f}")), ("event to words", number("delay_s_median", "{:.1f} s"))]
    facts += [("texts", number("texts", "{}"))]
    x = WIDTH - RIGHT
    for name, value in reversed(facts):
        put(x, 0.42, value, fontsize=13, color=INK, weight="bold", ha="right")
        put(x, 0.66, name, fontsize=7.5, color=SOFT, ha="right")
        x -= max(0.85, 0.065 * len(name) + 0.3)


def _legend(figure, total: float, recording: Recording) -> None:
    """One line at the bottom: what the strokes and fills stand for."""
    from matplotlib.lines import Line2D

    x, y = LEFT, 0.17

    def put(text: str, **stroke) -> None:
        nonlocal x
        marker = {"marker": "o", "ms": 4, "mew": 0, "ls": ""} | stroke if "marker" in stroke else {"lw": 1.4} | stroke
        ends = [x + 0.12] if "marker" in stroke else [x, x + 0.24]
        figure.add_artist(Line2D([e / WIDTH for e in ends], [y / total] * len(ends), **marker))
        figure.text((x + 0.32) / WIDTH, (y - 0.035) / total, text, fontsize=7.5, color=SOFT)
        x += 0.62 + 0.062 * len(text)

    if recording.truth_known:
        put("an event completes", color=TRUTH)
    put("a boundary is detected", color=SAID)
    put("its words arrive", color=SAID, marker="o")
    if recording.truth_known:
        put("missed, or one too many", color=WRONG)
    put("threshold", color=SOFT, ls=(0, (4, 3)), lw=0.9)
    put("grey, slanted: unfamiliar to the model", color=FAINT, lw=6)


def _system(figure, total, top, window, truth, said, recording, judged) -> float:
    """One line of music; returns the inches from the bottom at which it ends."""
    def axes(height: float, label: str):
        nonlocal top
        top -= height
        one = figure.add_axes((LEFT / WIDTH, top / total, (WIDTH - LEFT - RIGHT) / WIDTH, height / total), facecolor=PAPER)
        one.set_xlim(*window)
        for spine in one.spines.values():
            spine.set_visible(False)
        one.set_yticks([])
        one.tick_params(length=0, labelbottom=False)
        figure.text((LEFT - 0.1) / WIDTH, (top + height / 2) / total, label, ha="right", va="center", fontsize=8, color=SOFT)
        return one

    _film(axes(FILM, "camera"), window, recording)
    inches_per_s = (WIDTH - LEFT - RIGHT) / (window[1] - window[0])
    if truth[1]:
        _band(axes(truth[1], "truth"), window, truth, inches_per_s, TRUTH)
    curve = axes(CURVE, "distance")
    _curve(curve, window, recording, judged)
    if said[1]:
        _band(axes(said[1], "said"), window, said, inches_per_s, SAID)
        last = figure.axes[-1]
    else:
        last = curve
    last.tick_params(length=3, labelbottom=True, labelsize=7.5, colors=SOFT, pad=2)
    step = next((s for s in (1, 2, 5, 10, 30, 60, 120, 300, 600) if (window[1] - window[0]) / s <= 22), 1800)
    ticks = np.arange(math.ceil(window[0] / step - 1e-9) * step, window[1] + 1e-9, step)
    last.set_xticks(ticks, [f"{int(t // 60)}:{int(t % 60):02d}" for t in ticks])
    return top - FOOT


def _film(ax, window, recording) -> None:
    """Pictures side by side, each the one seen nearest to the middle of its place, on a dark band with sprocket holes."""
    ax.set_ylim(0, 1)
    ax.axhspan(0, 1, color="#20262e", lw=0)
    holes = np.arange(window[0], window[1], (window[1] - window[0]) / 150)
    for y in (0.055, 0.945):
        ax.plot(holes, np.full(len(holes), y), ls="", marker="s", ms=1.9, color="#5b6570", mew=0)
    thumbnails = recording.thumbnails
    if not thumbnails:
        return
    height, width = thumbnails[0].image_HWC.shape[:2]
    inches_per_s = (WIDTH - LEFT - RIGHT) / (window[1] - window[0])
    place_s = FILM * 0.78 * width / height / inches_per_s
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


def _band(ax, window, band, inches_per_s, ink) -> None:
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
            ax.text(start + PAD / inches_per_s, height - PAD - (n + 0.82) * TEXT_PT * LINE / 72, line, fontsize=TEXT_PT,
                    color=SOFT if span.italic else INK, style="italic" if span.italic else "normal", clip_on=True)


def _curve(ax, window, recording, judged) -> None:
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
    ax.annotate(text, (t, y), (-3 if left else 3, up_pt), textcoords="offset points", fontsize=6.5, color=WRONG, ha="right" if left else "left")
