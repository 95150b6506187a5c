# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings and transitions in, words out: when, from what, and why not."""
from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import DecodedText, SemanticEmbedding, WorldStateTransition
from vljepa_ros.nodes import conversions, qos
from vljepa_ros.streaming import Embedding, Transition

START_NS = 1_700_000_000 * 10**9
INPUT, TEXTS = "decoder_node: input", "decoder_node: texts"


class Predictor:
    """What a decoder hears of a predictor, said by hand."""

    def __init__(self, bench: Any, model: VLJEPA) -> None:
        self.bench = bench
        self.space_id, self.dim = model.space_id, model.dim
        self.query = model.config.prompts["state"]
        self.embedding = bench.outside.create_publisher(SemanticEmbedding, "predictor_node/embedding", qos.copy(qos.RESULTS))
        self.transition = bench.outside.create_publisher(WorldStateTransition, "predictor_node/transition", qos.copy(qos.RESULTS))
        self.sequence = 0
        self.now_ns = START_NS
        self.decoder: Any = None

    def tell(self, **parameters: Any) -> Any:
        """Make the decoder that is spoken to."""
        self.decoder = self.bench.decoder(**parameters)
        return self.decoder

    def vector(self, seed: int) -> np.ndarray:
        vector = np.random.default_rng(seed).normal(size=self.dim).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def say(self, publisher: Any, message: Any) -> None:
        """Until the decoder has heard it: what is said later on the other topic is heard later, too."""
        heard = self.embedding.get_subscription_count, self.transition.get_subscription_count
        self.bench.until(lambda: all(count() for count in heard), "the decoder")
        before = self.decoder._topics.heard
        publisher.publish(message)
        self.bench.until(lambda: self.decoder._topics.heard > before, "the decoder's hearing it")

    def embed(self, seconds: float, seed: int = 0, epoch: int = 0, **fields: Any) -> None:
        """So many seconds of one vector, ten per second."""
        for _ in range(round(seconds * 10)):
            self.now_ns += 100_000_000
            values = dict(
                vector_D=self.vector(seed), stamp_ns=self.now_ns, clip_start_ns=self.now_ns - 600_000_000, epoch=epoch,
                sequence=self.sequence, space_id=self.space_id, query=self.query, frame_id="camera",
            )
            self.say(self.embedding, conversions.embedding_to_message(Embedding(**(values | fields))))
            self.sequence += 1

    def change(self, segment: int, before: int, after: int, epoch: int = 0, **fields: Any) -> None:
        values = dict(
            stamp_ns=self.now_ns, boundary_ns=self.now_ns - 400_000_000, epoch=epoch, segment=segment, segment_start_ns=START_NS,
            distance=1.0, threshold=0.1, space_id=self.space_id, before_D=self.vector(before), after_D=self.vector(after),
        )
        self.say(self.transition, conversions.transition_to_message(Transition(**(values | fields))))


@pytest.fixture
def predictor(bench: Any) -> Predictor:
    return Predictor(bench, VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch"))


def test_one_text_at_the_start_and_one_per_change(bench: Any, predictor: Predictor) -> None:
    predictor.tell(engine="torch")
    predictor.embed(2.0, seed=0)
    bench.until(lambda: bench.texts, "the first text")
    predictor.embed(1.0, seed=1)
    predictor.change(1, before=0, after=1)
    predictor.embed(2.0, seed=1)
    bench.until(lambda: len(bench.texts) == 2, "the second text")
    first, second = bench.texts
    assert (first.trigger, first.segment, first.epoch) == (DecodedText.START, 0, 0)
    assert (second.trigger, second.segment, second.epoch) == (DecodedText.CHANGE, 1, 0)
    assert conversions.ns_from_time(first.segment_start) == START_NS + 100_000_000
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    for text, seed in ((first, 0), (second, 1)):
        assert text.query == predictor.query and text.header.frame_id == "camera" and text.decode_seconds > 0
        assert text.text == model.decode(predictor.vector(seed))[0] and 0 <= text.confidence <= 1
        assert text.label == "" and text.score == 0.0
    assert bench.until_said(TEXTS, "2 texts", level=b"\x00")


def test_words_about_foreign_footage_are_marked(bench: Any, predictor: Predictor) -> None:
    predictor.tell()
    predictor.embed(1.5, seed=0, novelty=0.7)
    bench.until(lambda: bench.texts, "the first text")
    predictor.embed(1.0, seed=1, novelty=1.3)
    predictor.change(1, before=0, after=1)
    predictor.embed(1.5, seed=1, novelty=1.3)
    bench.until(lambda: len(bench.texts) == 2, "the second text")
    assert [one.familiar for one in bench.texts] == [True, False]


def test_the_newest_text_waits_for_late_subscribers(bench: Any, predictor: Predictor) -> None:
    predictor.tell()
    predictor.embed(1.5)
    bench.until(lambda: bench.texts, "the text")
    late: list[Any] = []
    bench.outside.create_subscription(DecodedText, "decoder_node/text", late.append, qos.copy(qos.LATCHED))
    bench.until(lambda: late, "the text, by a late subscriber")
    assert late[0].text == bench.texts[0].text


def test_the_nearest_label_goes_with_every_text(bench: Any, predictor: Predictor) -> None:
    labels = ["the lamp is on", "the lamp is off", "the drawer is open"]
    predictor.tell(labels=labels, engine="torch")
    predictor.embed(1.5, seed=3)
    text = bench.until(lambda: bench.texts, "the text")[0]
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    cosines = model.encode_text(labels) @ predictor.vector(3)
    assert text.label == labels[int(cosines.argmax())] and text.score == pytest.approx(float(cosines.max()), abs=1e-4)


def test_a_label_that_is_empty_is_named(bench: Any) -> None:
    node = bench.decoder(active=False, labels=["lamp", ""])
    node.trigger_configure()
    assert node.state == "unconfigured" and "labels" in node.fault


def test_embeddings_of_another_space_are_never_decoded(bench: Any, predictor: Predictor) -> None:
    predictor.tell()
    predictor.embed(3.0, space_id="feedfacefeedface")
    predictor.change(1, before=0, after=1, space_id="feedfacefeedface")
    status = bench.until_said(INPUT, "feedfacefeedface", predictor.space_id, "nothing is decoded", level=b"\x02")
    bench.until(lambda: bench.values(INPUT).get("drops.wrong_space") == "31", "the count of what was refused")
    assert not bench.texts and status.name == INPUT
    predictor.embed(1.5)
    bench.until(lambda: bench.texts, "a text once the space is right")


@pytest.mark.parametrize("vector", [np.zeros(16), np.full(16, np.nan), np.full(16, 0.5), np.eye(8)[0]])
def test_vectors_that_are_none_are_counted(bench: Any, predictor: Predictor, vector: np.ndarray) -> None:
    predictor.tell()
    predictor.embed(0.5, vector_D=vector.astype(np.float32))
    bench.until_said(INPUT, "bad_vector", level=b"\x01")
    bench.until(lambda: bench.values(INPUT)["drops.bad_vector"] == "5", "five of them")
    predictor.embed(1.5)
    bench.until(lambda: bench.texts, "a text once they are right")


def test_queries_are_told_apart(bench: Any, predictor: Predictor) -> None:
    predictor.tell(query="Is the lamp on?", engine="torch")
    for _ in range(15):
        predictor.embed(0.1, seed=0)
        predictor.sequence -= 1
        predictor.now_ns -= 100_000_000
        predictor.embed(0.1, seed=1, query="Is the lamp on?")
    text = bench.until(lambda: bench.texts, "the text")[0]
    model = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")
    assert text.query == "Is the lamp on?" and text.text == model.decode(predictor.vector(1))[0]


def test_a_query_that_nobody_answers_is_named(bench: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_ros.nodes.predictor_topics.SILENCE_S", 0.2)
    node = predictor.tell(query="Is the lamp on?")
    node._topics._rate._window_s = 0.2

    def said() -> bool:
        predictor.embed(0.1)
        status = bench.status(INPUT)
        words = ("no embedding answers 'Is the lamp on?'", predictor.query)
        return status is not None and all(word in status.message for word in words)

    bench.until(said, "the complaint")
    assert not bench.texts


def test_a_predictor_that_starts_again_is_followed(bench: Any, predictor: Predictor) -> None:
    """It numbers epochs, sequences and segments from 0 as before; only the sequence tells."""
    predictor.tell()
    predictor.embed(2.0)
    predictor.change(1, before=0, after=1)
    predictor.embed(2.0, seed=1)
    bench.until(lambda: len(bench.texts) == 2, "two texts")
    predictor.sequence = 0
    predictor.embed(2.0, seed=2)
    predictor.change(1, before=2, after=3)
    predictor.embed(2.0, seed=3)
    bench.until(lambda: len(bench.texts) == 4, "two texts more")
    assert [text.trigger for text in bench.texts] == ["START", "CHANGE", "START", "CHANGE"]
    bench.until_said(INPUT, "began anew (1 times")


def test_slow_words_hold_up_no_callback_and_the_oldest_give_way(bench: Any, predictor: Predictor) -> None:
    node = predictor.tell(queue=2)
    go_on, decode = threading.Event(), node._model.decode_full
    node._model.decode_full = lambda *arguments: go_on.wait(100) and decode(*arguments)
    predictor.embed(1.0)
    bench.until(lambda: node._worker.busy, "the first text's decoding")
    for epoch in range(1, 6):  # every epoch has a text to say
        predictor.embed(1.0, epoch=epoch)
    bench.until(lambda: bench.values(INPUT).get("embeddings") == "60", "all embeddings, while the first text is being decoded")
    assert not bench.texts
    bench.until_said(TEXTS, "3 texts were given up", level=b"\x01")
    assert bench.values(TEXTS)["waiting"] == "2"
    go_on.set()
    bench.until(lambda: len(bench.texts) == 3, "the others")
    assert [text.epoch for text in bench.texts] == [0, 4, 5]


def test_a_decoder_that_fails_is_named_and_goes_on(bench: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    node = predictor.tell()
    with monkeypatch.context() as patch:
        patch.setattr(node._model, "decode_full", lambda *_: 1 / 0)
        for epoch in range(4):
            predictor.embed(1.0, epoch=epoch)
        bench.until_said(TEXTS, "failed 4 times in a row", "ZeroDivisionError", level=b"\x02")
        assert bench.values(TEXTS)["drops.decode_error"] == "4"
    predictor.embed(1.0, epoch=4)
    bench.until(lambda: bench.texts, "a text once it works")


def test_both_nodes_together(bench: Any, noise: Any, stamps: Any) -> None:
    predictor, _ = bench.predictor(), bench.decoder()
    sent = stamps(25)
    bench.stream(predictor, noise(1) * 25, sent)
    text = bench.until(lambda: bench.texts, "a text")[0]
    assert text.trigger == DecodedText.START and text.header.frame_id == "camera"
    assert conversions.ns_from_time(text.header.stamp) in sent
    assert conversions.ns_from_time(text.header.stamp) >= conversions.ns_from_time(text.segment_start) + 600_000_000
