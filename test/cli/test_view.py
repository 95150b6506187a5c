# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live view and the plain lines show what is in the recording, on any size of terminal."""
from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from vljepa_ros.cli.halfblocks import half_blocks
from vljepa_ros.cli.recording import Recording
from vljepa_ros.cli.view import LiveView, PlainView, figures, make_view


def shown(recording: Recording, width: int, height: int, note: str = "") -> list[str]:
    console = Console(width=width, height=height, force_terminal=True, color_system=None, file=io.StringIO())
    view = LiveView(recording, 60.0, "vljepa demo", console)
    try:
        with console.capture() as capture:
            console.print(view._draw(note))
    finally:
        view.close()
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", capture.get()).splitlines()


def test_the_live_view_has_the_figures_the_words_and_the_truth(make_recording):
    recording = make_recording(true_s=[5.0, 9.0], found_s=[5.2, 13.0])
    recording.diagnostics = {"vljepa/predictor_node: camera": {"frames_per_s": "15.0", "drops.newer_clip": "3"}}
    recording.levels = {"vljepa/predictor_node: camera": (1, "bad images dropped")}
    text = "\n".join(shown(recording, 120, 40))
    for part in (
        "15.0/s",
        "10.0/s",
        "50 ms",
        "drops 3",
        "The lamp goes on.",
        "The lamp is on.",
        "missed",
        "no event here",
        "bad images dropped",
        "20.0 of 60 s",
    ):
        assert part in text, part


@pytest.mark.parametrize(("width", "height"), [(60, 18), (80, 24), (200, 60)])
def test_it_fills_the_terminal_and_the_newest_segment_is_always_there(make_recording, width, height):
    recording = make_recording(true_s=[], found_s=list(np.arange(3.0, 55.0, 2.0)), seconds=60.0, text="word " * 30)
    recording.hear(recording.texts[-1].what, 0)
    lines = shown(recording, width, height)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    assert "0:53.0" in "\n".join(lines)


def test_while_it_waits_it_says_for_what():
    assert "waiting for decoder_node" in "\n".join(shown(Recording("bag"), 80, 24, "waiting for decoder_node"))


def test_plain_lines_tell_everything_once(make_recording):
    out = io.StringIO()
    view = PlainView(make_recording(true_s=[5.0], found_s=[5.2]), "vljepa demo", out)
    for _ in range(3):
        view.update("waiting" if _ == 0 else "")
    text = out.getvalue()
    assert text.splitlines()[:2] == ["vljepa demo", "waiting"]
    assert text.count("transition  distance 0.50 above 0.10") == 1
    assert text.count("The lamp is on.  (80%)  | truth: The lamp goes on. The lamp is on.") == 1
    assert text.count("start       The lamp is on.  (80%)  | truth: The lamp is off.") == 1
    assert text.count("embeddings 10.0/s") == 1


def test_without_a_terminal_lines_are_plain(make_recording, capsys):
    assert isinstance(make_view(make_recording(), 20.0, False, "vljepa demo"), PlainView)


def test_figures_of_nothing():
    assert figures(Recording("a")) == {
        "camera": "–",
        "embeddings": "–",
        "latency": "–",
        "transitions": "0",
        "texts": "0",
        "drops": "0",
    }


def test_control_characters_of_a_text_never_reach_the_terminal(make_recording):
    recording = make_recording(true_s=None, found_s=[], text="The \x1b[2Jlamp\n is\x07 on \ufffd.")
    assert recording.texts[0].what.text == "The [2Jlamp is on ."
    recording.hear(make_recording(true_s=None, text="\x00\x1b").texts[0].what, 0)
    assert recording.texts[-1].what.text == "(nothing that can be shown)"


@pytest.mark.parametrize(("columns", "rows"), [(40, 15), (10, 3), (1, 1)])
@pytest.mark.parametrize("shape", [(120, 160, 3), (10, 300, 3), (1, 1, 3)])
def test_a_picture_fits_and_keeps_its_colours(columns, rows, shape):
    image_HWC = np.zeros(shape, np.uint8)
    image_HWC[:, : shape[1] // 2] = (220, 0, 0)
    image_HWC[:, shape[1] // 2 :] = (0, 0, 220)
    lines = "".join(segment.text for segment in half_blocks(image_HWC, columns, rows).segments).splitlines()
    assert 1 <= len(lines) <= rows
    assert all(1 <= len(line) <= columns for line in lines)
    if columns == 40 and shape[0] == 120:
        segments = [segment for segment in half_blocks(image_HWC, columns, rows).segments if segment.text.strip()]
        assert segments[0].style.color.triplet == (220, 0, 0)
        assert segments[1].style.bgcolor.triplet == (0, 0, 220)
