# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Activation checkpointing: the same gradients, less kept for backward."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vljepa_ros.model import Predictor, TextEncoder, VisionEncoder, tiny
from vljepa_training.recompute import recompute
from vljepa_training.stages.contrastive import AlignModule

CONFIG = tiny()


def module(layers: int = 4) -> AlignModule:
    torch.manual_seed(0)
    vision = replace(CONFIG.vision, layers=layers)
    predictor = replace(CONFIG.predictor, layers=layers)
    hub = CONFIG.text_encoder.hub | {"num_hidden_layers": layers}
    text = replace(CONFIG.text_encoder, hub=hub)
    parts = Predictor(predictor, 16, CONFIG.dim), TextEncoder(text, CONFIG.dim)
    return AlignModule(*parts, vision=VisionEncoder(vision)).train()


def measured(one: AlignModule) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """Gradients by parameter, and bytes that each part keeps for backward."""
    rng = torch.Generator().manual_seed(1)
    frames = torch.randn(2, 4, 3, 32, 32, generator=rng)
    ids = torch.randint(3, 300, (2, 6), generator=rng)
    mask = torch.ones_like(ids, dtype=torch.bool)
    kept, part = {"vision": {}, "predictor": {}, "text_encoder": {}}, "vision"

    def note(x: torch.Tensor) -> torch.Tensor:
        kept[part][x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        tokens = one.vision(frames)
        part = "predictor"
        predicted = one.predictor(tokens, ids, mask)
        part = "text_encoder"
        target = one.text_encoder(ids, mask)
    one.zero_grad()
    (predicted * target).sum().backward()
    gradients = {name: p.grad.clone() for name, p in one.named_parameters() if p.grad is not None}
    return gradients, {name: sum(sizes.values()) for name, sizes in kept.items()}


def test_gradients_stay_and_every_part_keeps_less():
    plain, again = module(), module()
    recompute(again)
    (true, kept), (found, kept_again) = measured(plain), measured(again)
    assert found.keys() == true.keys()
    for name, gradient in true.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7, msg=name)
    for part, size in kept.items():
        assert kept_again[part] < 0.6 * size, part


@pytest.mark.parametrize("part", ["vision", "predictor"])
def test_it_still_runs_without_gradients(part):
    one = module()
    recompute(one)
    with torch.no_grad():
        tokens = one.vision(torch.zeros(1, 4, 3, 32, 32))
        assert torch.isfinite(tokens if part == "vision" else one.predictor(tokens, torch.tensor([[5]]), None)).all()
