# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""replay.launch.py: a bag goes through the nodes in its own time, whole."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vljepa_ros.cli import interfaces

pytestmark = [pytest.mark.launch, pytest.mark.timeout(300)]
NS = 10**9
FRAMES, START_NS = 40, 1_700_000_000 * NS


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Four seconds of noise at 10 Hz."""
    import numpy as np
    from rosbags.rosbag2 import StoragePlugin, Writer

    store = interfaces.typestore()
    Image, Header, Time = (store.types[f"{name}"] for name in
                           ("sensor_msgs/msg/Image", "std_msgs/msg/Header", "builtin_interfaces/msg/Time"))  # fmt: skip
    rng = np.random.default_rng(0)
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        camera = writer.add_connection("/front/image_raw", "sensor_msgs/msg/Image", typestore=store)
        for k in range(FRAMES):
            stamp_ns = START_NS + k * NS // 10
            pixels = rng.integers(0, 256, 48 * 64 * 3, dtype=np.uint8)
            message = Image(Header(Time(*divmod(stamp_ns, NS)), "front"), 48, 64, "rgb8", 0, 192, pixels)
            writer.write(camera, stamp_ns, store.serialize_cdr(message, "sensor_msgs/msg/Image"))
    return tmp_path / "bag"


def test_every_frame_is_computed_in_the_bag_s_time(
    ros_executor: Any, tiny_checkpoint: Path, launch: Callable[..., Any], bag: Path
) -> None:
    import rclpy
    from rclpy.qos import QoSHistoryPolicy, QoSProfile

    from vljepa_ros.msg import SemanticEmbedding

    outside = rclpy.create_node("outside")
    ros_executor.add_node(outside)
    stamps_ns: list[int] = []

    def heard(message: SemanticEmbedding) -> None:
        stamps_ns.append(message.header.stamp.sec * NS + message.header.stamp.nanosec)

    kept = QoSProfile(history=QoSHistoryPolicy.KEEP_ALL)
    outside.create_subscription(SemanticEmbedding, "/robot/predictor_node/embedding", heard, kept)
    launched = launch(
        "replay.launch.py", bag=bag, image="/front/image_raw", checkpoint=tiny_checkpoint, namespace="robot", rate=4
    )  # fmt: skip
    last_ns = START_NS + (FRAMES - 1) * NS // 10
    launched.until(lambda: stamps_ns and stamps_ns[-1] == last_ns, "the bag's last frame")
    assert stamps_ns == [START_NS + k * NS // 10 for k in range(FRAMES - len(stamps_ns), FRAMES)], "none gave way"
    assert len(stamps_ns) > FRAMES / 2
    launched.interrupt()
