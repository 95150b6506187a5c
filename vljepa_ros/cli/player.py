"""The camera's stand-in: a process of its own that publishes a source in real time on a camera topic.

    python -m vljepa_ros.cli.player drive.mcap --topic /camera/image_raw

Frames go out as the bytes they were recorded as, on TOPIC or TOPIC/compressed, with sensor-data QoS like a camera driver's. Their
stamps are moved onto this machine's clock by one constant, so that a stamp is the moment the frame is due, and latency can be
read off one clock.

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
from dataclasses import dataclass

from vljepa_ros.cli.sources import Source, SourceError, open_source
from vljepa_ros.evaluation.recorded.serialised import NS, restamped

MATCH_WAIT_S = 10.0  # how long to wait for a subscriber before playing to whoever comes


@dataclass
class Played:
    """What went out."""

    published: int = 0
    last_ns: int = 0  # stamp of the newest frame, as it went out
    late_ms_max: float = 0.0  # how far behind its time the latest of all frames went out


def play(source: Source, publish, stop: threading.Event, report=lambda **facts: None) -> Played:
    """Publish every frame when it is due, until the source ends or `stop` is set.

    `publish(bytes)` takes the restamped message; `report` hears of the start and, once a second, of progress.
    """
    played = Played()
    offset_ns: int | None = None
    told = 0.0
    for message in source.messages():
        if stop.is_set():
            break
        if offset_ns is None:
            now_ns = time.time_ns()
            offset_ns = 0 if source.live else now_ns - message.stamp_ns
            clock_ns = 0 if source.live else now_ns - message.due_ns
            report(started=True, offset_ns=offset_ns, first_ns=message.stamp_ns + offset_ns)
        early_ns = message.due_ns + clock_ns - time.time_ns()
        if early_ns > 0 and stop.wait(early_ns / NS):
            break
        played.last_ns = message.stamp_ns + offset_ns
        publish(restamped(message.cdr, played.last_ns))
        played.published += 1
        late_ms = (time.time_ns() - message.due_ns - clock_ns) / 1e6
        played.late_ms_max = max(played.late_ms_max, late_ms)
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
        _wait_for_subscriber(publisher, stop)
        played = play(source, publisher.publish, stop, _report)
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


def _wait_for_subscriber(publisher, stop: threading.Event) -> None:
    deadline = time.monotonic() + MATCH_WAIT_S
    while publisher.get_subscription_count() == 0 and not stop.is_set():
        if time.monotonic() > deadline:
            print(f"nobody subscribes to {publisher.topic_name} yet; playing all the same", file=sys.stderr)
            return
        stop.wait(0.02)


def _report(**facts) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
