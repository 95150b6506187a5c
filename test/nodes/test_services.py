# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predict, EncodeText, DecodeText: what they answer, what they refuse; that nobody is left waiting and the stream goes on."""
from __future__ import annotations

import signal
import subprocess
import sys
import threading
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn

from vljepa_ros.model import VLJEPA
from vljepa_ros.nodes import decoder_node, qos, services
from vljepa_ros.nodes.conversions import ns_from_time
from vljepa_ros.srv import DecodeText, EncodeText, Predict

QUESTION = "Is the lamp on?"


class Callers:
    """Clients of every service, in the bench's executor."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self._clients: dict[str, Any] = {}

    def ask(self, service_type: type, name: str, **fields: Any) -> Any:
        """A request under way: its future."""
        if name not in self._clients:
            self._clients[name] = self.bench.outside.create_client(service_type, name, qos_profile=qos.copy(qos.REQUESTS))
        self.bench.until(self._clients[name].service_is_ready, f"the service {name}")
        return self._clients[name].call_async(service_type.Request(**fields))

    def answer(self, future: Any) -> Any:
        self.bench.until(future.done, "the answer")
        return future.result()

    def predict(self, query: str = QUESTION) -> Any:
        return self.answer(self.ask(Predict, "predictor_node/predict", query=query))

    def encode(self, texts: list[str]) -> Any:
        return self.answer(self.ask(EncodeText, "decoder_node/encode_text", texts=texts))

    def decode(self, vectors_ND: np.ndarray, space_id: str, **fields: Any) -> Any:
        values = dict(vectors=array("f", np.asarray(vectors_ND, np.float32).ravel()), dim=vectors_ND.shape[-1], space_id=space_id)
        return self.answer(self.ask(DecodeText, "decoder_node/decode_text", **(values | fields)))


@pytest.fixture
def callers(bench: Any) -> Callers:
    return Callers(bench)


@pytest.fixture
def model(bench: Any) -> VLJEPA:
    return VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch")


class Held:
    """Holds up one of a node's model's methods from its next call on."""

    def __init__(self, model: Any, method: str) -> None:
        self.entered, self._go_on, self._works = threading.Event(), threading.Event(), getattr(model, method)
        setattr(model, method, self._held)

    def _held(self, *arguments: Any) -> Any:
        self.entered.set()
        self._go_on.wait(100)
        return self._works(*arguments)

    def go_on(self) -> None:
        self._go_on.set()


# Predict


def test_predict_answers_about_the_latest_clip(bench: Any, callers: Callers, noise: Any, stamps: Any, model: VLJEPA) -> None:
    predictor = bench.predictor(engine="torch")
    images, sent = noise(10), stamps(10)
    bench.stream(predictor, images, sent)
    predictor._model.encode_frames = lambda *_: pytest.fail("the clip was seen already; its tokens serve")
    answer = callers.predict()
    assert answer.success and answer.message == "" and 0 < answer.seconds < 60
    latest, one = bench.embeddings[-1], answer.embedding
    assert ns_from_time(one.header.stamp) == sent[-1] and one.header.frame_id == "camera" and one.query == QUESTION
    for field in ("header", "clip_start", "epoch", "sequence", "space_id", "novelty"):
        assert getattr(one, field) == getattr(latest, field), field
    np.testing.assert_allclose(one.vector, model.embed(np.stack(images[-7::2]), QUESTION), atol=1e-5)
    assert callers.predict("").embedding.query == "", "the clip as such"


def test_predict_before_the_first_clip_says_what_to_do(bench: Any, callers: Callers, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    answer = callers.predict()
    assert not answer.success and "no clip yet" in answer.message and "ask again" in answer.message
    assert len(answer.embedding.vector) == 0
    bench.stream(predictor, noise(8), stamps(8))
    assert callers.predict().success
    predictor.trigger_deactivate()
    predictor.trigger_activate()
    assert "no clip yet" in callers.predict().message, "the clip from before the pause is not the latest of now"


@pytest.mark.parametrize("state, remedy", [("unconfigured", "configure"), ("inactive", "activate")])
def test_a_node_that_is_not_active_says_what_to_do(bench: Any, callers: Callers, state: str, remedy: str) -> None:
    nodes = bench.predictor(active=False), bench.decoder(active=False)
    for node in nodes if state == "inactive" else ():
        node.trigger_configure()
    for answer in (callers.predict(), callers.encode(["a"]), callers.decode(np.eye(16)[:1], "any")):
        assert not answer.success and state in answer.message and f"{remedy}`" in answer.message, answer.message
    bench.until_said("predictor_node: services", "1 requests were refused", state, level=b"\x01")


def test_a_query_longer_than_the_checkpoint_reads_is_refused(bench: Any, callers: Callers, noise: Any, stamps: Any) -> None:
    bench.stream(bench.predictor(), noise(8), stamps(8))
    answer = callers.predict("x" * 17)
    assert not answer.success and "17 tokens" in answer.message and "reads 16" in answer.message and "shorten" in answer.message


def test_a_request_waits_for_the_clip_under_way_and_no_longer(
    bench: Any, callers: Callers, noise: Any, to_image: Any, stamps: Any
) -> None:
    """And images are taken while it waits: its coroutine does not occupy their callback group."""
    predictor = bench.predictor()
    bench.stream(predictor, noise(8), stamps(8))
    order: list[str] = []
    works = predictor._model.look
    predictor._model.look = lambda *arguments: (order.append("clip"), works(*arguments))[1]
    predictor._model.predict = lambda *arguments, works=predictor._model.predict: (
        order.append("request") if arguments[1] == [QUESTION] else None, works(*arguments)
    )[1]
    look = Held(predictor._model, "look")
    sent = stamps(20)
    bench.send(predictor, to_image(noise(1)[0], sent[8]))
    bench.until(look.entered.is_set, "the clip under way")
    futures = [callers.ask(Predict, "predictor_node/predict", query=QUESTION) for _ in range(2)]
    bench.until(lambda: predictor._inbox.waiting == 2, "the requests in the tray")
    for image, stamp_ns in zip(noise(4), sent[9:13]):
        bench.send(predictor, to_image(image, stamp_ns))
    look.go_on()
    answers = [callers.answer(future) for future in futures]
    bench.until(lambda: order.count("clip") == 2, "the newest clip")
    assert order[:3] == ["clip", "request", "clip"] and order.count("request") == 2, order
    assert [ns_from_time(one.embedding.header.stamp) for one in answers] == [sent[8], sent[12]]


def test_a_full_tray_is_said_and_those_in_it_are_answered_in_order(
    bench: Any, callers: Callers, noise: Any, to_image: Any, stamps: Any
) -> None:
    predictor = bench.predictor()
    bench.stream(predictor, noise(8), stamps(8))
    look = Held(predictor._model, "look")
    bench.send(predictor, to_image(noise(1)[0], stamps(9)[-1]))
    bench.until(look.entered.is_set, "the clip under way")
    asked = [str(index) for index in range(services.WAITING)]
    answered: list[str] = []
    predict = predictor._model.predict
    predictor._model.predict = lambda tokens, queries: (answered.extend(queries), predict(tokens, queries))[1]
    futures = [callers.ask(Predict, "predictor_node/predict", query=query) for query in asked]
    bench.until(lambda: predictor._inbox.waiting == services.WAITING, "a full tray")
    refused = callers.predict()
    assert not refused.success and f"{services.WAITING} requests wait" in refused.message and not answered
    look.go_on()
    assert [callers.answer(future).embedding.query for future in futures] == asked
    assert [query for query in answered if query in asked] == asked
    assert callers.predict().success
    bench.until(lambda: bench.values("predictor_node: services").get("answered") == str(services.WAITING + 1), "their count")


def test_a_model_that_fails_is_said_and_the_next_request_is_tried(bench: Any, callers: Callers, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    bench.stream(predictor, noise(8), stamps(8))
    works, predictor._model.predict = predictor._model.predict, lambda *_: 1 / 0
    answer = callers.predict()
    assert not answer.success and "ZeroDivisionError" in answer.message and "/diagnostics" in answer.message
    predictor._model.predict = works
    assert callers.predict().success and predictor._worker.failures == 0


# nobody is left waiting


def waiting(bench: Any, callers: Callers, noise: Any, to_image: Any, stamps: Any) -> tuple[Any, list[Any], Held]:
    """A predictor whose model is busy, and two requests that wait for it."""
    predictor = bench.predictor()
    bench.stream(predictor, noise(8), stamps(8))
    look = Held(predictor._model, "look")
    bench.send(predictor, to_image(noise(1)[0], stamps(9)[-1]))
    bench.until(look.entered.is_set, "the clip under way")
    futures = [callers.ask(Predict, "predictor_node/predict", query=QUESTION) for _ in range(2)]
    bench.until(lambda: predictor._inbox.waiting == 2, "the requests in the tray")
    return predictor, futures, look


@pytest.mark.parametrize("end", ["trigger_deactivate", "trigger_shutdown"])
def test_requests_that_wait_are_refused_on_deactivate_and_shutdown(
    bench: Any, callers: Callers, noise: Any, to_image: Any, stamps: Any, end: str
) -> None:
    predictor, futures, look = waiting(bench, callers, noise, to_image, stamps)
    threading.Timer(0.2, look.go_on).start()  # deactivate waits for the clip under way
    assert getattr(predictor, end)() == TransitionCallbackReturn.SUCCESS
    for future in futures:
        answer = callers.answer(future)
        assert not answer.success and "deactivated" in answer.message and "ask again" in answer.message


def test_requests_are_refused_where_the_model_does_not_come_back(
    bench: Any, callers: Callers, noise: Any, to_image: Any, stamps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, futures, look = waiting(bench, callers, noise, to_image, stamps)
    works = predictor._worker.stop
    monkeypatch.setattr(predictor._worker, "stop", lambda: works(timeout_s=0.1))
    assert predictor.trigger_deactivate() == TransitionCallbackReturn.ERROR
    assert all(not callers.answer(future).success for future in futures)
    look.go_on()


def test_requests_are_refused_where_the_worker_dies(
    bench: Any, callers: Callers, noise: Any, to_image: Any, stamps: Any
) -> None:
    predictor, futures, look = waiting(bench, callers, noise, to_image, stamps)

    def end(*_: Any) -> None:
        raise SystemExit("enough")

    predictor._model.predict = end  # the clip under way asks it, or the first request does
    look.go_on()
    answers = [callers.answer(future) for future in futures] + [callers.predict()]
    assert all(not one.success and "the worker stopped" in one.message for one in answers), answers
    predictor.trigger_deactivate()
    predictor.trigger_activate()
    assert "no clip yet" in callers.predict().message


# EncodeText and DecodeText


def test_texts_are_placed_where_the_model_places_them(bench: Any, callers: Callers, model: VLJEPA) -> None:
    bench.decoder(engine="torch")
    texts = ["the lamp is on", "the lamp is off", "a"]
    answer = callers.encode(texts)
    assert answer.success and answer.space_id == model.space_id and answer.dim == model.dim and answer.seconds > 0
    np.testing.assert_allclose(np.reshape(answer.vectors, (3, answer.dim)), model.encode_text(texts), atol=1e-5)


@pytest.mark.parametrize(
    "texts, words",
    [
        ([], ("1 to 64", "got 0")), (["a"] * 65, ("1 to 64", "got 65")), (["a", ""], ("texts[1]", "empty")),
        (["a", "x" * 33], ("texts[1]", "33 tokens", "reads 32")), (["x" * 5000], ("texts[0]", "5000 characters")),
    ],
)
def test_texts_that_cannot_be_placed_are_refused_by_name(bench: Any, callers: Callers, texts: list[str], words: Any) -> None:
    bench.decoder()
    answer = callers.encode(texts)
    assert not answer.success and all(word in answer.message for word in words), answer.message
    assert len(answer.vectors) == answer.dim == 0


def test_without_the_text_encoder_nothing_is_placed_and_the_reason_given(bench: Any, callers: Callers) -> None:
    node = bench.decoder(text_encoder=False)
    assert "text_encoder" not in node._model.modules
    answer = callers.encode(["a"])
    assert not answer.success and "text_encoder is false" in answer.message and "true" in answer.message
    assert callers.decode(np.eye(16)[:1], node._model.space_id).success


def test_a_checkpoint_without_text_encoder_names_the_way_out(bench: Any, model: VLJEPA, tmp_path: Any) -> None:
    half = VLJEPA.from_pretrained(bench.checkpoint, device="cpu", engine="torch", parts=("text_decoder",))
    half.save_pretrained(tmp_path / "half")
    node = bench.decoder(active=False, checkpoint=str(tmp_path / "half"))
    node.trigger_configure()
    assert node.state == "unconfigured" and "no part text_encoder" in node.fault and "text_encoder to false" in node.fault


def test_vectors_are_put_into_the_models_words(bench: Any, callers: Callers, model: VLJEPA) -> None:
    bench.decoder(engine="torch")
    vectors_ND = model.encode_text(["the lamp is on", "the drawer is open"])
    answer, ours = callers.decode(vectors_ND, model.space_id), model.decode_full(vectors_ND)
    assert answer.success and answer.seconds > 0
    assert list(answer.texts) == [one.text for one in ours] and list(answer.familiar) == [one.familiar for one in ours]
    np.testing.assert_allclose(answer.confidences, [one.confidence for one in ours], atol=1e-4)


@pytest.mark.parametrize(
    "vectors_ND, fields, words",
    [
        (np.eye(16)[:1], dict(space_id="feedfacefeedface"), ("feedfacefeedface", "same checkpoint")),
        (np.eye(16)[:1], dict(space_id=""), ("(none)", "same checkpoint")),
        (np.stack([np.eye(16)[0], np.zeros(16)]), {}, ("vectors[1]", "norm 0")),
        (np.full((1, 16), np.nan), {}, ("vectors[0]", "norm nan")),
        (np.full((1, 16), 0.5), {}, ("vectors[0]", "norm 2")),
        (np.eye(8)[:1], {}, ("dim 8", "16 numbers")),
        (np.eye(16)[:1], dict(vectors=array("f", [1.0] * 15)), ("15 numbers",)),
        (np.zeros((0, 16)), {}, ("1 to 64", "got 0")),
        (np.eye(16)[[0] * 65], {}, ("1 to 64", "got 65")),
    ],
)
def test_vectors_that_are_none_are_refused_by_name(
    bench: Any, callers: Callers, vectors_ND: np.ndarray, fields: dict[str, Any], words: tuple[str, ...]
) -> None:
    node = bench.decoder()
    answer = callers.decode(vectors_ND, **({"space_id": node._model.space_id} | fields))
    assert not answer.success and all(word in answer.message for word in words), answer.message
    assert len(answer.texts) == 0 and decoder_node.MAX_VECTORS == 64


def test_the_dot_product_of_both_services_is_the_models(
    bench: Any, callers: Callers, noise: Any, stamps: Any, model: VLJEPA
) -> None:
    """A question with candidates: the two nodes need not know of each other."""
    predictor = bench.predictor(engine="torch")
    bench.decoder(engine="torch")
    images, candidates = noise(8), ["yes", "no", "the lamp is on"]
    bench.stream(predictor, images, stamps(8))
    texts, answer = callers.encode(candidates), callers.predict()
    assert texts.space_id == answer.embedding.space_id
    scores = np.reshape(texts.vectors, (3, texts.dim)) @ np.array(answer.embedding.vector)
    clip = np.stack(images[-7::2])
    np.testing.assert_allclose(scores, model.encode_text(candidates) @ model.embed(clip, QUESTION), atol=1e-5)


# between processes

HELD = """
import threading
from vljepa_ros.nodes.lifecycle import run
from vljepa_ros.nodes.decoder_node import DecoderNode

class Held(DecoderNode):
    def _encode_text(self, request):
        print("asked", flush=True)
        threading.Event().wait(5)

run(Held)
"""


def test_a_process_that_ends_answers_whoever_waits(bench: Any, callers: Callers, tmp_path: Path, wait_until: Any) -> None:
    """By then the context is gone and nobody spins; the refusals go out all the same."""
    log = tmp_path / "log"
    with log.open("wb") as out:
        command = [sys.executable, "-c", HELD, "--ros-args", "-p", f"checkpoint:={bench.checkpoint}"]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        bench.until(lambda: bench.status("decoder_node: node"), "the node", 150.0)
        bench.until_said("decoder_node: node", "active", level=b"\x00")
        futures = [callers.ask(EncodeText, "decoder_node/encode_text", texts=["a"]) for _ in range(3)]
        bench.until(lambda: "asked" in log.read_text(), "the first request's being worked at")
        bench.until(lambda: bench.values("decoder_node: services").get("waiting") == "3", "all three of them")
        process.send_signal(signal.SIGINT)
        for future in futures:
            answer = callers.answer(future)
            assert not answer.success and "/decoder_node ends; start it again" in answer.message
        wait_until(lambda: process.poll() is not None, timeout=60, what="its end")
        assert process.returncode == 0 and "Traceback" not in log.read_text(), log.read_text()
    finally:
        process.kill()
        process.wait(10)
