# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""VisionEncoder against transformers' VJEPA2Model: the same weights, the same tokens."""
from __future__ import annotations

import dataclasses

import pytest
import torch

from vljepa_ros.model import VisionConfig, VisionEncoder
from vljepa_ros.model.vision_encoder import vision_state_from_hf

SIZES = {  # head sizes whose three thirds fill the head (24) and leave a rest that does not turn (16, 22, 64)
    "head16": VisionConfig(image_size=32, patch_size=8, tubelet_size=2, frames=4, hidden_size=32, layers=2, heads=2),
    "head22": VisionConfig(48, 16, 2, frames=8, hidden_size=44, layers=2, heads=2, mlp_ratio=3),
    "head24": VisionConfig(image_size=32, patch_size=16, tubelet_size=1, frames=3, hidden_size=72, layers=1, heads=3),
    "head64": VisionConfig(image_size=64, patch_size=16, tubelet_size=2, frames=8, hidden_size=192, layers=3, heads=3),
}


def hf_encoder(cfg: VisionConfig):
    from transformers import VJEPA2Config, VJEPA2Model

    config = VJEPA2Config(
        patch_size=cfg.patch_size,
        crop_size=cfg.image_size,
        frames_per_clip=cfg.frames,
        tubelet_size=cfg.tubelet_size,
        hidden_size=cfg.hidden_size,
        num_attention_heads=cfg.heads,
        num_hidden_layers=cfg.layers,
        mlp_ratio=cfg.mlp_ratio,
        pred_hidden_size=12,
        pred_num_attention_heads=1,
        pred_num_hidden_layers=1,
    )
    torch.manual_seed(0)
    model = VJEPA2Model(config).eval()
    for parameter in model.parameters():  # biases and norms too, or a lost one would not show
        torch.nn.init.normal_(parameter, std=0.2 if parameter.ndim == 1 else 0.1)
    return model


def random_frames(cfg: VisionConfig, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, cfg.frames, 3, cfg.image_size, cfg.image_size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cfg", SIZES.values(), ids=SIZES)
def test_equals_hugging_face(cfg):
    theirs = hf_encoder(cfg)
    ours = VisionEncoder(cfg)
    ours.load_state_dict(vision_state_from_hf(theirs.state_dict(), cfg))
    frames = random_frames(cfg)
    with torch.inference_mode():
        expected = theirs(pixel_values_videos=frames, skip_predictor=True).last_hidden_state
        tokens = ours(frames)
    assert tokens.shape == (2, cfg.tokens, cfg.hidden_size)
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.05  # not two zeros compared


def test_every_weight_of_the_encoder_is_used_and_none_is_invented():
    cfg = SIZES["head24"]
    state = hf_encoder(cfg).state_dict()
    mapped = vision_state_from_hf(state, cfg)
    count = sum(tensor.numel() for name, tensor in state.items() if name.startswith("encoder."))
    assert sum(tensor.numel() for tensor in mapped.values()) == count
    assert {name: tensor.shape for name, tensor in mapped.items()} == {
        name: tensor.shape for name, tensor in VisionEncoder(cfg).state_dict().items()
    }


def test_missing_and_foreign_weights_are_named():
    cfg = SIZES["head24"]
    state = hf_encoder(cfg).state_dict()
    with pytest.raises(ValueError, match=r"layer\.0\.mlp\.fc1\.weight"):
        vision_state_from_hf({k: v for k, v in state.items() if "mlp.fc1.weight" not in k}, cfg)
    with pytest.raises(ValueError, match="encoder of 1 layers"):
        vision_state_from_hf(state | {"encoder.layer.1.norm1.weight": torch.zeros(72)}, cfg)


def test_another_grid_gets_its_own_positions():
    """The table follows the frames: the small grid's tokens are what a model configured for that grid computes."""
    cfg = SIZES["head16"]
    small = dataclasses.replace(cfg, image_size=16, frames=2)
    ours, other = VisionEncoder(cfg), VisionEncoder(small)
    other.load_state_dict(ours.state_dict())
    frames = random_frames(small)
    with torch.inference_mode():
        ours(random_frames(cfg))
        torch.testing.assert_close(ours(frames), other(frames), rtol=0, atol=0)


def test_inference_then_training_and_moving_to_bfloat16():
    """The cached table survives both: an inference tensor cannot be saved for backward, a rounded table turns wrongly."""
    cfg = SIZES["head16"]
    model = VisionEncoder(cfg)
    with torch.inference_mode():
        model(random_frames(cfg))
    model(random_frames(cfg)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.to(torch.bfloat16)
    cos, sin = model.rotary.tables((2, 4, 4), torch.device("cpu"))
    assert cos.dtype == sin.dtype == torch.float32


def test_wrong_frames_are_named():
    model = VisionEncoder(SIZES["head16"])
    with pytest.raises(ValueError, match=r"\(1, 3, 3, 32, 32\)"):
        model(torch.zeros(1, 3, 3, 32, 32))


def test_order_of_memory_does_not_matter():
    cfg = SIZES["head16"]
    model = VisionEncoder(cfg)
    frames = random_frames(cfg)
    channels_last = frames.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    with torch.inference_mode():
        assert torch.equal(model(frames), model(channels_last))
