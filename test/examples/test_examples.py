# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The examples as they are run, against nodes at work: in this process, and as processes of their own."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, Float32
from std_srvs.srv import Trigger

from vljepa_ros.examples.condition_node import ConditionNode
from vljepa_ros.examples.goal_monitor import GoalMonitor, progress
from vljepa_ros.model import VLJEPA

SCRIPTS = Path(__file__).parents[2] / "scripts"
GREY = np.full((48, 64, 3), 90, np.uint8)
ON, OFF, QUESTION = "The lamp is on.", "The lamp is off.", "Is the lamp on?"
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def model(stage: Any) -> VLJEPA:
    return VLJEPA.from_pretrained(stage.bench.checkpoint, device="cpu", engine="torch")


@pytest.fixture
def nodes(stage: Any) -> Any:
    stage.image = GREY
    return stage.bench.predictor(engine="torch", queries=[QUESTION]), stage.bench.decoder(engine="torch")


@pytest.fixture
def example(ros_context: Any) -> Iterator[Callable[..., Any]]:
    """`example(Node, name=value, ...)`, spun by a thread of its own, as in a process of its own."""
    executor, made, running = SingleThreadedExecutor(), [], threading.Event()

    def spin() -> None:
        while running.is_set():
            executor.spin_once(0.05)

    thread = threading.Thread(target=spin)

    def make(node: type, **parameters: Any) -> Any:
        made.append(node(parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()]))
        executor.add_node(made[-1])
        running.set()
        thread.start()
        return made[-1]

    yield make
    running.clear()
    thread.join(30)
    for node in made:
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()


def asked(stage: Any, name: str) -> Any:
    """A Trigger's response."""
    client = stage.bench.outside.create_client(Trigger, name)
    stage.until(client.service_is_ready, name, 150.0)
    future = client.call_async(Trigger.Request())
    stage.until(future.done, "the answer")
    return future.result()


def test_progress_is_the_share_of_the_way() -> None:
    start, goal = np.eye(3)[:2]
    middle = (start + goal) / np.linalg.norm(start + goal)
    assert progress(start, start, goal) == 0 and progress(goal, start, goal) == 1
    assert progress(middle, start, goal) == pytest.approx(0.5)
    assert progress(start - 0.1 * goal, start, goal) == 0 and progress(start, goal, goal) == 1


@pytest.mark.parametrize("start", ["", OFF])
def test_the_goal_monitor(stage: Any, nodes: Any, example: Any, model: VLJEPA, start: str) -> None:
    heard: list[float] = []
    stage.bench.outside.create_subscription(Float32, "goal_monitor/progress", lambda message: heard.append(message.data), 10)
    example(GoalMonitor, goal=ON, start=start, period_s=0.05)
    stage.start()
    stage.until(lambda: len(heard) > 2, "the progress")
    vector_D = model.embed(GREY, QUESTION)
    start_D = model.encode_text([start])[0] if start else vector_D
    assert heard[-1] == pytest.approx(progress(vector_D, start_D, model.encode_text([ON])[0]), abs=1e-3)


@pytest.mark.parametrize("turned", [False, True])
def test_the_condition_holds_where_its_text_is_nearer(stage: Any, nodes: Any, example: Any, model: VLJEPA, turned: bool) -> None:
    near, far = sorted((ON, OFF), key=lambda text: -float(model.encode_text([text])[0] @ model.embed(GREY, QUESTION)))
    heard: list[bool] = []
    stage.bench.outside.create_subscription(Bool, "condition_node/holds", lambda message: heard.append(message.data), LATCHED)
    yes, no = (far, near) if turned else (near, far)
    example(ConditionNode, question=QUESTION, true_if=yes, false_if=no, timeout_s=60.0)
    stage.start()
    stage.until(lambda: stage.bench.embeddings, "embeddings")
    answer = asked(stage, "condition_node/check")
    assert answer.success is not turned and near in answer.message and far in answer.message
    stage.until(lambda: heard, "the latched answer")
    assert heard[-1] is not turned


def test_a_condition_that_nobody_can_tell_does_not_hold(stage: Any, example: Any) -> None:
    example(ConditionNode, timeout_s=0.5)
    stage.start()
    answer = asked(stage, "condition_node/check")
    assert not answer.success and "start predictor_node" in answer.message


def test_foreign_footage_tells_nothing(stage: Any, nodes: Any, example: Any) -> None:
    predictor, _ = nodes
    works = predictor._model.look
    predictor._model.look = lambda *arguments: works(*arguments)._replace(novelty=1.5)
    example(ConditionNode, question=QUESTION, true_if=ON, false_if=OFF, timeout_s=60.0)
    stage.start()
    stage.until(lambda: stage.bench.embeddings, "embeddings")
    answer = asked(stage, "condition_node/check")
    assert not answer.success and "novelty 1.50" in answer.message


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """`process(name, parameter=value, ...)`: a script as `ros2 run` starts it."""
    started: list[subprocess.Popen] = []

    def begin(name: str, **parameters: Any) -> subprocess.Popen:
        arguments = [item for key, value in parameters.items() for item in ("-p", f"{key}:={value}")]
        with (tmp_path / f"{name}.log").open("wb") as log:
            command = [sys.executable, str(SCRIPTS / name), "--ros-args", *arguments]
            started.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ.copy()))
        return started[-1]

    yield begin
    for one in started:
        if one.poll() is None:
            one.kill()
        one.wait(10)
    for log in tmp_path.glob("*.log"):  # shown where the test fails
        print(f"--- {log.name}\n{log.read_text()}")


def test_both_in_processes_of_their_own(stage: Any, nodes: Any, process: Any, model: VLJEPA, tmp_path: Path) -> None:
    near, far = sorted((ON, OFF), key=lambda text: -float(model.encode_text([text])[0] @ model.embed(GREY, QUESTION)))
    heard: list[float] = []
    stage.bench.outside.create_subscription(Float32, "goal_monitor/progress", lambda message: heard.append(message.data), 10)
    stage.start()
    condition = process("condition_node", question=QUESTION, true_if=near, false_if=far, timeout_s=60.0)
    monitor = process("goal_monitor", goal=near, start=far)
    stage.until(lambda: stage.bench.embeddings, "embeddings")  # before the first clip there is nothing to ask about
    assert asked(stage, "condition_node/check").success
    stage.until(lambda: heard, "the progress", 150.0)
    for one, name in ((condition, "condition_node"), (monitor, "goal_monitor")):
        one.send_signal(signal.SIGINT)
        assert one.wait(60) == 0 and "Traceback" not in (tmp_path / f"{name}.log").read_text(), name
