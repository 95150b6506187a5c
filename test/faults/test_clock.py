# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A clock that jumps, starts anew, repeats itself and stands still, while more frames come than the model takes."""
from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from vljepa_ros.nodes.conversions import ns_from_time

SECOND = 10**9
FRAMES = 12  # of a piece
START_NS = 1_700_000_000 * SECOND


@dataclass
class Piece:
    """A stretch of the stream in which the clock behaves, and how it came about."""

    cause: str
    stamps_ns: list[int]


def pieces(count: int, seed: int) -> list[Piece]:
    """What clocks do: jumps of an hour in both directions, a bag that begins again, simulated time that begins at zero."""
    rng, made, start_ns = random.Random(seed), [], START_NS
    for index in range(count):
        cause = rng.choice(["forward", "backward", "loop", "reset"]) if index else "first"
        last_ns = made[-1].stamps_ns[-1] if made else start_ns
        if cause == "forward":
            start_ns = last_ns + 3600 * SECOND
        elif cause == "backward":
            start_ns = max(last_ns - 3600 * SECOND, SECOND)
        elif cause == "loop":
            start_ns = made[-1].stamps_ns[0]
        elif cause == "reset":
            start_ns = SECOND
        if made and start_ns > last_ns and start_ns - last_ns <= SECOND:
            start_ns = last_ns + 7200 * SECOND
        made.append(Piece(cause, [start_ns + k * SECOND // 10 for k in range(FRAMES)]))
    return made


def sent(piece: Piece, rng: random.Random) -> list[int]:
    """With duplicates and zeros strewn in."""
    stamps_ns = []
    for stamp_ns in piece.stamps_ns:
        stamps_ns += [stamp_ns] * rng.choice([1, 1, 1, 2]) + [0] * rng.choice([0, 0, 0, 1])
    return stamps_ns


@pytest.mark.parametrize("seed", [1, 2])
def test_clocks(
    bench: Any, noise: Any, to_image: Any, size: Callable[[int, int], int], figures: dict, seed: int
) -> None:
    from rclpy.qos import QoSHistoryPolicy, QoSProfile
    from sensor_msgs.msg import Image

    predictor = bench.predictor(**{"qos_overrides./image.subscription.reliability": "reliable",
                                   "qos_overrides./image.subscription.history": "keep_all"})
    # Frames come without a pause, and a clip takes its time: most give way to newer ones.
    predictor._model.modules["vision"].register_forward_pre_hook(lambda *_: time.sleep(0.02))
    rng, made, image = random.Random(seed), pieces(size(12, 300), seed), noise(1)[0]
    camera = bench.camera(Image, "image", QoSProfile(history=QoSHistoryPolicy.KEEP_ALL))
    counts = {"zero": 0, "duplicate": 0, "frames": 0}
    for piece in made:
        stamps_ns = sent(piece, rng)
        for stamp_ns in stamps_ns:
            message = to_image(image, stamp_ns)
            message.header.frame_id = piece.cause
            camera.publish(message)
        counts["frames"] += len(stamps_ns)
        counts["zero"] += stamps_ns.count(0)
        counts["duplicate"] += len([one for one in stamps_ns if one]) - FRAMES
        bench.until(lambda: predictor._of("").camera.frames == counts["frames"], "every frame")
    last_ns = made[-1].stamps_ns[-1]
    bench.until(lambda: bench.embeddings and ns_from_time(bench.embeddings[-1].header.stamp) == last_ns, "the last clip")
    assert predictor._of("").clips.epoch == len(made) - 1, "every piece is an epoch"
    for one in bench.embeddings:
        piece = made[one.epoch]
        start_ns, end_ns = ns_from_time(one.clip_start), ns_from_time(one.header.stamp)
        assert piece.stamps_ns[0] <= start_ns <= end_ns <= piece.stamps_ns[-1], "a clip crosses"
        assert one.header.frame_id == piece.cause
    epochs = [one.epoch for one in bench.embeddings]
    assert epochs == sorted(epochs)
    kinds = predictor._of("").clips.counts
    assert kinds["zero_stamp"] == counts["zero"] and kinds["duplicate_stamp"] == counts["duplicate"]
    bench.until_said("predictor_node: model")
    gave_way = int(bench.values("predictor_node: model")["drops.newer_clip"])
    assert gave_way > 0, "or it was no load"
    figures |= {"pieces": len(made), **counts, "embeddings": len(bench.embeddings), "gave_way": gave_way}
