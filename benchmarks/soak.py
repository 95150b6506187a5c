# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether memory, latency and rate stay what they were: `make soak HOURS=1`, or `python benchmarks/soak.py --hours 0.05`.

The bundled bag plays in a loop, in real time, into predictor_node and decoder_node, processes of their own. Every --every seconds
a line: rate, latency from an image's stamp to its embedding's arrival here, resident memory of both nodes. Nothing of the first
--warm-up of the time counts; of the rest, memory gets a straight line and latency is compared, first third against last. Exit
status 1 where a bound of the issue list is broken: memory below 1 MB per hour, p99 within 10 %. A run of less than an hour says
little about the slope, whose standard error stands beside it.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from vljepa_ros.cli.demo import bundled_bag
from vljepa_ros.cli.processes import Child, environment, stop_all

READY_S = 300.0
MOST_MB_PER_H, MOST_DRIFT = 1.0, 0.10
NODES = ("predictor_node", "decoder_node")


@dataclass(frozen=True)
class Window:
    """What was measured between two lines."""

    end_s: float  # since the first embedding
    embeddings: int
    per_s: float
    p50_ms: float
    p99_ms: float
    rss_mb: dict[str, float]
    texts: int


def slope(hours: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Least squares: change per hour and its standard error; NaN where there are too few points to tell."""
    if len(hours) < 3:
        return float("nan"), float("nan")
    away = hours - hours.mean()
    per_hour = float(away @ values / (away @ away))
    rest = values - values.mean() - per_hour * away
    return per_hour, float(np.sqrt(rest @ rest / (len(hours) - 2) / (away @ away)))


def summary(windows: list[Window], latencies_ms: list[tuple[float, float]], warm_up_s: float) -> dict:
    """`latencies_ms`: (seconds since the first embedding, ms). What came before `warm_up_s` is left out."""
    kept = [one for one in windows if one.end_s > warm_up_s]
    steady = np.array([ms for at_s, ms in latencies_ms if at_s > warm_up_s])
    hours = np.array([one.end_s / 3600 for one in kept])
    third = len(steady) // 3
    report: dict = {"windows": len(kept), "embeddings": len(steady), "per_s": float(np.mean([one.per_s for one in kept]))}
    for name in NODES:
        per_hour, error = slope(hours, np.array([one.rss_mb[name] for one in kept]))
        report[f"{name}_mb_per_h"], report[f"{name}_mb_per_h_error"] = per_hour, error
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        first, last = np.quantile(steady[:third], q), np.quantile(steady[-third:], q)
        report |= {f"{name}_ms_first": float(first), f"{name}_ms_last": float(last), f"{name}_drift": float(last / first - 1)}
    report["broken"] = [
        *(f"{name} grows" for name in NODES if not report[f"{name}_mb_per_h"] < MOST_MB_PER_H),
        *(["p99 drifts"] if not report["p99_drift"] < MOST_DRIFT else []),
    ]
    return report


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between lines")
    parser.add_argument("--warm-up", type=float, default=0.2, help="share of the time that does not count")
    parser.add_argument("--checkpoint", default="tabletop")
    parser.add_argument("--json", type=Path, default=Path("build/soak.json"))
    args = parser.parse_args(argv)
    if not args.hours * 3600 >= 3 * args.every > 0 or not 0 <= args.warm_up <= 0.5:
        parser.error(f"needs three lines at least and a warm-up of 0 to 0.5, got {args.hours:g} h, a line each {args.every:g} s, "
                     f"{args.warm_up:g}")  # fmt: skip
    os.environ.update(env := environment())  # before rclpy reads it
    with ExitStack() as cleanup:
        logs = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="soak_")))
        children: list[Child] = []
        cleanup.callback(lambda: stop_all(children))
        told = ["--ros-args", "-p", f"checkpoint:={args.checkpoint}", "-p", "threads:=1"]
        camera = ["-p", "image_transport:=compressed", "-r", "image:=camera/image_raw"]
        for name in NODES:
            more = camera if name == "predictor_node" else []
            children.append(Child(name, f"vljepa_ros.nodes.{name}", [*told, *more], logs / f"{name}.log", env))
        children.append(Child("player", "vljepa_ros.cli.main", ["play", str(bundled_bag()), "--loop"], logs / "player.log", env))
        windows, latencies_ms = _listen(args, children, cleanup)
    report = summary(windows, latencies_ms, args.warm_up * args.hours * 3600)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({**report, "hours": args.hours, "lines": [asdict(one) for one in windows]}, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 1 if report["broken"] else 0


def _listen(args: argparse.Namespace, children: list[Child], cleanup: ExitStack) -> tuple[list[Window], list]:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from vljepa_ros.msg import DecodedText, SemanticEmbedding

    rclpy.init()
    cleanup.callback(rclpy.try_shutdown)
    node, executor = rclpy.create_node("soak"), SingleThreadedExecutor()
    cleanup.callback(node.destroy_node)
    executor.add_node(node)
    heard: list[tuple[float, float]] = []  # monotonic seconds, ms
    texts: list[None] = []

    def on_embedding(message: SemanticEmbedding) -> None:
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        heard.append((time.monotonic(), (time.time_ns() - stamp_ns) / 1e6))

    node.create_subscription(SemanticEmbedding, "predictor_node/embedding", on_embedding, 100)
    node.create_subscription(DecodedText, "decoder_node/text", lambda _: texts.append(None), 100)

    def spin_until(when: float) -> None:
        while time.monotonic() < when:
            executor.spin_once(0.05)

    deadline = time.monotonic() + READY_S
    while not (heard and texts):
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"no embedding and text within {READY_S:.0f} s:\n" + "\n".join(one.last_words() for one in children))
        executor.spin_once(0.05)
    began = time.monotonic()
    heard.clear()
    nodes = {name: psutil.Process(child.pid) for name, child in zip(NODES, children)}
    windows: list[Window] = []
    print("   min  per s  p50 ms  p99 ms  " + "  ".join(f"{name} MB" for name in NODES) + "  texts", flush=True)
    for number in range(1, int(args.hours * 3600 / args.every) + 1):
        before = len(heard)
        spin_until(began + number * args.every)
        for child in children:
            child.check()
        ms = np.array([one for _, one in heard[before:]] or [np.nan])
        window = Window(
            end_s=time.monotonic() - began, embeddings=len(heard) - before, per_s=(len(heard) - before) / args.every,
            p50_ms=float(np.quantile(ms, 0.5)), p99_ms=float(np.quantile(ms, 0.99)),
            rss_mb={name: process.memory_info().rss / 1e6 for name, process in nodes.items()}, texts=len(texts),
        )
        windows.append(window)
        print(f"{window.end_s / 60:6.1f} {window.per_s:6.2f} {window.p50_ms:7.1f} {window.p99_ms:7.1f}  "
              + "  ".join(f"{window.rss_mb[name]:{len(name) + 3}.1f}" for name in NODES)
              + f"  {window.texts:5d}", flush=True)  # fmt: skip
    return windows, [(at - began, ms) for at, ms in heard]


if __name__ == "__main__":
    sys.exit(main())
