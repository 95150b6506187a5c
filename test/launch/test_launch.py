# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch file: the nodes become active by themselves, in a namespace, and embeddings, texts, segments and pictures arrive.

Needs launch_ros, which comes with a system ROS 2 only, and an install space (`make setup`).
"""
from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.launch, pytest.mark.timeout(300)]

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "vljepa.launch.py"


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_from_camera_to_text(
    ros_executor: Any, tiny_checkpoint: Path, launch: Callable[..., Any], transport: str
) -> None:
    import cv2
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage, Image

    from vljepa_ros.msg import DecodedText, SemanticEmbedding

    launched = launch(
        "vljepa.launch.py", checkpoint=tiny_checkpoint, image="/front/image_raw", image_transport=transport, namespace="robot",
        view="true", memory="true",
        sigterm_timeout=60, sigkill_timeout=60,  # launch's own; its patience of 5 s is short on a busy machine
    )  # fmt: skip
    outside = rclpy.create_node("outside")
    ros_executor.add_node(outside)
    embeddings: list[Any] = []
    texts: list[Any] = []
    pictures: list[Any] = []
    statuses: dict[str, str] = {}
    outside.create_subscription(SemanticEmbedding, "/robot/predictor_node/embedding", embeddings.append, 50)
    outside.create_subscription(Image, "/robot/view_node/image", pictures.append, 2)
    outside.create_subscription(DecodedText, "/robot/decoder_node/text", texts.append, 10)
    outside.create_subscription(
        DiagnosticArray, "/diagnostics", lambda array: statuses.update((one.name, one.message) for one in array.status), 50
    )
    compressed = transport == "compressed"
    topic = "/front/image_raw/compressed" if compressed else "/front/image_raw"
    camera = outside.create_publisher(CompressedImage if compressed else Image, topic, qos_profile_sensor_data)
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)

    def publish() -> None:
        if compressed:
            message = CompressedImage(format="jpeg", data=array("B", cv2.imencode(".jpg", picture)[1].tobytes()))
        else:
            message = Image(height=48, width=64, step=192, encoding="rgb8", data=array("B", picture.tobytes()))
        message.header.stamp = outside.get_clock().now().to_msg()
        camera.publish(message)

    outside.create_timer(0.05, publish)

    until = launched.until
    until(lambda: statuses.get("robot/predictor_node: node") == "active", "the predictor")
    until(lambda: statuses.get("robot/decoder_node: node") == "active", "the decoder")
    until(lambda: statuses.get("robot/view_node: node") == "active", "the view")
    until(lambda: statuses.get("robot/memory_node: node") == "active", "the memory")
    until(lambda: embeddings and texts and pictures, "embeddings, a text and a picture")
    until(lambda: statuses.get("robot/memory_node: memory", "").startswith("1 segments"), "a segment on disk")
    assert texts[0].trigger == DecodedText.START and len(embeddings[0].vector) == 16
    launched.interrupt()
    assert launched.log.count("process has finished cleanly") == 4, launched.log


def described(**arguments: str) -> list[Any]:
    """What the launch file starts with these arguments, as actions."""
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    context = LaunchContext()
    context.launch_configurations.update(arguments)
    actions: list[Any] = []
    for one in get_launch_description_from_python_launch_file(str(LAUNCH_FILE)).entities:
        if isinstance(one, DeclareLaunchArgument):
            one.execute(context)
        elif isinstance(one, OpaqueFunction):
            actions += one.execute(context)
    return actions


def test_the_view_comes_when_it_is_asked_for() -> None:
    assert [one.node_executable for one in described()] == ["predictor_node", "decoder_node"]
    assert [one.node_executable for one in described(view="true")] == ["predictor_node", "decoder_node", "view_node"]
    with pytest.raises(ValueError, match="view must be true or false, got 'perhaps'"):
        described(view="perhaps")


@pytest.mark.parametrize("installed", [True, False])
def test_rviz_comes_where_it_is_installed_and_brings_the_view(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from ament_index_python import packages
    from launch import LaunchContext
    from launch.actions import LogInfo

    find = packages.get_package_prefix

    def prefix(name: str) -> str:
        if name != "rviz2":
            return find(name)
        if not installed:
            raise packages.PackageNotFoundError(name)
        return "/opt/ros/somewhere"

    monkeypatch.setattr(packages, "get_package_prefix", prefix)
    *nodes, last = described(rviz="true", namespace="robot", image="/front/image_raw")
    assert [one.node_executable for one in nodes] == ["predictor_node", "decoder_node", "view_node"]
    if not installed:
        assert isinstance(last, LogInfo)
        return
    assert (last.node_package, last.node_executable) == ("rviz2", "rviz2")
    context = LaunchContext()
    renamed = {"".join(one.perform(context) for one in old): "".join(one.perform(context) for one in new)
               for old, new in last._Node__remappings}  # fmt: skip
    assert renamed == {"/view_node/image": "/robot/view_node/image", "/image": "/front/image_raw"}
