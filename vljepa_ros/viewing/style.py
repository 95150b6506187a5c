# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Colours, sizes and rectangles of what is drawn into a picture. Pixels; sizes grow with the picture."""
from __future__ import annotations

from dataclasses import dataclass

GROUND, GROUND_SHARE = (17, 21, 27), 0.80  # so dark that white letters stay legible over a white wall
INK, SOFT, FAINT, TRACK = (242, 245, 248), (184, 193, 202), (130, 140, 151), (82, 91, 102)
CURVE, FILL, ALERT = (121, 166, 220), (44, 62, 86), (242, 166, 90)  # what changes and what is to be doubted share one
LETTERS = 0.031  # of the shorter side (of a picture of four to three)
LEAST, LEAST_SMALL = 11, 10
LINE = 1.3  # line height as a multiple of the letters' size


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: rows top to bottom, columns left to right, the last ones excluded."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Sizes:
    """What a picture's own size says about everything in it."""

    text: int
    small: int
    pad: int
    line: int
    small_line: int
    bar: int
    strip: int
    stroke: int

    @staticmethod
    def of(height: int, width: int) -> Sizes:
        text = max(LEAST, round(LETTERS * min(height, 0.75 * width)))
        small = max(LEAST_SMALL, round(0.78 * text))
        return Sizes(
            text=text, small=small, pad=round(0.7 * text), line=round(LINE * text), small_line=round(LINE * small),
            bar=max(2, round(0.2 * text)), strip=round(1.9 * text), stroke=max(1, round(text / 16)),
        )
