# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""V-JEPA 2.1 from a .pt in the published layout, against its arithmetic written out token by token."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from vljepa_ros.model import CheckpointError, VisionEncoder

WIDTH, HEADS, LAYERS, PATCH, TUBELET, INNER = 44, 2, 2, 16, 2, 96  # heads of 22: thirds of 6, and 4 that do not turn


def published(seed: int = 0) -> dict[str, torch.Tensor]:
    """An encoder's weights under the names of the published file."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * 0.2

    state = {"img_mod_embed": draw(1, 1, WIDTH), "video_mod_embed": draw(1, 1, WIDTH)}
    for name, tubelet in (("patch_embed", TUBELET), ("patch_embed_img", 1)):
        state |= {f"{name}.proj.weight": draw(WIDTH, 3, tubelet, PATCH, PATCH), f"{name}.proj.bias": draw(WIDTH)}
    for i in range(LAYERS):
        shapes = {"norm1": (WIDTH,), "attn.qkv": (3 * WIDTH, WIDTH), "attn.proj": (WIDTH, WIDTH), "norm2": (WIDTH,)}
        for name, shape in (shapes | {"mlp.fc1": (INNER, WIDTH), "mlp.fc2": (WIDTH, INNER)}).items():
            state |= {f"blocks.{i}.{name}.weight": draw(*shape), f"blocks.{i}.{name}.bias": draw(shape[0])}
    for i in range(4):
        state |= {f"norms_block.{i}.weight": draw(WIDTH), f"norms_block.{i}.bias": draw(WIDTH)}
    return state


def save(path, state, part="ema_encoder"):
    encoder = {f"module.backbone.{name}": tensor for name, tensor in state.items()}
    torch.save({part: encoder, "predictor": {"a": torch.zeros(1)}, "epoch": 1}, path)
    return path


def turned(x_HND: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
    """Pair (2j, 2j+1) of a third turns by position * 10000**(-2j/third); rows and columns are stretched to 16."""
    third, out = 2 * (x_HND.shape[-1] // 3 // 2), x_HND.clone()
    T, R, C = grid
    for n in range(T * R * C):
        places = (n // (R * C), n // C % R * 15 / (R - 1), n % C * 15 / (C - 1))
        for axis, place in enumerate(places):
            for j in range(third // 2):
                a, first = place * 10000 ** (-2 * j / third), axis * third + 2 * j
                x, y = x_HND[:, n, first], x_HND[:, n, first + 1]
                out[:, n, first], out[:, n, first + 1] = x * math.cos(a) - y * math.sin(a), y * math.cos(a) + x * math.sin(a)
    return out


def reference(state, frames_TCHW):
    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    x = F.conv3d(frames_TCHW.transpose(0, 1)[None], state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], (2, 16, 16))
    grid = tuple(x.shape[2:])
    x = x.flatten(2).transpose(1, 2)[0] + state["video_mod_embed"][0]
    for i in range(LAYERS):
        qkv = linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        q, k, v = qkv.view(-1, 3, HEADS, WIDTH // HEADS).permute(1, 2, 0, 3)
        q, k = turned(q, grid), turned(k, grid)
        y = ((q @ k.transpose(1, 2)) * (WIDTH // HEADS) ** -0.5).softmax(-1) @ v
        x = x + linear(y.transpose(0, 1).flatten(1), f"blocks.{i}.attn.proj")
        x = x + linear(F.gelu(linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1")), f"blocks.{i}.mlp.fc2")
    return norm(x, "norms_block.3")


@pytest.mark.parametrize("part", ["ema_encoder", "target_encoder"])
def test_equals_the_published_arithmetic(tmp_path, part):
    state = published()
    model = VisionEncoder.from_pretrained(save(tmp_path / "v.pt", state, part), frames=4, image_size=64, heads=HEADS)
    assert (model.cfg.layers, model.cfg.patch_size, model.cfg.tubelet_size, model.blocks[0].up.out_features) == (2, 16, 2, INNER)
    frames = torch.randn(4, 3, 48, 64)  # unequal sides: rows and columns are stretched apart
    with torch.inference_mode():
        expected = reference(state, frames)
        torch.testing.assert_close(model(frames[None])[0], expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.05


def test_heads_that_a_width_does_not_fit_are_asked_for(tmp_path):
    """Published are heads of 64; this encoder is narrower than one."""
    with pytest.raises(CheckpointError, match="say heads="):
        VisionEncoder.from_pretrained(save(tmp_path / "v.pt", published()))


def test_every_weight_is_used_or_named(tmp_path):
    state = published()
    del state["blocks.1.attn.proj.bias"]
    state["blocks.0.gate.weight"] = torch.zeros(2)
    said = r"lacks blocks\.1\.attn\.proj\.bias and holds the unexpected blocks\.0\.gate\.weight"
    with pytest.raises(CheckpointError, match=said):
        VisionEncoder.from_pretrained(save(tmp_path / "v.pt", state), heads=HEADS)
    torch.save({"encoder": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="has no ema_encoder or target_encoder, but encoder"):
        VisionEncoder.from_pretrained(tmp_path / "other.pt")
