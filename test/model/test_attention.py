# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The two ways of attention say the same, forward and backward, on every device that is there."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vljepa_ros.model import attention
from vljepa_ros.model.attention import attend

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def inputs(queries: int, keys: int, heads: int, kv_heads: int, dtype: torch.dtype, device: str):
    generator = torch.Generator().manual_seed(0)
    shapes = ((heads, queries), (kv_heads, keys), (kv_heads, keys))
    return [torch.randn(2, h, n, 16, generator=generator).to(device, dtype).requires_grad_() for h, n in shapes]


def written_out(q, k, v, visible):
    """The definition, in fp32."""
    group = q.shape[1] // k.shape[1]
    q, k, v = q.float(), k.float().repeat_interleave(group, 1), v.float().repeat_interleave(group, 1)
    scores = q @ k.transpose(-1, -2) / 4.0
    if visible is not None:
        scores = scores.masked_fill(~visible[:, None, None, :], float("-inf"))
    return scores.softmax(-1) @ v


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 2)])
@pytest.mark.parametrize("queries", [5, 70])
def test_equals_the_definition(device, dtype, tolerance, masked, heads, kv_heads, queries):
    q, k, v = inputs(queries, 70, heads, kv_heads, dtype, device)
    visible = (torch.arange(70) < torch.tensor([[70], [33]])).to(device) if masked else None
    out, expected = attend(q, k, v, visible), written_out(q, k, v, visible)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, rtol=tolerance, atol=tolerance)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(device)
    ours = torch.autograd.grad((out.float() * weight).sum(), (q, k, v))
    theirs = torch.autograd.grad((expected * weight).sum(), (q, k, v))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a.float(), b.float(), rtol=2 * tolerance, atol=2 * tolerance)


@pytest.mark.parametrize("device", DEVICES)
def test_where_no_kernel_takes_grouped_heads_with_a_mask_each_head_has_its_keys(device, monkeypatch):
    monkeypatch.setattr(attention, "GROUPED_AND_MASKED", ())
    asked, fused = [], F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **b: asked.append((a[1].shape[1], b)) or fused(*a, **b))
    q, k, v = inputs(5, 70, 4, 2, torch.float32, device)
    visible = (torch.arange(70) < torch.tensor([[70], [33]])).to(device)
    out, expected = attend(q, k, v, visible), written_out(q, k, v, visible)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    for a, b in zip(torch.autograd.grad(out.square().sum(), (q, k, v)), torch.autograd.grad(expected.square().sum(), (q, k, v))):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    attend(q, k, v)
    assert [(heads, more["enable_gqa"]) for heads, more in asked] == [(4, False), (2, True)]


def test_causal_stays_causal_in_bf16():
    q, k, v = inputs(70, 70, 2, 2, torch.bfloat16, "cpu")
    gradient = torch.autograd.grad(attend(q, k, v, causal=True)[:, :, 10].float().sum(), v)[0]
    assert gradient[:, :, :11].abs().amax(dim=(0, 1, 3)).min() > 0
    assert gradient[:, :, 11:].abs().max() == 0


def test_which_way_is_taken(monkeypatch):
    """bf16 on the CPU goes the plain way where it pays, and never where the scores would be huge."""
    taken = []
    monkeypatch.setattr(attention, "_plain", lambda *a: taken.append("plain"))
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **b: taken.append("fused"))
    small, large = ((torch.zeros(1, 1, n, 4, dtype=torch.bfloat16),) * 3 for n in (8, 64))
    with torch.no_grad():
        attend(*small)
        attend(*large)
        attend(*(x.float() for x in large))
        attend(*large, causal=True)
        monkeypatch.setattr(attention, "PLAIN_SCORES", 64 * 64 - 1)
        attend(*large)
    attend(small[0].clone().requires_grad_(), *small[1:])
    assert taken == ["fused", "plain", "fused", "fused", "fused", "plain"]
