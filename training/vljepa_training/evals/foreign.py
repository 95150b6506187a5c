# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Footage from elsewhere: the share of its embeddings that the checkpoint itself calls foreign (`novelty` above 1).

Any video file that OpenCV reads, through the robot's own streaming code. What is in it does not matter, only that it is no
rendered table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from vljepa_ros.evaluation import stream as runner
from vljepa_ros.model import VLJEPA
from vljepa_ros.streaming import Frame

from .intervals import mean

NS = 1_000_000_000


def frames_of(video: Path) -> Iterator[Frame]:
    """Stamped by the file's frame rate, from one second on (a stamp of 0 is none).

    ValueError where OpenCV finds no frame or no rate.
    """
    capture = cv2.VideoCapture(str(video))
    try:
        fps, count = capture.get(cv2.CAP_PROP_FPS), 0
        while fps > 0:
            there, image_bgr = capture.read()
            if not there:
                break
            yield Frame(NS + round(count / fps * NS), np.ascontiguousarray(image_bgr[..., ::-1]), "camera")
            count += 1
    finally:
        capture.release()
    if not count:
        raise ValueError(f"{video} has no frame that OpenCV can read; give a video file, or convert it first")


def evaluate_foreign(model: VLJEPA, videos: list[Path]) -> dict:
    """`foreign_flagged`: over all embeddings, resampled by video; `foreign`: each video for itself. A video shorter than a clip
    has no embedding and no share."""
    flagged, of, each = [], [], {}
    for n, video in enumerate(tqdm(videos, desc="foreign", unit="video")):
        result = runner.run(frames_of(video), model)
        novel = [e.novelty > 1 for e in result.embeddings]
        flagged += novel
        of += [n] * len(novel)
        each[video.name] = {
            "frames": result.frames,
            "seconds": result.seconds,
            "embeddings": len(novel),
            "flagged": float(np.mean(novel)) if novel else None,
            "transitions": len(result.transitions),
            "texts": len(result.texts),
            "texts_called_familiar": sum(t.familiar for t in result.texts),
        }
    return {"foreign_flagged": mean(flagged, of), "foreign": each}
