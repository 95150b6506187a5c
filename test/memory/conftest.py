# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments to remember."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vljepa_ros.memory import Segment

START_NS = 1_700_000_000 * 10**9
SECOND_NS = 10**9
SPACE, DIM = "5bace00000000001", 32


def unit_vectors(count: int, dim: int = DIM, seed: int = 0) -> np.ndarray:
    """(count, dim) float32 of norm 1, as fp16 holds them."""
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def segments_of(vectors: np.ndarray, first: int = 0, **fields: Any) -> list[Segment]:
    """Ten seconds each, one after the other."""
    base = Segment(0, 0, epoch=0, segment=0, space_id=SPACE, vector_D=vectors[0], query="What is it?", frame_id="camera")
    return [
        replace(
            base, start_ns=START_NS + 10 * SECOND_NS * k, end_ns=START_NS + 10 * SECOND_NS * (k + 1), segment=k, vector_D=vector,
            text=f"segment {k}", confidence=0.5, **fields,
        )
        for k, vector in enumerate(vectors, first)
    ]  # fmt: skip


@pytest.fixture
def vectors() -> Callable[..., np.ndarray]:
    return unit_vectors


@pytest.fixture
def segments() -> Callable[..., list[Segment]]:
    return segments_of
