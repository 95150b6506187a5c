# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed images, compressed images, requests and parameters, made by hypothesis: counted by cause, or refused by name.

In process: what DDS would deliver goes straight into the callbacks of nodes with the tiny checkpoint. VLJEPA_MALFORMED is the
number of cases of all four kinds.
"""
from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import fields
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.nodes.parameters import NAMES
from vljepa_ros.nodes.services import Job
from vljepa_ros.srv import DecodeText, EncodeText, Predict
from vljepa_ros.streaming import images

U32 = st.integers(0, 2**32 - 1)
ENCODINGS = st.sampled_from([*images.VIEWS, *images.DELEGATED, "16UC1", "32FC1", "8UC3", "", "RGB8"]) | st.text(max_size=12)
CAUSES = {"size", "step", "data", "encoding", "decode"}


def many(cases: int) -> Any:
    return settings(
        max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        derandomize=True,  # a figure that is reported must be the same again
    )


def stamped(message: Any, sec: int, nanosec: int) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    return message


STAMPS = {"sec": st.integers(-(2**31), 2**31 - 1), "nanosec": U32}


def counted(camera: Any, send: Any) -> tuple[int, Counter[str]]:
    """What `send` does to a camera: images that came, and bad ones by cause."""
    frames, bad = camera.frames, camera._bad.copy()
    send()
    return camera.frames - frames, camera._bad - bad


def judge(camera: Any, taken: list[Any], message: Any, tally: Counter[str]) -> None:
    """One message: either it became a frame, or it was counted under a cause and the sentence says what was wrong."""
    before = len(taken)
    came, bad = counted(camera, lambda: camera._on_message(message))
    assert came == 1
    assert bad.total() + len(taken) - before == 1, f"neither taken nor counted, or both: {bad}"
    assert set(bad) <= CAUSES, f"{camera._last_error}"
    if bad:
        assert "\n" not in camera._last_error and any(sign.isdigit() or sign == "'" for sign in camera._last_error)
    tally.update(bad or ["taken"])


def test_images(bench: Any, cases: int, figures: dict) -> None:
    node, tally, taken = bench.predictor(), Counter(), []
    camera = node._of("").camera
    push = camera._on_frame
    camera._on_frame = lambda frame: (push(frame), taken.append(frame.stamp_ns))

    @many(cases)
    @given(
        height=U32 | st.integers(0, 40), width=U32 | st.integers(0, 40), step=U32 | st.integers(0, 200) | st.just(-1),
        encoding=ENCODINGS, size=st.integers(0, 4000) | st.just(-1), is_bigendian=st.integers(0, 255), **STAMPS,
    )
    def one(height, width, step, encoding, size, is_bigendian, sec, nanosec) -> None:
        pixel = images.VIEWS[encoding][0] if encoding in images.VIEWS else images.DELEGATED.get(encoding, 3)
        step = min(width * pixel, 2**32 - 1) if step < 0 else step  # -1: as it should be, so that some are whole
        size = min(height * step, 20_000) if size < 0 else size
        message = Image(
            height=height, width=width, step=step, encoding=encoding, is_bigendian=is_bigendian, data=array("B", bytes(size))
        )
        judge(camera, taken, stamped(message, sec, nanosec), tally)

    one()
    assert tally.total() >= cases * 0.9 and {"size", "step", "encoding"} <= set(tally)
    figures |= {"cases": tally.total(), **tally}
    alive(bench, node)


def test_compressed_images(bench: Any, cases: int, figures: dict) -> None:
    node, tally, taken = bench.predictor(image_transport="compressed"), Counter(), []
    camera = node._of("").camera
    push = camera._on_frame
    camera._on_frame = lambda frame: (push(frame), taken.append(frame.stamp_ns))
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), (32, 24))
    whole = [bytes(cv2.imencode(kind, picture)[1]) for kind in (".jpg", ".png", ".webp", ".bmp")]

    @many(cases)
    @given(
        base=st.sampled_from(whole), cut=st.none() | st.integers(0, 4000), extra=st.binary(max_size=40),
        flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6), raw=st.none() | st.binary(max_size=200),
        kind=st.sampled_from(["jpeg", "png", "16UC1; compressedDepth", ""]) | st.text(max_size=12), **STAMPS,
    )
    def one(base, cut, extra, flips, raw, kind, sec, nanosec) -> None:
        data = bytearray(base[:cut] + extra if raw is None else raw)
        for place, value in flips:
            if data:
                data[place % len(data)] = value
        judge(camera, taken, stamped(CompressedImage(format=kind, data=array("B", bytes(data))), sec, nanosec), tally)

    one()
    assert tally.total() >= cases * 0.9 and {"taken", "decode"} <= set(tally)
    figures |= {"cases": tally.total(), **tally}
    alive(bench, node, to_compressed=whole[1])


def alive(bench: Any, node: Any, to_compressed: bytes | None = None) -> None:
    """After all of that a good stream still becomes embeddings. The stamps are later than any of hypothesis's were taken for."""
    bench.embeddings.clear()
    for index in range(40):
        stamp = {"sec": 1_800_000_000 + index // 10, "nanosec": index % 10 * 100_000_000}
        if to_compressed is None:
            message = Image(height=4, width=4, step=12, encoding="rgb8", data=array("B", bytes(48)))
        else:
            message = CompressedImage(format="png", data=array("B", to_compressed))
        node._of("").camera._on_message(stamped(message, **stamp))
    bench.until(lambda: any(one.header.stamp.sec >= 1_800_000_000 for one in bench.embeddings), "an embedding afterwards")
    assert node.state == "active" and node._worker.alive and node._worker.failures == 0
    bench.until_said("predictor_node: camera", level=None)


TEXTS = st.text(max_size=40) | st.just("") | st.just("a" * 5000) | st.just("\x00") | st.sampled_from(["lamp on", "x"])
NUMBERS = st.floats(width=32) | st.sampled_from([0.0, 1.0, 0.25])


def test_requests(bench: Any, cases: int, figures: dict, noise: Any, stamps: Any) -> None:
    predictor = bench.predictor()
    bench.stream(predictor, noise(12), stamps(12))
    decoder = bench.decoder()
    dim, space_id = decoder._model.dim, decoder._model.space_id
    tally: Counter[str] = Counter()
    unit = (np.ones(dim, np.float32) / np.sqrt(dim)).tolist()
    vectors = st.lists(NUMBERS, max_size=3 * dim) | st.integers(0, 66).map(lambda count: unit * count)

    def ask(node: Any, service: type, compute: Any, request: Any, what: str) -> None:
        job, done = Job(what, compute, request, service.Response), Event()
        assert node._inbox.ask(lambda: (job(), done.set()))  # the model is the worker's
        assert done.wait(60), what
        response = job.future.result()
        assert response.success or response.message, what
        assert "the model failed" not in response.message and "worker stopped" not in response.message, response.message
        assert "\n" not in response.message
        tally["answered" if response.success else what] += 1

    @many(cases)
    @given(
        kind=st.sampled_from(["predict", "encode", "decode"]), query=TEXTS,
        texts=st.lists(TEXTS, max_size=4) | st.just(["x"] * 65), dim=st.just(dim) | U32,
        space=st.just(space_id) | st.text(max_size=20), vectors=vectors,
    )
    def one(kind, query, texts, dim, space, vectors) -> None:
        if kind == "predict":
            ask(predictor, Predict, predictor._predict, Predict.Request(query=query), "refused predict")
        elif kind == "encode":
            ask(decoder, EncodeText, decoder._encode_text, EncodeText.Request(texts=texts), "refused encode_text")
        else:
            request = DecodeText.Request(space_id=space, dim=dim, vectors=array("f", vectors))
            ask(decoder, DecodeText, decoder._decode_text, request, "refused decode_text")

    one()
    assert all(one._worker.alive and one._worker.failures == 0 for one in (predictor, decoder))
    assert tally["answered"] and tally["refused encode_text"] and tally["refused decode_text"]
    figures |= {"cases": tally.total(), **tally}


I64 = st.integers(-(2**63), 2**63 - 1)
VALUES = (
    I64 | st.floats() | st.booleans() | st.text(max_size=20) | st.lists(st.text(max_size=8), max_size=3)
    | st.lists(I64, max_size=3) | st.sampled_from(["arrival", "header", "raw", "compressed", "torch"])
    | st.floats(0, 5) | st.integers(0, 10)
)


@pytest.mark.parametrize("active", [False, True], ids=["unconfigured", "active"])
def test_parameters(bench: Any, cases: int, figures: dict, active: bool) -> None:
    node, tally = bench.predictor(active=active), Counter()
    groups = {prefix: type(node.parameters.read(prefix)) for prefix in ("", "clip", "transition")}
    names = [f"{prefix}.{field.name}".lstrip(".") for prefix, group in groups.items() for field in fields(group)]
    live = ["queries"] * len(names)  # as often as all others together: it alone may change while the node is active

    @many(cases // 2)
    @given(changes=st.dictionaries(st.sampled_from(names + live), VALUES, min_size=1, max_size=3))
    def one(changes) -> None:
        before = {prefix: node.parameters.read(prefix) for prefix in groups}
        try:
            wanted = [
                Parameter(name, *([] if value != [] else [Parameter.Type.STRING_ARRAY]), value=value)
                for name, value in changes.items()
            ]
        except (TypeError, AssertionError):  # what no message can carry never comes
            return
        result = node.set_parameters_atomically(wanted)
        after = {prefix: node.parameters.read(prefix) for prefix in groups}  # never a mixture, never a value out of range
        if result.successful:
            tally["taken"] += 1
        else:
            assert after == before, f"refused, yet changed: {result.reason}"
            assert any(name.split(".")[-1] in result.reason for name in changes), (changes, result.reason)
            of_type = any(f"must be {kind}, got" in result.reason for kind in NAMES.values())
            tally["refused for its type" if of_type else "refused"] += 1

    one()
    assert tally["taken"] and tally["refused"]
    figures |= {"cases": tally.total(), **tally}
    if active:
        assert node.state == "active" and node._worker.alive
    else:
        node.set_parameters_atomically([
            Parameter(name, value=value) for name, value in
            {"checkpoint": str(bench.checkpoint), "threads": 1, "device": "cpu", "engine": "torch"}.items()
        ] + [Parameter("queries", Parameter.Type.STRING_ARRAY, [])])
        node.trigger_configure()
        assert node.state == "inactive", node.fault
