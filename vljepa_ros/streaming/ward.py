"""Ward's arithmetic in seconds: means of embeddings that weigh the time they stand for, and what merging two means costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Piece:
    """One embedding and the time it stands for."""

    stamp_ns: int
    seconds: float  # above 0
    vector_D: np.ndarray  # float64


def mean(pieces: Sequence[Piece]) -> tuple[np.ndarray, float]:
    """Mean vector (float64, not normalised) and seconds of at least one piece."""
    seconds = np.array([piece.seconds for piece in pieces])
    total = float(seconds.sum())
    return seconds @ np.stack([piece.vector_D for piece in pieces]) / total, total


def merge_cost(m_D: np.ndarray, n: float, v_D: np.ndarray, k: float) -> float:
    """By how much the summed squared distance to the mean grows when n seconds at m and k seconds at v become one, in seconds."""
    way_D = m_D - v_D
    return n * k / (n + k) * float(way_D @ way_D)


def unit(vector_D: np.ndarray) -> np.ndarray:
    """float32 of norm 1. A mean of zero (opposite vectors) has no direction and stays zero."""
    return (vector_D / max(float(np.linalg.norm(vector_D)), 1e-12)).astype(np.float32)
