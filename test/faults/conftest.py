# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that fails in the field, made to fail here: short in `make test`, at full length in `make faults`.

The bench is that of the nodes' tests; `faults(node)` gives faults on command in a node's model.

A test asks `size(short, full)` how much to do, and hands what it measured to `figures`, which `make faults` prints and writes to
build/faults.json.
"""
from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_nodes = load("faults_nodes_conftest", HERE.parent / "nodes" / "conftest.py")
bench, noise, stamps, to_image = _nodes.bench, _nodes.noise, _nodes.stamps, _nodes.to_image
FULL = os.environ.get("VLJEPA_FAULTS") == "full"


@pytest.hookimpl(tryfirst=True)  # before `-m faults` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("faults")


@pytest.fixture(scope="session")
def size() -> Callable[[int, int], int]:
    """`size(short, full)`: the first in `make test`, the second in `make faults`."""

    def choose(short: int, full: int) -> int:
        return full if FULL else short

    return choose


@pytest.fixture(scope="session")
def cases() -> int:
    """Malformed inputs of each of the four kinds; `make faults` asks for 100,000 in all."""
    return int(os.environ.get("VLJEPA_MALFORMED", 480)) // 4


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A dict to fill with what was measured. Kept where everything runs at full length."""
    measured: dict[str, Any] = {}
    yield measured
    print(f"{request.node.name}: {measured}")
    if FULL and measured:
        path = ROOT / "build" / "faults.json"
        path.parent.mkdir(exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | {request.node.name: measured}, indent=1) + "\n")


@pytest.fixture
def injection() -> ModuleType:
    return load("faults_injection", HERE / "injection.py")


@pytest.fixture
def faults(injection: ModuleType) -> Any:
    """`faults(node)` -> Faults in the node's model."""
    return lambda node: injection.Faults(node._model)
