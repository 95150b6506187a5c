# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tools that make a checkout runnable: what they notice, what they mend, what they leave alone."""
from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"


def load(name, monkeypatch):
    """A module of tools/, loaded fresh."""
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- mend_exports ---------------------------------------------------------------------------------------------------------------

EXPORT = (
    'set_target_properties(std_msgs::std_msgs__rosidl_generator_py PROPERTIES\n  INTERFACE_INCLUDE_DIRECTORIES "'
    "/opt/python/cp311-cp311/include/python3.11;/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include;"
    '${_IMPORT_PREFIX}/include/std_msgs;${_IMPORT_PREFIX}/include/builtin_interfaces"\n)\n'
)


def test_mending_replaces_both_header_folders_and_nothing_else(monkeypatch):
    mend = load("mend_exports", monkeypatch).mend
    mended = mend(EXPORT, r"/py\1/include", "/np/include")  # a backslash in a path is no back-reference
    assert mended == EXPORT.replace("/opt/python/cp311-cp311/include/python3.11", r"/py\1/include").replace(
        "/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include", "/np/include"
    )
    assert mend(mended, r"/py\1/include", "/np/include") == mended


def test_mending_knows_free_threaded_pythons_and_old_numpy(monkeypatch):
    mend = load("mend_exports", monkeypatch).mend
    built = "/opt/python/cp313-cp313t"
    text = f"{built}/include/python3.13t;{built}/lib/python3.13t/site-packages/numpy/core/include"
    assert mend(text, "/py", "/np") == "/py;/np"


def test_no_export_of_this_environment_names_the_builder_s_python(monkeypatch):
    exports = list(Path(sys.prefix).glob(load("mend_exports", monkeypatch).EXPORTS))
    if not exports:
        pytest.skip("ROS 2 does not come from wheels here")
    assert [path.name for path in exports if "/opt/python/" in path.read_text()] == []


# --- preflight ------------------------------------------------------------------------------------------------------------------


def test_a_bare_machine_is_told_everything_at_once(tmp_path):
    """One message with all that is missing and one command; nothing was created."""
    code = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import preflight; preflight.check(sys.executable)"
    env = {key: value for key, value in os.environ.items() if key not in ("CC", "CXX")} | {"PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    for word in ("C compiler", "C++ compiler", "cmake", "sudo apt-get install", "build-essential"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_this_machine_lacks_nothing(monkeypatch):
    preflight = load("preflight", monkeypatch)
    assert preflight.missing(preflight.BASE_PYTHON) == {}


def test_a_sourced_ros_is_seen_and_our_own_wheels_are_not(tmp_path, monkeypatch):
    preflight = load("preflight", monkeypatch)
    apt, ours = tmp_path / "opt/ros/jazzy", tmp_path / "checkout/.venv"
    for prefix in (apt, ours):
        (prefix / "share/rclpy").mkdir(parents=True)
        (prefix / "share/rclpy/package.xml").touch()
    (ours / "pyvenv.cfg").touch()
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'overlay'}:{ours}")
    assert preflight.sourced_ros() is None
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'overlay'}:{ours}:{apt}")
    assert preflight.sourced_ros() == f"ROS 2 Jazzy in {apt}"
    monkeypatch.delenv("AMENT_PREFIX_PATH")
    assert preflight.sourced_ros() is None


def test_beside_a_sourced_ros_numpy_stays_as_that_ros_has_it(tmp_path, monkeypatch):
    import numpy

    locked = tmp_path / "runtime.txt"
    locked.write_text("# why\ntorch==2.13.0\nnumpy==9.9.9\nopencv-python-headless==5.0.0\n\n# --- brought along\nsympy==1.0\n")
    wanted = load("preflight", monkeypatch).requirements_beside(sys.executable, [locked])
    assert wanted == ["torch==2.13.0", f"numpy=={numpy.__version__}", "opencv-python-headless", "colcon-common-extensions"]


# --- setup_workspace ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A Workspace of a made-up checkout, with no ROS sourced."""
    for path, text in {
        "package.xml": "<package/>",
        "CMakeLists.txt": "",
        "msg/A.msg": "int32 a",
        "vljepa_ros/__init__.py": "",
        "vljepa_ros/__pycache__/x.pyc": "",
        "launch/l.launch.py": "",
        **{f"requirements/{name}.txt": name for name in ("ros-jazzy", "ros-kilted", "runtime", "train", "dev")},
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.delenv("ROS_WHEELS", raising=False)
    module = load("setup_workspace", monkeypatch)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


@pytest.mark.parametrize(
    ("path", "rebuilds"),
    [
        ("msg/A.msg", True),
        ("msg/B.msg", True),
        ("CMakeLists.txt", True),
        ("requirements/runtime.txt", True),
        ("vljepa_ros/new.py", True),  # a link is missing
        ("vljepa_ros/__init__.py", False),  # the link is there already
        ("vljepa_ros/__pycache__/y.pyc", False),
        ("requirements/ros-kilted.txt", False),  # the other column's
        ("README.md", False),
    ],
)
def test_the_package_is_built_again_only_when_it_would_differ(workspace, tmp_path, path, rebuilds):
    before = workspace.Workspace().build_inputs()
    assert workspace.Workspace().build_inputs() == before
    (tmp_path / path).write_text("changed")
    assert (workspace.Workspace().build_inputs() != before) is rebuilds


def test_columns_do_not_share_folders(workspace, monkeypatch):
    jazzy = workspace.Workspace()
    monkeypatch.setenv("ROS_WHEELS", "kilted")
    kilted = workspace.Workspace()
    assert not {jazzy.venv, jazzy.install, jazzy.build} & {kilted.venv, kilted.install, kilted.build}
    assert jazzy.environment_inputs()["requirements"] != kilted.environment_inputs()["requirements"]
    monkeypatch.setenv("ROS_WHEELS", "humble")
    with pytest.raises(SystemExit, match=r"one of jazzy, kilted, got 'humble'"):
        workspace.Workspace()


def test_an_up_to_date_checkout_starts_nothing(workspace, monkeypatch):
    made = workspace.Workspace()
    for folder, inputs in ((made.venv, made.environment_inputs()), (made.install, made.build_inputs())):
        folder.mkdir()
        workspace._write_stamp(folder, inputs)
    monkeypatch.setattr(workspace.subprocess, "run", lambda *a, **k: pytest.fail(f"set-up ran {a}"))
    workspace.main()


def test_a_source_that_is_gone_takes_the_install_space_with_it(workspace, tmp_path, monkeypatch):
    """colcon never removes what it once installed; a dangling link would shadow nothing but could be imported by mistake."""
    made = workspace.Workspace()
    made.venv.mkdir()
    workspace._write_stamp(made.venv, made.environment_inputs())
    stale = made.install / "lib/stale.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    workspace._write_stamp(made.install, made.build_inputs())
    (tmp_path / "launch/l.launch.py").unlink()
    monkeypatch.setattr(workspace.preflight, "check", lambda python: None)
    monkeypatch.setattr(workspace, "_run", lambda command, log, **kwargs: made.install.mkdir())  # fails where it still exists
    workspace.build_package(workspace.Workspace())
    assert not stale.exists()
    assert workspace._stamp(made.install) == made.build_inputs()


def test_a_failing_step_shows_the_end_of_its_output_and_leaves_no_stamp(workspace, tmp_path):
    with pytest.raises(SystemExit, match=r"(?s)last words.*set-up failed \(3\).*whole output is in .*x\.log"):
        workspace._run([sys.executable, "-c", "print('last words'); raise SystemExit(3)"], tmp_path / "build/x.log")


# --- env.sh ---------------------------------------------------------------------------------------------------------------------


def in_bash(code, **variables):
    env = {"HOME": os.environ.get("HOME", "/"), "PATH": "/usr/bin:/bin", **variables}
    return subprocess.run(["bash", "-euc", code], env=env, capture_output=True, text=True, check=True).stdout.split("\n")


def test_sourcing_twice_changes_nothing():
    once, twice = (in_bash(f"{'. tools/env.sh; ' * n} env | grep -v ^_= | sort".replace("tools", str(TOOLS))) for n in (1, 2))
    assert once == twice
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in once
    assert f"FASTRTPS_DEFAULT_PROFILES_FILE={ROOT}/config/fastdds_shm32m.xml" in once
    assert (ROOT / "config/fastdds_shm32m.xml").is_file()


def test_what_is_set_already_stays():
    names = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    code = f". {TOOLS}/env.sh; " + "; ".join(f"echo ${name}" for name in names)
    out = in_bash(code, ROS_AUTOMATIC_DISCOVERY_RANGE="SUBNET", FASTDDS_DEFAULT_PROFILES_FILE="/mine.xml")
    assert out[:3] == ["SUBNET", "/mine.xml", "/mine.xml"]


def test_the_checkout_comes_before_the_install_space():
    path = in_bash(f". {TOOLS}/env.sh; echo $PYTHONPATH")[0].split(":")
    assert path[:2] == [str(ROOT), str(ROOT / "training")]
    assert all("install" in place for place in path[2:])


def test_another_copy_of_the_package_leaves_the_path(tmp_path):
    for name in ("other/vljepa_ros", "mine"):
        (tmp_path / name).mkdir(parents=True)
    code = f". {TOOLS}/env.sh; echo $PYTHONPATH"
    path = in_bash(code, PYTHONPATH=f"{tmp_path}/other:{tmp_path}/mine")[0].split(":")
    assert path[0] == str(ROOT) and path[-1] == f"{tmp_path}/mine"
    assert f"{tmp_path}/other" not in path
