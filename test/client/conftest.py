# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes' bench, spun by a thread: the client's calls block, and somebody must run the nodes meanwhile."""
from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location("nodes_bench", Path(__file__).parents[1] / "nodes" / "conftest.py")
_nodes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_nodes)
bench, noise, to_image = _nodes.bench, _nodes.noise, _nodes.to_image


class Stage:
    """Nodes of ours that a thread spins, and a camera that films one picture after the other at 20 Hz while it is on."""

    def __init__(self, bench: Any, wait_until: Callable[..., Any]) -> None:
        self.bench, self._wait_until = bench, wait_until
        self.image: Any = None  # what the camera films; None: nothing
        self._running = True
        self._thread = threading.Thread(target=self._spin, daemon=True)

    def start(self) -> None:
        """From here on the bench's nodes belong to the thread."""
        from sensor_msgs.msg import Image

        self._camera = self.bench.outside.create_publisher(Image, "image", 10)
        self.bench.outside.create_timer(0.05, self._film)
        self._thread.start()

    def stop(self) -> None:
        self._running = False
        if self._thread.is_alive():
            self._thread.join(30)

    def until(self, predicate: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
        return self._wait_until(predicate, timeout=timeout, what=what)

    def does(self, work: Callable[[], Any]) -> Any:
        """In the executor's thread, where a node's transitions belong."""
        task = self.bench.executor.create_task(work)
        self.until(task.done, "the executor")
        return task.result()

    def _spin(self) -> None:
        while self._running:
            self.bench.executor.spin_once(0.05)

    def _film(self) -> None:
        if self.image is not None:
            self._camera.publish(_nodes.image_message(self.image, self.bench.outside.get_clock().now().nanoseconds))


@pytest.fixture
def stage(bench: Any, wait_until: Callable[..., Any]) -> Iterator[Stage]:
    stage = Stage(bench, wait_until)
    yield stage
    stage.stop()


@pytest.fixture
def planner(ros_context: Any) -> Iterator[Any]:
    """A node that nobody spins."""
    import rclpy

    node = rclpy.create_node("planner")
    yield node
    node.destroy_node()
