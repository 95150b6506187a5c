# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How soon /diagnostics names what is wrong with a camera, from the moment that begins, with the parameters as they are shipped.

One predictor, a camera for each fault, all at once. In `make faults` five seconds are the limit; on a machine with other work to
do the faults are named all the same, later.
"""
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

FRAME_S = 0.1
NODE = "predictor_node: node"
# A camera driver in a process of its own, with the middleware's default transports: 1080p, best effort, at 10 Hz.
DRIVER = """
import time
from array import array
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

rclpy.init()
node = rclpy.create_node("driver")
publisher = node.create_publisher(Image, "starved/image", qos_profile_sensor_data)
message = Image(height=1080, width=1920, step=5760, encoding="rgb8", data=array("B", bytes(1080 * 5760)))
while rclpy.ok():
    message.header.stamp = node.get_clock().now().to_msg()
    message.data[0] = (message.data[0] + 1) % 256
    publisher.publish(message)
    time.sleep(0.1)
"""


@pytest.fixture
def driver() -> Iterator[subprocess.Popen]:
    env = {name: value for name, value in os.environ.items() if not name.endswith("_DEFAULT_PROFILES_FILE")}
    process = subprocess.Popen([sys.executable, "-c", DRIVER], env=env)
    yield process
    process.kill()
    process.wait(10)


@pytest.fixture
def shipped(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`shipped(*cameras, **parameters)` -> a predictor, inactive, which reports as often as on a robot."""
    monkeypatch.setattr("vljepa_ros.nodes.diagnostics.PERIOD_S", 1.0)

    def make(*cameras: str, **parameters: Any) -> Any:
        node = bench.predictor(active=False, cameras=list(cameras), **parameters)
        node.trigger_configure()
        return node

    return make


class Watch:
    """When each fault was named first."""

    def __init__(self, bench: Any, words: dict[str, tuple[str, ...]]) -> None:
        """`words`: of a camera's status, or of the node's under the name NODE."""
        self._bench, self._words = bench, words
        self._began: dict[str, float] = {}
        self.took_s: dict[str, float] = {}

    def begin(self, *names: str) -> None:
        for name in names:
            self._began[name] = time.monotonic()
            self._bench._statuses.pop(self._status(name), None)

    def look(self) -> bool:
        """Whether all are named."""
        for name in set(self._began) - set(self.took_s):
            status = self._bench.status(self._status(name))
        if status is not None and status.level != b"\x00" and all(word in status.message for word in self._words[name]):
                self.took_s[name] = time.monotonic() - self._began[name]
        return set(self.took_s) == set(self._words)

    @staticmethod
    def _status(name: str) -> str:
        return name if name == NODE else f"predictor_node: camera {name}"

    def result(self, figures: dict, most_s: float) -> None:
        figures |= {f"{name.replace(NODE, 'deaf subscriber')}: s": round(seconds, 2) for name, seconds in self.took_s.items()}
        assert max(self.took_s.values()) <= most_s, figures


@pytest.fixture
def most_s(size: Callable[[int, int], int]) -> int:
    return size(12, 5)


def test_faults_that_are_there_when_it_starts(
    bench: Any, shipped: Any, driver: subprocess.Popen, figures: dict, most_s: int
) -> None:
    watch = Watch(bench, {
        "qos": ("QoS incompatible", "qos_overrides./qos/image.subscription.reliability"),
        "starved": ("/starved/image", "fastdds_shm32m.xml"),
        "silent": ("no image on /silent/image", "1 publisher(s) are there"),
        "misnamed": ("no image on /misnamed/image", "remap `misnamed/image` to one of /front/image_raw"),
        "compressed": ("no image on /compressed/image", "set image_transport to compressed"),
    })  # fmt: skip
    node = shipped(*watch._words, **{"qos_overrides./qos/image.subscription.reliability": "reliable"})
    graph = bench.outside
    for topic, kind in (("qos/image", Image), ("silent/image", Image), ("front/image_raw", Image),
                        ("compressed/image/compressed", CompressedImage)):  # fmt: skip
        graph.create_publisher(kind, topic, qos_profile_sensor_data)
    bench.until(lambda: graph.count_publishers("/starved/image") or driver.poll() is not None, "the driver", 150.0)
    assert driver.poll() is None
    watch.begin(*watch._words)
    node.trigger_activate()
    bench.until(watch.look, f"every fault, of which {list(watch.took_s)} were", 60.0)
    figures["starved: images that came"] = f"{node._of('starved').camera.frames} of {10 * watch.took_s['starved']:.0f}"
    watch.result(figures, most_s)


def test_faults_that_begin_while_images_come(
    bench: Any, shipped: Any, noise: Any, to_image: Any, figures: dict, most_s: int
) -> None:
    from vljepa_ros.msg import SemanticEmbedding

    watch = Watch(bench, {
        "silent": ("no image on /silent/image", "1 publisher(s) are there"), "gone": ("no image on /gone/image", "nobody"),
        "frozen": ("has not changed",), "slow": ("images/s come on /slow/image",), NODE: ("incompatible QoS", "DURABILITY"),
    })  # fmt: skip
    cameras = [*(name for name in watch._words if name != NODE), "steady"]
    node, graph, images = shipped(*cameras), bench.outside, noise(50)
    node.trigger_activate()
    publishers = {name: graph.create_publisher(Image, f"{name}/image", qos_profile_sensor_data) for name in cameras}
    sent, due, broken = 0, time.monotonic(), False

    def drive() -> None:
        nonlocal sent, due
        bench.spin()
        if time.monotonic() < due:
            return
        due = max(due + FRAME_S, time.monotonic() - FRAME_S)
        sent += 1
        stamp_ns = time.time_ns()
        for name, publisher in publishers.items():
            if not broken or name in ("frozen", "steady") or (name == "slow" and sent % 10 == 0):
                publisher.publish(to_image(images[0 if broken and name == "frozen" else sent % 50], stamp_ns))

    def until(predicate: Callable[[], Any], what: str) -> None:
        bench._wait_until(predicate, timeout=60.0, spin=drive, what=what)

    def well() -> bool:
        reports = [bench.status(f"predictor_node: camera {name}") for name in cameras]
        return all(one is not None and one.level == b"\x00" for one in reports) and node._of("steady").camera._rate.settled

    until(well, "cameras that are well")
    broken = True
    graph.destroy_publisher(publishers.pop("gone"))
    graph.create_subscription(
        SemanticEmbedding, "predictor_node/steady/embedding", lambda _: None,
        QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL),
    )
    watch.begin(*watch._words)
    until(watch.look, f"every fault, of which {list(watch.took_s)} were")
    until(lambda: bench.status("predictor_node: camera steady").level == b"\x00", "the camera that nothing ails")
    watch.result(figures, most_s)
