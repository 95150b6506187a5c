# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The typeface that pictures are lettered in, at any size. Sizes and widths are pixels.

DejaVu Sans, which matplotlib brings along: Latin, Greek, Cyrillic, Hebrew, Arabic, Armenian, Georgian, mathematics. Chinese,
Japanese and Korean are not in it; they need a font of the user's own. A letter that a font lacks becomes its box.
"""
from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from vljepa_ros.viewing.wrapping import shortened, wrap

UPRIGHT, SLANTED = "DejaVuSans.ttf", "DejaVuSans-Oblique.ttf"


class Fonts:
    """Letters of one typeface, upright and slanted. Not thread-safe: one thread draws."""

    def __init__(self, path: str = "") -> None:
        """`path`: a TrueType or OpenType file to take instead, for both. ValueError where it is none."""
        self._files = (path, path) if path else (shipped(UPRIGHT), shipped(SLANTED))
        self.at = lru_cache(maxsize=64)(self._load)
        self.width = lru_cache(maxsize=4096)(self._width)
        self.at(12)

    def _load(self, size: int, slanted: bool = False) -> ImageFont.FreeTypeFont:
        file = self._files[slanted]
        try:
            return ImageFont.truetype(file, size)
        except OSError as error:
            raise ValueError(f"font: {file} cannot be read ({error}); give a .ttf or .otf file, or none") from None

    def _width(self, text: str, size: int, slanted: bool = False) -> float:
        return float(self.at(size, slanted).getlength(text))

    def wrap(self, text: str, width: float, size: int, max_lines: int, slanted: bool = False) -> list[str]:
        """As `wrapping.wrap`."""
        return wrap(text, width, lambda part: self.width(part, size, slanted), max_lines)

    def shorten(self, text: str, width: float, size: int) -> str:
        """The text where it fits, its beginning with an ellipsis where not; "" where even that does not."""
        if self.width(text, size) <= width:
            return text
        some = shortened(text[:400], width, lambda part: self.width(part, size))
        return some if self.width(some, size) <= width else ""


def shipped(name: str) -> str:
    """Path of a font that matplotlib brings along. Where a distribution has taken it out, the system's of that name."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    if path.is_file():
        return str(path)
    from matplotlib.font_manager import FontProperties, findfont

    return findfont(FontProperties(family="DejaVu Sans", style="oblique" if name == SLANTED else "normal"))
