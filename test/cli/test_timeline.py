# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The picture: it renders for every kind of stream, texts stay in their boxes, and colours stand where things happened."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from vljepa_ros.cli import strips, timeline
from vljepa_ros.cli.recording import Recording
from vljepa_ros.cli.summary import summarise
from vljepa_ros.cli.wrapping import runs, width_of, wrap

LONG = (
    "The gripper pushes the large purple cylinder to the right. The lamp is off. The drawer is open. The red cube is on the left."
)


def rendered(recording, path):
    timeline.draw(recording, path, summarise(recording))
    image = cv2.imread(str(path))[..., ::-1]
    assert image.std() > 10
    return image


def has(image_HWC: np.ndarray, colour: str) -> bool:
    rgb = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return bool(np.any(np.all(np.abs(image_HWC.astype(int) - rgb) < 6, axis=-1)))


def test_what_happened_is_in_the_picture(make_recording, tmp_path):
    good = rendered(make_recording(true_s=[5.0], found_s=[5.2]), tmp_path / "good.png")
    assert has(good, strips.TRUTH_FILL[0]), "truth"
    assert has(good, strips.SAID_FILL[0]), "words"
    assert has(good, "#c82828"), "the film strip"
    assert not has(good[:-40], strips.WRONG), "nothing was wrong"
    bad = rendered(make_recording(true_s=[5.0], found_s=[12.0]), tmp_path / "bad.png")
    assert has(bad[:-40], strips.WRONG), "missed, and one too many"


@pytest.mark.parametrize(
    ("true_s", "found_s", "seconds"),
    [
        (None, [], 20.0),
        (None, [4.0, 4.2, 4.4], 20.0),
        ([], [], 20.0),
        ([1.0], [1.0], 3.0),
        ([5.0], [], 0.5),
        (list(range(3, 290, 6)), [20.0], 300.0),
    ],
)
def test_every_kind_of_stream_renders(make_recording, tmp_path, true_s, found_s, seconds):
    rendered(make_recording(true_s=true_s, found_s=found_s, seconds=seconds, text=LONG), tmp_path / "t.png")


def test_nothing_heard_renders(tmp_path):
    rendered(Recording("a", start_ns=10**18, end_ns=10**18 + 10**9), tmp_path / "t.png")


def test_long_streams_get_more_lines_not_narrower_ones(make_recording, tmp_path):
    short = rendered(make_recording(seconds=38.0), tmp_path / "short.png")
    long = rendered(make_recording(seconds=300.0), tmp_path / "long.png")
    assert long.shape[1] == short.shape[1]
    assert long.shape[0] > 5 * short.shape[0]


@pytest.mark.parametrize("seconds", [20.0, 75.0])
@pytest.mark.parametrize("found_s", [[4.0, 6.0, 8.0, 10.0, 10.3], [17.0], [2.0, 36.9]])
def test_no_text_leaves_its_box(make_recording, tmp_path, monkeypatch, found_s, seconds):
    """Of all texts that are drawn into a band, the extent lies inside the span it belongs to, so no two can overlap."""
    from matplotlib.figure import Figure

    outside, drawn = [], []
    savefig = Figure.savefig

    def look(figure, *args, **kwargs):
        savefig(figure, *args, **kwargs)
        for axes in figure.axes:
            walls = sorted(
                {round(box.get_extents().x0, 1) for box in axes.patches}
                | {round(box.get_extents().x1, 1) for box in axes.patches}
            )
            for text in axes.texts:
                if text.get_fontsize() == strips.TEXT_PT:
                    drawn.append(text.get_text())
                    extent = text.get_window_extent()
                    right = min(wall for wall in walls if wall > extent.x0)
                    frame = axes.get_window_extent()
                    if extent.x1 > right + 1 or extent.y0 < frame.y0 - 1 or extent.y1 > frame.y1 + 1:
                        outside.append(text.get_text())

    monkeypatch.setattr(Figure, "savefig", look)
    rendered(make_recording(true_s=found_s, found_s=found_s, seconds=seconds, text=LONG), tmp_path / "t.png")
    assert len(drawn) > 5
    assert outside == []


@pytest.mark.parametrize("width_in", [0.3, 0.7, 1.0, 3.0])
@pytest.mark.parametrize("text", [LONG, "", "Donaudampfschifffahrtsgesellschaft", "a " * 200])
def test_lines_are_no_wider_than_asked_and_lose_no_word_without_saying_so(text, width_in):
    lines = wrap(text, width_in, 7.0, 8)
    assert len(lines) <= 8
    assert all(width_of(line, 7.0) <= width_in for line in lines)
    whole = "".join(lines).replace("-", "").replace(" ", "")
    assert whole == text.replace(" ", "") or (lines and lines[-1].endswith("…"))


def test_a_box_without_room_for_two_letters_stays_empty():
    assert wrap("The lamp", 0.1, 7.0, 8) == []


@pytest.mark.parametrize("width_in", [0.5, 1.0, 3.0])
def test_runs_keep_each_word_s_mark_through_hyphens_and_the_ellipsis(width_in):
    long = "Donaudampfschifffahrtsgesellschaft."
    pieces = [("The lamp is off.", True), (long, False), ("The well-known cube moves.", True), ("x " * 99, False)]
    lines = wrap(" ".join(words for words, _ in pieces), width_in, 7.0, 12)
    cut = runs(lines, pieces)
    assert [" ".join(words for words, _ in row) for row in cut] == lines
    marked = {True: "", False: ""}
    for words, mark in (one for row in cut for one in row):
        marked[mark] += words.replace("-", "").replace(" ", "")
    assert "Thelampisoff.Thewellknowncubemoves.".startswith(marked[True].rstrip("…"))
    assert (long + "x" * 99).startswith(marked[False].rstrip("…"))
    assert marked[True] and marked[False]
