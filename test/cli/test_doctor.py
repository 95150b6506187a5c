# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa doctor`: a line per check, the remedy with it, and a status that a script can rely on."""
from __future__ import annotations

import shutil
import threading
from array import array
from pathlib import Path
from typing import Any

import pytest

from vljepa_ros.cli import doctor
from vljepa_ros.cli.doctor import FAILED, OK, WARNING, check_profile
from vljepa_ros.cli.main import main

PROFILE = Path(__file__).parents[2] / "config" / "fastdds_shm32m.xml"


def test_the_profile_that_comes_with_the_package_is_good() -> None:
    found = check_profile({"FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILE), "FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE)})
    assert [one.level for one in found] == [OK, OK] and "32 MiB" in found[0].says


@pytest.mark.parametrize("text, level, words", [
    (None, FAILED, "cannot be read"),
    ("<profiles", FAILED, "cannot be read"),
    ("<profiles><segment_size>many</segment_size></profiles>", FAILED, "cannot be read"),
    ("<profiles><segment_size>524288</segment_size></profiles>", WARNING, "524288 bytes"),
    ("<profiles/>", WARNING, "0 bytes"),
])
def test_a_profile_that_is_no_good_is_named_with_the_remedy(tmp_path: Path, text: str | None, level: str, words: str) -> None:
    path = tmp_path / "profile.xml"
    if text is not None:
        path.write_text(text)
    (found,) = check_profile({"FASTDDS_DEFAULT_PROFILES_FILE": str(path)})
    assert found.level == level and words in found.says and str(path) in found.says and "fastdds_shm32m.xml" in found.remedy


def test_no_profile_and_another_middleware() -> None:
    assert [one.level for one in check_profile({})] == [WARNING]
    assert [one.level for one in check_profile({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"})] == [OK]


def test_images_that_come_and_damaged_weights(
    ros_executor: Any, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    node = rclpy.create_node("camera")
    ros_executor.add_node(node)
    publisher = node.create_publisher(Image, "/front/image_raw", qos_profile_sensor_data)
    image = Image(height=2, width=2, step=6, encoding="rgb8", data=array("B", bytes(12)))
    node.create_timer(0.05, lambda: publisher.publish(image))
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            ros_executor.spin_once(0.05)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        status = main(["doctor", "--checkpoint", str(tiny_checkpoint), "--image", "/front/image_raw", "--seconds", "6"])
        said = capsys.readouterr().out
        assert status == 0 and "the nodes can run here" in said, said
        assert "/front/image_raw: " in said and "weights: tiny" in said and "messages: vljepa_ros's are built" in said, said
        damaged = tmp_path / "damaged"
        shutil.copytree(tiny_checkpoint, damaged)
        weights = next(damaged.glob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:-1])
        status = main(["doctor", "--checkpoint", str(damaged), "--image", "/rear/image_raw", "--seconds", "1"])
    finally:
        done.set()
        thread.join()
    said = capsys.readouterr().out
    failed = [line for line in said.splitlines() if line.startswith(FAILED)]
    assert status == 1 and len(failed) == 2, said
    assert weights.name in failed[0] and "nobody publishes images on /rear/image_raw" in failed[1], said


def test_what_running_nodes_say_is_passed_on() -> None:
    from diagnostic_msgs.msg import DiagnosticStatus

    statuses = [
        DiagnosticStatus(name="robot/predictor_node: camera", level=b"\x02", message="no image"),
        DiagnosticStatus(name="decoder_node: node", level=b"\x00", message="active"),
        DiagnosticStatus(name="battery", level=b"\x02", message="empty"),
    ]
    found = doctor._nodes({one.name: one for one in statuses})
    assert [(one.level, one.says) for one in found] == [(OK, "active"), (FAILED, "no image")]


def test_a_time_that_is_none(capsys: pytest.CaptureFixture) -> None:
    assert main(["doctor", "--seconds", "0"]) == 2 and "got 0" in capsys.readouterr().err
