# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Configurations: strict dictionaries, checks that name the value, and presets with the published sizes."""
from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from vljepa_ros.model import ModelConfig, Predictor, TextDecoder, TextEncoder, VisionConfig, VisionEncoder, paper, tabletop, tiny

PRESETS = {"tiny": tiny, "tabletop": tabletop, "paper": paper}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_config_survives_json(preset):
    config = preset()
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_absent_parts_survive_json():
    config = dataclasses.replace(tiny(), text_encoder=None, text_decoder=None)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_missing_and_wrong_keys_are_named():
    values = tiny().to_dict()
    values["vision"]["pooling"] = "cls"
    with pytest.raises(ValueError, match="vision has the unknown key pooling"):
        ModelConfig.from_dict(values)
    values = tiny().to_dict()
    del values["predictor"]["heads"]
    with pytest.raises(ValueError, match="predictor lacks the key heads"):
        ModelConfig.from_dict(values)
    for path, wrong in ((("dim",), "16"), (("vision", "layers"), 2.5), (("predictor", "query_bos"), 1), (("vision",), None)):
        values = tiny().to_dict()
        inner = values
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = wrong
        with pytest.raises(ValueError, match=path[-1]):
            ModelConfig.from_dict(values)


@pytest.mark.parametrize(
    ("part", "change", "named"),
    [
        ("vision", {"frames": 5}, "5 and 2"),
        ("vision", {"image_size": 30}, "30 and 8"),
        ("vision", {"heads": 3}, "3 heads"),
        ("vision", {"layers": 0}, "layers must be above 0, got 0"),
        ("predictor", {"kv_heads": 3}, "2 and 3"),
        ("predictor", {"head_dim": 7}, "got 7"),
        ("predictor", {"visual_grid": 0}, "got 0"),
        ("text_encoder", {"hub": {"layers": 1}}, "model_type"),
        ("preprocess", {"std": (1.0, 0.0, 1.0)}, "std"),
    ],
)
def test_impossible_values_are_named(part, change, named):
    with pytest.raises(ValueError, match=named):
        dataclasses.replace(getattr(tiny(), part), **change)


def test_parts_must_fit_each_other():
    with pytest.raises(ValueError, match="32 and 64"):
        dataclasses.replace(tiny(), vision=dataclasses.replace(tiny().vision, image_size=64))
    with pytest.raises(ValueError, match="= 4, got 8"):
        dataclasses.replace(tiny(), predictor=dataclasses.replace(tiny().predictor, visual_grid=8))
    with pytest.raises(ValueError, match="must be 0 or 4, one for each visual token after merging, got 5"):
        dataclasses.replace(tiny(), predictor=dataclasses.replace(tiny().predictor, visual_positions=5))


def test_tokens_per_clip():
    assert paper().vision.tokens == 2048  # 16 frames, as published
    assert VisionConfig(256, 16, 2, 2, 1024, 24, 16).tokens == 256  # one image, repeated


def trainable(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_paper_has_the_published_parameter_counts():
    """Built on the meta device: shapes without memory."""
    config = paper()
    with torch.device("meta"):
        vision = VisionEncoder(config.vision)
        predictor = Predictor(config.predictor, config.vision.hidden_size, config.dim)
        text_encoder = TextEncoder(config.text_encoder, config.dim)
        decoder = TextDecoder(config.text_decoder, config.dim)
    assert trainable(vision) == pytest.approx(304e6, rel=0.005)
    assert trainable(predictor) == pytest.approx(490e6, rel=0.015)  # 491.8 M and 4.2 M for the projection of the query
    assert predictor.embed_tokens.weight.numel() == pytest.approx(262.7e6, rel=0.001)
    assert not predictor.embed_tokens.weight.requires_grad
    assert sum(p.numel() for p in text_encoder.model.parameters()) == pytest.approx(303e6, rel=0.02)
    assert {p.device.type for m in (vision, predictor, text_encoder, decoder) for p in m.parameters()} == {"meta"}


def test_tabletop_fits_its_budget_on_disk():
    """48 MiB of fp16 together, and small enough for two cores."""
    config = tabletop()
    modules = [
        VisionEncoder(config.vision),
        Predictor(config.predictor, config.vision.hidden_size, config.dim),
        TextEncoder(config.text_encoder, config.dim),
        TextDecoder(config.text_decoder, config.dim),
    ]
    assert 2 * sum(p.numel() for m in modules for p in m.parameters()) < 48 * 2**20
