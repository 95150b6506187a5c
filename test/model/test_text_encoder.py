# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TextEncoder: the masked mean, independence of padding, and another architecture than BERT."""
from __future__ import annotations

import pytest
import torch

from vljepa_ros.model import TextEncoder, TextEncoderConfig, tiny

GEMMA = TextEncoderConfig(
    hub={
        "model_type": "gemma3_text", "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 32, "sliding_window": 8, "max_position_embeddings": 64,
        "use_bidirectional_attention": True, "layer_types": ["sliding_attention", "full_attention"], "pad_token_id": 0,
    }
)  # fmt: skip


@pytest.mark.parametrize("cfg", [tiny().text_encoder, GEMMA], ids=["bert", "gemma3"])
def test_padding_changes_nothing_and_order_matters(cfg):
    torch.manual_seed(0)
    model = TextEncoder(cfg, 12).eval()
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    with torch.inference_mode():
        both = model(ids, mask)
        alone = model(ids[1:, :2], mask[1:, :2])
        swapped = model(torch.tensor([[8, 7, 6, 5]]), mask[:1])
    assert both.shape == (2, 12) and both.dtype == torch.float32
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-5)
    assert (both[:1] - swapped).abs().max() > 1e-4


def test_it_is_the_mean_of_the_tokens_projected():
    model = TextEncoder(tiny().text_encoder, 12).eval()
    ids, mask = torch.tensor([[5, 6, 7, 0]]), torch.tensor([[True, True, True, False]])
    with torch.inference_mode():
        hidden = model.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        torch.testing.assert_close(model(ids, mask), model.proj(hidden[:, :3].mean(1)), rtol=0, atol=1e-6)


def test_every_weight_trains():
    """No pooler that would travel unused; in training mode from the start, or BERT would keep evaluation mode."""
    model = TextEncoder(tiny().text_encoder, 12)
    assert model.training and model.model.training
    ids = torch.arange(1, 9).view(2, 4)
    model(ids, torch.ones_like(ids, dtype=torch.bool)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
