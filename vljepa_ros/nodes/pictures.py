# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera's topic for one who wants a picture now and then: images pass unread until somebody asks for one."""
from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.nodes import qos
from vljepa_ros.nodes.clocks import stream_clock
from vljepa_ros.nodes.conversions import BadImage, frame_from_compressed_image, frame_from_image
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.statistics import Rate, Recent
from vljepa_ros.nodes.topics import Input
from vljepa_ros.streaming import Frame

log = logging.getLogger(__name__)

SILENCE_S = 5.0  # seconds without images after which that is told


class Pictures:
    """`want` a picture for a key; `take` it once it has come. The next image that can be used is the one."""

    def __init__(self, node: LifecycleNode, transport: str) -> None:
        """Topics as for the predictor's camera: `image`, or `image/compressed` below whatever `image` is remapped to."""
        self._compressed = transport == "compressed"
        topic = f"{node.resolve_topic_name('image')}/compressed" if self._compressed else "image"
        self._convert = frame_from_compressed_image if self._compressed else frame_from_image
        self._input = Input(node, CompressedImage if self._compressed else Image, topic, self._on_message, qos.IMAGES)
        self._rate = Rate(clock=stream_clock(node))
        self._bad: Counter[str] = Counter()  # BadImage.cause -> images
        self._recent = Recent()
        self._last_error = ""
        self._wanted: int | None = None
        self._frame: tuple[int, Frame] | None = None

    def start(self) -> None:
        self._rate.restart()
        self._input.start()

    def stop(self) -> None:
        self._input.stop()
        self._wanted = self._frame = None

    def want(self, key: int) -> None:
        """Of the next image; who wanted one before and has not got it goes without."""
        self._wanted = key

    def take(self, key: int) -> Frame | None:
        """The picture for a key, once; None where none has come yet."""
        if self._frame is None or self._frame[0] != key:
            return None
        frame, self._frame = self._frame[1], None
        return frame

    def _on_message(self, message: Any) -> None:
        self._rate.tick()
        if self._wanted is None:
            return
        try:
            self._frame = self._wanted, self._convert(message)
            self._wanted = None
        except BadImage as error:
            self._on_bad(error.cause, str(error))
        except Exception as error:  # an image may cost itself, never the node
            self._on_bad("unexpected", f"{type(error).__name__}: {error}")

    def _on_bad(self, cause: str, problem: str) -> None:
        self._bad[cause] += 1
        self._last_error = " ".join(problem.split())
        if self._bad[cause] == 1:
            log.warning("%s: no picture of this image: %s (more: /diagnostics)", self._input.topic, self._last_error)

    def report(self, status: Status) -> None:
        status.value("images", self._rate.total)
        status.counts("drops.bad_image", self._bad)
        if recent := self._recent.look(self._bad):
            status.warn(f"images of which no picture could be made ({', '.join(recent)}); the last: {self._last_error}")
        if self._input.started and self._rate.silent_s >= SILENCE_S:
            why = self._input.why_silent() or "though somebody publishes there; the camera's own remedy stands in config/"
            remedy = "remap `image`, set image_transport, or set memory.thumbnail_width to 0"
            status.warn(f"no image on {self._input.topic} for {self._rate.silent_s:.0f} s, so no pictures: {why}; {remedy}")
