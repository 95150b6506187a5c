"""Text that stays inside its box: greedy wrapping by measured width, with an ellipsis where the box is full."""
from __future__ import annotations

from functools import lru_cache

LINE = 1.22  # line height as a multiple of the font size
SLACK = 1.03  # letters are drawn on whole pixels, a little wider than they are measured


def wrap(text: str, width_in: float, size_pt: float, max_lines: int, weight: str = "normal", style: str = "normal") -> list[str]:
    """Lines no wider than `width_in` inches at `size_pt` points, at most `max_lines`; words too long for a line are broken.

    Empty where not even two letters fit.
    """
    if width_in < width_of("mm", size_pt, weight, style) or max_lines < 1:
        return []
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}".strip()
        if width_of(joined, size_pt, weight, style) <= width_in:
            line = joined
            continue
        if line:
            lines.append(line)
        while width_of(word, size_pt, weight, style) > width_in:
            fits = _fitting(word, width_in, size_pt, weight, style)
            lines.append(word[:fits] + "-")
            word = word[fits:]
        line = word
    if line:
        lines.append(line)
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        last = lines[-1].rstrip(" .-")
        while last and width_of(last + "…", size_pt, weight, style) > width_in:
            last = last[:-1].rstrip()
        lines[-1] = last + "…"
    return lines


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


def _fitting(word: str, width_in: float, size_pt: float, weight: str, style: str) -> int:
    """How many letters fit with a hyphen behind them; one at least."""
    fits = len(word) - 1
    while fits > 1 and width_of(word[:fits] + "-", size_pt, weight, style) > width_in:
        fits -= 1
    return max(fits, 1)
