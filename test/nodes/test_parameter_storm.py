# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A storm of parameter changes while the stream runs: what is valid holds, what is not is refused with what is allowed."""
from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSHistoryPolicy, QoSProfile

from vljepa_ros.msg import SemanticEmbedding
from vljepa_ros.nodes.conversions import ns_from_time
from vljepa_ros.srv import Predict

CHANGES = 1_000
LOOK_S = 0.04  # of latency for each clip: 25 per second at most
FRAME_S = LOOK_S / 4
LISTS = [["Is the lamp on?"], ["Is the lamp on?", "The drawer is open."], [""], []]
LONG = "very " * 500 + "long"
# name, value, what the refusal says
INVALID = [
    ("queries", ["a", "a"], "differ"),
    ("queries", [LONG], "queries|tokens|long"),
    ("queries", 5, "queries must be a list of texts, got 5"),
    ("clip.stride_s", 1000.0, "from 0.01 to 60|0.01|range|cleanup"),
    ("clip.stride_s", 0.2, "cleanup"),
    ("silence_s", -1.0, "0.1|range|cleanup"),
    ("threads", 10_000, "256|range|cleanup"),
    ("image_transport", "pigeon", "raw|cleanup"),
    ("cameras", ["7up"], "cleanup"),
    ("no_such_parameter", 1.0, "no parameter 'no_such_parameter'"),
]


@pytest.mark.timeout(300)
def test_a_storm_under_load(bench: Any, noise: Any, to_image: Any, request: pytest.FixtureRequest) -> None:
    """Through the node's service, as other processes do it, twenty at a time. Meanwhile a camera gives four times the images that
    the model takes, three subscribers hear what comes of them, and questions about the latest clip are answered.

    Afterwards and after every request the parameters are those of the last valid change; every embedding answers a query of a set
    that once stood, whole and in its order; and nothing of an invalid request was stored, not even its valid half.
    """
    predictor = bench.predictor(clip__stride_s=0.1)
    standing = predictor._model.config.prompts.get("state", "")
    before = {name: predictor.get_parameter(name).value for name in predictor.parameters._fields if name != "queries"}
    client = bench.outside.create_client(SetParameters, "predictor_node/set_parameters")
    bench.until(client.service_is_ready, "the node's parameter service")
    questions = bench.outside.create_client(Predict, "predictor_node/predict")
    bench.until(questions.service_is_ready, "the questions' service")
    heard: tuple[list[Any], list[Any]] = ([], [])
    everything = QoSProfile(history=QoSHistoryPolicy.KEEP_ALL)
    for one in heard:
        bench.outside.create_subscription(SemanticEmbedding, "predictor_node/embedding", one.append, everything)
    looks = predictor._model.look

    def slow(*arguments: Any) -> Any:
        time.sleep(LOOK_S)
        return looks(*arguments)

    predictor._model.look = slow
    draw, images, ended = random.Random(0), noise(2), threading.Event()
    publisher = bench.camera(type(to_image(images[0], 1)), "image")
    last, refused, taken, answers = [], Counter(), 0, Counter()

    def press() -> None:
        stamp_ns, due = 1_700_000_000 * 10**9, time.monotonic()
        while not ended.is_set():
            stamp_ns += 100_000_000
            publisher.publish(to_image(images[stamp_ns // 100_000_000 % 2], stamp_ns))
            due = max(due + FRAME_S, time.monotonic())
            ended.wait(due - time.monotonic())

    camera = threading.Thread(target=press)
    camera.start()
    request.addfinalizer(lambda: (ended.set(), camera.join()))
    bench.until(lambda: bench.embeddings, "an embedding")
    valid = [True] * (CHANGES // 2) + [False] * (CHANGES // 2)
    draw.shuffle(valid)
    stood: set[tuple[str, ...]] = {(standing,)}
    while valid:
        plan = [(one, draw.choice(LISTS), draw.choice(INVALID)) for one in valid[:20]]
        del valid[:20]
        messages = []
        for good, queries, (name, value, _) in plan:
            if good:
                messages.append(Parameter("queries", Parameter.Type.STRING_ARRAY, queries).to_parameter_msg())
            else:
                messages.append(Parameter(name, value=value).to_parameter_msg())
        future = client.call_async(SetParameters.Request(parameters=messages))
        asked = [questions.call_async(Predict.Request(query=query)) for query in (LISTS[0][0], LONG)]
        bench.until(lambda: future.done() and all(one.done() for one in asked), "the results and the answers")  # noqa: B023
        answer, too_long = (one.result() for one in asked)
        assert answer.success and answer.embedding.query == LISTS[0][0], answer.message
        assert not too_long.success and "shorten it" in too_long.message
        answers.update(answered=1, refused=1)
        for (good, queries, (name, _, words)), result in zip(plan, future.result().results, strict=True):
            assert result.successful == good, (name, result.reason)
            if good:
                last, taken = queries, taken + 1
                stood.add(tuple(queries) or (standing,))
            else:
                assert re.search(words, result.reason), (name, result.reason)
                refused[name] += 1
        assert list(predictor.parameters.value("queries")) == last and predictor._queries == (tuple(last) or (standing,))
    assert taken == refused.total() == CHANGES // 2 and len(refused) == len({name for name, _, _ in INVALID})
    after = {name: predictor.get_parameter(name).value for name in before}
    assert after == before, "what was refused was not stored"
    count = len(bench.embeddings)
    bench.until(lambda: len(bench.embeddings) > count + 20, "twenty embeddings more")
    ended.set()
    camera.join()
    stream = predictor._of("")
    assert stream.figures.drops["newer_clip"] > stream.figures.embeddings.total, "or it was no load"
    assert answers == {"answered": CHANGES // 20, "refused": CHANGES // 20}
    published = predictor._of("").clips._sequence
    bench.until(lambda: bench.embeddings[-1].sequence == published - 1, "the last clip")
    bench.until(lambda: len(heard[0]) == len(heard[1]), "the last of it, by all subscribers")
    assert [one.sequence for one in heard[0]] == [one.sequence for one in heard[1]]
    assert predictor.state == "active" and predictor._worker.failures == 0 and not predictor.fault
    clips: dict[int, list[Any]] = {}
    for one in heard[0]:
        clips.setdefault(one.sequence, []).append(one)
    clips.pop(max(clips))  # its second embedding may still be on its way
    for clip in clips.values():
        assert tuple(one.query for one in clip) in stood, "a set that stood, whole"
        assert len({(one.epoch, ns_from_time(one.header.stamp)) for one in clip}) == 1
        assert all(abs(np.linalg.norm(one.vector) - 1) < 1e-4 for one in clip)
    epochs = [clips[sequence][0].epoch for sequence in sorted(clips)]
    assert epochs == sorted(epochs) and len(set(epochs)) > 10, "another first query, another epoch"


def test_of_a_request_that_is_atomic_all_is_taken_or_nothing(bench: Any) -> None:
    from rcl_interfaces.srv import SetParametersAtomically

    predictor = bench.predictor(queries=["Is the lamp on?"])
    client = bench.outside.create_client(SetParametersAtomically, "predictor_node/set_parameters_atomically")
    bench.until(client.service_is_ready, "the node's parameter service")
    both = [Parameter("queries", Parameter.Type.STRING_ARRAY, ["another"]), Parameter("silence_s", value=5.0)]
    future = client.call_async(SetParametersAtomically.Request(parameters=[one.to_parameter_msg() for one in both]))
    bench.until(future.done, "the result")
    assert not future.result().result.successful and "silence_s" in future.result().result.reason
    assert predictor.parameters.value("queries") == ("Is the lamp on?",) == predictor._queries
