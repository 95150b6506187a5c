# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Standing queries and labels that change while the stream runs."""
from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import EmbeddingSpace, SemanticEmbedding
from vljepa_ros.nodes import conversions, qos
from vljepa_ros.nodes.conversions import ns_from_time
from vljepa_ros.streaming import Embedding

LAMP, DRAWER = "Is the lamp on?", "The drawer is open."


def change(bench: Any, node: Any, name: str, values: list[str]) -> Any:
    """As `ros2 param set` does it: through the node's service. The result."""
    client = bench.outside.create_client(SetParameters, f"{node.get_name()}/set_parameters")
    bench.until(client.service_is_ready, "the node's parameter service")
    message = Parameter(name, Parameter.Type.STRING_ARRAY, values).to_parameter_msg()
    future = client.call_async(SetParameters.Request(parameters=[message]))
    bench.until(future.done, "the parameter")
    return future.result().results[0]


@pytest.fixture
def spaces(bench: Any) -> list[EmbeddingSpace]:
    heard: list[EmbeddingSpace] = []
    bench.outside.create_subscription(EmbeddingSpace, "predictor_node/space", heard.append, qos.copy(qos.LATCHED))
    return heard


def test_queries_change_between_clips(bench: Any, noise: Any, stamps: Any, spaces: Any) -> None:
    predictor = bench.predictor(queries=[LAMP], engine="torch")
    images, sent = noise(20), stamps(20)
    bench.stream(predictor, images[:10], sent[:10])
    before = len(bench.embeddings)
    assert change(bench, predictor, "queries", [LAMP, DRAWER]).successful
    bench.until(lambda: spaces and list(spaces[-1].queries) == [LAMP, DRAWER], "the space with the new queries")
    bench.stream(predictor, images[10:12], sent[10:12])
    bench.until(lambda: len(bench.embeddings) == before + 4, "two embeddings per clip")
    after = bench.embeddings[before:]
    assert [one.query for one in after] == [LAMP, DRAWER] * 2 and {one.query for one in bench.embeddings[:before]} == {LAMP}
    assert [ns_from_time(one.header.stamp) for one in after] == [sent[10], sent[10], sent[11], sent[11]], "no clip is lost"
    assert {one.epoch for one in bench.embeddings} == {0}, "the first query is what it was, and so is the epoch"
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    np.testing.assert_allclose(after[-1].vector, model.embed(np.stack(images[5:12:2]), DRAWER), atol=1e-5)


def test_another_first_query_begins_an_epoch_and_is_no_transition(bench: Any, stamps: Any) -> None:
    """The two queries' vectors lie further apart than this threshold: held against each other, they would be a change."""
    predictor = bench.predictor(queries=[LAMP], transition__threshold=1e-5, transition__min_segment_s=0.5)
    image, sent = np.full((48, 64, 3), 90, np.uint8), stamps(60)
    bench.stream(predictor, [image] * 30, sent[:30])
    segment = predictor._of("").detector.segment
    assert change(bench, predictor, "queries", [DRAWER, LAMP]).successful
    bench.stream(predictor, [image] * 30, sent[30:])
    first = next(one for one in bench.embeddings if one.epoch == 1)
    assert first.query == DRAWER and ns_from_time(first.header.stamp) == sent[30], "frames are kept, so nothing is missed"
    drawer = [one for one in bench.embeddings if one.query == DRAWER]
    lamp = [one for one in bench.embeddings if one.query == LAMP and one.epoch == 0]
    assert {one.epoch for one in drawer} == {1} and len(drawer) == 30
    distance = np.linalg.norm(np.array(drawer[-1].vector) - np.array(lamp[-1].vector))
    assert 0.3 * distance**2 > 1e-5, "so this test would notice"
    bench.until(lambda: predictor._of("").detector.segment == segment + 1, "the segment that begins with the epoch")
    assert not bench.transitions
    bench.until(lambda: bench.values("predictor_node: clips").get("epochs.queries") == "1", "its count")
    assert "broke" not in bench.status("predictor_node: clips").message, "somebody wanted it"


def test_a_clip_that_waits_keeps_the_queries_it_was_made_with(bench: Any, noise: Any, stamps: Any, to_image: Any) -> None:
    predictor = bench.predictor(queries=[LAMP])
    sent = stamps(12)
    bench.stream(predictor, noise(8), sent[:8])
    go_on, entered, look = threading.Event(), threading.Event(), predictor._model.look
    predictor._model.look = lambda *arguments: entered.set() or (go_on.wait(100) and look(*arguments))
    bench.send(predictor, to_image(noise(1)[0], sent[8]))
    bench.until(entered.is_set, "the clip under way")
    bench.send(predictor, to_image(noise(1)[0], sent[9]))
    assert change(bench, predictor, "queries", [DRAWER]).successful, "nobody waits for the model"
    go_on.set()
    bench.until(lambda: ns_from_time(bench.embeddings[-1].header.stamp) == sent[9], "the clip that waited")
    bench.stream(predictor, noise(1), sent[10:11])
    assert [(one.query, one.epoch) for one in bench.embeddings[-3:]] == [(LAMP, 0), (LAMP, 0), (DRAWER, 1)]


def test_queries_that_cannot_be_are_refused_and_the_stream_goes_on(bench: Any, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor(queries=[LAMP])
    sent = stamps(20)
    bench.stream(predictor, noise(8), sent[:8])
    for values, why in (([LAMP, LAMP], "must differ"), (["x" * 17], "17 tokens")):
        result = change(bench, predictor, "queries", values)
        assert not result.successful and why in result.reason
    bench.stream(predictor, noise(2), sent[8:10])
    assert {(one.query, one.epoch) for one in bench.embeddings} == {(LAMP, 0)}
    assert change(bench, predictor, "queries", []).successful, "back to the checkpoint's own"
    bench.stream(predictor, noise(2), sent[10:12])
    assert bench.embeddings[-1].query == predictor._model.config.prompts["state"]


def test_queries_of_an_inactive_node_are_those_of_its_next_activation(
    bench: Any, noise: Any, stamps: Any, spaces: Any
) -> None:
    predictor = bench.predictor(active=False)
    predictor.trigger_configure()
    assert change(bench, predictor, "queries", [DRAWER]).successful
    predictor.trigger_activate()
    bench.until(lambda: spaces and list(spaces[-1].queries) == [DRAWER], "the space")
    bench.stream(predictor, noise(8), stamps(8))
    assert {(one.query, one.epoch) for one in bench.embeddings} == {(DRAWER, 0)}


class Speaker:
    """Says embeddings to a decoder."""

    def __init__(self, bench: Any, model: VLJEPA) -> None:
        self.bench, self.model = bench, model
        self.publisher = bench.outside.create_publisher(SemanticEmbedding, "predictor_node/embedding", qos.copy(qos.RESULTS))
        self.count = 0

    def text(self, decoder: Any, epoch: int) -> Any:
        """The text of a new epoch of one vector."""
        self.bench.until(lambda: self.publisher.get_subscription_count(), "the decoder")
        told = len(self.bench.texts)
        for _ in range(10):
            self.count += 1
            stamp_ns = 10**18 + self.count * 10**8
            self.publisher.publish(conversions.embedding_to_message(Embedding(
                vector_D=np.eye(self.model.dim, dtype=np.float32)[0], stamp_ns=stamp_ns, clip_start_ns=stamp_ns, epoch=epoch,
                sequence=self.count, space_id=self.model.space_id, query=self.model.config.prompts["state"],
            )))  # fmt: skip
        return self.bench.until(lambda: self.bench.texts[told:], "the text")[0]


def test_labels_change_between_texts(bench: Any) -> None:
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    decoder = bench.decoder(engine="torch")
    speaker = Speaker(bench, model)
    assert speaker.text(decoder, 0).label == ""
    for epoch, labels in enumerate((["the lamp is on", "the lamp is off"], ["a", "b", "c"], []), start=1):
        assert change(bench, decoder, "labels", labels).successful
        text = speaker.text(decoder, epoch)
        cosines = model.encode_text(labels)[:, 0] if labels else np.zeros(0)
        assert text.label == (labels[int(cosines.argmax())] if labels else "")
        assert text.score == pytest.approx(float(cosines.max()) if labels else 0, abs=1e-4)
    for labels, why in ((["a", ""], "empty"), (["x" * 33], "33 tokens")):
        result = change(bench, decoder, "labels", labels)
        assert not result.successful and "labels" in result.reason and why in result.reason


def test_labels_of_an_inactive_decoder_and_of_one_without_encoder(bench: Any) -> None:
    decoder = bench.decoder(active=False, text_encoder=False)
    decoder.trigger_configure()
    result = change(bench, decoder, "labels", ["a"])
    assert not result.successful and "text_encoder" in result.reason
    decoder.trigger_cleanup()
    assert decoder.set_parameters([Parameter("text_encoder", value=True)])[0].successful
    decoder.trigger_configure()
    assert change(bench, decoder, "labels", ["a"]).successful
    decoder.trigger_activate()
    assert Speaker(bench, decoder._model).text(decoder, 0).label == "a"
