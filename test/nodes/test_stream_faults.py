# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps that do what real ones do, and images that are none: the stream goes on, no clip crosses, /diagnostics names it."""
from __future__ import annotations

from array import array
from typing import Any

import pytest

from vljepa_ros.nodes.conversions import ns_from_time

SECOND = 10**9
CLIPS, CAMERA = "predictor_node: clips", "predictor_node: camera"
COUNT = 10


def no_clip_crosses(embeddings: list[Any], pieces: list[list[int]]) -> None:
    """Every clip lies within one piece of the stream, epochs count up, and every piece has some."""
    seen: dict[int, set[int]] = {}
    for one in embeddings:
        start_ns, end_ns = ns_from_time(one.clip_start), ns_from_time(one.header.stamp)
        holders = [index for index, piece in enumerate(pieces) if piece[0] <= start_ns <= end_ns <= piece[-1]]
        assert holders, f"the clip [{start_ns}, {end_ns}] crosses a break"
        seen.setdefault(one.epoch, set()).update(holders)
    assert sorted(seen) == list(range(len(pieces))), "one epoch each"
    assert [one.epoch for one in embeddings] == sorted(one.epoch for one in embeddings)
    assert [one.sequence for one in embeddings] == list(range(len(embeddings)))


@pytest.mark.parametrize("cause, jump_ns", [
    ("forward_jump", 3600 * SECOND), ("backward_jump", -3600 * SECOND), ("gap", 3 * SECOND), ("backward_jump", -SECOND),
])
def test_a_jump_begins_an_epoch(bench: Any, noise: Any, stamps: Any, cause: str, jump_ns: int) -> None:
    predictor = bench.predictor()
    before = stamps(COUNT)
    after = stamps(COUNT, start_ns=before[-1] + jump_ns)
    bench.stream(predictor, noise(2 * COUNT), before + after)
    # A step back of one second lands within the first piece: tell the pieces apart by epoch alone there.
    if abs(jump_ns) > SECOND:
        no_clip_crosses(bench.embeddings, [before, after])
    assert {one.epoch for one in bench.embeddings} == {0, 1}
    firsts = [one for one in bench.embeddings if one.epoch == 1]
    assert ns_from_time(firsts[0].clip_start) >= after[0]
    bench.until_said(CLIPS, cause, "epoch 1")
    assert bench.values(CLIPS)[f"epochs.{cause}"] == "1" and bench.values(CLIPS)["epoch"] == "1"


def test_a_bag_that_loops(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    once = stamps(COUNT)
    for _ in range(4):
        bench.stream(predictor, noise(COUNT), once)
    by_epoch = [[one for one in bench.embeddings if one.epoch == epoch] for epoch in range(4)]
    vectors = [[one.vector.tobytes() for one in ones] for ones in by_epoch]
    assert len(by_epoch[0]) > 2 and vectors[0] == vectors[1] == vectors[2] == vectors[3], "every round is the same"
    bench.until_said(CLIPS, "backward_jump 3")


def test_repeated_stamps_are_dropped(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    twice = [stamp_ns for stamp_ns in stamps(COUNT) for _ in range(2)]
    bench.stream(predictor, noise(2 * COUNT), twice)
    received = [ns_from_time(one.header.stamp) for one in bench.embeddings]
    assert received == stamps(COUNT)[-len(received):] and {one.epoch for one in bench.embeddings} == {0}
    bench.until_said(CLIPS, "repeated", f"{COUNT}")
    assert bench.values(CLIPS)["drops.duplicate_stamp"] == str(COUNT)


def test_zero_stamps_are_named_with_the_remedy(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    bench.stream(predictor, noise(3), [0, 0, 0])
    assert not bench.embeddings
    bench.until_said(CLIPS, "3 images came without a stamp", "clip.stamp_source", "arrival", level=b"\x02")
    bench.stream(predictor, noise(COUNT), stamps(COUNT))
    assert bench.embeddings, "the stream goes on"


BAD = {
    "step": dict(step=5),
    "data": dict(data=array("B", bytes(100))),
    "encoding": dict(encoding="cmyk8"),
    "size": dict(width=0),
}


@pytest.mark.parametrize("cause", BAD)
def test_bad_images_are_counted_named_and_survived(bench: Any, noise: Any, stamps: Any, to_image: Any, cause: str) -> None:
    predictor = bench.predictor()
    sent = stamps(COUNT + 3)
    images = noise(COUNT + 3)
    bench.stream(predictor, images[:COUNT], sent[:COUNT])
    good = len(bench.embeddings)
    bench.send(predictor, to_image(images[COUNT], sent[COUNT], **BAD[cause]))
    bench.stream(predictor, images[COUNT + 1:], sent[COUNT + 1:])
    assert len(bench.embeddings) >= good + 1 and {one.epoch for one in bench.embeddings} == {0}, "the stream goes on"
    status = bench.until_said(CAMERA, f"{cause} 1", level=b"\x01")
    assert str(next(iter(BAD[cause].values())))[:5] in status.message or cause in ("data", "size")
    assert bench.values(CAMERA)[f"drops.bad_image.{cause}"] == "1"


def test_a_camera_that_changes_its_size(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    images = [noise(1, seed=index, height=48 + 16 * (index % 2), width=64)[0] for index in range(COUNT)]
    bench.stream(predictor, images, stamps(COUNT))
    assert bench.embeddings and bench.embeddings[-1].epoch == 0
    bench.until_said(CAMERA, "size changes", f"{COUNT - 1} times", "64x64", level=b"\x01")
    assert bench.values(CAMERA)["size_changes"] == str(COUNT - 1)


def test_the_complaint_ends_some_time_after_the_fault(
    bench: Any, noise: Any, stamps: Any, to_image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = bench.predictor()
    predictor._of("").camera._recent._window_s = 0.5
    bench.send(predictor, to_image(noise(1)[0], stamps(1)[0], step=5))
    bench.until_said(CAMERA, "step 1")

    def well() -> bool:
        bench.send(predictor, to_image(noise(1)[0], bench.outside.get_clock().now().nanoseconds))
        return "bad images" not in bench.status(CAMERA).message

    bench.until(well, "the end of the complaint")
    assert bench.values(CAMERA)["drops.bad_image.step"] == "1", "the count stays"
