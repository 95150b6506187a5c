# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny checkpoint with random weights: what tests of nodes, demo and training load instead of a trained one."""
from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import torch

from .familiarity import Familiarity
from .predictor import Predictor
from .presets import tiny
from .text_decoder import TextDecoder
from .text_encoder import TextEncoder
from .tokenizer import train_tokenizer
from .vision_encoder import VisionEncoder
from .vljepa import VLJEPA

TEXTS = ("The lamp is on.", "The lamp is off.", "The drawer is open.", "Push the red cube to the left.", "Is the lamp on?")

FAMILIAR_DISTANCE = 10.0


def make_tiny(folder: Path | str, seed: int = 0, **calibration: float) -> VLJEPA:
    """Write the tiny preset with random weights of that seed to `folder` and return it as loaded from there (fp32, CPU).

    The same seed gives the same weights. `calibration` goes into the config as it is, over a `familiar_distance` that no
    clip exceeds: every clip has a novelty above 0 and is familiar.
    """
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(seed)
        config = tiny()
        tokenizer = train_tokenizer(TEXTS, config.predictor.vocab_size, scratch)
        config = dataclasses.replace(config, calibration={"familiar_distance": FAMILIAR_DISTANCE} | calibration)
        model = VLJEPA(
            config,
            VisionEncoder(config.vision),
            Predictor(config.predictor, config.vision.hidden_size, config.dim),
            TextEncoder(config.text_encoder, config.dim),
            TextDecoder(config.text_decoder, config.dim),
            dict.fromkeys(("query", "text", "decoder"), tokenizer),
            familiarity=Familiarity(config.vision.hidden_size, config.vision.grid),
        )
        model.save_pretrained(folder)
    return VLJEPA.from_pretrained(folder, device="cpu", engine="torch")
