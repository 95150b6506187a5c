# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Four cameras on one model, more images than it can take: together they get what one camera gets, and each its share.

Two predictors, one with a camera and one with four, whose models take as long for each clip; images go to one and the other in
turns, so that a machine with other work to do slows both alike.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

CLIP_S = 0.1  # of latency for every clip of a batch: ten clips per second at most
FRAME_S = 0.025  # four times as many images, of every camera
NAMES = ["front", "rear", "left", "right"]


def test_four_cameras_together_get_what_one_gets(
    bench: Any, noise: Any, to_image: Any, faults: Any, size: Callable[[int, int], int], figures: dict
) -> None:
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    turns, turn_s, most = size(2, 10), size(3, 15), size(25, 10) / 100
    told = {"clip__stride_s": 0.01, "clip__max_gap_s": 3600.0}
    nodes = {1: bench.predictor(**told), 4: bench.predictor(
        cameras=NAMES, cli_args=["--ros-args", "-r", "__node:=four"], **told)}  # fmt: skip
    injected = {count: faults(node) for count, node in nodes.items()}
    for one in injected.values():
        one.clip_s = CLIP_S
    topics = {1: ["image"], 4: [f"{name}/image" for name in NAMES]}
    publishers = {
        count: [bench.outside.create_publisher(Image, topic, qos_profile_sensor_data) for topic in topics[count]]
        for count in nodes
    }
    bench.until(lambda: all(one.get_subscription_count() for of in publishers.values() for one in of), "the subscriptions")
    images, turn, ended = noise(8), [1], threading.Event()

    def press() -> None:
        number, due = 0, time.monotonic()
        while not ended.is_set():
            number += 1
            message = to_image(images[number % 8], time.time_ns())
            for publisher in publishers[turn[0]]:
                publisher.publish(message)
            due = max(due + FRAME_S, time.monotonic())
            ended.wait(due - time.monotonic())

    def embedded(count: int) -> list[int]:
        return [stream.figures.embeddings.total for stream in nodes[count]._streams]

    def spin_for(seconds: float) -> None:
        end = time.monotonic() + seconds
        bench.until(lambda: time.monotonic() >= end, "the time", seconds + 60)

    rates: dict[int, list[float]] = {1: [], 4: []}
    clips = {count: [0] * count for count in nodes}
    thread = threading.Thread(target=press)
    thread.start()
    try:
        for _ in range(turns):
            for count in nodes:
                turn[0], begun = count, len(injected[count].batches)
                bench.until(lambda: len(injected[count].batches) >= begun + 3, "its turn")  # noqa: B023
                before, began = embedded(count), time.monotonic()
                spin_for(turn_s)
                came, took_s = [now - then for now, then in zip(embedded(count), before)], time.monotonic() - began
                rates[count].append(sum(came) / took_s)
                clips[count] = [so_far + more for so_far, more in zip(clips[count], came)]
    finally:
        ended.set()
        thread.join()
    together, share = sum(rates[4]) / sum(rates[1]), sum(clips[4]) / 4
    figures |= {
        "embeddings per s, one camera": round(sum(rates[1]) / turns, 2), "four": round(sum(rates[4]) / turns, 2),
        "four of one": round(together, 3), "each of its share": [round(one / share, 3) for one in clips[4]],
        "clips at once, most": max(injected[4].batches),
    }  # fmt: skip
    gave_way = [stream.figures.drops["newer_clip"] for node in nodes.values() for stream in node._streams]
    assert all(gave_way), "there were more images than the model could take"
    assert abs(together - 1) <= most and all(abs(one / share - 1) <= most for one in clips[4]), figures
