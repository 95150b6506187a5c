# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Text that stays inside its box on paper: widths in inches, of matplotlib's letters."""
from __future__ import annotations

from functools import lru_cache

from vljepa_ros.viewing import wrapping

LINE = 1.22  # line height as a multiple of the font size
SLACK = 1.03  # letters are drawn on whole pixels, a little wider than they are measured


def wrap(text: str, width_in: float, size_pt: float, max_lines: int, weight: str = "normal", style: str = "normal") -> list[str]:
    """Lines no wider than `width_in` inches at `size_pt` points, as `viewing.wrapping.wrap` makes them."""
    return wrapping.wrap(text, width_in, lambda part: width_of(part, size_pt, weight, style), max_lines)


def runs(lines: list[str], pieces: list[tuple[str, bool]]) -> list[list[tuple[str, bool]]]:
    """Wrapped lines of the joined `pieces` (words and a mark), each line cut into runs of one mark."""
    marks = [mark for words, mark in pieces for letter in words if not letter.isspace()]
    letters = [letter for words, _ in pieces for letter in words if not letter.isspace()]
    at, out = 0, []
    for line in lines:
        row: list[tuple[str, bool]] = []
        for word in line.split():
            mark = marks[min(at, len(marks) - 1)]
            # What wrapping has added, a hyphen or an ellipsis, is none of the letters.
            at += len(word) if "".join(letters[at : at + len(word)]) == word else len(word) - 1
            if row and row[-1][1] == mark:
                row[-1] = (f"{row[-1][0]} {word}", mark)
            else:
                row.append((word, mark))
        out.append(row)
    return out


@lru_cache(maxsize=20_000)
def width_of(text: str, size_pt: float, weight: str = "normal", style: str = "normal") -> float:
    """Width in inches of one line in the default font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(size=size_pt, weight=weight, style=style), ismath=False
    )
    return width / 72 * SLACK
