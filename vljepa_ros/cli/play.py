# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa play`: a bag's cameras as they were, over ROS topics, for machines without `ros2 bag play` and with its options.

    vljepa play drive/ --clock --reliable      # beside nodes with use_sim_time and, to lose nothing, step

With --clock the bag's own time goes out on /clock and the frames keep their stamps, so that nodes with `use_sim_time` live in the
time of the recording. Without it the stamps are moved onto this machine's clock, like those of a camera that is there now.
"""
from __future__ import annotations

import argparse
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_ros.cli.player import MATCH_WAIT_S, Played, play, wait_for_subscribers
from vljepa_ros.cli.sources import CameraMessage
from vljepa_ros.evaluation.recorded.serialised import COMPRESSED_IMAGE, NS, stamp_of
from vljepa_ros.evaluation.recorded.types import SourceError

if TYPE_CHECKING:
    from vljepa_ros.evaluation.recorded.bag import RecordedBag, Topic

ACKNOWLEDGE_S = 5.0  # how long subscribers get to say that the last frames have arrived


@dataclass(frozen=True)
class Recorded(CameraMessage):
    """One frame, and which camera it is of."""

    topic: Topic


class Frames:
    """The frames of some cameras of a bag, in the order of recording. `headless`: messages left out, too short for a stamp."""

    def __init__(self, bag: RecordedBag, topics: list[Topic]) -> None:
        self.bag, self.topics, self.headless = bag, topics, 0
        self._stamped: dict[Topic, bool] = {}

    def __iter__(self) -> Iterator[Recorded]:
        """Where a camera's driver sent no stamps, the recorder's times stand in, as in a replay."""
        self.headless = 0
        for message in self.bag.messages(self.topics):
            try:
                stamp_ns = stamp_of(message.cdr)
            except ValueError:
                self.headless += 1
                continue
            stamped = self._stamped.setdefault(message.topic, stamp_ns != 0)
            yield Recorded(stamp_ns if stamped else message.time_ns, message.time_ns, message.cdr, message.topic)

    def notes(self) -> list[str]:
        short = [f"{self.headless} messages are too short to be images and were left out"] if self.headless else []
        return [*self.bag.notes, *short]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="BAG", help="a ROS 2 bag: its folder, or an .mcap or .db3 file")
    parser.add_argument("--topic", nargs="+", action="extend", default=[], metavar="TOPIC",
                        help="which cameras of the bag (default: the most usual one)")  # fmt: skip
    parser.add_argument("--clock", action="store_true",
                        help="publish the bag's time on /clock and leave the stamps alone (default: stamps of now)")  # fmt: skip
    parser.add_argument("--rate", type=float, default=1.0, metavar="R", help="times as fast as recorded (default: %(default)g)")
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until Ctrl-C")
    parser.add_argument("--reliable", action="store_true",
                        help="lose no frame, for nodes in step mode (default: best effort, like a camera's driver)")  # fmt: skip
    parser.add_argument("--wait", type=float, default=MATCH_WAIT_S, metavar="S",
                        help="seconds to wait for a subscriber, then play all the same (default: %(default)g)")  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status. 0: played, or ended by Ctrl-C where there was no end. 2: nothing to play, in one line. 130: Ctrl-C."""
    from vljepa_ros.evaluation.recorded.bag import RecordedBag, choose

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        if not (math.isfinite(args.rate) and args.rate > 0):
            raise ValueError(f"--rate must be above 0, got {args.rate:g}")
        if not (math.isfinite(args.wait) and args.wait >= 0):
            raise ValueError(f"--wait must be 0 or more seconds, got {args.wait:g}")
        bag = RecordedBag(args.source.expanduser())
        frames = Frames(bag, choose(bag, args.topic))
        _play(frames, args, stop)
    except (SourceError, ValueError, OSError) as error:
        print(f"vljepa play: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 130 if stop.is_set() and not args.loop else 0


def _play(frames: Frames, args: argparse.Namespace, stop: threading.Event) -> None:
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("vljepa_play")
    try:
        publishers = {topic: _camera(node, topic, args.reliable) for topic in frames.topics}
        clock = _clock(node) if args.clock else None
        wait_for_subscribers(publishers.values(), stop, args.wait)
        print(f"playing {', '.join(one.name for one in publishers)}{' with /clock' if clock else ''}", flush=True)
        began = time.monotonic()
        passes = _passes(frames, publishers, args, clock, stop)
        _tell(passes, frames, time.monotonic() - began)
        _let_go(publishers.values(), args.reliable, stop)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _passes(frames: Frames, publishers: dict[Topic, Any], args: argparse.Namespace, clock: Any, stop: threading.Event) -> Played:
    """The bag once, or again and again. Raises SourceError where there is nothing in it after all."""
    total = Played()
    while not stop.is_set():
        one = play(frames, lambda cdr, message: publishers[message.topic].publish(cdr), stop, rate=args.rate, clock=clock)
        if not one.published and not stop.is_set():
            raise SourceError(f"{frames.bag.path}: no frame could be read from it; {'; '.join(frames.notes())}")
        total.published += one.published
        total.late_ms_max = max(total.late_ms_max, one.late_ms_max)
        if not args.loop:
            break
    return total


def _camera(node: Any, topic: Topic, reliable: bool) -> Any:
    from rclpy.qos import QoSHistoryPolicy, QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage, Image

    profile = QoSProfile(history=QoSHistoryPolicy.KEEP_ALL) if reliable else qos_profile_sensor_data
    return node.create_publisher(CompressedImage if topic.msgtype == COMPRESSED_IMAGE else Image, topic.name, profile)


def _clock(node: Any) -> Any:
    """`tell(ns)` publishes a time of the bag."""
    from rclpy.qos import QoSProfile, QoSReliabilityPolicy
    from rosgraph_msgs.msg import Clock

    publisher = node.create_publisher(Clock, "/clock", QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT))

    def tell(ns: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(ns, NS)
        publisher.publish(message)

    return tell


def _let_go(publishers: Any, reliable: bool, stop: threading.Event) -> None:
    """Let the last frames arrive before their publishers go; best effort has no acknowledgement."""
    from rclpy.duration import Duration

    if not reliable:
        stop.wait(0.3)
        return
    for one in publishers:
        if not one.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S)):
            print(f"not every subscriber of {one.topic_name} says that it has all frames", file=sys.stderr)


def _tell(played: Played, frames: Frames, took_s: float) -> None:
    for note in frames.notes():
        print(f"note: {note}", file=sys.stderr)
    print(f"{played.published} frames in {took_s:.1f} s, {played.late_ms_max:.0f} ms late at most")
