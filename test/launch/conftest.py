# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Launch files as a terminal runs them: started, spoken to, ended by Ctrl-C, killed with all their nodes where a test fails."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "launch"
RUN_LAUNCH_FILE = Path(__file__).with_name("run_launch_file.py")


class Launched:
    """One launch file that runs. Its output is in `log`."""

    def __init__(self, process: subprocess.Popen, log: Path, wait_until: Callable[..., Any], executor: Any) -> None:
        self.process, self._log, self._wait_until, self._executor = process, log, wait_until, executor

    @property
    def log(self) -> str:
        return self._log.read_text()

    def until(self, predicate: Callable[[], Any], what: str, timeout: float = 200.0) -> None:
        """Spin until it is so; fails where the launch ends before."""

        def alive() -> Any:
            assert self.process.poll() is None, f"the launch ended: {self.log}"
            return predicate()

        self._wait_until(alive, timeout=timeout, spin=lambda: self._executor.spin_once(0.05), what=what)

    def interrupt(self) -> None:
        """Ctrl-C: to the whole session, as a terminal does, which launch relies on. It must end with status 0."""
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(60) == 0, self.log


@pytest.fixture
def launch(tmp_path: Path, wait_until: Callable[..., Any], ros_executor: Any) -> Iterator[Callable[..., Launched]]:
    """`launch(file, name=value, ...)`, once in a test."""
    log = tmp_path / "launch.log"
    started: list[Launched] = []

    def begin(file: str, **arguments: Any) -> Launched:
        words = [f"{name}:={value}" for name, value in arguments.items()]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, RUN_LAUNCH_FILE, FOLDER / file, *words], stdout=out, stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}, start_new_session=True,
            )  # fmt: skip
        started.append(Launched(process, log, wait_until, ros_executor))
        return started[-1]

    yield begin
    for one in started:
        print(one.log)  # shown where the test fails
        try:
            os.killpg(one.process.pid, signal.SIGKILL)  # the nodes too, whatever has become of the launch
        except ProcessLookupError:
            pass
        one.process.wait(10)
