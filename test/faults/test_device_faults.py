# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A device that has no room, and one that is lost: recovered from, and ended with a status that makes launch start it again."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from vljepa_ros.model.device_faults import is_device_lost, is_out_of_memory
from vljepa_ros.nodes import batches
from vljepa_ros.nodes.lifecycle import DEVICE_LOST

MODEL, NODE = "predictor_node: model", "predictor_node: node"
INJECTION = Path(__file__).with_name("injection.py")


@pytest.mark.parametrize("error, no_memory, lost", [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True, False),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True, False),
    (RuntimeError("CUDA error: out of memory"), True, False),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
    (RuntimeError("CUDA error: device-side assert triggered"), False, True),
    (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
    (ValueError("CUDA error"), False, False),
    (MemoryError("no memory for this one"), False, False),
])
def test_what_an_error_says_of_the_device(error: Exception, no_memory: bool, lost: bool) -> None:
    assert (is_out_of_memory(error), is_device_lost(error)) == (no_memory, lost)


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="torch before 2.8 has no AcceleratorError")
def test_the_accelerator_s_own_error() -> None:
    assert is_device_lost(torch.AcceleratorError("unspecified launch failure"))


def test_without_room_clips_are_lost_and_named_and_with_room_the_stream_goes_on(
    bench: Any, noise: Any, stamps: Any, to_image: Any, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = bench.predictor()
    injected = faults(predictor)
    images, sent = noise(20), stamps(20)
    bench.stream(predictor, images[:10], sent[:10])
    before = len(bench.embeddings)
    injected.memory_clips = 0
    for image, stamp_ns in zip(images[10:14], sent[10:14]):
        lost = predictor._figures_of[""].drops["out_of_memory"]
        bench.send(predictor, to_image(image, stamp_ns))
        bench.until(lambda lost=lost: predictor._figures_of[""].drops["out_of_memory"] > lost, "the loss")
    bench.until_said(MODEL, "no room for a single clip (4 times in a row)", "set device to cpu", level=b"\x02")
    assert predictor.state == "active" and len(bench.embeddings) == before
    assert bench.values(MODEL)["drops.out_of_memory"] == "4" and bench.values(MODEL)["drops.model_error"] == "0"
    injected.memory_clips = None
    bench.stream(predictor, images[14:], sent[14:])
    assert len(bench.embeddings) == before + 6 and {one.epoch for one in bench.embeddings} == {0}
    bench.until_said(MODEL, "no room for 4 clips", "more later", level=b"\x01")


def test_a_lost_device_ends_the_node_through_its_error_state(
    bench: Any, noise: Any, stamps: Any, to_image: Any, faults: Any
) -> None:
    predictor = bench.predictor()
    injected, sent = faults(predictor), stamps(12)
    images = noise(12)
    bench.stream(predictor, images[:10], sent[:10])
    injected.lost = True
    bench.camera(type(to_image(images[10], sent[10])), "image").publish(to_image(images[10], sent[10]))
    bench.until(predictor.ended.done, "the end")
    assert predictor.ended.result() == DEVICE_LOST and predictor.state == "finalized"
    bench.until_said(NODE, "the device is lost", "illegal memory access", level=b"\x02")
    assert predictor._model is None, "what it held is released"


def test_a_question_that_meets_the_lost_device_is_answered_and_ends_the_node_too(
    bench: Any, noise: Any, stamps: Any, faults: Any
) -> None:
    from vljepa_ros.srv import Predict

    predictor = bench.predictor()
    bench.stream(predictor, noise(10), stamps(10))
    faults(predictor).lost = True
    client = bench.outside.create_client(Predict, "predictor_node/predict")
    bench.until(client.service_is_ready, "the service")
    future = client.call_async(Predict.Request(query="Is the lamp on?"))
    bench.until(lambda: future.done() and predictor.ended.done(), "the refusal and the end")
    assert not future.result().success and "illegal memory access" in future.result().message


TEXTS = "decoder_node: texts"


def test_a_decoder_without_room_loses_texts_says_so_and_goes_on(bench: Any, noise: Any, stamps: Any, faults: Any) -> None:
    predictor, decoder = bench.predictor(), bench.decoder(decode__max_silence_s=0.2)
    injected, images, sent = faults(decoder), iter(noise(400)), iter(stamps(400))

    def until(done: Any, what: str) -> None:
        def step() -> bool:
            bench.stream(predictor, [next(images)], [next(sent)])
            return done()

        bench.until(step, what)

    until(lambda: bench.texts, "a text")
    injected.no_room = 1
    until(lambda: decoder._drops["out_of_memory"] == 1, "the loss")
    bench.until_said(TEXTS, "no room for 1 texts", "set device to cpu", level=b"\x01")
    said = len(bench.texts)
    until(lambda: len(bench.texts) > said, "a text after it")
    injected.no_room = 1_000
    until(lambda: decoder._no_room_in_a_row >= 3, "one loss after another")
    bench.until_said(TEXTS, "no room for a text (", "in a row", "smaller checkpoint", level=b"\x02")
    injected.no_room, said = 0, len(bench.texts)
    until(lambda: len(bench.texts) > said, "words again")
    values = bench.values(TEXTS)
    assert int(values["drops.out_of_memory"]) >= 4 and values["drops.decode_error"] == "0"
    assert decoder.state == "active" and decoder._worker.failures == 0


@pytest.mark.parametrize("kind", ["encode_text", "decode_text", "predict"])
def test_a_request_without_room_is_told_what_to_do(
    bench: Any, noise: Any, stamps: Any, faults: Any, kind: str, capfd: pytest.CaptureFixture
) -> None:
    from vljepa_ros.srv import DecodeText, EncodeText, Predict

    node = bench.predictor() if kind == "predict" else bench.decoder()
    if kind == "predict":
        bench.stream(node, noise(10), stamps(10))
    model, vector = node._model, [node._model.dim**-0.5] * node._model.dim
    service, request = {
        "encode_text": (EncodeText, EncodeText.Request(texts=["Is the lamp on?"])),
        "decode_text": (DecodeText, DecodeText.Request(space_id=model.space_id, dim=model.dim, vectors=vector)),
        "predict": (Predict, Predict.Request(query="Is the lamp on?")),
    }[kind]
    client = bench.outside.create_client(service, f"{node.get_name()}/{kind}")
    bench.until(client.service_is_ready, "the service")
    faults(node).no_room = 1
    first, second = client.call_async(request), client.call_async(request)
    bench.until(lambda: first.done() and second.done(), "both answers")
    answers = sorted((first.result(), second.result()), key=lambda one: one.success)
    assert not answers[0].success and answers[1].success
    assert "no room" in answers[0].message and "fewer at once" in answers[0].message and "device to cpu" in answers[0].message
    assert node.state == "active" and node._worker.failures == 0
    assert "Traceback" not in capfd.readouterr().err


def test_labels_without_room_leave_no_old_label_behind(bench: Any, noise: Any, stamps: Any, faults: Any) -> None:
    from rclpy.parameter import Parameter

    predictor, decoder = bench.predictor(), bench.decoder(decode__max_silence_s=0.2, labels=["The lamp is on."])
    injected, images, sent = faults(decoder), iter(noise(400)), iter(stamps(400))
    bench.stream(predictor, [next(images) for _ in range(8)], [next(sent) for _ in range(8)])
    injected.no_room = 1
    wanted = Parameter("labels", Parameter.Type.STRING_ARRAY, ["The drawer is open."])
    assert decoder.set_parameters([wanted])[0].successful
    bench.until(lambda: decoder._worker.failures, "the failure")
    bench.until_said(TEXTS, "out of memory", level=b"\x01")
    before = len(bench.texts)

    def step() -> bool:
        bench.stream(predictor, [next(images)], [next(sent)])
        return len(bench.texts) > before

    bench.until(step, "a text")
    assert bench.texts[-1].label == ""
    assert decoder.set_parameters([wanted])[0].successful, "once more, with room"
    bench.until(lambda: decoder._labels is not None, "the labels")
    before = len(bench.texts)
    bench.until(step, "a text")
    assert bench.texts[-1].label == "The drawer is open."


def test_a_device_lost_while_words_are_made_ends_the_decoder(bench: Any, noise: Any, stamps: Any, faults: Any) -> None:
    predictor, decoder = bench.predictor(), bench.decoder()
    faults(decoder).lost = True
    images, sent = iter(noise(400)), iter(stamps(400))

    def step() -> bool:
        bench.stream(predictor, [next(images)], [next(sent)])
        return decoder.ended.done()

    bench.until(step, "the end")
    assert decoder.ended.result() == DEVICE_LOST and decoder.state == "finalized"
    bench.until_said("decoder_node: node", "the device is lost", "illegal memory access", level=b"\x02")
    assert decoder._model is None and not bench.texts, "what it held is released"
    assert predictor.state == "active", "the other node is none the worse"


@pytest.mark.timeout(300)
def test_the_process_ends_with_a_status_that_is_not_0(
    bench: Any, noise: Any, stamps: Any, to_image: Any, tmp_path: Path
) -> None:
    from sensor_msgs.msg import Image

    commands, log = tmp_path / "faults.json", tmp_path / "log"
    arguments = ["-p", f"checkpoint:={bench.checkpoint}", "-p", "threads:=1"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(INJECTION), "predictor_node", str(commands), "--ros-args", *arguments], stdout=file,
            stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    try:
        bench.until(lambda: bench.status(NODE) or process.poll() is not None, "the node", 150.0)
        assert process.poll() is None, log.read_text()
        bench.until_said(NODE, "active", level=b"\x00")
        publisher, clock, (image,) = bench.camera(Image, "image"), bench.outside.get_clock(), noise(1)

        def sent(done: Any) -> bool:
            publisher.publish(to_image(image, clock.now().nanoseconds))
            bench.spin()
            return done()

        bench.until(lambda: sent(lambda: bench.embeddings), "an embedding")
        commands.write_text(json.dumps({"lost": True}))
        bench.until(lambda: sent(lambda: process.poll() is not None), "its end")
        assert process.returncode == DEVICE_LOST, log.read_text()
        assert "the device is lost" in log.read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)


def test_the_batch_halves_and_grows_back(
    bench: Any, noise: Any, stamps: Any, to_image: Any, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cameras, room for one clip, then for both."""
    monkeypatch.setattr(batches, "GROW_AFTER", 3)
    predictor = bench.predictor(cameras=["front", "rear"])
    injected = faults(predictor)
    injected.memory_clips, injected.latency_s = 1, 0.02
    kind = type(to_image(noise(1)[0], 1))
    publishers = [bench.outside.create_publisher(kind, f"{name}/image", 10) for name in ("front", "rear")]
    bench.until(lambda: all(one.get_subscription_count() for one in publishers), "both subscriptions")
    images, sent = noise(2), iter(stamps(100_000))

    def until(done: Any, what: str) -> None:
        def step() -> bool:
            stamp_ns = next(sent)
            for publisher, image in zip(publishers, images):
                publisher.publish(to_image(image, stamp_ns))
            bench.spin()
            return done()

        bench.until(step, what)

    until(lambda: 2 in injected.batches, "a batch of both")
    until(lambda: predictor._batches.now == 1, "half of it")
    injected.memory_clips = None
    count = len(injected.batches)
    until(lambda: 2 in injected.batches[count:], "both at once again")
    drops = [predictor._figures_of[name].drops["out_of_memory"] for name in ("front", "rear")]
    assert drops[0] == drops[1] >= 1
