# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the launch files start with which arguments, read off the actions: nothing runs here."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.launch
FOLDER = Path(__file__).parents[2] / "launch"
FILES = sorted(path.name for path in FOLDER.glob("*.launch.py"))


def description(name: str) -> Any:
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    return get_launch_description_from_python_launch_file(str(FOLDER / name))


def described(**arguments: str) -> tuple[Any, list[Any]]:
    """The context, and the nodes of vljepa.launch.py."""
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, OpaqueFunction

    context, actions = LaunchContext(), []
    context.launch_configurations.update(arguments)
    for one in description("vljepa.launch.py").entities:
        if isinstance(one, DeclareLaunchArgument):
            one.execute(context)
        elif isinstance(one, OpaqueFunction):
            actions += one.execute(context)
    return context, actions


def names(**arguments: str) -> list[str]:
    return [one.node_executable for one in described(**arguments)[1]]


def parameters(context: Any, node: Any) -> dict[str, Any]:
    """Those that the launch file itself gives, by name."""
    from launch_ros.parameter_descriptions import ParameterFile
    from launch_ros.utilities import evaluate_parameters

    given = [one for one in node._Node__parameters if not isinstance(one, ParameterFile)]
    return {key: value for one in evaluate_parameters(context, given) for key, value in one.items()}


@pytest.mark.parametrize("name", FILES)
def test_every_argument_is_explained(name: str) -> None:
    """`ros2 launch --show-args` shows these."""
    arguments = description(name).get_launch_arguments()
    assert arguments and not [one.name for one in arguments if (one.description or "no ").startswith("no ")]


def test_the_work_is_shared_between_machines() -> None:
    assert names() == ["predictor_node", "decoder_node"]
    assert names(decoder="false") == ["predictor_node"] and names(predictor="false") == ["decoder_node"]
    with pytest.raises(ValueError, match="decoder must be true or false, got 'elsewhere'"):
        names(decoder="elsewhere")


def test_simulated_time_and_steps_reach_the_nodes() -> None:
    context, plain = described(memory="true", view="true")
    assert not [one for one in plain if {"use_sim_time", "step"} & parameters(context, one).keys()]
    context, nodes = described(memory="true", view="true", sim_time="true", step="true")
    given = {one.node_executable: parameters(context, one) for one in nodes}
    assert len(given) == 4 and all(one["use_sim_time"] is True for one in given.values())
    assert {name for name, one in given.items() if one.get("step")} == {"predictor_node"}
    for namespace, topic in (("", "/predictor_node"), ("robot", "/robot/predictor_node"), ("/a/b/", "/a/b/predictor_node")):
        context, (_, decoder) = described(step="true", namespace=namespace)
        assert parameters(context, decoder)[f"qos_overrides.{topic}/embedding.subscription.history"] == "keep_all"


def test_every_camera_has_nodes_of_its_own_but_for_the_predictor() -> None:
    context, nodes = described(cameras="front, rear", image="image_raw", namespace="robot", memory="true", step="true")
    assert [(one.node_executable, one._Node__node_namespace) for one in nodes] == [
        ("predictor_node", "/robot"), ("decoder_node", "/robot/front"), ("memory_node", "/robot/front"),
        ("decoder_node", "/robot/rear"), ("memory_node", "/robot/rear"),
    ]

    def renamed(node: Any) -> dict[str, str]:
        return {"".join(one.perform(context) for one in old): "".join(one.perform(context) for one in new)
                for old, new in node._Node__remappings}  # fmt: skip

    assert tuple(parameters(context, nodes[0])["cameras"]) == ("front", "rear")
    assert renamed(nodes[0]) == {"front/image": "front/image_raw", "rear/image": "rear/image_raw"}
    rear = parameters(context, nodes[3])
    assert renamed(nodes[3])["predictor_node/embedding"] == "/robot/predictor_node/rear/embedding"
    assert rear["qos_overrides./robot/predictor_node/rear/embedding.subscription.history"] == "keep_all"
    paths = {parameters(context, one)["memory.path"] for one in nodes if one.node_executable == "memory_node"}
    assert len(paths) == 2, "two memory nodes need two files"
    with pytest.raises(ValueError, match="image must be relative .* got '/image'"):
        described(cameras="front", image="/image")


def delays(node: Any, context: Any, ends: int, status: int) -> tuple[list[float], Any]:
    """How long it would be until the node is started again, each of so many times that it ends; and the last one started."""
    from launch.actions import OpaqueFunction, TimerAction

    waited = []
    for _ in range(ends):
        then = node._ExecuteLocal__on_exit(SimpleNamespace(returncode=status), context)
        if not then:
            break
        (timer,) = [one for one in then if isinstance(one, TimerAction)]
        waited.append(timer.period)
        (again,) = timer.actions
        assert isinstance(again, OpaqueFunction)
        (node,) = again.execute(context)
    return waited, node


def test_a_node_that_dies_comes_back_after_ever_longer() -> None:
    context, (predictor, _) = described()
    assert delays(predictor, context, 9, -9)[0] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_a_node_that_ends_by_itself_or_with_the_launch_stays_away() -> None:
    context, (predictor, _) = described()
    assert delays(predictor, context, 1, 0)[0] == []
    context._set_is_shutdown(True)
    assert delays(predictor, context, 1, -9)[0] == []


def test_a_node_that_ran_for_long_comes_back_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    context, (predictor, _) = described()
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    waited, node = delays(predictor, context, 3, -9)
    assert waited == [1.0, 2.0, 4.0] and delays(node, context, 1, -9)[0] == [8.0]
    now[0] += 1e6
    assert delays(node, context, 1, -9)[0] == [1.0]


def test_without_respawn_it_is_left_to_whoever_launched_it() -> None:
    _, (predictor, _) = described(respawn="false")
    assert predictor._ExecuteLocal__on_exit is None or not callable(predictor._ExecuteLocal__on_exit)
