# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tiny checkpoint's graphs, to be damaged; every device that is there."""
from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from vljepa_ros.model import VLJEPA


def cuda() -> str:
    """Why ONNX Runtime cannot use CUDA here, "" where it can."""
    import onnxruntime

    if not torch.cuda.is_available():
        return "no CUDA device here"
    return "" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "this ONNX Runtime is built without CUDA"


@pytest.fixture(params=["cpu", "cuda"])
def device(request) -> str:
    if request.param == "cuda" and (why := cuda()):
        pytest.skip(why)
    return request.param


@pytest.fixture(scope="module")
def exact(tiny_checkpoint) -> VLJEPA:
    return VLJEPA.from_pretrained(tiny_checkpoint, device="cpu", engine="torch")


@pytest.fixture
def graphs(exported, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(exported, tmp_path / "graphs")


@pytest.fixture
def clip() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
