"""The launch file: the nodes become active by themselves, in a namespace, and embeddings and texts arrive.

Needs launch_ros, which comes with a system ROS 2 only, and an install space (`make setup`).
"""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.launch, pytest.mark.timeout(300)]

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "vljepa.launch.py"
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

service = LaunchService()
arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
"""


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_from_camera_to_text(
    ros_executor: Any, wait_until: Callable[..., Any], tiny_checkpoint: Path, tmp_path: Path, transport: str
) -> None:
    import cv2
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage, Image

    from vljepa_ros.msg import DecodedText, SemanticEmbedding

    arguments = {
        "checkpoint": tiny_checkpoint, "image": "/front/image_raw", "image_transport": transport, "namespace": "robot",
        "memory": "true",
        "sigterm_timeout": 60, "sigkill_timeout": 60,  # launch's own; its patience of 5 s is short on a busy machine
    }
    log = tmp_path / "launch.log"
    with log.open("wb") as file:
        launched = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(LAUNCH_FILE), *(f"{name}:={value}" for name, value in arguments.items())],
            stdout=file, stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
            start_new_session=True,
        )
    outside = rclpy.create_node("outside")
    ros_executor.add_node(outside)
    embeddings: list[Any] = []
    texts: list[Any] = []
    statuses: dict[str, str] = {}
    outside.create_subscription(SemanticEmbedding, "/robot/predictor_node/embedding", embeddings.append, 50)
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

    def until(predicate: Callable[[], Any], what: str, timeout: float = 150.0) -> None:
        def alive() -> Any:
            assert launched.poll() is None, f"the launch ended: {log.read_text()}"
            return predicate()

        wait_until(alive, timeout=timeout, spin=lambda: ros_executor.spin_once(0.05), what=what)

    try:
        until(lambda: statuses.get("robot/predictor_node: node") == "active", "the predictor")
        until(lambda: statuses.get("robot/decoder_node: node") == "active", "the decoder")
        until(lambda: statuses.get("robot/memory_node: node") == "active", "the memory")
        until(lambda: embeddings and texts, "embeddings and a text")
        until(lambda: statuses.get("robot/memory_node: memory", "").startswith("1 segments"), "a segment on disk")
        assert texts[0].trigger == DecodedText.START and len(embeddings[0].vector) == 16
        os.killpg(launched.pid, signal.SIGINT)  # as a terminal does: launch relies on it
        assert launched.wait(60) == 0, log.read_text()
        assert log.read_text().count("process has finished cleanly") == 3, log.read_text()
    finally:
        try:
            os.killpg(launched.pid, signal.SIGKILL)  # the nodes too, whatever has become of the launch
        except ProcessLookupError:
            pass
        launched.wait(10)
