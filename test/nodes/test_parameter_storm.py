"""A storm of parameter changes while the stream runs: what is valid holds, what is not is refused with what is allowed."""
from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from vljepa_ros.nodes.conversions import ns_from_time

CHANGES = 1_000
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
def test_a_storm_under_load(bench: Any, noise: Any, to_image: Any) -> None:
    """Through the node's service, as other processes do it, twenty at a time, with images in between.

    Afterwards and after every request the parameters are those of the last valid change; every embedding answers a query of a set
    that once stood, whole and in its order; and nothing of an invalid request was stored, not even its valid half.
    """
    predictor = bench.predictor(clip__stride_s=0.1)
    standing = predictor._model.config.prompts.get("state", "")
    before = {name: predictor.get_parameter(name).value for name in predictor.parameters._fields if name != "queries"}
    client = bench.outside.create_client(SetParameters, "predictor_node/set_parameters")
    bench.until(client.service_is_ready, "the node's parameter service")
    draw, images = random.Random(0), noise(2)
    publisher = bench.camera(type(to_image(images[0], 1)), "image")
    stamp_ns, last, refused, taken = 1_700_000_000 * 10**9, [], Counter(), 0
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
        for _ in range(2):
            stamp_ns += 100_000_000
            publisher.publish(to_image(images[stamp_ns // 100_000_000 % 2], stamp_ns))
        bench.until(future.done, "the results")
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

    def goes_on() -> bool:
        nonlocal stamp_ns
        stamp_ns += 100_000_000
        publisher.publish(to_image(images[stamp_ns // 100_000_000 % 2], stamp_ns))
        bench.spin()
        return len(bench.embeddings) > count + 20

    bench.until(goes_on, "twenty embeddings more")
    assert predictor.state == "active" and predictor._worker.failures == 0 and not predictor.fault
    clips: dict[int, list[Any]] = {}
    for one in bench.embeddings[:-2]:  # the latest clip's may still be on their way
        clips.setdefault(one.sequence, []).append(one)
    clips.pop(max(clips))
    for answers in clips.values():
        assert tuple(one.query for one in answers) in stood, "a set that stood, whole"
        assert len({(one.epoch, ns_from_time(one.header.stamp)) for one in answers}) == 1
        assert all(abs(np.linalg.norm(one.vector) - 1) < 1e-4 for one in answers)
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
