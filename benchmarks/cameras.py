# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What several cameras on one model get, together and each: `python benchmarks/cameras.py`.

Two predictors, processes of their own, one with a single camera and one with --cameras. Images come faster than the model takes
them, to one predictor and the other in turns, as many per second to both, so that a busy machine slows both alike. The table has
the embeddings per second of both, and each camera's share.
"""
from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from array import array
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vljepa_ros.cli.processes import Child, environment, stop_all

READY_S, SETTLE_S = 300.0, 2.0
PICTURES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--threads", type=int, default=1, help="of each predictor's network")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5, help="a window each for one camera and for several")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a window")
    parser.add_argument("--rate", type=float, default=120.0, help="images per second, of all cameras together")
    args = parser.parse_args()
    os.environ.update(env := environment())  # before rclpy reads it
    names = {"one": [""], "several": [f"camera{number}" for number in range(args.cameras)]}
    with ExitStack() as cleanup:
        logs = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="cameras_bench_")))
        children: list[Child] = []
        cleanup.callback(lambda: stop_all(children))
        for which, cameras in names.items():
            told = [f"checkpoint:={args.checkpoint}", f"threads:={args.threads}", "clip.stride_s:=0.01", "clip.max_gap_s:=60.0"]
            told += [f"cameras:=[{','.join(cameras)}]"] if which == "several" else []
            node = ["--ros-args", "-r", f"__node:={which}", *(word for one in told for word in ("-p", one))]
            children.append(Child(which, "vljepa_ros.nodes.predictor_node", node, logs / f"{which}.log", env))
        _measure(args, names, children, cleanup)


def _measure(args: argparse.Namespace, names: dict[str, list[str]], children: list[Child], cleanup: ExitStack) -> None:
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    from vljepa_ros.msg import SemanticEmbedding

    rclpy.init()
    cleanup.callback(rclpy.try_shutdown)
    node = rclpy.create_node("cameras")
    cleanup.callback(node.destroy_node)
    arrived = {which: [0] * len(cameras) for which, cameras in names.items()}

    def heard(which: str, index: int, _: SemanticEmbedding) -> None:
        arrived[which][index] += 1

    publishers = {}
    for which, cameras in names.items():
        publishers[which] = [node.create_publisher(Image, f"{one}/image" if one else "image", qos_profile_sensor_data)
                             for one in cameras]  # fmt: skip
        for index, one in enumerate(cameras):
            topic = f"{which}/{one}/embedding" if one else f"{which}/embedding"
            node.create_subscription(SemanticEmbedding, topic, partial(heard, which, index), 100)
    threading.Thread(target=rclpy.spin, args=[node], daemon=True).start()
    rng = np.random.default_rng(0)
    pictures = [array("B", rng.integers(0, 256, 240 * 320 * 3, dtype=np.uint8).tobytes()) for _ in range(PICTURES)]
    messages = [Image(height=240, width=320, step=960, encoding="rgb8", data=one) for one in pictures]
    sent = 0

    def drive(which: str, seconds: float) -> tuple[list[int], float]:
        """Images to one of the predictors; what came of them, by camera, and how long it really was."""
        nonlocal sent
        before, began, due = list(arrived[which]), time.monotonic(), time.monotonic()
        while time.monotonic() - began < seconds:
            message = messages[sent % PICTURES]
            message.header.stamp = node.get_clock().now().to_msg()
            publishers[which][sent % len(publishers[which])].publish(message)
            sent += 1
            due = max(due + 1 / args.rate, time.monotonic() - 0.1)  # what a busy machine left undone is made up for
            time.sleep(max(0.0, due - time.monotonic()))
        return [now - then for now, then in zip(arrived[which], before)], time.monotonic() - began

    deadline = time.monotonic() + READY_S
    for which in names:
        while not all(arrived[which]):
            for child in children:
                child.check()
            if time.monotonic() > deadline:
                raise SystemExit(f"no embedding within {READY_S:.0f} s:\n" + "\n".join(one.last_words() for one in children))
            drive(which, 0.5)
    rates: dict[str, list[float]] = {which: [] for which in names}
    counts = {which: [0] * len(cameras) for which, cameras in names.items()}
    offered = sent
    for _ in range(args.rounds):
        for which in names:
            drive(which, SETTLE_S)
            came, seconds = drive(which, args.seconds)
            rates[which].append(sum(came) / seconds)
            counts[which] = [so_far + more for so_far, more in zip(counts[which], came)]
    offered = (sent - offered) / (2 * args.rounds * (args.seconds + SETTLE_S))
    table = Table(title=f"{args.checkpoint}, {args.threads} thread(s), {offered:.0f} images per s in all, "
                        f"{args.rounds} windows of {args.seconds:g} s each")  # fmt: skip
    for column in ("what", "median", "lowest", "highest"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for which, title in (("one", "embeddings per s, one camera"), ("several", f"embeddings per s, {args.cameras} cameras")):
        each = rates[which]
        table.add_row(title, f"{statistics.median(each):.2f}", f"{min(each):.2f}", f"{max(each):.2f}")
    ratios = [several / one for one, several in zip(rates["one"], rates["several"])]
    table.add_row("several of one", f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f}", f"{max(ratios):.3f}")
    shares = [one * args.cameras / sum(counts["several"]) for one in counts["several"]]
    table.add_row("each camera of its share", f"{statistics.median(shares):.3f}", f"{min(shares):.3f}", f"{max(shares):.3f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
