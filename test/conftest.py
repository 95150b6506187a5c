# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What tests share: a ROS domain of their own, waiting on outputs, a tiny checkpoint, and loud words about what was left out.

Run through `make test`, or in an environment that has sourced tools/env.sh.
"""
from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

# Domain ids up to 101 keep DDS ports below the range that Linux hands out by itself; low ones are where people work by hand.
DOMAINS = range(20, 100)
PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><light/><geom size='.1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    assert renderer.render().any(), "MuJoCo drew a black picture"
"""


# --- the session's surroundings -------------------------------------------------------------------------------------------------


@functools.cache
def _claim_domain() -> tuple[int, socket.socket]:
    """A ROS domain id that no other test process and no node on this network stack has, and the claim that keeps it so.

    The claim is an abstract Unix socket: like DDS's own ports, and unlike a lock file, every container that shares our network
    sees it, and it is gone with the process.
    """
    for domain in DOMAINS:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0vljepa_ros test in ROS domain {domain}")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("", 7400 + 250 * domain + 10))  # RTPS 9.6.1.1: where a domain's first participant listens
        except OSError:
            claim.close()
            continue
        return domain, claim
    raise pytest.UsageError(f"all ROS domains of {DOMAINS} are taken on this machine")


def pytest_configure(config: pytest.Config) -> None:
    """Before anything imports rclpy or mujoco: nodes that tests start, here or in another process, meet nobody but this run."""
    os.environ["ROS_DOMAIN_ID"] = str(_claim_domain()[0])
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("ROS_LOG_DIR", tempfile.mkdtemp(prefix="vljepa_ros_test_log_"))
    os.environ.setdefault("MUJOCO_GL", "egl")
    # Small matrices, several processes, two cores: an OpenMP team that waits for a core makes a call a thousand times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A shell's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def _why_no_render() -> str | None:
    """None where MuJoCo draws pictures, else its complaint. Asked in a process of its own: a failing GL stack may abort."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60)
    if done.returncode == 0:
        return None
    complaint = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("Exception ignored")]
    last = next((line for line in reversed(complaint) if "Error" in line), f"exit status {done.returncode}")
    return f"MuJoCo cannot draw here ({last.strip()}); apt-get install libegl1 libgl1-mesa-dri"


def _why_no_launch() -> str | None:
    if importlib.util.find_spec("launch_ros"):
        return None
    return "launch_ros is not importable; it comes with a system ROS 2 only"


@functools.cache
def _chromium() -> str | None:
    """A Chromium's command. Ubuntu's may be a stub that asks for a snap: a browser is what tells its version."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if command := shutil.which(name):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                if subprocess.run([command, "--version"], capture_output=True, timeout=60).returncode == 0:
                    return command
    return None


def _why_no_browser() -> str | None:
    return None if _chromium() else "no Chromium to open pages in; apt-get install chromium"


NEEDS: dict[str, Callable[[], str | None]] = {"render": _why_no_render, "launch": _why_no_launch, "browser": _why_no_browser}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what cannot run here, unless VLJEPA_REQUIRE names it (`.ci/run` does): then say so and stop."""
    required = os.environ.get("VLJEPA_REQUIRE", "").split()
    for marker, why_not in NEEDS.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        reason = why_not() if marked else None
        if reason and marker in required:
            raise pytest.UsageError(f"VLJEPA_REQUIRE names {marker!r}, but {reason}")
        for item in marked if reason else []:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every test that did not run, by reason, above pytest's own last line."""
    left_out: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        left_out[reason.removeprefix("Skipped: ")].append(report.nodeid)
    if not left_out:
        return
    terminalreporter.section("LEFT OUT, THESE DID NOT RUN", sep="!", yellow=True, bold=True)
    for reason, tests in left_out.items():
        files = sorted({test.split("::")[0] for test in tests})
        terminalreporter.write_line(f"{len(tests)} in {', '.join(files)}: {reason}", yellow=True)


# --- waiting --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., T]:
    """`wait_until(predicate, timeout=10.0, spin=None, what="...")` -> the predicate's first true value, or the test fails.

    `spin` is called between looks and should do the work waited for, at most some 50 ms of it (an executor's spin_once). Without,
    somebody else works (a thread, a process) and we look every 5 ms.
    """

    def wait(
        predicate: Callable[[], T], timeout: float = 10.0, spin: Callable[[], object] | None = None, what: str = "the condition"
    ) -> T:
        deadline = time.monotonic() + timeout
        while not (value := predicate()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout:g} s in vain for {what}")
            if spin:
                spin()
            else:
                time.sleep(0.005)
        return value

    return wait


@pytest.fixture(scope="session")
def chromium_command() -> str:
    """The browser's command, for tests marked `browser`."""
    return _chromium()


# --- weights --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a checkpoint of the tiny preset with random weights, the same in every run. Copy it before you damage it."""
    from vljepa_ros.model.random_checkpoint import make_tiny

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    make_tiny(folder)
    return folder


@pytest.fixture(scope="session")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny checkpoint's ONNX graphs, exported once. Copy it before you damage it."""
    from vljepa_ros.model import VLJEPA
    from vljepa_ros.model.engines.export import export_graphs

    model = VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch")
    folder = tmp_path_factory.mktemp("graphs") / "tiny"
    export_graphs(model.config, model.modules["vision"], model.modules["predictor"], model.sha256, folder)
    return folder


# --- ROS ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ros_domain() -> int:
    """The ROS_DOMAIN_ID of this test process."""
    return _claim_domain()[0]


@pytest.fixture
def ros_context() -> Iterator[object]:
    """rclpy's default context, initialised over DDS on this machine in this run's own domain; shut down afterwards."""
    import rclpy

    rclpy.init()
    try:
        yield rclpy.get_default_context()
    finally:
        rclpy.try_shutdown()


@pytest.fixture
def ros_executor(ros_context: object) -> Iterator[object]:
    """A single-threaded executor in `ros_context`. Afterwards the nodes that were added and not removed are destroyed.

    Use it with waiting: `wait_until(lambda: received, spin=lambda: ros_executor.spin_once(0.05))`.
    """
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=ros_context)
    try:
        yield executor
    finally:
        for node in executor.get_nodes():
            executor.remove_node(node)
            node.destroy_node()
        executor.shutdown()
