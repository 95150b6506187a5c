# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who may import whom (docs/design.md), from the source; what an import drags in; that an installed package is one package."""
from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROS = {
    *("rclpy", "launch", "launch_ros", "launch_testing", "ament_index_python", "cv_bridge", "message_filters"),
    *("builtin_interfaces", "diagnostic_msgs", "lifecycle_msgs", "rcl_interfaces"),
    *("rosgraph_msgs", "sensor_msgs", "std_msgs", "std_srvs"),
    *("vljepa_ros.msg", "vljepa_ros.srv"),
}
# Part of the house -> the other parts it may import. Parts that are not named here may not exist.
MAY_IMPORT = {
    "vljepa_ros": set(),  # the root's __init__.py
    "vljepa_ros.assets": set(),
    "vljepa_ros.model": set(),
    "vljepa_ros.streaming": {"vljepa_ros.model"},
    "vljepa_ros.evaluation": {"vljepa_ros.model", "vljepa_ros.streaming"},
    "vljepa_ros.memory": {"vljepa_ros.model", "vljepa_ros.streaming"},
    "vljepa_ros.viewing": {"vljepa_ros.streaming"},
    "vljepa_ros.nodes": {f"vljepa_ros.{part}" for part in ("model", "streaming", "memory", "viewing")},
    "vljepa_ros.client": set(),
    "vljepa_ros.examples": {"vljepa_ros.client"},
    "vljepa_ros.cli": {
        f"vljepa_ros.{part}" for part in ("model", "streaming", "evaluation", "memory", "viewing", "nodes", "client")
    },
    "vljepa_training": {"vljepa_ros.model", "vljepa_ros.streaming", "vljepa_ros.evaluation"},
}
# One module of training asks running nodes, as a planner does. ROS only when it runs.
ASKS = "vljepa_training.ask"
ASKS_MAY_IMPORT = {"vljepa_ros.client", "vljepa_ros.cli"}
SPEAK_ROS = {"vljepa_ros.nodes", "vljepa_ros.client", "vljepa_ros.examples"}
SPEAK_ROS_LAZILY = {"vljepa_ros.cli"}


def sources() -> dict[str, Path]:
    """Module name -> file, for both packages. A package's __init__.py goes by the package's name."""
    found = {}
    for base, package in ((ROOT, "vljepa_ros"), (ROOT / "training", "vljepa_training")):
        for path in (base / package).rglob("*.py"):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str, source: str, is_package: bool = False) -> Iterator[tuple[str, bool]]:
    """(imported dotted name, whether only when a function runs), as absolute names; `from a import b` gives a.b."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parts = module.split(".") if is_package else module.split(".")[:-1]
                    base = ".".join([*parts[: len(parts) - child.level + 1], *filter(None, [child.module])])
                yield from ((f"{base}.{alias.name}", lazy) for alias in child.names)
            yield from walk(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    yield from walk(ast.parse(source), False)


def part_of(name: str) -> str:
    """The part of the house that a dotted name belongs to, "" for names from elsewhere."""
    head, *rest = name.split(".")
    if head == "vljepa_training" or (head == "vljepa_ros" and (not rest or rest[0].startswith("__"))):
        return head
    return f"{head}.{rest[0]}" if head == "vljepa_ros" else ""


def is_within(name: str, roots: set[str]) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


def violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """What a module imports against the rules, as sentences."""
    here, wrong = part_of(module), []
    if here not in MAY_IMPORT:
        wrong.append(f"{module} belongs to no part of the house")
    for name, lazy in imports(module, source, is_package):
        there = part_of(name)
        if is_within(name, {"cv_bridge"}) and module == "vljepa_ros.streaming.images" and lazy:
            continue  # it turns pixels for anybody, where it is installed
        if is_within(name, ROS):
            if here not in SPEAK_ROS and not ((here in SPEAK_ROS_LAZILY or module == ASKS) and lazy):
                wrong.append(f"{module} imports {name}: ROS belongs to {sorted(SPEAK_ROS)}, and to cli/ when it runs")
        elif there and there not in {here, "vljepa_ros"} and there not in MAY_IMPORT.get(here, set()):
            if module == ASKS and there in ASKS_MAY_IMPORT and (lazy or there != "vljepa_ros.client"):
                continue
            wrong.append(f"{module} imports {name}: {here} may not know {there}")
        elif is_within(name, {"mujoco"}) and here != "vljepa_training":
            wrong.append(f"{module} imports {name}: MuJoCo belongs to training")
        elif is_within(name, {"onnxruntime"}) and not (here == "vljepa_ros.model" and lazy):
            wrong.append(f"{module} imports {name}: ONNX Runtime belongs to model/engines, when an engine is made")
    return wrong


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vljepa_ros.model.vljepa", "from ..streaming import Clip"),
        ("vljepa_ros.model.vljepa", "from vljepa_ros import streaming"),
        ("vljepa_ros.streaming.clips", "def f():\n    import rclpy"),
        ("vljepa_ros.streaming.clips", "import vljepa_ros.nodes.conversions"),
        ("vljepa_ros.streaming.clips", "def f():\n    from cv_bridge import CvBridge"),
        ("vljepa_ros.streaming.images", "from cv_bridge import CvBridge"),
        ("vljepa_ros.evaluation.stream", "from vljepa_ros.msg import DecodedText"),
        ("vljepa_ros.memory.store", "import rclpy"),
        ("vljepa_ros.streaming.types", "from vljepa_ros.memory import Segment"),
        ("vljepa_ros.nodes.predictor_node", "from vljepa_training.train import main"),
        ("vljepa_ros.nodes.predictor_node", "from ..evaluation import boundaries"),
        ("vljepa_ros.cli.demo", "from sensor_msgs.msg import Image"),
        ("vljepa_ros.cli.demo", "def f():\n    from vljepa_training.tabletop import bag"),
        ("vljepa_ros.model.engines.onnx", "import onnxruntime as ort"),
        ("vljepa_ros.streaming.clips", "def f():\n    if True:\n        import mujoco"),
        ("vljepa_ros.viewing.annotate", "from sensor_msgs.msg import Image"),
        ("vljepa_ros.viewing.annotate", "from ..model import VLJEPA"),
        ("vljepa_training.train", "from vljepa_ros.nodes import conversions"),
        ("vljepa_ros.client.client", "from vljepa_ros.streaming import Embedding"),
        ("vljepa_ros.examples.goal_monitor", "from vljepa_ros.nodes import conversions"),
        ("vljepa_ros.nodes.predictor_node", "from vljepa_ros.client import VLJEPAClient"),
        ("vljepa_training.ask", "import rclpy"),
        ("vljepa_training.ask", "from vljepa_ros.client import VLJEPAClient"),
        ("vljepa_training.score", "def f():\n    from vljepa_ros.client import VLJEPAClient"),
        ("vljepa_ros.utils", "import os"),
    ],
)
def test_the_rules_notice(module, source):
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vljepa_ros.streaming.clips", "from ..model import preprocess\nfrom .types import Clip"),
        ("vljepa_ros.streaming.images", "def f():\n    from cv_bridge import CvBridge"),
        ("vljepa_training.score", "from vljepa_ros.evaluation.recorded.bag import RecordedBag"),
        ("vljepa_ros.cli.demo", "def f():\n    import rclpy\n    from ..nodes import conversions"),
        ("vljepa_training.ask", "from vljepa_ros.cli import processes\ndef f():\n    from vljepa_ros.client import VLJEPAClient"),
        ("vljepa_ros.nodes.predictor_node", "import rclpy\nfrom vljepa_ros.msg import SemanticEmbedding"),
        ("vljepa_ros.client.client", "import rclpy\nfrom .link import Link\nfrom vljepa_ros.srv import Predict"),
        ("vljepa_ros.examples.goal_monitor", "from std_msgs.msg import Float32\nfrom vljepa_ros.client import VLJEPAClient"),
        ("vljepa_ros.model.engines.onnx", "def f():\n    import onnxruntime"),
        ("vljepa_ros.evaluation.stream", "from vljepa_ros import __version__"),
    ],
)
def test_the_rules_let_pass(module, source):
    assert violations(module, source) == []


def test_every_module_keeps_the_rules():
    found = sources()
    assert {"vljepa_ros.streaming.types", "vljepa_training"} <= set(found), "the search for sources finds nothing"
    wrong = [v for name, path in found.items() for v in violations(name, path.read_text(), path.name == "__init__.py")]
    assert not wrong, "\n".join(wrong)


def test_the_source_leaves_room_for_the_generated_packages():
    made = [name for name in ("msg", "srv", "action") if (ROOT / "vljepa_ros" / name).exists()]
    assert not made, f"vljepa_ros/{made} in the source would hide the messages that colcon builds"


def test_a_planner_needs_no_torch(tmp_path):
    """The client travels in other people's nodes."""
    code = "import json, sys, vljepa_ros.client; print(json.dumps(sorted(sys.modules)))"
    elsewhere = os.environ.get("PYTHONPATH", "")
    loaded = set(json.loads(run_python(code, tmp_path, f"{ROOT}{os.pathsep}{elsewhere}").splitlines()[-1]))
    assert "vljepa_ros.client.client" in loaded
    assert not loaded & {"torch", "transformers", "cv2", "vljepa_ros.model", "vljepa_ros.streaming", "vljepa_ros.nodes"}


def run_python(code: str, cwd: Path, pythonpath: str, *flags: str) -> str:
    """Standard output of `python -c code`, away from the checkout's own sys.path."""
    env = {**os.environ, "PYTHONPATH": pythonpath}
    done = subprocess.run([sys.executable, *flags, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", ["vljepa_ros.model", "vljepa_ros.streaming", "vljepa_ros.memory"])
def test_the_core_imports_neither_ros_nor_simulator_nor_onnx(package, tmp_path):
    code = f"import json, sys, {package}; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(run_python(code, tmp_path, str(ROOT))))
    assert package in loaded
    assert not loaded & {"rclpy", "mujoco", "onnxruntime", "vljepa_training", "vljepa_ros.nodes", "launch"}


def test_an_installed_package_is_one_package(tmp_path):
    """Imported from outside the checkout, all modules come from the install space; none from the checkout or a pip copy."""
    try:
        import vljepa_ros.msg
    except ImportError:
        pytest.fail("vljepa_ros.msg is not built or not on the path: run `make test`, or source tools/env.sh after `make setup`")
    installed = Path(vljepa_ros.msg.__file__).parents[2]
    assert ROOT / "vljepa_ros" not in (installed / "vljepa_ros").parents and installed != ROOT
    names = [name for name in sources() if part_of(name) != "vljepa_training"]
    code = (
        f"import importlib, json, sys\nfor name in {names}: importlib.import_module(name)\n"
        "import vljepa_ros.msg\n"
        "ours = {n: m for n, m in sys.modules.items() if n.startswith('vljepa_ros')}\n"
        "print(json.dumps({n: [*getattr(m, '__path__', []), m.__file__] for n, m in ours.items()}))"
    )
    elsewhere = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and Path(p) not in (ROOT, ROOT / "training")]
    places = json.loads(run_python(code, tmp_path, os.pathsep.join(elsewhere), "-P").splitlines()[-1])
    assert set(names) <= set(places)
    strangers = {name: where for name, where in places.items() if any(installed not in Path(p).parents for p in where if p)}
    assert not strangers
