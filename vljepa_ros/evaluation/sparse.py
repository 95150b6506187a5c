# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clips of a recorded stream from the few frames that they show: the others are timed like any frame, but never decoded.

Of a camera with 30 frames per second whose clips end every 0.1 s, two frames of three are in no clip. Which, only the clip buffer
knows, from their stamps; so it runs on pictures of one pixel, and the pictures that its clips ask for are loaded afterwards.
Clips are bit for bit those of a `ClipBuffer` that was given every picture.

A picture that turns out to be bad is a frame that never came, as in a node. Where it would have ended a clip, or lies before its
epoch's first clip, that is exact: it is loaded at once, and a second buffer, one frame behind, is where the stream goes on from.
Where only a later clip asks for it, the frame before it stands in; its stamp has then had its say in how far apart frames are.
"""
from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vljepa_ros.model.preprocess import resize_frame
from vljepa_ros.streaming import Clip, ClipBuffer, ClipParams, Frame

PIXEL = np.zeros((1, 1, 3), np.uint8)

Load = Callable[[], np.ndarray]  # the picture, uint8 RGB (H, W, 3); ValueError where there is none to be had


class SparseClips:
    """Takes every frame of one camera as a stamp and a way to load it. `loaded` counts those that were."""

    def __init__(
        self, params: ClipParams, frames: int, clip_period_s: float, image_size: int,
        bad: Callable[[ValueError], None] = lambda error: None,
    ) -> None:
        """As `ClipBuffer`. `bad` hears of every picture that could not be loaded."""
        self.loaded = 0
        self._scout, self._buffer = (ClipBuffer(params, frames, clip_period_s, 1) for _ in range(2))
        self._image_size = image_size
        self._bad = bad
        self._clipped = False  # the current epoch has made a clip
        self._loads: dict[int, Load | None] = {}  # by stamp, ascending, of the current epoch's window; None: found bad
        self._images: dict[int, np.ndarray] = {}  # those of them that were loaded, at image_size

    @property
    def counts(self):
        """What was odd, as `ClipBuffer.counts`."""
        return self._buffer.counts

    @property
    def epoch(self) -> int:
        """Of the newest frame, also while it is being loaded."""
        return self._scout.epoch

    def push(self, stamp_ns: int, frame_id: str, load: Load) -> Clip | None:
        """Take a frame; give the clip that ends with it, where one is due and its window is covered."""
        frame = Frame(stamp_ns, PIXEL, frame_id)
        clip = self._scout.push(frame)
        if self._scout.epoch != self._buffer.epoch:
            self._loads.clear()
            self._images.clear()
            self._clipped = False
        if self._loads.get(stamp_ns) is None:  # a stamp twice is dropped by the buffer: the first picture stays
            self._loads[stamp_ns] = load
        if (clip is not None or not self._clipped) and self._picture(stamp_ns) is None:
            del self._loads[stamp_ns]
            self._scout = copy.deepcopy(self._buffer)
            return None
        self._buffer.push(frame)
        if clip is None:
            return None
        self._clipped = True
        pictures = [self._nearest(stamp) for stamp in clip.stamps_ns]
        self._forget(clip.start_ns)
        stamps_ns, images = zip(*pictures)
        return replace(clip, frames_THWC=np.stack(images), stamps_ns=stamps_ns)

    def _picture(self, stamp_ns: int) -> np.ndarray | None:
        """At image_size; None where it is bad."""
        if stamp_ns not in self._images and self._loads[stamp_ns] is not None:
            try:
                image_HWC = resize_frame(self._loads[stamp_ns](), self._image_size)
            except ValueError as error:
                self._loads[stamp_ns] = None
                self._bad(error)
                return None
            self._images[stamp_ns] = image_HWC
            self.loaded += 1
        return self._images.get(stamp_ns)

    def _nearest(self, stamp_ns: int) -> tuple[int, np.ndarray]:
        """The frame of this stamp or, where it is bad, the good one nearest before it, else behind it: the newest is good."""
        stamps = list(self._loads)
        at = stamps.index(stamp_ns)
        for stamp in [*stamps[at::-1], *stamps[at + 1 :]]:
            image_HWC = self._picture(stamp)
            if image_HWC is not None:
                return stamp, image_HWC
        raise AssertionError("a clip's newest frame was loaded before")

    def _forget(self, start_ns: int) -> None:
        """Clips never reach back behind the start of an earlier one, in one epoch."""
        for stamp in [stamp for stamp in self._loads if stamp < start_ns]:
            del self._loads[stamp]
            self._images.pop(stamp, None)
