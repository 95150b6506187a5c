# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Both nodes as they are run: processes of their own, over DDS, ended by signals."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)
STARTS_S = 150.0  # for a process to import torch: 3 s on two idle cores, a minute where others use them
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """`start(name, **parameters)` -> the process of a script (or of `program`), its output in `tmp_path/<name>.log`."""
    started: list[subprocess.Popen] = []

    def begin(name: str, program: list[str] | None = None, **parameters: Any) -> subprocess.Popen:
        arguments = [item for key, value in parameters.items() for item in ("-p", f"{key}:={value}")]
        with (tmp_path / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *(program or [str(SCRIPTS / name)]), "--ros-args", *arguments], stdout=log,
                stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)
    for log in tmp_path.glob("*.log"):  # shown where the test fails
        print(f"--- {log.name}\n{log.read_text()}")


def ended(process: subprocess.Popen, log: Path) -> int:
    """Exit status; the log must not end in a traceback."""
    status = process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()
    return status


def test_camera_to_text_between_processes(bench: Any, start: Any, noise: Any, to_image: Any, tmp_path: Path) -> None:
    processes = [start(name, checkpoint=bench.checkpoint) for name in ("predictor_node", "decoder_node")]
    bench.until(lambda: all(bench.status(f"{name}: node") for name in ("predictor_node", "decoder_node")), "both nodes", STARTS_S)
    for name in ("predictor_node", "decoder_node"):
        bench.until_said(f"{name}: node", "active", level=b"\x00")
    from sensor_msgs.msg import Image

    publisher = bench.camera(Image, "image")
    image, clock = noise(1)[0], bench.outside.get_clock()
    sent: list[int] = []

    def text() -> bool:
        now_ns = clock.now().nanoseconds
        if not sent or now_ns - sent[-1] >= 50_000_000:  # 20 Hz
            sent.append(now_ns)
            publisher.publish(to_image(image, now_ns))
        return bool(bench.texts)

    bench.until(text, "a text")
    stamps = {one.header.stamp.sec * 10**9 + one.header.stamp.nanosec for one in [*bench.embeddings, *bench.texts]}
    assert stamps <= set(sent), "every stamp is an image's"
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process, name in zip(processes, ("predictor_node", "decoder_node")):
        assert ended(process, tmp_path / f"{name}.log") == 0, name


@pytest.mark.parametrize("name", ["predictor_node", "decoder_node", "memory_node", "view_node"])
def test_sigterm_ends_a_node_with_status_0(bench: Any, start: Any, tmp_path: Path, name: str) -> None:
    process = start(name, checkpoint=bench.checkpoint)
    bench.until(lambda: bench.status(f"{name}: node"), "the node", STARTS_S)
    process.send_signal(signal.SIGTERM)
    assert ended(process, tmp_path / f"{name}.log") == 0


SLOW = """
import time
from vljepa_ros.nodes.decoder_node import DecoderNode
from vljepa_ros.nodes.lifecycle import run

class Slow(DecoderNode):
    def release(self):
        time.sleep(0.5)
        super().release()
        print("released", flush=True)

run(Slow)
"""


def test_any_number_of_sigints_ends_a_node_with_status_0(bench: Any, start: Any, tmp_path: Path, wait_until: Any) -> None:
    """A launched node gets two with every Ctrl-C, and people press it again; some fall into every part of the ending."""
    process = start("slow", program=["-c", SLOW], checkpoint=bench.checkpoint)
    bench.until(lambda: bench.status("decoder_node: node"), "the node", STARTS_S)

    def interrupted() -> bool:
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    wait_until(interrupted, timeout=60, what="its end")
    assert ended(process, tmp_path / "slow.log") == 0
    assert "released" in (tmp_path / "slow.log").read_text()


TICKING = """
import gc, sys
from vljepa_ros.nodes.decoder_node import DecoderNode
from vljepa_ros.nodes.lifecycle import run

class Ticking(DecoderNode):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.ticks, self.before = 0, 0
        self.ticking = self.create_timer(0.001, self.tick)

    def tick(self):
        self.ticks += 1
        if self.ticks == 500:
            gc.collect()
            self.before = sys.getallocatedblocks()
        if self.ticks == 3500:
            gc.collect()
            print("blocks", sys.getallocatedblocks() - self.before, flush=True)
            self.ended.set_result(0)

run(Ticking)
"""


def test_a_process_does_not_grow_by_what_wakes_it(start: Any, tmp_path: Path) -> None:
    """Ten million wakeups a week: not even a small object may stay behind each."""
    process = start("ticking", program=["-c", TICKING], autostart=False)
    assert process.wait(STARTS_S) == 0
    grown = int((tmp_path / "ticking.log").read_text().split("blocks")[1].split()[0])
    assert grown < 1000, "of 3,000 wakeups"


def test_a_process_outlives_a_missing_checkpoint(bench: Any, start: Any, tmp_path: Path) -> None:
    process = start("predictor_node", checkpoint=tmp_path / "nowhere")
    bench.until(lambda: bench.status("predictor_node: node"), "the node", STARTS_S)
    bench.until_said("predictor_node: node", "unconfigured", "nowhere", level=b"\x02")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert ended(process, tmp_path / "predictor_node.log") == 0
    said = [line for line in (tmp_path / "predictor_node.log").read_text().splitlines() if "nowhere" in line]
    assert len(said) == 1 and "configure failed" in said[0], said
