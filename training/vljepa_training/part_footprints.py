# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a model measured by `footprint`, each once in a process: several phases and recipes have the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from vljepa_ros.model import ModelConfig, Predictor, TextEncoder, VisionEncoder

from .footprint import Footprint, build, measure, unreal
from .losses import InfoNCE

PARTS = {"vision": "X-Encoder", "predictor": "Predictor", "text_encoder": "Y-Encoder"}


@dataclass(frozen=True)
class Sizes:
    """Of what is computed at once, beside what the configuration says."""

    rows: int
    query_tokens: int
    target_tokens: int
    bf16: bool


def modules(config: ModelConfig) -> dict[str, nn.Module]:
    """Parts without memory, by the names of `PARTS`; the same objects for clips of any length."""
    shortest = config.vision.tubelet_size * config.predictor.merge_time
    config = replace(config, vision=replace(config.vision, frames=shortest))
    return {part: _built(part, json.dumps(config.to_dict())) for part in PARTS}


def measured(config: ModelConfig, part: str, trains: Mapping[str, bool], sizes: Sizes) -> Footprint:
    """`config`: with clips of the phase's length. `trains`: which parts are trained; a trained X-Encoder wants a gradient."""
    shape = {
        "vision": (config.vision.frames, config.vision.image_size),
        "predictor": (config.vision.tokens, config.vision.hidden_size, sizes.query_tokens),
        "text_encoder": (sizes.target_tokens,),
    }
    flags = (trains[part], part == "predictor" and trains["vision"], sizes.bf16)
    return _measured(modules(config)[part], part, (sizes.rows, *shape[part]), *flags)


@cache
def contrast(rows: int, dim: int) -> Footprint:
    """The loss of a whole batch on one rank."""
    with unreal():
        vectors = [torch.empty(rows, dim, requires_grad=True) for _ in range(2)]
        return measure(_Contrast(), (*vectors, torch.empty(rows, dtype=torch.long)), train=True, bf16=False)


class _Contrast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.criterion = build(InfoNCE)

    def forward(self, predicted_BD: Tensor, target_BD: Tensor, group_B: Tensor) -> Tensor:
        return self.criterion(predicted_BD, target_BD, group_B)[0]


@cache
def _built(part: str, values: str) -> nn.Module:
    config = ModelConfig.from_dict(json.loads(values))
    if part == "vision":
        return build(lambda: VisionEncoder(config.vision))
    if part == "text_encoder":
        return build(lambda: TextEncoder(config.text_encoder, config.dim))
    return build(lambda: Predictor(config.predictor, config.vision.hidden_size, config.dim))


@cache
def _measured(module: nn.Module, part: str, shape: tuple[int, ...], train: bool, onward: bool, bf16: bool) -> Footprint:
    with unreal():
        inputs = tuple(_inputs(part, *shape))
        inputs[0].requires_grad_(onward)
        return measure(module, inputs, train, bf16)


def _inputs(part: str, rows: int, first: int, *rest: int) -> Iterable[Tensor]:
    if part == "vision":
        frames, size = first, *rest
        yield torch.empty(rows, frames, 3, size, size)
        return
    if part == "predictor":
        yield torch.empty(rows, first, rest[0])
    length = rest[-1] if rest else first
    yield torch.empty(rows, length, dtype=torch.long)
    yield torch.empty(rows, length, dtype=torch.bool)
