# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`pip install .` without ROS: both packages, the assets, the command; and what it leaves behind for colcon."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | env
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=surroundings, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which pip installed a copy of the checkout; building in place would leave build/lib and egg-infos there."""
    copy, target = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("site")
    for name in ("vljepa_ros", "training", "msg"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, copy)
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "install", "-q", *offline, "--target", target, copy, cwd=copy)
    return target


def test_every_source_and_asset_is_installed(site):
    def files(base, package):
        found = (path for path in (base / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(base) for path in found}

    for base, package in ((ROOT, "vljepa_ros"), (ROOT / "training", "vljepa_training")):
        assert files(base, package) - files(site, package) == set()


def test_the_messages_are_installed_for_those_who_write_bags_without_ros(site, tmp_path):
    code = "from vljepa_ros.cli import interfaces as i; print(i.folder(), *sorted(p.name for p in i.folder().iterdir()))"
    said = run(sys.executable, "-P", "-c", code, cwd=tmp_path, PYTHONPATH=str(site)).split()
    assert said == [str(site / "vljepa_ros/assets/interfaces"), *sorted(p.name for p in (ROOT / "msg").glob("*.msg"))]


def test_the_copy_is_self_contained(site, tmp_path):
    code = "import vljepa_ros.model, vljepa_ros.streaming, vljepa_training; print(vljepa_ros.__path__, vljepa_training.__path__)"
    places = run(sys.executable, "-P", "-c", code, cwd=tmp_path, PYTHONPATH=str(site)).strip()
    assert places == f"{[str(site / 'vljepa_ros')]} {[str(site / 'vljepa_training')]}"


def test_the_command_answers(site, tmp_path):
    assert "usage" in run(sys.executable, site / "bin/vljepa", "--help", cwd=tmp_path, PYTHONPATH=str(site)).lower()


def test_versions_and_maintainers_agree():
    import vljepa_ros

    package = ET.parse(ROOT / "package.xml").getroot()
    author = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["authors"][0]
    assert package.findtext("version") == vljepa_ros.__version__
    assert (package.findtext("maintainer"), package.find("maintainer").get("email")) == (author["name"], author["email"])


def test_scripts_are_three_line_executables():
    for path in (ROOT / "scripts").iterdir():
        lines = path.read_text().splitlines()
        assert len(lines) == 3 and lines[0] == "#!/usr/bin/env python3", path
        assert os.access(path, os.X_OK), f"{path} is not executable"


def test_locked_sets_satisfy_the_loose_bounds():
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, loose in {"runtime": project["dependencies"], **project["optional-dependencies"]}.items():
        if name in ("cpu", "gpu", "export"):  # the engine is the user's choice; what the tests use of them is pinned in dev.txt
            loose, name = [one for one in loose if "gpu" not in one], "dev"
        lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        pins = {canonicalize_name(r.name): r for r in map(Requirement, (line for line in lines if line and line[0] != "#"))}
        for need in map(Requirement, loose):
            pin = pins[canonicalize_name(need.name)]
            version = str(pin.specifier).removeprefix("==")
            assert need.specifier.contains(version), f"requirements/{name}.txt pins {pin}, pyproject.toml wants {need}"
