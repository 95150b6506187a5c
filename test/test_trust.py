# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the package says of itself to those who decide whether to trust it: files, keys and claims that hold."""
from __future__ import annotations

import ast
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "SECURITY.md", "QUALITY_DECLARATION.md", "CONTRIBUTING.md", "docs/design.md")
SOURCES = ("vljepa_ros", "training", "launch", "tools", "benchmarks", "test")
COPYRIGHT = "# Copyright 2026 the vljepa_ros authors\n# SPDX-License-Identifier: Apache-2.0\n"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
APT = {"cv2": "python3-opencv", "PIL": "python3-pil"} | {
    name: f"python3-{name}" for name in ("jinja2", "numpy", "rich", "psutil", "tqdm", "yaml", "matplotlib")
}
PIP = {"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "rosbags", "sklearn", "lz4"}  # rosbags brings lz4
OPTIONAL = {"cv_bridge", "onnx", "onnxruntime", "onnxscript"}


def needed() -> set[str]:
    """Top-level names that the ROS package's own sources import, from elsewhere than Python itself and ourselves."""
    found: set[str] = set()
    for path in [*(ROOT / "vljepa_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"vljepa_ros", "vljepa_training"}


def test_package_xml_names_what_is_imported_and_nothing_else() -> None:
    package = ET.parse(ROOT / "package.xml").getroot()
    named = {one.text for tag in ("depend", "exec_depend") for one in package.iter(tag)}
    wanted = {APT.get(name, name) for name in needed() - PIP - OPTIONAL}
    assert wanted - named == set(), "imported, but rosdep will not install it"
    assert named - wanted == {"rosidl_default_runtime"}, "named, but nobody imports it"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_pages_name_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [one for one in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in one]
    paths = re.findall(r"`((?:test|config|launch|tools|benchmarks|requirements|\.ci|\.github)/[\w./-]+)`", text)
    missing = [one for one in links if not (ROOT / page).parent.joinpath(one).exists()]
    missing += [one for one in paths if not (ROOT / one).exists()]
    assert not missing, missing


def test_the_quality_declaration_says_what_the_version_says() -> None:
    version = ET.parse(ROOT / "package.xml").getroot().findtext("version")
    declared = (ROOT / "QUALITY_DECLARATION.md").read_text()
    assert version in declared and ("does not claim it yet" in declared) == version.startswith("0.")


def test_every_python_file_begins_with_whose_it_is_and_under_which_licence() -> None:
    sources = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")] + [ROOT / "setup.py"]
    bare = [str(path.relative_to(ROOT)) for path in sources if not path.read_text().startswith(COPYRIGHT)]
    assert len(sources) > 300 and not bare, f"these lines first, please:\n{COPYRIGHT}in {bare}"
    (licence,) = re.findall(r"SPDX-License-Identifier: (\S+)", COPYRIGHT)
    assert ET.parse(ROOT / "package.xml").getroot().findtext("license") == licence
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_workflows_are_whole(path: Path) -> None:
    """Nobody can run them here; what can be seen from outside is looked at."""
    flow = yaml.safe_load(path.read_text())
    assert flow[True] == {"push": {"branches": ["main"]}, "pull_request": None}, "`on` is read as true by YAML 1.1"
    assert flow["permissions"] == {"contents": "read"}
    for job in flow["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"] and all(("uses" in one) != ("run" in one) for one in job["steps"])
        scripts = "\n".join(one.get("run", "") for one in job["steps"])
        for named in re.findall(r"(?:^|\s)((?:test|\.ci)/[\w./]+)", scripts):
            assert (ROOT / named).exists(), named
        for target in re.findall(r"make (\w+)", scripts):
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_both_sides_of_ros_are_built() -> None:
    assert {path.stem for path in WORKFLOWS} == {"core", "ros"}
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ros.yaml").read_text())["jobs"].values()
    assert job["strategy"]["matrix"]["distro"] == ["jazzy", "lyrical"] and job["container"] == "ros:${{ matrix.distro }}"
