# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a machine must have before set-up can work, and a sourced ROS 2 if there is one. Standard library only.

Every complaint names what is missing and the command that installs it.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
# Not sys.executable: inside .venv that is the very thing that set-up may have to replace.
BASE_PYTHON = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
PROBE = """
import importlib.util, json, os, sys, sysconfig
json.dump({"version": list(sys.version_info[:2]), "venv": all(map(importlib.util.find_spec, ("venv", "ensurepip"))),
           "headers": os.path.exists(os.path.join(sysconfig.get_config_var("INCLUDEPY"), "Python.h"))}, sys.stdout)
"""


def check_python() -> None:
    """End with a clear line where the Python that runs set-up is too old."""
    if sys.version_info < OLDEST:
        raise SystemExit(
            f"vljepa_ros needs Python {OLDEST[0]}.{OLDEST[1]} or later, {sys.executable} is {sys.version.split()[0]}. "
            "Name another one: make setup PYTHON=/usr/bin/python3.12"
        )


def missing(python: str) -> dict[str, str]:
    """What set-up needs and cannot find: thing -> apt package that brings it."""
    lacks: dict[str, str] = {}
    facts = json.loads(subprocess.check_output([python, "-c", PROBE], text=True))
    version = "{}.{}".format(*facts["version"])
    apt_python = "python3" if python.startswith("/usr/bin/python3") else f"python{version}"
    if not facts["venv"]:
        lacks[f"the modules venv and ensurepip of {python}"] = f"{apt_python}-venv"
    if not facts["headers"]:
        lacks[f"Python.h of {python}"] = f"{apt_python}-dev"
    if not shutil.which(os.environ.get("CC", "cc")):
        lacks["a C compiler (cc)"] = "build-essential"
    if not shutil.which(os.environ.get("CXX", "c++")):
        lacks["a C++ compiler (c++)"] = "build-essential"
    if not shutil.which("make") and not shutil.which("ninja"):
        lacks["make"] = "build-essential"
    if not shutil.which("cmake"):
        lacks["cmake"] = "cmake"
    return lacks


def check(python: str) -> None:
    """End with a list of everything that is missing, and one command that installs all of it."""
    lacks = missing(python)
    if lacks:
        things = "\n".join(f"  - {thing}" for thing in lacks)
        packages = " ".join(dict.fromkeys(lacks.values()))
        raise SystemExit(
            f"vljepa_ros cannot be set up here, this is missing:\n{things}\nInstall it with:\n  sudo apt-get install {packages}"
        )


def sourced_ros() -> str | None:
    """Name and prefix of the ROS 2 that this shell has sourced, None without. A virtual environment is some checkout's wheels."""
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        folder = Path(prefix).resolve()
        if (folder / "share/rclpy/package.xml").exists() and not (folder / "pyvenv.cfg").exists():
            return f"ROS 2 {os.environ.get('ROS_DISTRO', '').capitalize()} in {folder}"
    return None


def ros_python() -> str:
    """The Python that the sourced ROS 2 was built for."""
    candidates = dict.fromkeys([BASE_PYTHON, "/usr/bin/python3"])
    for python in candidates:
        if Path(python).exists() and subprocess.run([python, "-c", "import rclpy"], capture_output=True).returncode == 0:
            return python
    raise SystemExit(
        f"A ROS 2 is sourced, but none of {', '.join(candidates)} can import its rclpy. Name the Python it was built for "
        "(make setup PYTHON=...), or start a shell without it: then ROS 2 comes from wheels."
    )


def requirements_beside(python: str, locked_sets: list[Path]) -> list[str]:
    """Requirements for beside a sourced ROS 2: what the locked sets chose, but numpy as that ROS has it.

    Its messages are compiled against one major version of numpy and crash with another. Our opencv wants numpy 2: pip picks one.
    """
    numpy = subprocess.check_output([python, "-c", "import numpy; print(numpy.__version__)"], text=True).strip()
    lines = [line for path in locked_sets for line in path.read_text().split("# ---")[0].splitlines()]
    chosen = [line for line in lines if line and not line.startswith(("#", "numpy=", "opencv-python-headless="))]
    return [*chosen, f"numpy=={numpy}", "opencv-python-headless", "colcon-common-extensions"]
