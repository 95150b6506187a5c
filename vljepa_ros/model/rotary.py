# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rotary positions: one rotation for both Transformers, and the two tables.

`rotate` works on halves: dimension i is paired with dimension i + head_dim/2. Llama is defined so; V-JEPA 2 pairs neighbours
(2i, 2i+1), and `vision_encoder.py` stores its query and key rows reordered into halves, which leaves every dot product as it was
and spares a strided shuffle per layer.

The tables are always fp32 and no module buffers: `.to(bfloat16)` would round the angles, and V-JEPA 2's are not shift-invariant.
They are computed once per shape and device, outside inference mode so that training can reuse what a forward pass cached.
"""
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

Tables = tuple[Tensor, Tensor]  # cos, signed sin, each (N, 1, head_dim) fp32


def rotate(x_BNHD: Tensor, tables: Tables) -> Tensor:
    """Rotate each pair (i, i + D/2) by its token's angle, in fp32; the result has the dtype of `x_BNHD`."""
    cos_N1D, sin_N1D = tables
    half = x_BNHD.shape[-1] // 2
    return (x_BNHD * cos_N1D + x_BNHD.roll(half, -1) * sin_N1D).to(x_BNHD.dtype)


class VisionRotary:
    """The tables of V-JEPA 2: a third of each head turns with time, a third with height, a third with width; the rest stays.

    Its published code gives dimension i of a third of width W the frequency of index i mod W/2 while it pairs dimensions 2j and
    2j+1: the two of a pair turn by different angles. The weights were trained with it, so it is kept.

    V-JEPA 2.1 (`stretched_to` above 0) turns both by one angle, and its rows and columns, however many, lie between 0 and
    stretched_to - 1.
    """

    def __init__(self, head_dim: int, stretched_to: int = 0) -> None:
        self.head_dim, self.stretched_to = head_dim, stretched_to
        self._cache: tuple[tuple, Tables] | None = None

    def tables(self, grid_DHW: tuple[int, int, int], device: torch.device) -> Tables:
        key = (grid_DHW, device)
        if self._cache is None or self._cache[0] != key:
            with torch.inference_mode(False), torch.autocast(device.type, enabled=False):
                self._cache = (key, self._compute(grid_DHW, device))
        return self._cache[1]

    def _compute(self, grid_DHW: tuple[int, int, int], device: torch.device) -> Tables:
        third = 2 * (self.head_dim // 3 // 2)
        # The order of these fp32 operations is the published one: a reordered one differs in the last bits.
        omega = torch.arange(third // 2, dtype=torch.float32, device=device)
        omega = 1.0 / 10000 ** (omega / (third / 2.0)) if third else omega
        positions_3N = torch.stack(
            torch.meshgrid(*(torch.arange(n, device=device) for n in grid_DHW), indexing="ij")
        ).flatten(1)
        if self.stretched_to:
            positions_3N = positions_3N.float()
            for axis in (1, 2):
                positions_3N[axis] = positions_3N[axis] * (self.stretched_to - 1) / max(1, grid_DHW[axis] - 1)
        angles_3ND = positions_3N.unsqueeze(-1) * omega
        angles_3ND = angles_3ND.repeat_interleave(2, -1) if self.stretched_to else angles_3ND.repeat(1, 1, 2)
        angles_ND = torch.cat(
            [*angles_3ND.unbind(0), angles_3ND.new_zeros(positions_3N.shape[1], self.head_dim - 3 * third)], dim=-1
        )
        order = halves_order(self.head_dim).to(device)
        cos_ND, sin_ND = angles_ND.cos()[:, order], angles_ND.sin()[:, order]
        sin_ND[:, : self.head_dim // 2].neg_()
        return cos_ND.unsqueeze(1), sin_ND.unsqueeze(1)


def halves_order(head_dim: int) -> Tensor:
    """Index that takes neighbouring pairs (0,1),(2,3),... apart into halves: all first members, then all second ones."""
    return torch.arange(head_dim).view(-1, 2).t().reshape(-1)


class LlamaRotary:
    """The tables of Llama, with the frequency scaling of Llama 3 where `scaling` asks for it. ValueError for other scalings."""

    def __init__(self, head_dim: int, theta: float, scaling: dict[str, Any] | None = None) -> None:
        self.head_dim, self.theta, self.scaling = head_dim, theta, scaling
        kind = (scaling or {}).get("rope_type", (scaling or {}).get("type", "default"))
        if kind not in ("default", "llama3"):
            raise ValueError(f"rope_scaling of type {kind!r} is not supported; use 'llama3' or none")
        self._llama3 = kind == "llama3"
        self._cache: tuple[tuple, Tables] | None = None

    def tables(self, start: int, stop: int, device: torch.device) -> Tables:
        """For the positions start..stop-1."""
        length = self._cache[1][0].shape[0] if self._cache is not None and self._cache[0] == device else 0
        if length < stop:
            with torch.inference_mode(False), torch.autocast(device.type, enabled=False):
                self._cache = (device, self._compute(max(stop, 2 * length), device))
        cos_N1D, sin_N1D = self._cache[1]
        return cos_N1D[start:stop], sin_N1D[start:stop]

    def _compute(self, length: int, device: torch.device) -> Tables:
        steps = torch.arange(0, self.head_dim, 2, dtype=torch.float32, device=device)
        frequencies = self._scaled(1.0 / self.theta ** (steps / self.head_dim))
        angles_ND = torch.arange(length, dtype=torch.float32, device=device)[:, None] * frequencies
        cos_ND, sin_ND = angles_ND.cos(), angles_ND.sin()
        return torch.cat([cos_ND, cos_ND], -1).unsqueeze(1), torch.cat([-sin_ND, sin_ND], -1).unsqueeze(1)

    def _scaled(self, frequencies: Tensor) -> Tensor:
        """Llama 3: long waves are slowed by `factor`, short ones stay, those between are blended."""
        if not self._llama3:
            return frequencies
        factor, low, high = (self.scaling[k] for k in ("factor", "low_freq_factor", "high_freq_factor"))
        turns = self.scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)
        blend = ((turns - low) / (high - low)).clamp(0.0, 1.0)
        return (1 - blend) * frequencies / factor + blend * frequencies
