# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny random checkpoint on disk, and a copy of it that a test may damage."""
from __future__ import annotations

import shutil

import pytest

from vljepa_ros.model.random_checkpoint import make_tiny


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """To be read only."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    make_tiny(folder)
    return folder


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    return shutil.copytree(tiny_checkpoint, tmp_path / "tiny")
