# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detector's latest seconds as a curve."""
from __future__ import annotations

import cv2
import numpy as np

from vljepa_ros.viewing.style import ALERT, CURVE, FILL, SOFT, TRACK, Box, Sizes
from vljepa_ros.viewing.understanding import History


def draw_history(region_HWC: np.ndarray, box: Box, history: History, s: Sizes) -> None:
    """Distance as an area with its line, the threshold dashed, changes as strokes; now is on the right.

    The square root of a merge cost goes with the distance between means: quiet stretches stay visible beside great changes.
    """
    part = np.ascontiguousarray(region_HWC[box.top : box.bottom, box.left : box.right])
    high, wide = part.shape[:2]
    distance, threshold = (np.sqrt(np.maximum(np.nan_to_num(one), 0)) for one in (history.distance, history.threshold))
    top = 1.1 * max(1e-3, float(distance.max()), 1.25 * float(threshold.max()))
    x = (1 - history.ago_s / history.seconds) * (wide - 1)
    cv2.line(part, (0, high - 1), (wide - 1, high - 1), TRACK, 1)
    for span in np.split(np.arange(len(x)), np.flatnonzero(np.diff(history.epoch)) + 1):
        line = points(x[span], distance[span], top, high)
        area = np.concatenate([[[line[0, 0], high - 1]], line, [[line[-1, 0], high - 1]]])
        cv2.fillPoly(part, [area.astype(np.int32)], FILL, cv2.LINE_8)
        cv2.polylines(part, [line.astype(np.int32)], False, CURVE, s.stroke, cv2.LINE_AA)
        dashed(part, points(x[span], threshold[span], top, high), s)
    for ago_s in history.changes_ago_s:
        at = round((1 - ago_s / history.seconds) * (wide - 1))
        cv2.line(part, (at, 0), (at, high - 1), ALERT, s.stroke, cv2.LINE_8)
    region_HWC[box.top : box.bottom, box.left : box.right] = part


def points(x: np.ndarray, value: np.ndarray, top: float, high: int) -> np.ndarray:
    """(N, 2) pixels of a curve from 0 at the bottom to `top`."""
    return np.round(np.stack([x, (1 - value / top) * (high - 1)], axis=1)).astype(np.int64)


def dashed(part: np.ndarray, line: np.ndarray, s: Sizes) -> None:
    """A curve that is there for `text / 3` pixels, and away for as many."""
    step = max(3, s.text // 3)
    columns = np.arange(line[0, 0], line[-1, 0] + 1)
    rows = np.round(np.interp(columns, line[:, 0], line[:, 1])).astype(int)
    drawn = (columns // step) % 2 == 0
    for row in range(s.stroke):
        part[np.clip(rows[drawn] + row, 0, part.shape[0] - 1), np.clip(columns[drawn], 0, part.shape[1] - 1)] = SOFT
