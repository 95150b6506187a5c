# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa play`: a bag's cameras over DDS as recorded or as now, the bag's clock, again and again; and what cannot be played."""
from __future__ import annotations

import signal
import time

import pytest

from vljepa_ros.cli.main import main

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
MODULE = "vljepa_ros.cli.main"


@pytest.fixture
def listen(ros_executor):
    """`listen(type, topic, profile=None)` -> the list that its messages go into."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data

    node = rclpy.create_node("listener")
    ros_executor.add_node(node)

    def begin(message_type, topic, profile=None):
        heard = []
        node.create_subscription(message_type, topic, heard.append, profile or qos_profile_sensor_data)
        return heard

    return begin


def stamp(message) -> int:
    return message.header.stamp.sec * NS + message.header.stamp.nanosec


def until_ended(process, wait_until, ros_executor) -> str:
    """What the process said, once it has ended with status 0."""
    wait_until(lambda: process.poll() is not None, timeout=120, spin=lambda: ros_executor.spin_once(0.02), what="the end")
    assert process.returncode == 0, process.stderr.read()
    return process.stdout.read()


def test_with_a_clock_a_bag_goes_out_as_it_was_recorded(make_bag, start, tmp_path, listen, ros_executor, wait_until):
    from rclpy.qos import QoSHistoryPolicy, QoSProfile
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CompressedImage

    stamps_s = [1000.5 + k / 10 for k in range(20)]  # a driver whose clock is not the recorder's
    bag = make_bag(tmp_path / "bag", seconds=2.0, stamps_s=stamps_s, topics=("/front/image", "/back/image"))
    every = QoSProfile(history=QoSHistoryPolicy.KEEP_ALL)
    front, back = (listen(CompressedImage, f"/{name}/image/compressed", every) for name in ("front", "back"))
    clock = listen(Clock, "/clock")
    began = time.monotonic()
    process = start(MODULE, "play", bag, "--clock", "--rate", 0.5, "--reliable", "--topic", "/front/image", "/back/image")
    said = until_ended(process, wait_until, ros_executor)
    assert said.splitlines()[0] == "playing /front/image/compressed, /back/image/compressed with /clock"
    assert "40 frames in" in said
    wait_until(lambda: len(front) == len(back) == 20, spin=lambda: ros_executor.spin_once(0.02), what="every frame")
    assert [stamp(one) for one in front] == [stamp(one) for one in back] == [round(t * NS) for t in stamps_s]
    assert time.monotonic() - began >= 1.9 / 0.5
    times = [one.clock.sec * NS + one.clock.nanosec for one in clock]
    assert len(times) > 20 and times == sorted(times), "more often than frames, and never back"
    assert START_NS <= times[0] and times[-1] <= START_NS + 19 * NS // 10, "the recorder's time"


def test_without_a_clock_it_is_as_if_the_camera_were_there_now(make_bag, start, tmp_path, listen, ros_executor, wait_until):
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import Image

    heard, clock = listen(Image, "/camera/image_raw", 10), listen(Clock, "/clock")
    began = time.time_ns()
    bag = make_bag(tmp_path / "bag", seconds=1.0, raw=True)
    until_ended(start(MODULE, "play", bag, "--rate", 2, "--reliable"), wait_until, ros_executor)
    wait_until(lambda: len(heard) == 10, spin=lambda: ros_executor.spin_once(0.02), what="every frame")
    stamps = [stamp(one) for one in heard]
    assert began < stamps[0] and [one - stamps[0] for one in stamps] == [k * NS // 20 for k in range(10)]
    assert clock == []


def test_a_loop_begins_again_until_it_is_ended(make_bag, start, tmp_path, listen, ros_executor, wait_until):
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CompressedImage

    heard, clock = listen(CompressedImage, "/camera/image_raw/compressed", 100), listen(Clock, "/clock")
    process = start(MODULE, "play", make_bag(tmp_path / "bag", seconds=0.5), "--clock", "--loop", "--reliable")
    wait_until(lambda: len(heard) > 12, timeout=60, spin=lambda: ros_executor.spin_once(0.02), what="the third pass")
    process.send_signal(signal.SIGINT)
    until_ended(process, wait_until, ros_executor)
    assert [stamp(one) for one in heard[:12]] == [START_NS + k % 5 * NS // 10 for k in range(12)]
    times = [one.clock.sec * NS + one.clock.nanosec for one in clock]
    assert times != sorted(times), "the clock goes back with the bag"


def test_a_driver_without_stamps_gets_the_recorder_s_times(make_bag, start, tmp_path, listen, ros_executor, wait_until):
    from sensor_msgs.msg import CompressedImage

    heard = listen(CompressedImage, "/camera/image_raw/compressed", 100)
    bag = make_bag(tmp_path / "bag", seconds=0.5, stamps_s=[0.0] * 5)
    until_ended(start(MODULE, "play", bag, "--clock", "--reliable"), wait_until, ros_executor)
    wait_until(lambda: len(heard) == 5, spin=lambda: ros_executor.spin_once(0.02), what="every frame")
    assert [stamp(one) for one in heard] == [START_NS + k * NS // 10 for k in range(5)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rate", "0"], "--rate must be above 0, got 0"), (["--rate", "nan"], "--rate must be above 0, got nan"),
        (["--wait", "-1"], "--wait must be 0 or more seconds, got -1"),
        (["--topic", "/nowhere"], "no camera topic /nowhere; it has /camera/image_raw/compressed"),
    ],
)  # fmt: skip
def test_a_bad_option_ends_in_one_line(make_bag, tmp_path, capsys, monkeypatch, options, says):
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the command's own handlers stay out of pytest
    assert main(["play", str(make_bag(tmp_path / "bag")), *options]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and said.startswith("vljepa play: ")


def test_a_bag_that_is_not_there_ends_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main(["play", str(tmp_path / "gone.mcap")]) == 2
    says = f"vljepa play: {tmp_path}/gone.mcap: no such bag; give a bag's folder, or its .mcap or .db3 file\n"
    assert capsys.readouterr().err == says
