# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one model: each has its own topics, epochs and detector, all share its time."""
from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import EmbeddingSpace, SemanticEmbedding
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.conversions import ns_from_time
from vljepa_ros.srv import Predict

NAMES = ["front", "rear", "left", "right"]


class Rig:
    """Publishers and ears for cameras of one predictor."""

    def __init__(self, bench: Any, to_image: Any, names: list[str], **parameters: Any) -> None:
        self.bench, self.to_image, self.names = bench, to_image, names
        self.node = bench.predictor(cameras=names, **parameters)
        self.heard: dict[str, list[Any]] = {name: [] for name in names}
        graph = bench.outside
        self.publishers = {name: graph.create_publisher(Image, f"{name}/image", 10) for name in names}
        for name in names:
            topic = f"predictor_node/{name}/embedding"
            graph.create_subscription(SemanticEmbedding, topic, self.heard[name].append, qos.copy(qos.RESULTS))
        bench.until(lambda: all(one.get_subscription_count() for one in self.publishers.values()), "the subscriptions")
        bench.until(lambda: all(graph.count_publishers(f"predictor_node/{name}/embedding") for name in names), "the topics")

    def send(self, name: str, image: np.ndarray, stamp_ns: int) -> None:
        """One image, handled, and its clip embedded."""
        stream = self.node._of(name)
        frames, clips = stream.camera.frames, stream.clips._sequence
        self.publishers[name].publish(self.to_image(image, stamp_ns))
        self.bench.until(lambda: stream.camera.frames > frames, f"the image of {name}")
        if stream.clips._sequence > clips:
            self.bench.until(lambda: self.heard[name] and self.heard[name][-1].sequence >= clips, f"the clip of {name}")


def test_each_camera_is_itself(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    """Vectors are those of its own frames; a break of one is no break of the other."""
    rig = Rig(bench, to_image, ["front", "rear"], engine="torch")
    front, rear, sent = noise(12, seed=1), noise(12, seed=2), stamps(12)
    for index in range(12):
        rig.send("front", front[index], sent[index])
        rig.send("rear", rear[index], sent[index] + (3_600 * 10**9 if index > 9 else 0))
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    query = model.config.prompts.get("state", "")
    last = rig.heard["front"][-1]
    np.testing.assert_allclose(last.vector, model.embed(np.stack(front[-7::2]), query), atol=1e-5)
    assert {one.epoch for one in rig.heard["front"]} == {0} and rig.node._of("rear").clips.epoch == 1
    assert ns_from_time(last.header.stamp) == sent[-1]
    before = rig.heard["rear"][-1]
    assert before.epoch == 0 and ns_from_time(before.header.stamp) == sent[9]
    np.testing.assert_allclose(before.vector, model.embed(np.stack(rear[3:10:2]), query), atol=1e-5)


def test_a_batch_of_clips_gives_what_each_gives_alone(bench: Any, noise: Any) -> None:
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    size, queries = model.config.preprocess.image_size, ["Is the lamp on?", "", "The drawer is open."]
    clips = [np.stack(noise(model.config.vision.frames, seed=seed, height=size, width=size)) for seed in range(3)]
    for clip, seen in zip(clips, model.look_many(clips, queries)):
        alone = model.look(clip, queries)
        np.testing.assert_allclose(seen.vectors_QD, alone.vectors_QD, atol=1e-5)
        assert seen.novelty == pytest.approx(alone.novelty, rel=1e-4) and seen.tokens_1ND.shape == alone.tokens_1ND.shape


def test_services_and_spaces_name_the_camera(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    rig = Rig(bench, to_image, ["front", "rear"])
    for image, stamp_ns in zip(noise(9), stamps(9)):
        rig.send("front", image, stamp_ns)
    spaces: list[EmbeddingSpace] = []
    bench.outside.create_subscription(EmbeddingSpace, "predictor_node/rear/space", spaces.append, qos.copy(qos.LATCHED))

    def ask(name: str) -> Any:
        client = bench.outside.create_client(Predict, name)
        bench.until(client.service_is_ready, name)
        future = client.call_async(Predict.Request(query="Is the lamp on?"))
        bench.until(future.done, "the answer")
        return future.result()

    answer = ask("predictor_node/front/predict")
    assert answer.success and ns_from_time(answer.embedding.header.stamp) == stamps(9)[-1]
    refused = ask("predictor_node/rear/predict")
    assert not refused.success and "no clip yet" in refused.message and "~/rear/embedding" in refused.message
    several = ask("predictor_node/predict")
    assert not several.success and "~/front/predict" in several.message
    bench.until(lambda: spaces, "the space")
    bench.until_said("predictor_node: model front", "embeddings/s", level=b"\x00")
    bench.until_said("predictor_node: camera rear", "no image on /rear/image", level=b"\x02")


def test_another_set_of_cameras_after_a_cleanup(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    rig = Rig(bench, to_image, ["front", "rear"])
    node = rig.node
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.set_parameters([Parameter("cameras", Parameter.Type.STRING_ARRAY, [])])[0].successful
    node.trigger_configure()
    node.trigger_activate()
    bench.stream(node, noise(9), stamps(9))
    assert bench.embeddings
    topics = [one.topic_name for one in node.publishers]
    assert "/predictor_node/embedding" in topics and "/predictor_node/front/embedding" not in topics
    assert not [one for one in node.services if one.service_name.endswith("front/predict")]


@pytest.mark.parametrize("names, words", [
    (["front", "front"], "differ"), (["7up"], "'7up'"), (["a/b"], "'a/b'"), ([""], "''"), (["predict"], "'predict'"),
])
def test_names_that_cannot_be(bench: Any, names: list[str], words: str) -> None:
    node = bench.predictor(active=False)
    result = node.set_parameters([Parameter("cameras", Parameter.Type.STRING_ARRAY, names)])[0]
    assert not result.successful and "cameras" in result.reason and words in result.reason


def test_overload_is_shared(bench: Any, noise: Any, to_image: Any) -> None:
    """Four cameras that want more than the model gives, one clip at a time: each gets within a tenth of a quarter."""
    rig = Rig(bench, to_image, NAMES, clip__stride_s=0.01, clip__max_gap_s=3600.0)
    rig.node._inbox.stream.at_once = rig.node._batches.now = rig.node._batches.most = 1
    looks = rig.node._model.look

    def slow(*arguments: Any) -> Any:
        time.sleep(0.02)
        return looks(*arguments)

    rig.node._model.look = slow
    streams, (image,) = [rig.node._of(name) for name in NAMES], noise(1)
    done = threading.Event()

    def press() -> None:  # more often the first than the last: whoever asks most gets no more
        stamp_ns = 1_700_000_000 * 10**9
        while not done.is_set():
            stamp_ns += 300_000_000
            for weight, name in zip((3, 2, 1, 1), NAMES):
                for step in range(weight):
                    message = to_image(image, stamp_ns + step * 100_000_000)
                    rig.node._of(name).camera._on_message(message)
            done.wait(0.004)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        bench.until(lambda: sum(one.figures.embeddings.total for one in streams) >= 200, "200 embeddings")
    finally:
        done.set()
        thread.join()
    counts = [one.figures.embeddings.total for one in streams]
    share = sum(counts) / 4
    assert all(abs(count - share) <= 0.1 * share for count in counts), counts
    assert all(one.figures.drops["newer_clip"] > 0 for one in streams), "there were more than the model could take"
