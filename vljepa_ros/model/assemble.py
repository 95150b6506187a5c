# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A whole checkpoint folder out of hub folders: V-JEPA 2, Llama, a text encoder, and a Y-Decoder, random unless given.

Such a model runs and has everything it needs to be trained. Its projections, and with them its vectors, mean nothing before that.
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from .checkpoint import CheckpointError
from .config import ModelConfig, PreprocessConfig, TextDecoderConfig
from .hub import read_tokenizer
from .predictor import Predictor
from .presets import paper
from .text_decoder import TextDecoder
from .text_encoder import TextEncoder
from .tokenizer import Tokenizer
from .vision_encoder import VisionEncoder
from .vljepa import VLJEPA


def assemble(
    vjepa2: Path | str,
    llama: Path | str,
    text: Path | str,
    *,
    dim: int = 1536,
    last_layers: int = 8,
    frames: int = 16,
    image_size: int | None = None,
    clip_period_s: float = 0.25,
    decoder: Path | str | None = None,
    decoder_config: TextDecoderConfig | None = None,
    dense: bool = True,
    seed: int = 0,
    name: str = "paper",
) -> VLJEPA:
    """The model, on the CPU in fp32; `save_pretrained` writes it. The same seed gives the same random weights.

    `decoder`: a checkpoint whose Y-Decoder to take, of the same `dim`. `decoder_config`: sizes of a random one (default: the
    paper preset's); vocabulary and special tokens are always the Llama tokenizer's. Raises CheckpointError, ValueError.
    """
    query, _, _ = read_tokenizer(llama)
    words, _, _ = read_tokenizer(text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vision = VisionEncoder.from_pretrained(vjepa2, frames=frames, image_size=image_size)
        predictor = Predictor.from_pretrained(llama, last_layers, vision.cfg.hidden_size, dim)
        text_encoder = TextEncoder.from_pretrained(text, dim, dense=dense)
        if decoder is None:
            facts = _decoder_config(decoder_config or paper().text_decoder, query, predictor.cfg.vocab_size)
            text_decoder, spoken = TextDecoder(facts, dim).eval(), query
        else:
            facts, text_decoder, spoken = _given_decoder(decoder, dim)
    config = ModelConfig(
        name=name,
        dim=dim,
        clip_period_s=clip_period_s,
        preprocess=PreprocessConfig(image_size=vision.cfg.image_size),
        vision=vision.cfg,
        predictor=predictor.cfg,
        text_encoder=text_encoder.cfg,
        text_decoder=facts,
        prompts=paper().prompts,
    )
    tokenizers = {"query": query, "text": words, "decoder": spoken}
    return VLJEPA(config, vision, predictor, text_encoder, text_decoder, tokenizers)


def _decoder_config(facts: TextDecoderConfig, spoken: Tokenizer, vocab_size: int) -> TextDecoderConfig:
    ids = {"pad_id": spoken.pad_id, "bos_id": spoken.bos_id, "eos_id": spoken.eos_id}
    return dataclasses.replace(facts, vocab_size=vocab_size, **ids)


def _given_decoder(folder: Path | str, dim: int) -> tuple[TextDecoderConfig, TextDecoder, Tokenizer]:
    other = VLJEPA.from_pretrained(folder, device="cpu", engine="torch", parts=["text_decoder"])
    if other.dim != dim:
        raise CheckpointError(folder, f"has a Y-Decoder for {other.dim} dimensions, the space has {dim}", "give another one")
    return other.config.text_decoder, other.modules["text_decoder"], other.tokenizers["decoder"]


def parameter_counts(model: VLJEPA) -> dict[str, tuple[int, int]]:
    """Part -> (all parameters, those that require a gradient). As assembled, all but the Predictor's token table."""
    return {
        part: (sum(p.numel() for p in module.parameters()), sum(p.numel() for p in module.parameters() if p.requires_grad))
        for part, module in model.modules.items()
    }
