# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small bags, videos and recordings for the command line's tests."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from vljepa_ros.cli.recording import Beat, Heard, Recording, Thumbnail
from vljepa_ros.cli.sources import TrueSegment
from vljepa_ros.streaming.types import DecodedText, DecodeRequest, Transition, Trigger

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
COLOURS = ((200, 40, 40), (40, 160, 60), (50, 70, 210))  # RGB; one each second
UNIT = np.array([1, 0, 0, 0], np.float32)


def picture(k: int, fps: float, width: int = 64, height: int = 48) -> np.ndarray:
    """Frame k of a scene that changes its colour every second, RGB."""
    image_HWC = np.full((height, width, 3), COLOURS[int(k / fps) % 3], np.uint8)
    image_HWC[:, : width // 4] = 255 - image_HWC[:, : width // 4]
    return image_HWC


@pytest.fixture(scope="session")
def make_bag() -> Callable[..., Path]:
    """`make_bag(folder, seconds=1.0, fps=10, storage="mcap", raw=False, truth=True, ...)` writes a bag and returns its folder."""
    types = get_typestore(Stores.ROS2_JAZZY)

    def header(stamp_ns: int):
        return types.types["std_msgs/msg/Header"](types.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, NS)), "camera")

    def make(
        folder: Path,
        seconds: float = 1.0,
        fps: float = 10.0,
        storage: str = "mcap",
        raw: bool = False,
        truth: bool = True,
        topics: tuple[str, ...] = ("/camera/image_raw",),
        stamps_s: list[float] | None = None,
        width: int = 64,
        height: int = 48,
    ) -> Path:
        kind = "sensor_msgs/msg/Image" if raw else "sensor_msgs/msg/CompressedImage"
        plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
        with Writer(folder, version=9, storage_plugin=plugin) as bag:
            cameras = [bag.add_connection(topic if raw else f"{topic}/compressed", kind, typestore=types) for topic in topics]
            words = bag.add_connection("/truth/segment", "std_msgs/msg/String", typestore=types) if truth else None
            for k in range(int(seconds * fps)):
                due_ns = START_NS + round(k * NS / fps)
                stamp_ns = due_ns if stamps_s is None else round(stamps_s[k] * NS)
                if words is not None and k % int(fps) == 0:
                    facts = {"segment": k // int(fps), "start_ns": stamp_ns, "event": "start" if k == 0 else "switch_on",
                             "caption": f"Colour {k // int(fps)} appears.", "state": "The lamp is on."}  # fmt: skip
                    bag.write(
                        words,
                        due_ns,
                        types.serialize_cdr(types.types["std_msgs/msg/String"](json.dumps(facts)), "std_msgs/msg/String"),
                    )
                image_HWC = picture(k, fps, width, height)
                if raw:
                    message = types.types[kind](header(stamp_ns), height, width, "rgb8", 0, 3 * width, image_HWC.reshape(-1))
                else:
                    message = types.types[kind](
                        header(stamp_ns), "jpeg", cv2.imencode(".jpg", image_HWC[..., ::-1])[1].reshape(-1)
                    )
                for camera in cameras:
                    bag.write(camera, due_ns, types.serialize_cdr(message, kind))
        return folder

    return make


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """`make_video(path, seconds=1.0, fps=10)` writes a Motion-JPEG video."""

    def make(path: Path, seconds: float = 1.0, fps: float = 10.0) -> Path:
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (64, 48))
        assert video.isOpened()
        for k in range(int(seconds * fps)):
            video.write(picture(k, fps)[..., ::-1])
        video.release()
        return path

    return make


@pytest.fixture
def make_recording() -> Callable[..., Recording]:
    """`make_recording(true_s=[...], found_s=[...], seconds=20)`: 10 embeddings per second that arrive after 50 ms; every
    detection is certain after 0.5 s and put into words 1.0 s after its boundary. `true_s=None`: a source without truth.
    """

    def make(
        true_s: list[float] | None = (), found_s: list[float] = (), seconds: float = 20.0, text: str = "The lamp is on."
    ) -> Recording:
        start_ns = START_NS
        recording = Recording(
            "bag test", "tiny · space 0", truth_known=true_s is not None, start_ns=start_ns, published=int(seconds * 15)
        )
        recording.end_ns = start_ns + round(seconds * NS)

        def at(t: float) -> int:
            return start_ns + round(t * NS)

        if true_s is not None:
            recording.truth = [TrueSegment(at(0), "start", "The stream begins.", "The lamp is off.")]
            recording.truth += [TrueSegment(at(t), "switch_on", "The lamp goes on.", "The lamp is on.") for t in true_s]
        for k in range(int((seconds - 1.4) * 10)):
            t = 1.4 + k / 10
            near = min((abs(t - found) for found in found_s), default=9.0)
            recording.beats.append(Beat(at(t), at(t + 0.05), 0, k, 0.5 if near < 0.4 else 0.02, 0.1))

        def said(segment: int, start_s: float, trigger: Trigger) -> None:
            request = DecodeRequest(UNIT, at(start_s + 0.9), at(start_s), segment, 0, trigger, "0")
            recording.hear(DecodedText(request, text, 0.8, True, 0.05), at(start_s + 1.0))

        said(0, 1.4, Trigger.START)
        for j, t in enumerate(sorted(found_s)):
            change = Transition(at(t + 0.5), at(t), 0, j + 1, at(0), 0.5, 0.1, "0", UNIT, UNIT)
            recording.transitions.append(Heard(change, at(t + 0.55)))
            said(j + 1, t, Trigger.CHANGE)
        recording.thumbnails = [Thumbnail(at(t), picture(int(t), 1)) for t in np.arange(0, seconds, 0.5)]
        return recording

    return make


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """`start(module, *arguments)`: a Python module as a process with pipes. Afterwards it and whatever it started are gone."""
    started: list[subprocess.Popen] = []

    def begin(module: str, *arguments: object, **extra: object) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"COLUMNS": "200"}, **extra,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        for one in [*children_of(process.pid), process]:
            if one.poll() is None if isinstance(one, subprocess.Popen) else one.is_running():
                one.send_signal(signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
