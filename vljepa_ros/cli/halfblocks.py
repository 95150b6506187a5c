# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture in a terminal: two pixels per character, the upper one as the half block's colour, the lower one as its ground."""
from __future__ import annotations

import numpy as np
from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style


def half_blocks(image_HWC: np.ndarray, columns: int, rows: int) -> Segments:
    """`image_HWC` (uint8 RGB) in at most `columns` x `rows` characters, in proportion: a character is twice as high as wide."""
    import cv2

    height, width = image_HWC.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    size = max(1, int(width * scale)), max(1, int(height * scale) // 2) * 2
    # 24 levels a channel: fewer different colours, so longer runs and less to write.
    pixels = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA) // 11 * 11
    segments: list[Segment] = []
    for above, below in zip(pixels[0::2], pixels[1::2], strict=True):
        pairs = np.concatenate([above, below], axis=1)
        starts = np.r_[0, np.flatnonzero(np.any(np.diff(pairs.astype(np.int16), axis=0), axis=1)) + 1, len(pairs)]
        for start, end in zip(starts[:-1], starts[1:], strict=True):
            up, down = pairs[start, :3], pairs[start, 3:]
            segments.append(Segment("▀" * int(end - start), Style(color=Color.from_rgb(*up), bgcolor=Color.from_rgb(*down))))
        segments.append(Segment.line())
    return Segments(segments)
