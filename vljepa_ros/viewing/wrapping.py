# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Text that stays inside its box: greedy wrapping by measured width, with an ellipsis where the box is full. Knows no font."""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable


def wrap(text: str, width: float, width_of: Callable[[str], float], max_lines: int) -> list[str]:
    """Lines no wider than `width`, in the unit of `width_of`; at most `max_lines`; words too long for a line are broken.

    Empty where not even two letters fit.
    """
    if width < width_of("mm") or max_lines < 1:
        return []
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}".strip()
        if width_of(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while width_of(word) > width and len(lines) <= max_lines:
            fits = _fitting(word, width, width_of)
            lines.append(word[:fits] + "-")
            word = word[fits:]
        line = word
        if len(lines) > max_lines:
            break
    if line:
        lines.append(line)
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        lines[-1] = shortened(lines[-1].rstrip(" .-"), width, width_of)
    return lines


def shortened(text: str, width: float, width_of: Callable[[str], float]) -> str:
    """As much of a text as fits before an ellipsis."""
    while text and width_of(text + "…") > width:
        text = text[:-1].rstrip()
    return text + "…"


def printable(text: str) -> str:
    """A text as one line, without what a terminal or a font cannot show."""
    return " ".join("".join(letter if letter.isprintable() and letter != "\ufffd" else " " for letter in text).split())


def _fitting(word: str, width: float, width_of: Callable[[str], float]) -> int:
    """How many letters fit with a hyphen behind them; one at least."""
    most = min(len(word) - 1, 400)  # beyond what any line holds
    return max(1, bisect_right(range(1, most + 1), width, key=lambda count: width_of(word[:count] + "-")))
