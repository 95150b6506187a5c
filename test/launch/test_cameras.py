# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch file with several cameras that are there: images on every topic, embeddings and words on every topic."""
from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.launch, pytest.mark.timeout(400)]
NAMES = ("front", "rear", "left")


def test_from_every_camera_to_its_words(ros_executor: Any, tiny_checkpoint: Path, launch: Callable[..., Any]) -> None:
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    from vljepa_ros.msg import DecodedText, SemanticEmbedding

    launched = launch(
        "vljepa.launch.py", checkpoint=tiny_checkpoint, cameras=",".join(NAMES), image="image_raw", namespace="robot",
        sigterm_timeout=60, sigkill_timeout=60,
    )  # fmt: skip
    outside = rclpy.create_node("outside", namespace="robot")
    ros_executor.add_node(outside)
    embeddings: dict[str, list[Any]] = {name: [] for name in NAMES}
    texts: dict[str, list[Any]] = {name: [] for name in NAMES}
    statuses: dict[str, str] = {}
    for name in NAMES:
        outside.create_subscription(SemanticEmbedding, f"predictor_node/{name}/embedding", embeddings[name].append, 50)
        outside.create_subscription(DecodedText, f"{name}/decoder_node/text", texts[name].append, 10)
    outside.create_subscription(
        DiagnosticArray, "/diagnostics", lambda array: statuses.update((one.name, one.message) for one in array.status), 50
    )
    publishers = {name: outside.create_publisher(Image, f"{name}/image_raw", qos_profile_sensor_data) for name in NAMES}
    rng, speaking = np.random.default_rng(0), set(NAMES)

    def publish() -> None:
        for name in speaking:
            picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            message = Image(height=48, width=64, step=192, encoding="rgb8", data=array("B", picture.tobytes()))
            message.header.frame_id = name
            message.header.stamp = outside.get_clock().now().to_msg()
            publishers[name].publish(message)

    outside.create_timer(0.05, publish)

    until = launched.until
    until(lambda: statuses.get("robot/predictor_node: node") == "active", "the predictor")
    until(lambda: all(statuses.get(f"robot/{name}/decoder_node: node") == "active" for name in NAMES), "every decoder")
    until(lambda: all(embeddings.values()) and all(texts.values()), "embeddings and words of every camera")
    for name in NAMES:
        assert {one.header.frame_id for one in embeddings[name]} == {one.header.frame_id for one in texts[name]} == {name}
    speaking.remove("rear")
    until(lambda: "no image on /robot/rear/image_raw" in statuses["robot/predictor_node: camera rear"], "the silence")
    heard = {name: len(embeddings[name]) for name in NAMES}
    until(lambda: all(len(embeddings[name]) > heard[name] + 5 for name in speaking), "the others, who go on")
    assert len(embeddings["rear"]) == heard["rear"]
    launched.interrupt()
    assert launched.log.count("process has finished cleanly") == 1 + len(NAMES), launched.log
