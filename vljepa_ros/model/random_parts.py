# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A part of any size with random weights, for measurements where no trained ones are at hand. Its answers mean nothing."""
from __future__ import annotations

import torch
from torch import nn

from .config import ModelConfig
from .predictor import Predictor
from .vision_encoder import VisionEncoder


def random_part(config: ModelConfig, part: str, seed: int = 0) -> nn.Module:
    """"vision" or "predictor" on the CPU, fp32, in evaluation mode; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if part == "vision":
            return VisionEncoder(config.vision).eval()
        return Predictor(config.predictor, config.vision.hidden_size, config.dim).eval()
