# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera's stand-in: a process of its own that publishes a source in real time on a camera topic.

    python -m vljepa_ros.cli.player drive.mcap --topic /camera/image_raw

Frames go out as the bytes they were recorded as, on TOPIC or TOPIC/compressed, with sensor-data QoS like a camera driver's. Their
stamps are moved onto this machine's clock by one constant, so that a stamp is the moment the frame is due, and latency can be
read off one clock. (`vljepa play` plays a bag's cameras under their own names, with stamps as they were recorded if it gives the
bag's own clock out as well; the pace is kept here for both.)

It talks to whoever started it: `go` on stdin lets the first frame out (with --hold), end of stdin or a signal ends it, and stdout
has one JSON object a line: {"ready"}, {"started", "offset_ns", "first_ns"}, {"published"} once a second, {"ended", "published",
"last_ns", "late_ms_max"}.
"""
from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vljepa_ros.cli.sources import CameraMessage, Source, SourceError, open_source
from vljepa_ros.evaluation.recorded.serialised import NS, restamped

MATCH_WAIT_S = 10.0  # how long to wait for a subscriber before playing to whoever comes
CLOCK_NS = NS // 40  # between two of a bag's own times, on this machine's clock


@dataclass
class Played:
    """What went out."""

    published: int = 0
    last_ns: int = 0  # stamp of the newest frame, as it went out
    late_ms_max: float = 0.0  # how far behind its time the latest of all frames went out


def play(
    messages: Iterable[CameraMessage], publish: Callable[[bytes, CameraMessage], None], stop: threading.Event,
    report: Callable[..., None] = lambda **facts: None, *, live: bool = False, rate: float = 1.0,
    clock: Callable[[int], None] | None = None,
) -> Played:
    """Publish every frame when it is due, until the source ends or `stop` is set.

    `publish(bytes, message)` takes the message as it goes out; `report` hears of the start and, once a second, of progress.
    `live`: the messages come when they are due. `rate`: seconds of the source per second; without `clock` the stamps are those of
    a world that is as much faster. `clock(ns)` gets the source's own time, forty times a second and with every frame, and the
    stamps stay as they are.
    """
    played = Played()
    first: CameraMessage | None = None
    told = 0.0
    for message in messages:
        if stop.is_set():
            break
        if first is None:
            first, began_ns = message, message.due_ns if live else time.time_ns()
            first_ns = message.stamp_ns if live or clock else began_ns
            report(started=True, offset_ns=first_ns - message.stamp_ns, first_ns=first_ns)
        at_ns = began_ns + round((message.due_ns - first.due_ns) / rate)
        while (early_ns := at_ns - time.time_ns()) > 0:
            if stop.wait((min(early_ns, CLOCK_NS) if clock else early_ns) / NS):
                return played
            if clock:
                clock(min(first.due_ns + round((time.time_ns() - began_ns) * rate), message.due_ns))
        if clock:
            clock(message.due_ns)
        played.last_ns = message.stamp_ns if live or clock else first_ns + round((message.stamp_ns - first.stamp_ns) / rate)
        publish(restamped(message.cdr, played.last_ns), message)
        played.published += 1
        played.late_ms_max = max(played.late_ms_max, (time.time_ns() - at_ns) / 1e6)
        if time.monotonic() - told >= 1.0:
            told = time.monotonic()
            report(published=played.published)
    return played


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="vljepa player", description="Publish a bag, video or camera in real time on a camera topic."
    )
    parser.add_argument("source")
    parser.add_argument("--topic", default="/camera/image_raw", help="compressed sources go to TOPIC/compressed")
    parser.add_argument("--bag-topic", help="which camera of the bag")
    parser.add_argument("--hold", action="store_true", help="wait for a line on stdin before the first frame")
    args = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        source = open_source(args.source, args.bag_topic)
        return _run(source, args, stop)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 2


def _run(source: Source, args: argparse.Namespace, stop: threading.Event) -> int:
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import CompressedImage, Image

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("player")
    topic = f"{args.topic}/compressed" if source.compressed else args.topic
    publisher = node.create_publisher(CompressedImage if source.compressed else Image, topic, qos_profile_sensor_data)
    try:
        _report(ready=True, topic=topic, source=source.name)
        if args.hold:
            _hold(stop)
        wait_for_subscribers([publisher], stop)
        played = play(source.messages(), lambda cdr, _: publisher.publish(cdr), stop, _report, live=source.live)
        _report(ended=True, published=played.published, last_ns=played.last_ns, late_ms_max=round(played.late_ms_max, 1))
        stop.wait(0.3)  # best effort has no acknowledgement: let the last frame leave before the publisher goes
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _hold(stop: threading.Event) -> None:
    """Until a line arrives on stdin. Its end, then or later, means that whoever started this process is gone: stop."""
    go = threading.Event()

    def listen() -> None:
        if sys.stdin.readline():
            go.set()
            sys.stdin.read()
        stop.set()
        go.set()

    threading.Thread(target=listen, daemon=True).start()
    while not go.wait(0.1) and not stop.is_set():
        pass


def wait_for_subscribers(publishers: Iterable, stop: threading.Event, wait_s: float = MATCH_WAIT_S) -> None:
    """Until somebody subscribes to each of them, and not for ever."""
    deadline = time.monotonic() + wait_s
    while (alone := [one.topic_name for one in publishers if not one.get_subscription_count()]) and not stop.is_set():
        if time.monotonic() > deadline:
            print(f"nobody subscribes to {' and '.join(alone)} yet; playing all the same", file=sys.stderr)
            return
        stop.wait(0.02)


def _report(**facts) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
