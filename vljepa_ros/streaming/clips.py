# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames -> clips: resampling a camera of any rate to the clip period that the checkpoint was trained on, by stamps alone.

A clip's positions are the newest frame's stamp, one clip period before it, two before it, and so on. At each position stands the
newest frame that is not later than the position, with half a frame interval of tolerance for jitter, so a regular camera's
nearest frame is taken; a camera slower than the clip period repeats frames. No clip holds a frame of another epoch, and none goes
out before its window is covered.

Knows nothing of ROS or of the network; the only pixels' work is one resize per frame, on arrival.
"""

from __future__ import annotations

import logging
import statistics
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from vljepa_ros.model.preprocess import resize_frame
from vljepa_ros.streaming.parameters import check, parameter
from vljepa_ros.streaming.types import Clip, Frame

log = logging.getLogger(__name__)

NS = 1_000_000_000
CLOCK_JUMP_S = (
    60.0  # a step forward beyond this is counted as a jump of the clock, below it as a gap of the camera; both begin an epoch
)
INTERVALS = 15  # frame intervals whose median says how far apart this camera's frames are


@dataclass(frozen=True)
class ClipParams:
    """How often clips are made, and when a stream counts as broken."""

    stride_s: float = parameter(
        0.1, "seconds between clips on average; never more clips than this, however fast the camera", (0.01, 60.0)
    )
    max_gap_s: float = parameter(
        1.0, "seconds without a frame after which a new epoch begins and no clip reaches back", (0.05, 3600.0)
    )
    stamp_source: str = parameter(
        "header",
        "whose clock stamps a frame: the driver's header, or arrival at this machine for drivers without stamps",
        choices=("header", "arrival"),
    )

    def __post_init__(self) -> None:
        check(self, "clip")


class ClipBuffer:
    """Takes every frame of one camera, gives a clip when one is due.

    Stride: clips have due times, `stride_s` apart, and the frame nearest to a due time makes the clip (within half a frame
    interval). The next due time counts from the last due time, not from the last clip, so a camera whose interval does not divide
    the stride loses nothing to beats: 15 Hz and 0.1 s give 10 clips per second. Due times that a slow camera missed are not made
    up for, so n clips never span less than (n - 2) strides.

    `counts` names what was odd: `zero_stamp`, `duplicate_stamp` (both dropped), `backward_jump`, `forward_jump`, `gap` and the
    reasons given to `flush` and `begin_epoch` (all of which begin an epoch).
    """

    def __init__(self, params: ClipParams, frames: int, clip_period_s: float, image_size: int) -> None:
        """`frames`, `clip_period_s` and `image_size` (pixels) are the checkpoint's. ValueError names a bad one."""
        if frames < 1:
            raise ValueError(f"a clip needs at least 1 frame, got {frames}")
        if clip_period_s <= 0:
            raise ValueError(f"clip_period_s must be above 0, got {clip_period_s}")
        if image_size < 1:
            raise ValueError(f"image_size must be at least 1 pixel, got {image_size}")
        self.params = params
        self.counts: Counter[str] = Counter()
        self.epoch = 0
        self._frames = frames
        self._period_ns = round(clip_period_s * NS)
        self._image_size = image_size
        self._stride_ns = round(params.stride_s * NS)
        self._max_gap_ns = round(params.max_gap_s * NS)
        self._sequence = 0
        self._buffer: deque[tuple[int, np.ndarray]] = deque()  # (stamp, uint8 RGB at image_size), stamps strictly ascending
        self._intervals: deque[int] = deque(maxlen=INTERVALS)
        self._due_ns: int | None = None

    @property
    def frame_interval_s(self) -> float:
        """The camera's usual seconds between frames (median of the latest), 0 before two frames came."""
        return statistics.median(self._intervals) / NS if self._intervals else 0.0

    def push(self, frame: Frame) -> Clip | None:
        """Take a frame; give the clip that ends with it, where one is due and its window is covered.

        Raises what `resize_frame` raises for an image that is none, and is then as before the call.
        """
        if self._drop(frame.stamp_ns):
            return None
        image_HWC = resize_frame(frame.image_HWC, self._image_size)
        if np.may_share_memory(image_HWC, frame.image_HWC):
            image_HWC = image_HWC.copy()  # a driver may write its next frame into the same memory
        self._begin_epoch_where_broken(frame.stamp_ns)
        if self._buffer:
            self._intervals.append(frame.stamp_ns - self._buffer[-1][0])
        self._buffer.append((frame.stamp_ns, image_HWC))
        self._forget()
        if not self._covered() or not self._due(frame.stamp_ns):
            return None
        return self._clip(frame)

    def flush(self, reason: str) -> None:
        """Begin a new epoch: nothing pushed so far will be in a later clip. Counted under `reason`."""
        self.begin_epoch(reason)
        self._buffer.clear()
        self._intervals.clear()
        self._due_ns = None

    def begin_epoch(self, reason: str) -> None:
        """Count the epoch up and keep the frames: the stream goes on, but what is made of it is no longer what it was."""
        self.counts[reason] += 1
        self.epoch += 1
        log.info("epoch %d begins: %s", self.epoch, reason)

    def _drop(self, stamp_ns: int) -> bool:
        if stamp_ns <= 0 and self.params.stamp_source == "header":
            self.counts["zero_stamp"] += 1
            if self.counts["zero_stamp"] == 1:
                log.warning(
                    "a frame came with stamp %d; frames without stamps are dropped. Set stamp_source to arrival", stamp_ns
                )
            return True
        if self._buffer and stamp_ns == self._buffer[-1][0]:
            self.counts["duplicate_stamp"] += 1
            return True
        return False

    def _begin_epoch_where_broken(self, stamp_ns: int) -> None:
        if not self._buffer:
            return
        step_ns = stamp_ns - self._buffer[-1][0]
        if step_ns < 0:
            self.flush("backward_jump")
        elif step_ns > max(self._max_gap_ns, CLOCK_JUMP_S * NS):
            self.flush("forward_jump")
        elif step_ns > self._max_gap_ns:
            self.flush("gap")

    def _tolerance_ns(self) -> int:
        """Half the camera's usual interval: how far from its ideal moment a frame may be and still be the nearest one."""
        return int(statistics.median(self._intervals)) // 2 if self._intervals else 0

    def _oldest_ns(self) -> int:
        """The latest stamp that covers the clip's oldest position. It never borrows more than half a period."""
        return self._position_ns(self._frames - 1) + min(self._tolerance_ns(), self._period_ns // 2)

    def _position_ns(self, back: int) -> int:
        return self._buffer[-1][0] - back * self._period_ns

    def _covered(self) -> bool:
        return self._frames == 1 or self._buffer[0][0] <= self._oldest_ns()

    def _forget(self) -> None:
        """Keep the newest frame at or before the oldest position, and all after it. The tolerance may shrink: leave it out."""
        while len(self._buffer) > 1 and self._buffer[1][0] <= self._position_ns(self._frames - 1):
            self._buffer.popleft()

    def _due(self, stamp_ns: int) -> bool:
        if self._due_ns is None:
            self._due_ns = stamp_ns
        if stamp_ns < self._due_ns - min(self._tolerance_ns(), self._stride_ns // 2):
            return False
        self._due_ns += self._stride_ns
        if self._due_ns <= stamp_ns:
            self._due_ns = stamp_ns + self._stride_ns
        return True

    def _clip(self, frame: Frame) -> Clip:
        tolerance_ns = min(self._tolerance_ns(), self._period_ns // 2)
        chosen: list[tuple[int, np.ndarray]] = [self._buffer[-1]]
        older = len(self._buffer) - 1
        for back in range(1, self._frames):
            limit_ns = self._position_ns(back) + tolerance_ns
            while older > 0 and self._buffer[older][0] > limit_ns:
                older -= 1
            chosen.append(self._buffer[older])
        chosen.reverse()
        clip = Clip(
            frames_THWC=np.stack([image for _, image in chosen]),
            stamps_ns=tuple(stamp for stamp, _ in chosen),
            epoch=self.epoch,
            sequence=self._sequence,
            frame_id=frame.frame_id,
        )
        self._sequence += 1
        return clip
