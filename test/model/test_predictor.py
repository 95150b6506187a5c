# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predictor against transformers' Llama layers without a causal mask; what padding, merging, broadcasting must not change."""
from __future__ import annotations

import dataclasses

import pytest
import torch

from vljepa_ros.model import Predictor, PredictorConfig

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,  # small enough that all three frequency ranges occur
}
CFG = PredictorConfig(
    hidden_size=32, layers=2, heads=4, kv_heads=2, head_dim=8, intermediate_size=48, vocab_size=50, rope_scaling=LLAMA3
)
VISION_DIM, DIM, FIRST = 24, 20, 1


def hf_llama():
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        hidden_size=CFG.hidden_size,
        num_hidden_layers=FIRST + CFG.layers,
        num_attention_heads=CFG.heads,
        num_key_value_heads=CFG.kv_heads,
        head_dim=CFG.head_dim,
        intermediate_size=CFG.intermediate_size,
        vocab_size=CFG.vocab_size,
        rms_norm_eps=CFG.rms_norm_eps,
        rope_parameters=LLAMA3 | {"rope_theta": CFG.rope_theta},
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    model = LlamaModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def inputs(batch: int = 3, tokens: int = 10, length: int = 6):
    generator = torch.Generator().manual_seed(1)
    visual = torch.randn(batch, tokens, VISION_DIM, generator=generator)
    ids = torch.randint(0, CFG.vocab_size, (batch, length), generator=generator)
    return visual, ids


def loaded(llama) -> Predictor:
    model = Predictor(CFG, VISION_DIM, DIM).eval()
    model.load_llama(llama.state_dict(), first_layer=FIRST)
    with torch.no_grad():  # not the identity it starts as
        model.query_proj.weight.normal_(std=0.2)
        model.query_proj.bias.normal_()
    return model


@pytest.mark.parametrize("lengths", [None, [6, 2, 0]], ids=["full", "padded"])
def test_equals_hugging_face_llama_layers_without_a_causal_mask(lengths):
    llama = hf_llama()
    ours = loaded(llama)
    visual, ids = inputs()
    mask = None if lengths is None else torch.arange(6) < torch.tensor(lengths)[:, None]
    visible = torch.cat([torch.ones(3, 10, dtype=torch.bool), torch.ones(3, 6, dtype=torch.bool) if mask is None else mask], 1)
    bias = torch.zeros(3, 1, 16, 16).masked_fill(~visible[:, None, None, :], torch.finfo(torch.float32).min)
    with torch.inference_mode():
        x = torch.cat([ours.vis_proj(visual), ours.query_proj(llama.embed_tokens(ids))], dim=1)
        positions = torch.arange(16)[None].expand(3, -1)
        tables = llama.rotary_emb(x, positions)
        for layer in llama.layers[FIRST:]:
            x = layer(x, attention_mask=bias, position_ids=positions, position_embeddings=tables)
        x = llama.norm(x)
        pooled = torch.stack([row[seen].mean(0) for row, seen in zip(x, visible)])
        expected = ours.out_proj(pooled)
        torch.testing.assert_close(ours(visual, ids, mask), expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.05


def test_padding_changes_nothing():
    model = loaded(hf_llama())
    visual, ids = inputs(length=4)
    with torch.inference_mode():
        alone = model(visual, ids)
        for filler in (0, 7):
            padded = torch.cat([ids, torch.full((3, 5), filler)], dim=1)
            mask = torch.arange(9).expand(3, -1) < 4
            torch.testing.assert_close(model(visual, padded, mask), alone, rtol=0, atol=1e-6)


def test_empty_query_is_no_query():
    model = loaded(hf_llama())
    visual, ids = inputs()
    with torch.inference_mode():
        empty = model(visual, ids[:, :0], torch.ones(3, 0, dtype=torch.bool))
        masked = model(visual, ids, torch.zeros(3, 6, dtype=torch.bool))
        asked = model(visual, ids)
    torch.testing.assert_close(empty, masked, rtol=0, atol=1e-6)
    assert (asked - empty).abs().max() > 1e-3


def test_one_clip_serves_many_queries_and_one_query_many_clips():
    model = loaded(hf_llama())
    visual, ids = inputs()
    mask = torch.arange(6) < torch.tensor([6, 3, 1])[:, None]
    with torch.inference_mode():
        shared = model(visual[:1], ids, mask)
        apart = torch.cat([model(visual[:1], ids[i : i + 1], mask[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(shared, apart, rtol=0, atol=1e-6)
        shared = model(visual, ids[:1], mask[:1])
        apart = torch.cat([model(visual[i : i + 1], ids[:1], mask[:1]) for i in range(3)])
        torch.testing.assert_close(shared, apart, rtol=0, atol=1e-6)
        with pytest.raises(ValueError, match="3 clips do not fit 2 queries"):
            model(visual, ids[:2])


def test_every_token_sees_every_token():
    """No causal mask: the last query token reaches the first visual one, and so the pool of the visual part."""
    model = loaded(hf_llama())
    x = torch.randn(1, 5, CFG.hidden_size, requires_grad=True)
    model.stack(x)[0, 0].sum().backward()
    assert (x.grad[0].abs().sum(-1) > 1e-6).all()


def test_learned_positions_tell_equal_tokens_apart_and_start_at_nothing():
    cfg = dataclasses.replace(CFG, visual_positions=10)
    torch.manual_seed(3)
    plain, placed = (Predictor(c, VISION_DIM, DIM).eval() for c in (CFG, cfg))
    placed.load_state_dict(plain.state_dict(), strict=False)
    visual, ids = inputs()
    with torch.inference_mode():
        torch.testing.assert_close(placed(visual, ids), plain(visual, ids), rtol=0, atol=0)
        placed.positions.normal_()
        moved = visual.clone()
        moved[:, [0, 9]] = moved[:, [9, 0]]
        assert (placed(visual, ids) - placed(moved, ids)).abs().max() > 1e-3
        with pytest.raises(ValueError, match="9 visual tokens, 10 positions"):
            placed(visual[:, 1:], ids)
    with pytest.raises(ValueError, match="visual_positions must be >= 0, got -1"):
        dataclasses.replace(CFG, visual_positions=-1)


def test_merging_puts_neighbours_side_by_side():
    """Space to depth: token (t, r, c) of the merged 2x2 grid holds the four originals (2r..2r+1, 2c..2c+1) in reading order."""
    cfg = PredictorConfig(
        hidden_size=16, layers=1, heads=2, kv_heads=1, head_dim=8, intermediate_size=16, vocab_size=9, merge=2, visual_grid=4
    )
    model = Predictor(cfg, 3, 4)
    names = torch.arange(2 * 4 * 4).float().view(1, 32, 1).expand(-1, -1, 3)
    merged = model._merge(names)
    assert merged.shape == (1, 8, 12)
    assert merged[0, 0, ::3].tolist() == [0, 1, 4, 5]
    assert merged[0, 3, ::3].tolist() == [10, 11, 14, 15]
    assert merged[0, 4, ::3].tolist() == [16, 17, 20, 21]
    in_time = Predictor(dataclasses.replace(cfg, merge_time=2), 3, 4)._merge(names)
    assert in_time.shape == (1, 4, 24)
    assert in_time[0, 3, ::3].tolist() == [10, 11, 14, 15, 26, 27, 30, 31]
    with pytest.raises(ValueError, match="30 visual tokens"):
        model(torch.zeros(1, 30, 3), torch.zeros(1, 0, dtype=torch.int64))


def test_only_the_token_table_is_frozen():
    model = Predictor(CFG, VISION_DIM, DIM)
    visual, ids = inputs()
    model(visual, ids, torch.ones_like(ids, dtype=torch.bool)).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == ["embed_tokens.weight"]
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["embed_tokens.weight"]


def test_missing_layer_is_named():
    with pytest.raises(ValueError, match=r"layers\.3"):
        Predictor(CFG, VISION_DIM, DIM).load_llama(hf_llama().state_dict(), first_layer=2)
