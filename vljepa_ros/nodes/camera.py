# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera's topic: from an image message to a frame, and everything that can be wrong on that way."""
from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.nodes import qos
from vljepa_ros.nodes.clocks import stream_clock
from vljepa_ros.nodes.conversions import BadImage, frame_from_compressed_image, frame_from_image
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.statistics import Rate, Recent
from vljepa_ros.nodes.still import Still
from vljepa_ros.nodes.topics import Input
from vljepa_ros.streaming import Frame

log = logging.getLogger(__name__)

WINDOW_S = 3.0  # that images are counted over: a camera of which few images arrive is named a second later at the latest
SLOW = 0.5  # a camera below this share of the clip rate starves the stream
SHARED_MEMORY = (
    "large best-effort images are lost between processes unless FASTDDS_DEFAULT_PROFILES_FILE (Jazzy: FASTRTPS_...) in the "
    "camera driver's environment names config/fastdds_shm32m.xml; or set image_transport to compressed"
)


class Camera:
    """Subscribes to `image`, or to `image/compressed` below whatever `image` is remapped to, and hands on frames."""

    def __init__(
        self, node: LifecycleNode, transport: str, arrival_stamps: bool, on_frame: Callable[[Frame], None], silence_s: float,
        wanted_per_s: float, profile: QoSProfile = qos.IMAGES, name: str = "", start_s: float = 0.0, frozen_s: float = 0.0,
    ) -> None:
        """`arrival_stamps`: stamp frames with the node's clock. `wanted_per_s`: frames per second that clips ask for. `name`: of
        one camera among several, whose topic is `<name>/image`. `start_s`: as long a camera that nobody publishes yet is only
        warned of. `frozen_s`: of the same picture; 0: nobody looks.
        """
        self._compressed = transport == "compressed"
        self._remapped = topic = f"{name}/image" if name else "image"
        if self._compressed:
            topic, self._convert = f"{node.resolve_topic_name(topic)}/compressed", frame_from_compressed_image
        else:
            self._convert = frame_from_image
        self._input = Input(node, CompressedImage if self._compressed else Image, topic, self._on_message, profile)
        self._node = node
        self._clock = node.get_clock() if arrival_stamps else None
        self._on_frame = on_frame
        self._silence_s, self._start_s = silence_s, start_s
        self._still = Still(frozen_s, stream_clock(node))
        self._wanted_per_s = wanted_per_s
        self._came = 0  # images before this activation
        self._rate = Rate(WINDOW_S, stream_clock(node))
        self._bad: Counter[str] = Counter()  # BadImage.cause -> images
        self._size_changes = 0
        self._recent = Recent()
        self._size = ""
        self._encoding = ""
        self._last_error = ""

    @property
    def frames(self) -> int:
        """Images that came, good or bad, over the node's life."""
        return self._rate.total

    def start(self) -> None:
        self._rate.restart()
        self._came = self._rate.total
        self._still.restart()
        self._input.start()

    def stop(self) -> None:
        self._input.stop()

    def _on_message(self, message: Any) -> None:
        self._rate.tick()
        try:
            frame = self._convert(message, self._clock.now().nanoseconds if self._clock else None)
            self._watch(message, frame)
            self._on_frame(frame)
        except BadImage as error:
            self._on_bad(error.cause, str(error))
        except Exception as error:  # an image may cost itself, never the node
            self._on_bad("unexpected", f"{type(error).__name__}: {error}")

    def _watch(self, message: Any, frame: Frame) -> None:
        height, width = frame.image_HWC.shape[:2]
        size = f"{width}x{height}"
        self._size_changes += self._size not in ("", size)
        self._size = size
        self._still.look(frame.image_HWC)
        self._encoding = message.format if self._compressed else message.encoding

    def _on_bad(self, cause: str, problem: str) -> None:
        self._bad[cause] += 1
        self._last_error = " ".join(problem.split())
        if self._bad[cause] == 1:
            log.warning("%s: image dropped: %s (more of this kind: /diagnostics)", self._input.topic, self._last_error)

    def report(self, status: Status) -> None:
        """Images in, and why they are not."""
        per_s, topic = self._rate.per_second, self._input.topic
        lost = self._input.counts["lost_in_transport"]
        status.hardware_id = topic
        status.summary = f"{per_s:.1f} images/s on {topic}"
        for key, value in (
            ("topic", topic), ("publishers", self._input.publishers), ("frames", self._rate.total), ("frames_per_s", per_s),
            ("encoding", self._encoding), ("size", self._size), ("size_changes", self._size_changes),
            ("qos_incompatible", self._input.counts["qos_incompatible"]), ("last_error", self._last_error),
            ("drops.lost_in_transport", lost),
        ):
            status.value(key, value)
        status.counts("drops.bad_image", self._bad)
        recent = self._recent.look({**self._bad, "size changes": self._size_changes, "lost": lost})
        if bad := [f"{cause} {self._bad[cause]}" for cause in recent if cause in self._bad]:
            status.warn(f"bad images dropped ({', '.join(bad)}); the last: {self._last_error}")
        if "size changes" in recent:
            status.warn(f"the image size changes ({self._size_changes} times so far, now {self._size})")
        if "lost" in recent:
            status.warn(f"{lost} images on {topic} were lost in transport" + ("" if self._compressed else f": {SHARED_MEMORY}"))
        if self._input.started:
            self._report_rate(status, per_s)

    def _elsewhere(self) -> str:
        """Where images may be instead."""
        topic = self._input.topic
        other = topic.removesuffix("/compressed") if self._compressed else f"{topic}/compressed"
        if self._node.count_publishers(other):
            return f"but somebody publishes {other}: set image_transport to {'raw' if self._compressed else 'compressed'}"
        if topics := self._images():
            return f"start the camera, or remap `{self._remapped}` to one of {', '.join(topics)}, where images are published"
        return f"start the camera, or remap `{self._remapped}` to its topic"

    def _images(self) -> list[str]:
        """Topics with images that this node does not hear, three at most, as `image` would have to be remapped."""
        ours = {one.topic_name for one in self._node.subscriptions}
        kind = "sensor_msgs/msg/CompressedImage" if self._compressed else "sensor_msgs/msg/Image"
        topics = [
            topic.removesuffix("/compressed") for topic, types in self._node.get_topic_names_and_types()
            if kind in types and topic not in ours and "/view_node/" not in topic and self._node.count_publishers(topic)
        ]
        return sorted(topics)[:3]

    def _report_rate(self, status: Status, per_s: float) -> None:
        silent_s, hint = self._rate.silent_s, "" if self._compressed else f"; {SHARED_MEMORY}"
        if silent_s >= self._silence_s:
            why, starting = self._input.why_silent(), False
            if not why:
                why = f"though {self._input.publishers} publisher(s) are there{hint}"
            elif not self._input.publishers:
                elsewhere = self._elsewhere()
                why += f"; {elsewhere}"
                starting = self._rate.total == self._came and silent_s < self._start_s and not elsewhere.startswith("but")
            (status.warn if starting else status.error)(f"no image on {self._input.topic} for {silent_s:.0f} s: {why}")
            return
        if self._still.frozen:
            status.warn(
                f"the picture on {self._input.topic} has not changed in any pixel looked at for {self._still.seconds:.0f} s "
                "though images come: the driver repeats a frame; start it again (a simulated scene at rest: set frozen_s to 0)"
            )
        if self._rate.settled and per_s < SLOW * self._wanted_per_s:
            status.warn(
                f"only {per_s:.1f} images/s come on {self._input.topic} where clips ask for {self._wanted_per_s:.1f} "
                f"(1 / clip.stride_s){hint}"
            )
