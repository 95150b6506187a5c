# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera of a bag: its messages become clips, as they do in the predictor node, and small pictures for the report.

A picture is decoded only where a clip shows it (`evaluation/sparse.py`). Every message is checked for size, step and encoding.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from vljepa_ros.evaluation.recorded.bag import Message, Topic
from vljepa_ros.evaluation.recorded.serialised import COMPRESSED_IMAGE, NS, stamp_of
from vljepa_ros.evaluation.sparse import SparseClips
from vljepa_ros.streaming import Clip, ClipParams
from vljepa_ros.streaming.images import BadImage, check_compressed_image, check_image, compressed_image_HWC, image_HWC

THUMB_WIDTH = 192  # pixels
MAX_THUMBS = 400  # then every other one goes, and half as many come from there on


@dataclass(frozen=True, eq=False)
class Thumb:
    """What the camera showed, as a small JPEG."""

    stamp_ns: int
    epoch: int
    jpeg: bytes
    width: int
    height: int


@dataclass
class Camera:
    """Counts what came, and keeps what the report will show. `bad`: pictures that could not be used, by cause."""

    topic: Topic
    frames: int = 0
    decoded: int = 0
    size: str = ""
    encoding: str = ""
    unstamped: bool | None = None  # the driver sent no stamps: the recorder's times stand in
    bad: Counter[str] = field(default_factory=Counter)
    last_bad: str = ""
    counts: Counter[str] = field(default_factory=Counter)  # the clip buffer's
    spans: list[list[int]] = field(default_factory=list)  # [first, last] stamp of every epoch, by its number
    recorded_ns: dict[int, int] = field(default_factory=dict)  # stamp of a clip's newest frame -> when it was recorded
    thumbs: list[Thumb] = field(default_factory=list)
    _thumb_every_ns: int = NS // 2

    @property
    def lost(self) -> int:
        """Frames that could not be used."""
        return sum(self.bad.values())

    def clips(self, messages: Iterable[Message], params: ClipParams, config: Any, progress: Callable[[], None]) -> Iterator[Clip]:
        """`config`: the checkpoint's. `progress` is called for every message."""
        sparse = SparseClips(params, config.vision.frames, config.clip_period_s, config.preprocess.image_size, self._hear_bad)
        self.counts = sparse.counts
        for message in messages:
            self.frames += 1
            clip = self._push(sparse, message, params.stamp_source == "arrival")
            self.decoded, self.counts = sparse.loaded, sparse.counts
            if clip is not None:
                self.recorded_ns[clip.stamp_ns] = message.time_ns
                yield clip
            progress()

    def _push(self, sparse: SparseClips, message: Message, arrival: bool) -> Clip | None:
        try:
            picture, frame_id, stamp_ns = self._checked(message)
        except BadImage as error:
            self._hear_bad(error)
            return None
        if self.unstamped is None:
            self.unstamped = stamp_ns == 0
        if self.unstamped or arrival:
            stamp_ns = message.time_ns

        def load() -> np.ndarray:
            image = picture()
            self._keep(stamp_ns, sparse.epoch, image)
            return image

        clip = sparse.push(stamp_ns, frame_id, load)
        if stamp_ns > 0:
            self._span(sparse.epoch, stamp_ns)
        return clip

    def _checked(self, message: Message) -> tuple[Callable[[], np.ndarray], str, int]:
        """How to get the picture, frame_id and stamp. BadImage where the message says that there is none."""
        compressed = self.topic.msgtype == COMPRESSED_IMAGE
        try:
            one = typestore().deserialize_cdr(message.cdr, self.topic.msgtype)
            stamp_ns = stamp_of(message.cdr)
        except Exception as error:  # noqa: BLE001  bytes that are no such message fail in any way
            raise BadImage("message", f"{len(message.cdr)} bytes are no {self.topic.msgtype}: {type(error).__name__}") from None
        if compressed:
            check_compressed_image(one)
            self.encoding = str(one.format)
        else:
            check_image(one)
            self.encoding, self.size = str(one.encoding), f"{one.width}x{one.height}"
        return (lambda: compressed_image_HWC(one) if compressed else image_HWC(one)), str(one.header.frame_id), stamp_ns

    def _hear_bad(self, error: ValueError) -> None:
        self.bad[getattr(error, "cause", "decode")] += 1
        self.last_bad = " ".join(str(error).split())

    def _span(self, epoch: int, stamp_ns: int) -> None:
        while len(self.spans) <= epoch:
            self.spans.append([stamp_ns, stamp_ns])
        self.spans[epoch][1] = max(self.spans[epoch][1], stamp_ns)

    def _keep(self, stamp_ns: int, epoch: int, image_HWC: np.ndarray) -> None:
        """A thumbnail now and then. How many there are does not depend on how long the stream is."""
        height, width = image_HWC.shape[:2]
        self.size = f"{width}x{height}"
        newest = self.thumbs[-1] if self.thumbs else None
        if newest is not None and 0 <= stamp_ns - newest.stamp_ns < self._thumb_every_ns:
            return
        size = (THUMB_WIDTH, max(1, round(THUMB_WIDTH * height / width)))
        small_HWC = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA)
        jpeg = cv2.imencode(".jpg", small_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 72])[1].tobytes()
        self.thumbs.append(Thumb(stamp_ns, epoch, jpeg, *size))
        if len(self.thumbs) > MAX_THUMBS:
            self.thumbs = self.thumbs[::2]
            self._thumb_every_ns *= 2


_STORE: list = []


def typestore():
    """The types of ROS 2, made once: it takes a moment."""
    if not _STORE:
        from rosbags.typesys import Stores, get_typestore

        _STORE.append(get_typestore(Stores.ROS2_JAZZY))
    return _STORE[0]
