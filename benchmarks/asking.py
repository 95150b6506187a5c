# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What questions cost a running stream, and how soon they are answered: `python benchmarks/asking.py`.

The bundled bag plays in a loop into predictor_node, processes of their own. Quiet windows and windows in which somebody asks
`Predict` every --every seconds take turns, so that a busy machine slows both alike. The table shows the embeddings per second of
both, and how long an answer took in clip times (the predictor's own median per clip, as its /diagnostics say it).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vljepa_ros.cli.demo import bundled_bag
from vljepa_ros.cli.processes import Child, environment, stop_all

READY_S = 300.0
QUESTIONS = (
    "Which action is happening?",
    "Is the lamp on or off?",
    "Is the drawer open or closed?",
    "What is the gripper holding?",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--threads", type=int, default=1, help="of the predictor's network")
    parser.add_argument("--rounds", type=int, default=5, help="a quiet window and an asking one each")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a window")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between questions")
    args = parser.parse_args()
    os.environ.update(env := environment())  # before rclpy reads it
    with ExitStack() as cleanup:
        logs = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="asking_bench_")))
        children: list[Child] = []
        cleanup.callback(lambda: stop_all(children))
        told = ["-p", f"checkpoint:={args.checkpoint}", "-p", f"threads:={args.threads}", "-p", "image_transport:=compressed"]
        names = ["-r", "image:=camera/image_raw"]
        node = ["--ros-args", *told, *names]
        children.append(Child("predictor", "vljepa_ros.nodes.predictor_node", node, logs / "predictor.log", env))
        children.append(Child("player", "vljepa_ros.cli.main", ["play", str(bundled_bag()), "--loop"], logs / "player.log", env))
        _measure(args, children, cleanup)


def _measure(args: argparse.Namespace, children: list[Child], cleanup: ExitStack) -> None:
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray

    from vljepa_ros.client import VLJEPAClient
    from vljepa_ros.msg import SemanticEmbedding

    rclpy.init()
    cleanup.callback(rclpy.try_shutdown)
    node = rclpy.create_node("asking")
    cleanup.callback(node.destroy_node)
    arrived: list[float] = []
    clip_ms: list[float] = []

    def diagnosed(message: DiagnosticArray) -> None:
        clip_ms.extend(float(v.value) for s in message.status for v in s.values if v.key == "model_ms_p50" and v.value != "nan")

    node.create_subscription(SemanticEmbedding, "predictor_node/embedding", lambda _: arrived.append(time.monotonic()), 100)
    node.create_subscription(DiagnosticArray, "/diagnostics", diagnosed, 10)
    threading.Thread(target=rclpy.spin, args=[node], daemon=True).start()
    client = cleanup.enter_context(VLJEPAClient(node))
    deadline = time.monotonic() + READY_S
    while not (arrived and clip_ms):
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"no embedding within {READY_S:.0f} s; the predictor's last words:\n{children[0].last_words()}")
        time.sleep(0.05)
    client.predict(QUESTIONS[0])  # tokenises and allocates
    rates: dict[bool, list[float]] = {False: [], True: []}
    took_ms: list[float] = []
    clip_ms.clear()
    for _ in range(args.rounds):
        for asks in (False, True):
            began, heard = time.monotonic(), len(arrived)
            while time.monotonic() - began < args.seconds:
                if asks:
                    asked = time.monotonic()
                    client.predict(QUESTIONS[len(took_ms) % len(QUESTIONS)])
                    took_ms.append(1e3 * (time.monotonic() - asked))
                time.sleep(min(args.every, max(began + args.seconds - time.monotonic(), 0)))
            rates[asks].append((len(arrived) - heard) / (time.monotonic() - began))
    clip = statistics.median(clip_ms)
    table = Table(title=f"Predict every {args.every:g} s, {len(took_ms)} times; {clip:.1f} ms per clip")
    for column in ("what", "median", "p95", "most"):
        table.add_column(column, justify="left" if column == "what" else "right")
    spread = [statistics.median(took_ms), float(np.quantile(took_ms, 0.95)), max(took_ms)]
    table.add_row("answer, ms", *(f"{one:.1f}" for one in spread))
    table.add_row("answer, clip times", *(f"{one / clip:.2f}" for one in spread))
    for name, asks in (("embeddings per s, quiet", False), ("embeddings per s, asked", True)):
        table.add_row(name, f"{statistics.median(rates[asks]):.2f}", "", f"{max(rates[asks]):.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
