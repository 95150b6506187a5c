# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Initial weights for training from scratch."""
from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def init_linears(module: nn.Module, layers: int, residual: Iterable[str] = ("out", "down")) -> None:
    """Truncated normal of 1/sqrt(fan-in), zero biases: 0.02 at Llama's width, as published, and right for narrow networks too.

    Projections that write into the residual stream (`residual`: their names) are smaller by sqrt(2 * layers), so that the
    stream's variance does not grow with depth.
    """
    residual = tuple(residual)
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear):
            std = child.in_features**-0.5
            if name.rpartition(".")[2] in residual:
                std *= (2 * layers) ** -0.5
            nn.init.trunc_normal_(child.weight, std=std, a=-2 * std, b=2 * std)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
