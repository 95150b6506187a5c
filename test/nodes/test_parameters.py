# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as ROS parameters: declared whole, handed back whole, bad values named and survivable."""
from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter

from vljepa_ros.memory import MemoryParams
from vljepa_ros.nodes.decoder_node import DecoderNode, DecoderParams
from vljepa_ros.nodes.memory_node import MemoryNode, MemoryNodeParams
from vljepa_ros.nodes.parameters import ParameterError, Parameters
from vljepa_ros.nodes.predictor_node import PredictorNode, PredictorParams
from vljepa_ros.nodes.view_node import ViewNode, ViewParams
from vljepa_ros.streaming import ClipParams, DecodeParams, TransitionParams

CONFIG = Path(__file__).parents[2] / "config" / "vljepa.yaml"
GROUPS = {"": PredictorParams, "clip": ClipParams, "transition": TransitionParams}


@pytest.fixture
def declared(ros_context: Any) -> Any:
    """`declared(name=value, ...)` -> (node, Parameters) with these overrides."""
    made = []

    def declare(locked: str = "", live: tuple[Any, Any] = (), **overrides: Any) -> tuple[Node, Parameters]:
        values = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
        made.append(rclpy.create_node("declared", parameter_overrides=values))
        return made[-1], Parameters(made[-1], GROUPS, lambda: locked, *live)

    yield declare
    for node in made:
        node.destroy_node()


def test_defaults_are_the_dataclasses_own(declared: Any) -> None:
    _, parameters = declared()
    assert parameters.read() == PredictorParams()
    assert parameters.read("clip") == ClipParams()
    assert parameters.read("transition") == TransitionParams()


def test_every_field_is_a_parameter_with_a_description(declared: Any) -> None:
    node, _ = declared()
    for prefix, group in GROUPS.items():
        for field in fields(group):
            descriptor = node.describe_parameter(f"{prefix}.{field.name}".lstrip("."))
            assert descriptor.description == field.metadata["description"]
            bounds = [*descriptor.floating_point_range, *descriptor.integer_range]
            if "range" in field.metadata:
                assert (bounds[0].from_value, bounds[0].to_value) == field.metadata["range"]


def test_values_given_are_handed_back(declared: Any) -> None:
    _, parameters = declared(queries=["What?", ""], clip__stride_s=0.5, image_transport="compressed", autostart=False, threads=3)
    params = parameters.read()
    assert (params.queries, params.image_transport, params.autostart, params.threads) == (("What?", ""), "compressed", False, 3)
    assert parameters.read("clip").stride_s == 0.5


def test_a_whole_number_does_for_any_number(declared: Any) -> None:
    node, parameters = declared(clip__stride_s=1)
    assert parameters.read("clip").stride_s == 1.0
    assert node.get_parameter("clip.stride_s").type_ == Parameter.Type.DOUBLE


@pytest.mark.parametrize(
    "prefix, name, value, good",
    [
        ("clip", "clip.stride_s", 0.0, 0.2), ("clip", "clip.stride_s", float("nan"), 0.2), ("clip", "clip.stride_s", "fast", 0.2),
        ("clip", "clip.stamp_source", "clock", "arrival"),
        ("", "threads", -1, 1), ("", "threads", 1.5, 1), ("", "threads", True, 1),
        ("", "image_transport", "theora", "raw"), ("", "checkpoint", 7, "tabletop"), ("", "queries", "What?", ["What?"]),
        ("", "queries", [1, 2], ["What?"]), ("", "autostart", "yes", True), ("transition", "transition.rest", 2.0, 0.5),
    ],
)
def test_bad_values_are_named_and_can_be_mended(declared: Any, prefix: str, name: str, value: Any, good: Any) -> None:
    node, parameters = declared(**{name.replace(".", "__"): value})
    with pytest.raises(ParameterError) as raised:
        parameters.read(prefix)
    assert str(raised.value).startswith(name) and str(value) in str(raised.value).replace("array", "")
    assert node.set_parameters([Parameter(name, value=good)])[0].successful
    parameters.read(prefix)


def test_bad_values_set_later_are_refused(declared: Any) -> None:
    node, parameters = declared()
    for name, value in (("clip.stride_s", 0.0), ("clip.stamp_source", "clock"), ("threads", 1000)):
        result = node.set_parameters([Parameter(name, value=value)])[0]
        assert not result.successful and name in result.reason, result.reason
    assert parameters.read("clip") == ClipParams() and parameters.read() == PredictorParams()


def test_lists_can_be_set_and_emptied(declared: Any) -> None:
    node, parameters = declared()
    for value in (["a", "b"], [], ["c"]):
        assert node.set_parameters([Parameter("queries", Parameter.Type.STRING_ARRAY, value)])[0].successful
        assert parameters.read().queries == tuple(value)


def test_locked_parameters_say_why(declared: Any) -> None:
    node, parameters = declared(locked="not now")
    result = node.set_parameters([Parameter("threads", value=2)])[0]
    assert not result.successful and "threads" in result.reason and "not now" in result.reason
    assert parameters.read().threads == 0
    node.declare_parameter("somebody_elses", 1)
    assert node.set_parameters([Parameter("somebody_elses", value=2)])[0].successful


def texts(*values: str) -> Parameter:
    return Parameter("queries", Parameter.Type.STRING_ARRAY, values)


def test_live_parameters_may_be_changed_while_the_others_are_locked(declared: Any) -> None:
    checked: list[Any] = []
    heard: list[Any] = []

    def check(prefix: str, params: Any) -> None:
        checked.append((prefix, params.queries))
        if params.queries == ("bad",):
            raise ValueError("queries[0] is bad")

    node, parameters = declared("not now", (check, lambda: heard.append(parameters.value("queries"))))
    assert node.set_parameters([texts("a", "b")])[0].successful
    assert checked == [("", ("a", "b"))] and heard == [("a", "b")] == [parameters.value("queries")]
    for refused, why in ((texts("bad"), "queries[0] is bad"), (texts("a", "a"), "queries must differ")):
        result = node.set_parameters([refused])[0]
        assert not result.successful and why in result.reason
    both = node.set_parameters_atomically([texts("c"), Parameter("threads", value=2)])
    assert not both.successful and "threads" in both.reason and "not now" in both.reason
    assert heard == [("a", "b")] == [parameters.value("queries")], "what was refused changed nothing"


def test_unlocked_live_parameters_are_parameters_like_others(declared: Any) -> None:
    node, parameters = declared("", (lambda *_: pytest.fail("no node to fit"), lambda: pytest.fail("nothing to take over")))
    assert node.set_parameters([texts("a")])[0].successful and parameters.read().queries == ("a",)


@pytest.mark.parametrize(
    "make, groups",
    [
        (PredictorNode, GROUPS), (DecoderNode, {"": DecoderParams, "decode": DecodeParams}), (ViewNode, {"": ViewParams}),
        (MemoryNode, {"": MemoryNodeParams, "memory": MemoryParams}),
    ],
)
@pytest.mark.parametrize("namespace", ["/", "/robot"])
def test_the_config_file_fits_every_node(ros_context: Any, make: type, groups: dict[str, type], namespace: str) -> None:
    node = make(cli_args=["--ros-args", "--params-file", str(CONFIG)], namespace=namespace)
    try:
        section = yaml.safe_load(CONFIG.read_text())[f"/**/{node.get_name()}"]["ros__parameters"]
        given = {(prefix, name): value for prefix in groups if prefix for name, value in section.pop(prefix, {}).items()}
        given |= {("", name): value for name, value in section.items()}
        assert given
        for (prefix, name), value in given.items():
            assert getattr(node.parameters.read(prefix), name) == value, f"{prefix}.{name}"
            assert getattr(groups[prefix](), name) == value or name == "threads", f"{prefix}.{name}: the default is another"
    finally:
        node.destroy_node()


def test_the_config_file_is_read_at_all(ros_context: Any, tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text(CONFIG.read_text().replace("stride_s: 0.1 ", "stride_s: 0.25 "))
    node = PredictorNode(cli_args=["--ros-args", "--params-file", str(changed)], namespace="/robot")
    try:
        assert node.parameters.read("clip").stride_s == 0.25
    finally:
        node.destroy_node()
