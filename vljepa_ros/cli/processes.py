# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's processes: started with a log each, watched, and stopped by their pid whatever happens to the demo.

A child is in a process group of its own, so that Ctrl-C reaches the demo alone, which then stops its children in order; and it is
told by the kernel when the demo dies, so that not even a killed demo leaves nodes behind.
"""
from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

PR_SET_PDEATHSIG = 1
DOMAINS = range(30, 100)  # ROS_DOMAIN_IDs above 101 reach into Linux's ephemeral ports; low ones are what people use themselves


class ProcessError(Exception):
    """A process that should be running is not: its name, how it ended and the last words of its log."""


class Child:
    """One Python module as a process. `stdin` and `stdout` are pipes where `talks`; all else it says goes to `log`."""

    def __init__(
        self, name: str, module: str, arguments: list[str], log: Path, environment: dict[str, str], talks: bool = False
    ) -> None:
        self.name, self.log = name, log
        pipe = subprocess.PIPE if talks else None
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or file,
                stderr=file,
                env=environment,
                process_group=0,
                preexec_fn=_die_with_parent,
                text=True,
                bufsize=1,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """Raise ProcessError where the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise ProcessError(
                f"{self.name} ended ({_ending(code)}); its last words, all of them in {self.log}:\n{self.last_words()}"
            )

    def last_words(self, lines: int = 6) -> str:
        said = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join(f"    {line}" for line in said[-lines:]) or "    (nothing)"

    def stop(self, patience_s: float = 5.0) -> None:
        """SIGINT, then SIGTERM, then SIGKILL, each with its time. Does nothing to a process that has ended."""
        for number, wait_s in ((signal.SIGINT, patience_s), (signal.SIGTERM, patience_s / 2), (signal.SIGKILL, patience_s)):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # what was not read by a process that is gone


def stop_all(children: list[Child]) -> None:
    """All of them at once first, so that the wait is the slowest one's and not the sum."""
    for child in children:
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 5.0
    for child in children:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        child.stop(1.0)


def environment(domain: int | None = None, threads: int | None = None) -> dict[str, str]:
    """This process's environment, with a ROS domain of its own, local discovery, and shared memory that images fit into."""
    env = dict(os.environ)
    env["ROS_DOMAIN_ID"] = str(free_domain() if domain is None else domain)
    env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    env.pop("ROS_LOCALHOST_ONLY", None)
    env.setdefault("PYTHONUNBUFFERED", "1")
    profile = fastdds_profile()
    if profile is not None:
        # Two names of one thing: Jazzy reads the second.
        env["FASTDDS_DEFAULT_PROFILES_FILE"] = env["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(profile)
    if threads is not None:
        env["OMP_NUM_THREADS"] = str(threads)
    return env


def fastdds_profile(name: str = "fastdds_shm32m.xml") -> Path | None:
    """The installed profile, or that of the checkout; None where neither is (a pip install without ROS)."""
    checkout = Path(str(resources.files("vljepa_ros"))).parent / "config" / name
    candidates = [
        Path(prefix) / "share" / "vljepa_ros" / "config" / name
        for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":")
        if prefix
    ]
    return next((path for path in [checkout, *candidates] if path.is_file()), None)


def free_domain() -> int:
    """A domain on this machine in which nobody's first participant listens."""
    first = os.getpid() % len(DOMAINS)
    for domain in [*DOMAINS[first:], *DOMAINS[:first]]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain + 10))  # RTPS 9.6.1.1: metatraffic unicast port of participant 0
            except OSError:
                continue
            return domain
    return DOMAINS[first]


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    return signal.Signals(-code).name
