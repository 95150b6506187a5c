# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images in, embeddings out: what they carry, what they depend on, and what they must not depend on."""
from __future__ import annotations

import threading
from array import array
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage

from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import EmbeddingSpace
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.conversions import ns_from_time, time_from_ns

COUNT = 14  # frames at 10 Hz; the tiny checkpoint's clips span 0.6 s


def test_embeddings_carry_the_newest_frames_header(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    sent = stamps(COUNT)
    bench.stream(predictor, noise(COUNT), sent)
    received = [ns_from_time(one.header.stamp) for one in bench.embeddings]
    assert received == sent[-len(received):] and len(received) >= COUNT - 7
    for index, one in enumerate(bench.embeddings):
        assert one.header.frame_id == "camera" and one.epoch == 0 and one.sequence == index
        assert ns_from_time(one.clip_start) == ns_from_time(one.header.stamp) - 600_000_000
        assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-5)


def test_embeddings_are_the_models(bench: Any, noise: Any, stamps: Any) -> None:
    images, sent = noise(COUNT), stamps(COUNT)
    predictor = bench.predictor(queries=["Is the lamp on?", ""], engine="torch")  # auto may compute in bf16
    bench.stream(predictor, images, sent)
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    bench.until(lambda: bench.embeddings[-1].query == "", "the second query's embedding")
    first, second = bench.embeddings[-2:]
    clip = np.stack(images[-7::2])  # 0.2 s apart
    for one, query in ((first, "Is the lamp on?"), (second, "")):
        assert one.query == query and one.space_id == model.space_id and one.sequence == first.sequence
        np.testing.assert_allclose(one.vector, model.embed(clip, query), atol=1e-5)
        assert one.novelty == pytest.approx(model.watch(clip, [query])[1], rel=1e-4) and one.novelty > 0


def test_causality(bench: Any, noise: Any, stamps: Any) -> None:
    """A later frame that is another one moves no embedding before it, not by one bit; and moves those after it."""
    predictor = bench.predictor()
    images, changed = noise(COUNT), 11
    other = [*images[:changed], 255 - images[changed], *images[changed + 1:]]
    bench.stream(predictor, images, stamps(COUNT))
    first = [one.vector.tobytes() for one in bench.embeddings]
    bench.embeddings.clear()
    hour_ns = 3600 * 10**9  # later than the first run, so a new epoch
    bench.stream(predictor, other, stamps(COUNT, start_ns=stamps(1)[0] + hour_ns))
    second = [one.vector.tobytes() for one in bench.embeddings]
    assert len(first) == len(second)
    before = changed - (COUNT - len(first))
    assert first[:before] == second[:before]
    assert first[before] != second[before]


def test_a_compressed_camera(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor(image_transport="compressed", engine="torch")
    for image, stamp_ns in zip(noise(9), stamps(9)):
        data = cv2.imencode(".png", image[..., ::-1])[1]
        message = CompressedImage(format="rgb8; png compressed bgr8", data=array("B", data.tobytes()))
        message.header.stamp = time_from_ns(stamp_ns)
        bench.send(predictor, message, "image/compressed")
    last = time_from_ns(stamps(9)[-1])
    bench.until(lambda: bench.embeddings and bench.embeddings[-1].header.stamp == last, "the last embedding")
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    expected = model.embed(np.stack(noise(9)[-7::2]), model.config.prompts["state"])
    np.testing.assert_allclose(bench.embeddings[-1].vector, expected, atol=1e-5)


@pytest.mark.parametrize("transport, topic", [("raw", "/front/image_raw"), ("compressed", "/front/image_raw/compressed")])
def test_remapping_image_moves_both_transports(bench: Any, transport: str, topic: str) -> None:
    from vljepa_ros.nodes.predictor_node import PredictorNode

    def make(**kwargs: Any) -> Any:
        return PredictorNode(cli_args=["--ros-args", "-r", "image:=/front/image_raw"], **kwargs)

    bench.node(make, image_transport=transport)
    bench.until(lambda: bench.outside.count_subscribers(topic) == 1, f"a subscriber on {topic}")


def test_the_space_is_latched(bench: Any) -> None:
    predictor = bench.predictor(queries=["Is the lamp on?"])
    heard: list[EmbeddingSpace] = []
    bench.outside.create_subscription(EmbeddingSpace, "predictor_node/space", heard.append, qos.copy(qos.LATCHED))
    space = bench.until(lambda: heard, "the space, by a late subscriber")[0]
    model = predictor._model
    assert (space.space_id, space.model, space.sha256, space.dim) == (model.space_id, "tiny", model.sha256, model.dim)
    assert (space.clip_frames, space.clip_period, space.image_size) == (4, 0.2, 32)
    assert list(space.queries) == ["Is the lamp on?"] and len(space.sha256) == 64


def test_a_change_of_scene_is_a_transition(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor(transition__threshold=1e-5, transition__min_segment_s=0.5)
    dark, light = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 255, np.uint8)
    light[:, :32] = 0
    sent = stamps(60)
    bench.stream(predictor, [dark] * 30 + [light] * 30, sent)
    bench.until(lambda: bench.transitions, "a transition")
    transition = bench.transitions[0]
    # Clips span 0.6 s, so the change is complete within that time after it happened.
    assert sent[30] <= ns_from_time(transition.boundary) <= sent[37] <= ns_from_time(transition.header.stamp)
    assert transition.distance > transition.threshold == pytest.approx(1e-5) and transition.segment == 1
    assert transition.space_id == predictor._model.space_id and transition.header.frame_id == "camera"
    for vector in (transition.before, transition.after):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_model_slower_than_the_camera_gives_up_older_clips(bench: Any, noise: Any, to_image: Any, stamps: Any) -> None:
    import threading

    predictor = bench.predictor()
    go_on, embed = threading.Event(), predictor._model.look
    predictor._model.look = lambda *arguments: go_on.wait(100) and embed(*arguments)
    for image, stamp_ns in zip(noise(COUNT), stamps(COUNT)):
        bench.send(predictor, to_image(image, stamp_ns))  # callbacks are not held up by a model that is
        if predictor._of("").clips._sequence:
            bench.until(lambda: predictor._worker.busy, "the first clip's embedding")
    clips = predictor._of("").clips._sequence
    go_on.set()
    bench.until(lambda: bench.embeddings and bench.embeddings[-1].sequence == clips - 1, "the newest clip's embedding")
    assert [one.sequence for one in bench.embeddings] == [0, clips - 1], "the one under way, then the newest"
    bench.until_said("predictor_node: model", f"{clips - 2} clips gave way")
    assert bench.values("predictor_node: model")["drops.newer_clip"] == str(clips - 2)


def test_arrival_stamps_for_drivers_without_stamps(bench: Any, noise: Any, to_image: Any) -> None:
    predictor = bench.predictor(clip__stamp_source="arrival", clip__stride_s=0.01)
    clock = bench.outside.get_clock()
    started_ns = clock.now().nanoseconds
    image = noise(1)[0]
    while not bench.embeddings:
        assert clock.now().nanoseconds - started_ns < 20e9, "no embedding for 20 s"
        bench.send(predictor, to_image(image, 0))
        bench.spin()
    stamp_ns = ns_from_time(bench.embeddings[0].header.stamp)
    assert started_ns + 0.5e9 < stamp_ns < clock.now().nanoseconds


def test_a_clip_that_waits_when_the_node_is_deactivated_is_counted(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    predictor = bench.predictor()
    sent, images = stamps(10), noise(10)
    bench.stream(predictor, images[:8], sent[:8])
    go_on, entered, look = threading.Event(), threading.Event(), predictor._model.look
    predictor._model.look = lambda *arguments: entered.set() or (go_on.wait(100) and look(*arguments))
    bench.send(predictor, to_image(images[8], sent[8]))
    bench.until(entered.is_set, "the clip under way")
    bench.send(predictor, to_image(images[9], sent[9]))
    stop = predictor._worker.stop
    predictor._worker.stop = lambda: go_on.set() or stop()
    predictor.trigger_deactivate()
    bench.until(lambda: bench.values("predictor_node: model").get("drops.deactivated") == "1", "its count")
