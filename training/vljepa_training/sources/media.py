# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos as frames, whoever's files they are. PyAV decodes, since it comes as wheels with FFmpeg inside."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from vljepa_ros.model.preprocess import resize_frame

from .sample import BrokenSampleError

VIDEOS = ("mp4", "webm", "avi", "mkv", "mov")
PICTURES = ("jpg", "jpeg", "png", "webp")


@dataclass(frozen=True)
class Shape:
    """What a clip is made of: `frames` of `size` x `size`, spread evenly over a video as in the paper."""

    frames: int
    size: int
    period_s: float = 0.25  # between frames, where a clip is cut from a stream (annotated bags): the model's clip_period_s


def picture(data: bytes | Path, size: int) -> np.ndarray:
    """uint8 RGB (1, size, size, 3). BrokenSampleError: "missing file", "bad picture"."""
    encoded = np.frombuffer(_bytes(data), np.uint8)
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
    if image is None:
        raise BrokenSampleError("bad picture", f"{len(encoded)} bytes")
    return resize_frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), size)[None]


def clip(data: bytes | Path, shape: Shape, start_s: float = 0.0, end_s: float | None = None) -> np.ndarray:
    """uint8 RGB (frames, size, size, 3) from a video, evenly from `start_s` to `end_s` (its end), each the newest frame by then.

    BrokenSampleError: "missing file", "bad video" (cannot be decoded as far as that, or has no duration).
    """
    try:
        with av.open(str(data) if isinstance(data, Path) and data.is_file() else io.BytesIO(_bytes(data))) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            first = float((stream.start_time or 0) * stream.time_base)
            length = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / av.time_base
            end = float(length) if end_s is None else min(end_s, float(length))
            if not 0 <= start_s < end:
                raise BrokenSampleError("bad video", f"nothing from {start_s} s to {end} s")
            period = 1 / float(stream.average_rate or 25)
            wanted = first + np.linspace(start_s, max(start_s, end - period), shape.frames)
            if start_s > 0:
                container.seek(int(wanted[0] / stream.time_base), stream=stream)
            return np.stack(_newest(container.decode(stream), wanted, period, shape.size))
    except (av.error.FFmpegError, IndexError, ZeroDivisionError) as error:
        raise BrokenSampleError("bad video", str(error)) from None


def _newest(frames, wanted: np.ndarray, period: float, size: int) -> list[np.ndarray]:
    out: list[np.ndarray] = []
    before, seen = None, -np.inf
    for frame in frames:
        if frame.pts is None:
            continue
        seen = float(frame.pts * frame.time_base)
        while len(out) < len(wanted) and wanted[len(out)] < seen - period / 4:
            out.append(_rgb(before or frame, size))
        if len(out) == len(wanted):
            return out
        before = frame
    if before is None or seen < wanted[-1] - 2 * period:
        raise BrokenSampleError("bad video", f"its frames end at {seen:.2f} s")
    return out + [_rgb(before, size)] * (len(wanted) - len(out))


def _rgb(frame, size: int) -> np.ndarray:
    return resize_frame(frame.to_ndarray(format="rgb24"), size)


def _bytes(data: bytes | Path) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        return data.read_bytes()
    except OSError as error:
        raise BrokenSampleError("missing file", str(error)) from None
