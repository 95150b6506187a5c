# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa doctor`: whether this machine can run the nodes, a line per check with the remedy.

Status 1 where something must be mended, 2 for arguments that cannot be.
"""
from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple
from xml.etree import ElementTree

OK, WARNING, FAILED = "ok", "warning", "FAILED"
SEGMENT_BYTES = 8 * 2**20  # of shared memory; below, a full-HD image does not fit and is lost in pieces
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")  # Kilted and later; Jazzy


class Finding(NamedTuple):
    level: str
    what: str
    says: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.level:<8} {self.what}: {self.says}" + (f"; {self.remedy}" if self.remedy else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", default="tabletop", help="a bundled checkpoint by name, or a checkpoint's folder")
    parser.add_argument("--image", help="the camera's topic, as the nodes get it; without it, topics with images are listed")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to listen to topics, above 0 (default 5)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not 0 < args.seconds <= 3600:
        print(f"vljepa doctor: --seconds must be above 0 and at most 3600, got {args.seconds:g}", file=sys.stderr)
        return 2
    worst = OK
    checks = (
        check_ros, lambda: check_profile(os.environ), check_gpu, lambda: check_weights(args.checkpoint),
        lambda: check_topics(args.image, args.seconds),
    )
    for check in checks:
        for finding in _found(check):
            print(finding, flush=True)
            worst = FAILED if FAILED in (worst, finding.level) else worst
    print("something must be mended" if worst == FAILED else "the nodes can run here")
    return int(worst == FAILED)


def _found(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except Exception as error:  # a check that cannot be made is a finding too
        return [Finding(FAILED, getattr(check, "__name__", "check"), f"{type(error).__name__}: {' '.join(str(error).split())}")]


def check_ros() -> list[Finding]:
    """rclpy, the middleware, and the package's own messages."""
    try:
        import rclpy

        distro = os.environ.get("ROS_DISTRO", "from wheels")
        found = [Finding(OK, "ROS", f"{distro}, {rclpy.get_rmw_implementation_identifier()}")]
    except ImportError as error:
        remedy = "source /opt/ros/<distro>/setup.bash or tools/env.sh"
        return [Finding(FAILED, "ROS", f"rclpy cannot be imported ({error})", remedy)]
    try:
        from vljepa_ros.msg import SemanticEmbedding  # noqa: F401

        found.append(Finding(OK, "messages", "vljepa_ros's are built"))
    except ImportError as error:
        found.append(Finding(FAILED, "messages", f"not built ({error})", "colcon build, then source install/setup.bash"))
    return found


def check_profile(environment: dict[str, str] | os._Environ[str]) -> list[Finding]:
    """Fast DDS's shared memory, which the camera driver's environment needs: it is judged by this shell's."""
    rmw = environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if "fastrtps" not in rmw:
        return [Finding(OK, "DDS profile", f"none is needed for {rmw}")]
    given = {name: environment[name] for name in PROFILES if environment.get(name)}
    remedy = f"start the camera driver with {' and '.join(PROFILES)} set to config/fastdds_shm32m.xml, or use compressed images"
    if not given:
        return [Finding(WARNING, "DDS profile", "not set in this shell, so large best-effort images would be lost", remedy)]
    found = []
    for name, path in given.items():
        try:
            tags = ElementTree.parse(path).iter()
            sizes = [int(one.text) for one in tags if one.tag.rpartition("}")[2] == "segment_size" and one.text]
        except (OSError, ElementTree.ParseError, ValueError) as error:
            found.append(Finding(FAILED, "DDS profile", f"{name}={path} cannot be read ({error})", remedy))
            continue
        size = max(sizes, default=0)
        if size < SEGMENT_BYTES:
            says = f"{name}={path} has a shared-memory segment of {size} bytes, images need {SEGMENT_BYTES} or more"
            found.append(Finding(WARNING, "DDS profile", says, remedy))
        else:
            found.append(Finding(OK, "DDS profile", f"{name}: shared-memory segment of {size >> 20} MiB"))
    return found


def check_gpu() -> list[Finding]:
    import torch

    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            says = f"there is an NVIDIA driver, but torch {torch.__version__} sees no CUDA device"
            remedy = "install a CUDA build of torch that fits the driver; until then the CPU computes"
            return [Finding(WARNING, "GPU", says, remedy)]
        return [Finding(OK, "GPU", f"none; the CPU computes, {os.cpu_count()} cores")]
    found = []
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        try:
            torch.ones(8, device=f"cuda:{index}").sum().item()
            free, total = torch.cuda.mem_get_info(index)
            found.append(Finding(OK, "GPU", f"cuda:{index} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"))
        except RuntimeError as error:
            says = f"cuda:{index} {name} does not compute ({' '.join(str(error).split())[:120]})"
            found.append(Finding(FAILED, "GPU", says, "restart the machine or its driver, or set device to cpu"))
    return found


def check_weights(checkpoint: str) -> list[Finding]:
    """Every part is read against its sha256, and embeds one black clip."""
    import numpy as np

    from vljepa_ros.model import VLJEPA, CheckpointError

    try:
        model = VLJEPA.from_pretrained(checkpoint)
        size = model.config.preprocess.image_size
        image_HWC = np.zeros((size, size, 3), np.uint8)
        model.embed(image_HWC)
        started = time.perf_counter()
        model.embed(image_HWC)
    except (CheckpointError, FloatingPointError, OSError) as error:
        return [Finding(FAILED, "weights", " ".join(str(error).split()))]
    took_ms = (time.perf_counter() - started) * 1e3
    name = model.config.name
    return [Finding(OK, "weights", f"{name}, space {model.space_id}, {took_ms:.0f} ms per clip ({model.engine.name})")]


def check_topics(image: str | None, seconds: float) -> list[Finding]:
    """What is published here: images, and what running nodes say of themselves."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage, Image

    kinds = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("vljepa_doctor", context=context, start_parameter_services=False, enable_rosout=False)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    said: dict[str, DiagnosticStatus] = {}
    came: Counter[str] = Counter()
    listening: dict[str, object] = {}
    try:
        node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda array: said.update((one.name, one) for one in array.status), 50
        )
        wanted = node.resolve_topic_name(image) if image else None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for topic, types in node.get_topic_names_and_types():
                kind = next((kinds[one] for one in types if one in kinds), None)
                chosen = wanted is None or topic in (wanted, f"{wanted}/compressed")
                if kind is not None and chosen and topic not in listening and node.count_publishers(topic):
                    listening[topic] = node.create_subscription(
                        kind, topic, lambda _, topic=topic: came.update([topic]), qos_profile_sensor_data
                    )
            executor.spin_once(0.05)
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
    return [*_images(wanted, sorted(listening), came, seconds), *_nodes(said)]


def _images(wanted: str | None, topics: list[str], came: Counter[str], seconds: float) -> list[Finding]:
    if not topics:
        level, where = (FAILED, wanted) if wanted else (WARNING, "any topic")
        return [Finding(level, "images", f"nobody publishes images on {where}", "start the camera driver, in this ROS_DOMAIN_ID")]
    found = []
    for topic in topics:
        if came[topic]:
            found.append(Finding(OK, "images", f"{topic}: {came[topic]} in {seconds:g} s"))
        else:
            remedy = "start its driver with the DDS profile config/fastdds_shm32m.xml, or use compressed images"
            level = FAILED if topic == wanted else WARNING
            found.append(Finding(level, "images", f"{topic}: a publisher is there, and none arrived in {seconds:g} s", remedy))
    return found


def _nodes(said: dict) -> list[Finding]:
    """Statuses of our nodes: they say themselves what to do."""
    ours = {name: one for name, one in said.items() if name.split(":")[0].endswith(("predictor_node", "decoder_node", "view_node",
                                                                                    "memory_node"))}
    if not ours:
        return [Finding(OK, "nodes", "none of this package's runs in this ROS_DOMAIN_ID")]
    levels = {b"\x00": OK, b"\x01": WARNING}
    return [Finding(levels.get(bytes(one.level), FAILED), name, one.message) for name, one in sorted(ours.items())]
