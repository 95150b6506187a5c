# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture with what is understood of it: words and figures below, bars for texts above, each on a dark panel of its own.

Panels are as large as their contents and never larger than half of the picture; whatever does not fit is left out, the least
important first. Nothing outside of them is touched. Sizes are pixels and grow with the picture.
"""
from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vljepa_ros.viewing.curve import draw_history
from vljepa_ros.viewing.fonts import Fonts
from vljepa_ros.viewing.style import ALERT, CURVE, FAINT, GROUND, GROUND_SHARE, INK, SOFT, TRACK, Box, Sizes
from vljepa_ros.viewing.understanding import Understanding
from vljepa_ros.viewing.wrapping import printable

MOST_LINES = 5
LONGEST = 2000  # letters of a text that are looked at; no picture holds more


def annotate(image_HWC: np.ndarray, known: Understanding, fonts: Fonts) -> np.ndarray:
    """A new picture of the same size, uint8 RGB (H, W, 3). ValueError for anything that is no such picture."""
    if image_HWC.ndim != 3 or image_HWC.shape[2] != 3 or image_HWC.dtype != np.uint8:
        raise ValueError(f"a picture must be uint8 (H, W, 3), got {image_HWC.dtype} {image_HWC.shape}")
    out_HWC = np.array(image_HWC, order="C")
    height, width = out_HWC.shape[:2]
    for panel in (Words(height, width, known, fonts), Bars(height, width, known, fonts)):
        if panel.box is not None:
            panel.draw(out_HWC)
    return out_HWC


class Words:
    """The band along the lower edge: what is said, what it is worth, and the detector's latest seconds."""

    def __init__(self, height: int, width: int, known: Understanding, fonts: Fonts) -> None:
        self._known, self._fonts, self._sizes = known, fonts, Sizes.of(height, width)
        s, room = self._sizes, height // 2
        inner = width - 2 * s.pad
        text = printable(known.text[:LONGEST])
        self._slanted = bool(text) and not (known.familiar and known.current)
        most = max(1, min(MOST_LINES, (room - 2 * s.pad - s.small_line) // s.line))
        self._lines = fonts.wrap(text or "no words yet", inner, s.text, most, self._slanted)
        self._note = fonts.shorten(printable(known.note[:LONGEST]), inner, s.small)
        self._facts = self._facts_that_fit(inner)
        self._strip = len(known.history.ago_s) > 1 and inner >= 4 * s.strip
        if self._height() > room:
            self._strip = False
        if self._height() > room:
            self._facts = []
        if self._height() > room:
            self._lines = self._lines[:1]
        fits = self._lines and self._height() <= room
        self.box = Box(0, height - self._height(), width, height) if fits else None

    def _height(self) -> int:
        s = self._sizes
        rows = bool(self._note) + bool(self._facts)
        return 2 * s.pad + rows * s.small_line + len(self._lines) * s.line + self._strip * (s.pad + s.strip)

    def _facts_that_fit(self, inner: int) -> list[tuple[str, tuple[int, int, int]]]:
        """The figures and their colours, as many as stand in one line."""
        shown: list[tuple[str, tuple[int, int, int]]] = []
        used = 0.0
        for text, ink in facts(self._known):
            used += self._fonts.width(text, self._sizes.small) + 2 * self._sizes.small * bool(shown)
            if used > inner:
                break
            shown.append((text, ink))
        return shown

    def draw(self, image_HWC: np.ndarray) -> None:
        s, known = self._sizes, self._known
        region = darkened(image_HWC, self.box)
        if self._strip:
            bottom = region.shape[0] - s.pad
            draw_history(region, Box(s.pad, bottom - s.strip, region.shape[1] - s.pad, bottom), known.history, s)
        pen = Pen(region, self._fonts)
        y = s.pad
        if self._note:
            pen.write(s.pad, y, s.small_line, self._note, s.small, ALERT)
            y += s.small_line
        ink = INK if known.text and known.familiar and known.current else SOFT
        for line in self._lines:
            pen.write(s.pad, y, s.line, line, s.text, ink, self._slanted)
            y += s.line
        x = float(s.pad)
        for text, ink in self._facts:
            pen.write(x, y, s.small_line, text, s.small, ink)
            x += self._fonts.width(text, s.small) + 2 * s.small
        label = f"change, {known.history.seconds:g} s"
        left = region.shape[1] - s.pad - self._fonts.width(label, s.small)
        if self._strip and left >= x:
            pen.write(left, y, s.small_line, label, s.small, FAINT)
        pen.back(region)


class Bars:
    """The card in the upper left corner: how near the newest embedding is to each text, or to the nearest where not all fit."""

    def __init__(self, height: int, width: int, known: Understanding, fonts: Fonts) -> None:
        self._fonts, self._sizes = fonts, Sizes.of(height, width)
        self._similarities = tuple((printable(text[:LONGEST]), cosine) for text, cosine in known.similarities)
        s = self._sizes
        self._wide = min(round(0.5 * width), 22 * s.text)
        self._figure = fonts.width("−0.00", s.small)
        gap = round(0.45 * s.small)
        self._row = s.small_line + s.bar + gap
        room = height // 2 - 2 * s.pad
        count = min(len(known.similarities), room // self._row)
        if count < len(known.similarities):
            count = min(count, (room - s.small_line) // self._row)  # room for how many are not shown
        self._shown = nearest_of(self._similarities, count)
        left_out = len(known.similarities) - len(self._shown)
        self._more = f"and {left_out} more" if left_out else ""
        tall = 2 * s.pad + len(self._shown) * self._row + (s.small_line if left_out else -gap)
        label = self._wide - 2 * s.pad - self._figure - s.small
        fits = self._shown and label >= fonts.width("mmmm", s.small)
        self._label = label
        self.box = Box(0, 0, self._wide, tall) if fits else None

    def draw(self, image_HWC: np.ndarray) -> None:
        s, right = self._sizes, self._wide - self._sizes.pad
        region = darkened(image_HWC, self.box)
        known = [cosine for _, cosine in self._similarities if cosine is not None]
        nearest = max(known, default=None)
        pen = Pen(region, self._fonts)
        y = s.pad
        for text, cosine in self._shown:
            first = cosine is not None and cosine == nearest
            ink = INK if first else SOFT
            pen.write(s.pad, y, s.small_line, self._fonts.shorten(text, self._label, s.small), s.small, ink)
            figure = "…" if cosine is None else f"{cosine:.2f}".replace("-", "−")
            pen.write(right - self._fonts.width(figure, s.small), y, s.small_line, figure, s.small, ink)
            y += s.small_line
            pen.bar(s.pad, y, right, y + s.bar, TRACK)
            if cosine is not None and cosine > 0:
                pen.bar(s.pad, y, s.pad + min(1.0, cosine) * (right - s.pad), y + s.bar, CURVE if first else FAINT)
            y += self._row - s.small_line
        if self._more:
            pen.write(s.pad, y, s.small_line, self._more, s.small, FAINT)
        pen.back(region)


def nearest_of(similarities: tuple[tuple[str, float | None], ...], count: int) -> list[tuple[str, float | None]]:
    """The `count` texts of highest cosine, in their own order."""
    known = [-2.0 if cosine is None else cosine for _, cosine in similarities]
    places = sorted(range(len(known)), key=lambda k: -known[k])
    return [similarities[k] for k in sorted(places[: max(0, count)])]


class Pen:
    """Letters and bars on a part of a picture, which has them after `back`."""

    def __init__(self, region_HWC: np.ndarray, fonts: Fonts) -> None:
        self._image = Image.fromarray(region_HWC)
        self._draw = ImageDraw.Draw(self._image)
        self._fonts = fonts

    def write(self, x: float, y: float, line: int, text: str, size: int, ink: tuple, slanted: bool = False) -> None:
        """A text whose line is `line` high and begins at `y`."""
        self._draw.text((x, y + 0.5 * (line + 0.72 * size)), text, font=self._fonts.at(size, slanted), fill=ink, anchor="ls")

    def bar(self, left: float, top: float, right: float, bottom: float, ink: tuple) -> None:
        if round(right) > round(left):
            self._draw.rectangle((round(left), round(top), round(right) - 1, round(bottom) - 1), fill=ink)

    def back(self, region_HWC: np.ndarray) -> None:
        region_HWC[...] = np.asarray(self._image)


def facts(known: Understanding) -> list[tuple[str, tuple[int, int, int]]]:
    """The figures in words, the most important first, each with its colour."""
    out = []
    if known.text and not known.familiar:
        out.append(("unfamiliar", ALERT))
    elif known.confidence is not None:
        out.append((f"{known.confidence:.0%} sure".replace("%", " %"), SOFT))
    if known.text and not known.current:
        out.append(("before the change", ALERT))
    if known.age_s is not None:
        out.append((f"for {age(known.age_s)}", SOFT))
    if known.segment is not None:
        out.append((f"segment {known.segment}", SOFT))
    if known.novelty is not None:
        out.append((f"novelty {known.novelty:.2f}", ALERT if not known.novelty <= 1 else SOFT))
    return out


def age(seconds: float) -> str:
    """Seconds with a tenth, then minutes and hours."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"


def darkened(image_HWC: np.ndarray, box: Box) -> np.ndarray:
    """The picture's own pixels of a box, after they were made its ground."""
    region = image_HWC[box.top : box.bottom, box.left : box.right]
    ground = np.multiply(GROUND, GROUND_SHARE)
    region[...] = (region * (1 - GROUND_SHARE) + ground + 0.5).astype(np.uint8)
    return region
