"""The bench of the nodes' tests, and `faults(node)`: faults on command in a node's model."""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_nodes = load("faults_nodes_conftest", HERE.parent / "nodes" / "conftest.py")
bench, noise, stamps, to_image = _nodes.bench, _nodes.noise, _nodes.stamps, _nodes.to_image


@pytest.fixture
def injection() -> ModuleType:
    return load("faults_injection", HERE / "injection.py")


@pytest.fixture
def faults(injection: ModuleType) -> Any:
    """`faults(node)` -> Faults in the node's model."""
    return lambda node: injection.Faults(node._model)
