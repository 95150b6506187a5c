# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters set to values of another type, as `ros2 param set` sends them: taken where they fit, else refused by name."""
from __future__ import annotations

from typing import Any

import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter


def sent(bench: Any, node: Any, service: type, name: str, *messages: ParameterMessage) -> Any:
    client = bench.outside.create_client(service, f"{node.get_name()}/{name}")
    bench.until(client.service_is_ready, "the node's parameter service")
    future = client.call_async(service.Request(parameters=list(messages)))
    bench.until(future.done, "the result")
    return future.result()


def change(bench: Any, node: Any, name: str, value: Any, kind: Parameter.Type | None = None) -> Any:
    return sent(bench, node, SetParameters, "set_parameters", Parameter(name, kind, value).to_parameter_msg()).results[0]


@pytest.mark.parametrize("name, value, refused", [
    ("silence_s", "long", "silence_s must be a number, got 'long'"),
    ("silence_s", True, "silence_s must be a number, got True"),
    ("threads", 1.5, "threads must be a whole number, got 1.5"),
    ("threads", "two", "threads must be a whole number, got 'two'"),
    ("step", 1, "step must be true or false, got 1"),
    ("checkpoint", 7, "checkpoint must be a text, got 7"),
    ("queries", "Is the lamp on?", "queries must be a list of texts, got 'Is the lamp on?'"),
    ("queries", [1, 2], "queries must be a list of texts, got [1, 2]"),
    ("clip.stride_s", ["fast"], "clip.stride_s must be a number, got ['fast']"),
    ("clip.stride_s", 0, "clip.stride_s out of range Min: 0.01, Max: 60.0, value: 0.0"),
])
def test_what_does_not_fit_is_refused_by_name_and_value(bench: Any, name: str, value: Any, refused: str) -> None:
    node = bench.predictor(active=False)
    before = node.get_parameter(name)
    result = change(bench, node, name, value)
    assert not result.successful and refused in result.reason
    after = node.get_parameter(name)
    assert (after.type_, after.value) == (before.type_, before.value)
    assert node.describe_parameter(name).type == before.type_.value, "tools still see what type it wants"


def test_a_whole_number_does_for_a_number(bench: Any) -> None:
    node = bench.predictor(active=False)
    assert change(bench, node, "silence_s", 3).successful
    assert node.parameters.read().silence_s == 3.0 and node.get_parameter("silence_s").type_ == Parameter.Type.DOUBLE


@pytest.mark.parametrize("kind", [Parameter.Type.STRING_ARRAY, Parameter.Type.BYTE_ARRAY, Parameter.Type.BOOL_ARRAY])
def test_an_empty_list_is_a_list_of_texts_whatever_a_tool_takes_it_for(bench: Any, kind: Parameter.Type) -> None:
    node = bench.predictor(queries=["Is the lamp on?"], active=False)
    assert change(bench, node, "queries", [], kind).successful
    assert node.parameters.read().queries == () and node.get_parameter("queries").type_ == Parameter.Type.STRING_ARRAY


def test_it_cannot_be_taken_away(bench: Any) -> None:
    node = bench.predictor(active=False)
    nothing = ParameterMessage(name="threads", value=ParameterValue(type=ParameterType.PARAMETER_NOT_SET))
    (result,) = sent(bench, node, SetParameters, "set_parameters", nothing).results
    assert not result.successful and "threads must be a whole number, got None" in result.reason
    assert node.parameters.read().threads == 1


def test_one_of_a_wrong_type_takes_the_others_with_it(bench: Any) -> None:
    node = bench.predictor(active=False)
    both = [Parameter("silence_s", value=5.0).to_parameter_msg(), Parameter("threads", value="two").to_parameter_msg()]
    result = sent(bench, node, SetParametersAtomically, "set_parameters_atomically", *both).result
    assert not result.successful and "threads must be a whole number, got 'two'" in result.reason
    assert node.parameters.read().silence_s == 2.0


def test_a_name_that_nobody_declared_is_named_and_others_own_are_left_alone(bench: Any) -> None:
    node = bench.predictor(active=False)
    result = change(bench, node, "no_such_parameter", 1)
    assert not result.successful and "/predictor_node has no parameter 'no_such_parameter'" in result.reason
    assert change(bench, node, "use_sim_time", True).successful and node.get_parameter("use_sim_time").value is True
