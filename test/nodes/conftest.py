# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bench for the nodes: a camera, ears on every topic, and one executor, in this process and over DDS."""
from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

START_NS = 1_700_000_000 * 1_000_000_000
FRAME_NS = 100_000_000  # 10 Hz, the rate that clips are asked for at


class Bench:
    """Starts nodes with the tiny checkpoint, sends them images, and waits for what comes out."""

    def __init__(self, executor: Any, wait_until: Callable[..., Any], checkpoint: Path) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray

        from vljepa_ros.msg import DecodedText, SemanticEmbedding, WorldStateTransition
        from vljepa_ros.nodes import qos

        self.executor = executor
        self.checkpoint = checkpoint
        self._wait_until = wait_until
        self.outside = rclpy.create_node("outside")
        executor.add_node(self.outside)
        self.embeddings: list[Any] = []
        self.transitions: list[Any] = []
        self.texts: list[Any] = []
        self._statuses: dict[str, Any] = {}
        self._ears = [
            self.outside.create_subscription(message_type, topic, heard.append, qos.copy(qos.RESULTS))
            for message_type, topic, heard in (
                (SemanticEmbedding, "predictor_node/embedding", self.embeddings),
                (WorldStateTransition, "predictor_node/transition", self.transitions),
                (DecodedText, "decoder_node/text", self.texts),
            )
        ]
        self.outside.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        self._cameras: dict[str, Any] = {}

    def _on_diagnostics(self, message: Any) -> None:
        self._statuses.update((status.name, status) for status in message.status)

    # nodes

    def node(self, make: type, *, active: bool = True, **parameters: Any) -> Any:
        """A node of ours with these parameters (`clip__stride_s` for clip.stride_s); brought to active unless told otherwise."""
        from rclpy.parameter import Parameter

        parameters = {"autostart": False, "checkpoint": str(self.checkpoint), "threads": 1} | parameters
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        node = make(parameter_overrides=overrides)
        self.executor.add_node(node)
        if active:
            node.trigger_configure()
            node.trigger_activate()
            assert node.state == "active", node.fault
        return node

    def predictor(self, **parameters: Any) -> Any:
        from vljepa_ros.nodes.predictor_node import PredictorNode

        return self.node(PredictorNode, **parameters)

    def memory(self, **parameters: Any) -> Any:
        from vljepa_ros.nodes.memory_node import MemoryNode

        return self.node(MemoryNode, **parameters)

    def decoder(self, **parameters: Any) -> Any:
        from vljepa_ros.nodes.decoder_node import DecoderNode

        return self.node(DecoderNode, **parameters)

    def view(self, **parameters: Any) -> Any:
        from vljepa_ros.nodes.view_node import ViewNode

        return self.node(ViewNode, **parameters)

    # time

    def spin(self) -> None:
        self.executor.spin_once(0.02)

    def until(self, predicate: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
        return self._wait_until(predicate, timeout=timeout, spin=self.spin, what=what)

    def status(self, name: str) -> Any:
        return self._statuses.get(name)

    def values(self, name: str) -> dict[str, str]:
        status = self._statuses.get(name)
        return {value.key: value.value for value in status.values} if status else {}

    def until_said(self, name: str, *words: str, level: bytes | None = None) -> Any:
        """The first status of that name from now on whose message has all the words."""
        self._statuses.pop(name, None)

        def said() -> Any:
            status = self.status(name)
            fits = status is not None and all(word in status.message for word in words) and level in (None, status.level)
            return status if fits else None

        try:
            return self.until(said, f"{words} in {name}")
        except pytest.fail.Exception:
            last = self.status(name)
            pytest.fail(f"{name} never said {words} (level {level}); at the end: {last.level, last.message if last else None}")

    # images

    def camera(self, message_type: type, topic: str, profile: Any = None) -> Any:
        """A publisher on a camera topic, matched with the node's subscription."""
        from rclpy.qos import qos_profile_sensor_data

        if topic not in self._cameras:
            self._cameras[topic] = self.outside.create_publisher(message_type, topic, profile or qos_profile_sensor_data)
        publisher = self._cameras[topic]
        self.until(lambda: publisher.get_subscription_count() > 0, f"a subscriber on {topic}")
        self.until(lambda: all(self.outside.count_publishers(ear.topic_name) for ear in self._ears[:2]), "the predictor's topics")
        return publisher

    def send(self, node: Any, message: Any, topic: str = "image") -> None:
        """One image to a predictor or a view, which has been handled when this returns."""
        camera = node._of("").camera if hasattr(node, "_of") else node._camera
        before = camera.frames
        self.camera(type(message), topic).publish(message)
        self.until(lambda: camera.frames > before, f"the image on {topic}")

    def stream(self, predictor: Any, images: list[np.ndarray], stamps_ns: list[int]) -> None:
        """Images one by one; every clip is embedded before the next image goes out, so none gives way to a newer one."""
        for image, stamp_ns in zip(images, stamps_ns):
            sequence = predictor._of("").clips._sequence
            self.send(predictor, image_message(image, stamp_ns))
            if predictor._of("").clips._sequence > sequence:
                self.until(lambda n=sequence: self.embeddings and self.embeddings[-1].sequence >= n, f"embedding {sequence}")


def image_message(image_HWC: np.ndarray, stamp_ns: int, **fields: Any) -> Any:
    """A sensor_msgs/Image, rgb8 unless `fields` say otherwise."""
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import Image

    height, width = image_HWC.shape[:2]
    data = array("B", image_HWC.tobytes())
    message = Image(height=height, width=width, encoding="rgb8", step=len(data) // height, data=data)
    message.header.stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    message.header.frame_id = "camera"
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def noise_images(count: int, seed: int = 0, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def regular_stamps(count: int, start_ns: int = START_NS) -> list[int]:
    return [start_ns + index * FRAME_NS for index in range(count)]


@pytest.fixture
def bench(
    ros_executor: Any, wait_until: Callable[..., Any], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """Its nodes report ten times as often as they do elsewhere, for the tests' time, and what they keep at home stays there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("vljepa_ros.nodes.diagnostics.PERIOD_S", 0.1)
    yield Bench(ros_executor, wait_until, tiny_checkpoint)


@pytest.fixture
def to_image() -> Callable[..., Any]:
    """`to_image(array_HWC, stamp_ns, **fields)` -> sensor_msgs/Image."""
    return image_message


@pytest.fixture
def noise() -> Callable[..., list[np.ndarray]]:
    """`noise(count, seed=0, height=48, width=64)` -> images that all differ."""
    return noise_images


@pytest.fixture
def stamps() -> Callable[..., list[int]]:
    """`stamps(count, start_ns=...)` -> stamps of a camera at 10 Hz."""
    return regular_stamps
