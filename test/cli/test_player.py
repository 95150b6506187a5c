# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The player: a real process that publishes a source in real time over DDS, and one that ends cleanly however it is ended."""
from __future__ import annotations

import json
import signal
import threading
import time

import pytest

from vljepa_ros.cli.player import play
from vljepa_ros.cli.sources import CameraMessage, open_source
from vljepa_ros.evaluation.recorded.serialised import image_cdr, stamp_of

NS = 1_000_000_000


class FakeSource:
    """Frames of one pixel, stamped and due as told."""

    def __init__(self, stamps_s, due_s=None, live=False):
        import numpy as np

        self.live = live
        self._messages = [
            CameraMessage(round(t * NS), round(d * NS), image_cdr(np.zeros((1, 1, 3), np.uint8), "rgb8", round(t * NS)))
            for t, d in zip(stamps_s, due_s or stamps_s)
        ]

    def messages(self):
        return iter(self._messages)


def played(source, stop=None, **how):
    out, facts = [], []
    result = play(
        source.messages(),
        lambda cdr, _: out.append((stamp_of(cdr), time.time_ns())),
        stop or threading.Event(),
        lambda **fact: facts.append(fact),
        live=source.live,
        **how,
    )
    return out, facts, result


def test_frames_go_out_when_they_are_due_and_carry_that_moment_as_their_stamp():
    out, facts, result = played(FakeSource([7.0, 7.1, 7.15, 7.4]))
    stamps = [stamp for stamp, _ in out]
    assert [stamp - stamps[0] for stamp in stamps] == [0, NS // 10, 15 * NS // 100, 4 * NS // 10], "one constant moves them all"
    assert all(at >= stamp for stamp, at in out), "never before its time"
    assert facts[0] == {"started": True, "offset_ns": stamps[0] - 7 * NS, "first_ns": stamps[0]}
    assert (result.published, result.last_ns) == (4, stamps[-1])
    assert result.late_ms_max >= 0


def test_stamps_keep_their_faults_while_frames_keep_their_time():
    out, _, _ = played(FakeSource([100.0, 3700.0, 99.0, 99.0], due_s=[0.0, 0.02, 0.04, 0.06]))
    stamps = [(stamp - out[0][0]) // NS for stamp, _ in out]
    assert stamps == [0, 3600, -1, -1]
    assert out[-1][1] - out[0][1] < 5 * NS


def test_a_live_source_is_passed_on_as_it_comes():
    now = time.time()
    out, facts, _ = played(FakeSource([now, now + 0.1], live=True))
    assert [stamp for stamp, _ in out] == [round(now * NS), round((now + 0.1) * NS)]
    assert facts[0]["offset_ns"] == 0
    assert played(FakeSource([]))[2].published == 0


@pytest.mark.parametrize("rate", [0.5, 4.0])
def test_at_another_rate_the_world_runs_faster_or_slower(rate):
    out, _, _ = played(FakeSource([7.0, 7.1, 7.3]), rate=rate)
    stamps = [stamp for stamp, _ in out]
    assert [stamp - stamps[0] for stamp in stamps] == [0, round(NS / 10 / rate), round(NS * 3 / 10 / rate)]
    assert all(at >= stamp for stamp, at in out)


def test_with_a_clock_the_stamps_stay_and_the_time_of_the_source_goes_out():
    ticks = []
    source = FakeSource([6.9, 99.0, 7.2], due_s=[7.0, 7.1, 7.3])  # the driver's clock errs, the recorder's does not
    began = time.monotonic()
    out, facts, result = played(source, clock=ticks.append, rate=0.5)
    assert [stamp for stamp, _ in out] == [round(t * NS) for t in (6.9, 99.0, 7.2)]
    assert time.monotonic() - began >= 0.6
    assert facts[0]["offset_ns"] == 0 and result.last_ns == round(7.2 * NS)
    assert ticks == sorted(ticks) and (ticks[0], ticks[-1]) == (7 * NS, round(7.3 * NS)) and round(7.1 * NS) in ticks
    assert len(ticks) > 5, "between frames as well"


def test_stop_ends_a_wait_at_once():
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    assert played(FakeSource([0.0, 3600.0]), stop)[2].published == 1
    assert time.monotonic() - began < 5


def read(process, key):
    """The player's lines up to the one with `key`."""
    for line in process.stdout:
        facts = json.loads(line)
        if key in facts:
            return facts
    pytest.fail(f"no {key!r}; it said: {process.stderr.read()}")


@pytest.mark.parametrize("raw", [False, True])
def test_a_bag_goes_over_dds(make_bag, start, tmp_path, ros_executor, wait_until, raw):
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage, Image

    bag = make_bag(tmp_path / "bag", seconds=1.5, raw=raw)
    heard = []
    node = rclpy.create_node("listener")
    ros_executor.add_node(node)
    topic = "/test_player/image_raw" if raw else "/test_player/image_raw/compressed"
    node.create_subscription(
        Image if raw else CompressedImage, topic, lambda message: heard.append((message, time.time_ns())), qos_profile_sensor_data
    )
    player = start("vljepa_ros.cli.player", bag, "--topic", "/test_player/image_raw", "--hold")
    assert read(player, "ready")["topic"] == topic
    assert heard == []
    player.stdin.write("go\n")
    player.stdin.flush()
    started = read(player, "started")
    wait_until(lambda: len(heard) == 15, spin=lambda: ros_executor.spin_once(0.05), what="15 frames")
    original = next(iter(open_source(str(bag)).messages()))
    assert started["offset_ns"] == started["first_ns"] - original.stamp_ns
    stamps = [message.header.stamp.sec * NS + message.header.stamp.nanosec for message, _ in heard]
    assert stamps == [started["first_ns"] + k * NS // 10 for k in range(15)]
    assert all(0 <= at - stamp < 2 * NS for stamp, (_, at) in zip(stamps, heard))
    assert heard[0][0].header.frame_id == "camera"
    assert bytes(heard[0][0].data) == original.cdr[-len(heard[0][0].data) :], "not decoded and encoded again"
    ended = read(player, "ended")
    assert (ended["published"], ended["last_ns"]) == (15, stamps[-1])
    assert player.wait(10) == 0


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "end of stdin"])
@pytest.mark.parametrize("holding", [True, False])
def test_it_ends_cleanly(make_bag, start, tmp_path, how, holding):
    player = start(
        "vljepa_ros.cli.player", make_bag(tmp_path / "bag", seconds=60.0, fps=1.0), "--topic", "/test_player/other", "--hold"
    )
    read(player, "ready")
    if not holding:  # in the middle of waiting for a subscriber
        player.stdin.write("go\n")
        player.stdin.flush()
    if how == "end of stdin":
        player.stdin.close()
    else:
        player.send_signal(getattr(signal, how))
    assert player.wait(10) == 0
    assert "Traceback" not in player.stderr.read()


def test_a_bad_source_is_one_line_and_status_two(start, tmp_path):
    player = start("vljepa_ros.cli.player", tmp_path / "nothing.mcap")
    assert player.wait(20) == 2
    (line,) = player.stderr.read().splitlines()
    assert line.startswith(f"{tmp_path}/nothing.mcap: no such file; give a ROS 2 bag")
