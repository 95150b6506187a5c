# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The X-Encoder: V-JEPA 2's Vision Transformer over space-time patches, equal to Hugging Face's VJEPA2Model encoder.

Faster by one matrix for query, key and value, patches cut by reshaping, and a rotary table computed once in fp32. Knows nothing
of resizing or normalising (preprocess.py) and nothing of text.

Shapes: B clips, T frames, C = 3 channels, H x W pixels, N tokens (time-major, then rows, then columns), D hidden size.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend
from .config import VisionConfig
from .initialise import init_linears
from .rotary import Tables, VisionRotary, halves_order, rotate

FIRST_PIXELS = 256  # the side of a frame in V-JEPA 2.1's first training; its positions are those of that grid ever since


class Block(nn.Module):
    """Pre-norm Transformer layer with rotary self-attention and a GELU MLP."""

    def __init__(self, cfg: VisionConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        inner = int(cfg.hidden_size * cfg.mlp_ratio)
        self.norm1 = nn.LayerNorm(cfg.hidden_size, eps=cfg.layer_norm_eps)
        self.qkv = nn.Linear(cfg.hidden_size, 3 * cfg.hidden_size)
        self.out = nn.Linear(cfg.hidden_size, cfg.hidden_size)
        self.norm2 = nn.LayerNorm(cfg.hidden_size, eps=cfg.layer_norm_eps)
        self.up = nn.Linear(cfg.hidden_size, inner)
        self.down = nn.Linear(inner, cfg.hidden_size)

    def forward(self, x_BND: Tensor, tables: Tables) -> Tensor:
        B, N, D = x_BND.shape
        qkv = self.qkv(self.norm1(x_BND)).view(B, N, 3 * self.heads, D // self.heads)
        qk, v = qkv.split((2 * self.heads, self.heads), dim=2)
        q, k = rotate(qk, tables).chunk(2, dim=2)
        y = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        x_BND = x_BND + self.out(y.transpose(1, 2).reshape(B, N, D))
        return x_BND + self.down(F.gelu(self.up(self.norm2(x_BND))))


class VisionEncoder(nn.Module):
    """Frames to visual tokens."""

    def __init__(self, cfg: VisionConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.patch = nn.Linear(cfg.tubelet_size * cfg.patch_size**2 * 3, cfg.hidden_size)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm = nn.LayerNorm(cfg.hidden_size, eps=cfg.layer_norm_eps)
        stretched_to = FIRST_PIXELS // cfg.patch_size if cfg.rotary == "vjepa2.1" else 0
        self.rotary = VisionRotary(cfg.hidden_size // cfg.heads, stretched_to)
        init_linears(self, cfg.layers)

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, frames: int | None = None, image_size: int | None = None, heads: int | None = None
    ) -> VisionEncoder:
        """V-JEPA 2 from a hub folder (facebook/vjepa2-*), or V-JEPA 2.1 from the .pt file as published (no code of it is run).

        fp32, CPU, in evaluation mode. `frames` and `image_size` default to the published ones (64 frames): positions are
        computed, so any multiple of tubelet and patch will do. `heads` is for files of V-JEPA 2.1 with heads of other than 64.
        Every weight is used, or belongs to V-JEPA's own predictor; CheckpointError names all that are missing or unexpected.
        """
        from .hub_vision import load_vision

        return load_vision(folder, frames, image_size, heads)

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        """Normalised frames -> tokens_BND, float32, after the final norm. Frames of another size get their own grid's positions.

        Raises ValueError when T is no multiple of the tubelet or H, W none of the patch.
        """
        t, p = self.cfg.tubelet_size, self.cfg.patch_size
        _, T, C, H, W = frames_BTCHW.shape
        if C != 3 or T % t or H % p or W % p:
            raise ValueError(
                f"frames must be (B, multiple of {t}, 3, multiple of {p}, multiple of {p}), got {tuple(frames_BTCHW.shape)}"
            )
        grid_DHW = (T // t, H // p, W // p)
        # A patch vector is ordered (frame, row, column, channel): one straight copy from the camera's own channels-last memory.
        patches = frames_BTCHW.unflatten(4, (-1, p)).unflatten(3, (-1, p)).unflatten(1, (-1, t))
        patches = patches.permute(0, 1, 4, 6, 2, 5, 7, 3).flatten(4).flatten(1, 3)
        x_BND = self.patch(patches).float()  # the residual stream stays fp32 under autocast
        tables = self.rotary.tables(grid_DHW, x_BND.device)
        for block in self.blocks:
            x_BND = block(x_BND, tables)
        return self.norm(x_BND)


def vision_state_from_hf(state: Mapping[str, Tensor], cfg: VisionConfig) -> dict[str, Tensor]:
    """Hugging Face VJEPA2Model weights -> a `VisionEncoder` state dict.

    Names may carry the prefix "encoder."; V-JEPA's own predictor ("predictor.*") and classifier heads are no part of the encoder
    and are left out. ValueError names a weight that is missing, or left over (a model this code does not implement).
    """
    left = {
        name.removeprefix("vjepa2.").removeprefix("encoder."): tensor
        for name, tensor in state.items()
        if not name.removeprefix("vjepa2.").startswith(("predictor.", "pooler.", "classifier."))
    }
    head_dim = cfg.hidden_size // cfg.heads
    order = halves_order(head_dim)

    def take(name: str) -> Tensor:
        if name not in left:
            raise ValueError(f"the V-JEPA 2 weights lack {name}; is it a {cfg.layers}-layer encoder?")
        return left.pop(name)

    def halves(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (cfg.heads, head_dim))[:, order].flatten(0, 1)

    patch = take("embeddings.patch_embeddings.proj.weight")  # (D, C, t, p, p)
    out = {"patch.weight": patch.permute(0, 2, 3, 4, 1).flatten(1), "patch.bias": take("embeddings.patch_embeddings.proj.bias")}
    for i in range(cfg.layers):
        for kind in ("weight", "bias"):
            hf, ours = f"layer.{i}", f"blocks.{i}"
            q, k, v = (take(f"{hf}.attention.{part}.{kind}") for part in ("query", "key", "value"))
            out[f"{ours}.qkv.{kind}"] = torch.cat([halves(q), halves(k), v])
            for theirs, mine in (
                ("norm1", "norm1"), ("attention.proj", "out"), ("norm2", "norm2"), ("mlp.fc1", "up"), ("mlp.fc2", "down"),
            ):  # fmt: skip
                out[f"{ours}.{mine}.{kind}"] = take(f"{hf}.{theirs}.{kind}")
    for kind in ("weight", "bias"):
        out[f"norm.{kind}"] = take(f"layernorm.{kind}")
    if left:
        raise ValueError(f"the V-JEPA 2 weights hold {sorted(left)[0]}, which an encoder of {cfg.layers} layers does not have")
    return out
