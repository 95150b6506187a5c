# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real footage through the evaluation: what is counted, and what no video is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vljepa_ros.model import presets
from vljepa_ros.model.vljepa import Decoded
from vljepa_training.evals import __main__ as command
from vljepa_training.evals.foreign import evaluate_foreign, frames_of


def film(path, frames: int, fps: float = 10.0, size: int = 48):
    rng = np.random.default_rng(0)
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (size, size))
    for _ in range(frames):
        out.write(np.full((size, size, 3), rng.integers(256, size=3), np.uint8))
    out.release()
    return path


class Judge:
    """Calls a clip foreign where its newest frame is bright."""

    config = presets.tiny()
    space_id = "judged"

    def watch(self, frames_THWC, queries):
        return np.eye(1, self.config.dim, dtype=np.float32).repeat(len(queries), 0), 2.0 * (frames_THWC[-1].mean() > 127)

    def decode_full(self, vectors):
        return [Decoded("", 0.0, False, 0.0) for _ in vectors]


def test_flagged_is_the_share_of_embeddings_over_all_videos(tmp_path):
    videos = [film(tmp_path / "long.avi", 60), film(tmp_path / "short.avi", 20), film(tmp_path / "instant.avi", 1)]
    report = evaluate_foreign(Judge(), videos)
    each = report["foreign"]
    assert {k: v["frames"] for k, v in each.items()} == {"long.avi": 60, "short.avi": 20, "instant.avi": 1}
    assert each["long.avi"]["seconds"] == pytest.approx(5.9) and each["instant.avi"]["flagged"] is None
    bright = [f.image_HWC.mean() > 127 for f in frames_of(videos[0])]
    first = len(bright) - each["long.avi"]["embeddings"]
    assert first > 0 and each["long.avi"]["flagged"] == pytest.approx(np.mean(bright[first:]))
    counts = [v["embeddings"] for v in each.values()]
    whole = sum(v["embeddings"] * v["flagged"] for v in each.values() if v["flagged"] is not None) / sum(counts)
    assert report["foreign_flagged"]["value"] == pytest.approx(whole) and report["foreign_flagged"]["n"] == sum(counts)


def test_colours_arrive_as_rgb(tmp_path):
    out = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (48, 48))
    out.write(np.full((48, 48, 3), (0, 0, 255), np.uint8))
    out.release()
    (frame,) = frames_of(tmp_path / "red.avi")
    assert frame.image_HWC[24, 24, 0] > 200 and frame.image_HWC[24, 24, 2] < 50


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no film")
    with pytest.raises(ValueError, match="notes.txt"):
        list(frames_of(tmp_path / "notes.txt"))


def test_the_command_wants_footage_for_it(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["tabletop", "--json", str(tmp_path / "a.json"), "--only", "foreign"])
    assert "--videos" in capsys.readouterr().err
