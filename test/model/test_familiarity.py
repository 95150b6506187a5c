# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Novelty: what the part familiarity measures, that it travels with the checkpoint, and that a checkpoint without it goes on."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vljepa_ros.model import VLJEPA, CheckpointError, Familiarity
from vljepa_ros.model.familiarity import DIRECTIONS, describe
from vljepa_ros.model.random_checkpoint import FAMILIAR_DISTANCE

D = 16


def frames(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def load(folder, engine: str = "torch", **options) -> VLJEPA:
    return VLJEPA.from_pretrained(folder, device="cpu", engine=engine, **options)


def test_the_distance_is_mahalanobis_over_the_root_of_the_number_of_directions():
    generator = torch.Generator().manual_seed(0)
    mixing_FF = torch.randn(4 * D, 4 * D, generator=generator) * 0.1
    features_BF = 0.5 + torch.randn(4000, 4 * D, generator=generator) @ mixing_FF
    part = Familiarity(D, grid=4)
    part.mean_F.copy_(features_BF.mean(0))
    values_F, vectors_FF = torch.linalg.eigh(torch.cov(features_BF.double().T))
    part.whiten_FK.copy_(vectors_FF / values_F.sqrt())
    distance_B = part.distance(features_BF)
    centred_BF = (features_BF - features_BF.mean(0)).double()
    expected_B = (centred_BF @ torch.cov(features_BF.double().T).inverse() * centred_BF).sum(-1).div(4 * D).sqrt()
    assert torch.allclose(distance_B.double(), expected_B, rtol=1e-2)
    assert distance_B.square().mean() == pytest.approx(1, abs=0.02), "around 1 for what it was fitted on, whatever the width"
    assert part.distance(features_BF[:1] + 3.0) > 2 * distance_B.max(), "and far beyond for what it was not"
    assert Familiarity(192, grid=8).whiten_FK.shape == (4 * 192, DIRECTIONS), "of many features, the largest directions"


def test_a_clip_is_described_by_the_mean_token_of_each_quarter():
    tokens_BTHWD = torch.randn(3, 2, 4, 6, D)[:, :, :, :4] * 2 + 1
    features_BF = describe(tokens_BTHWD.reshape(3, -1, D).half(), grid=4)
    assert features_BF.shape == (3, 4 * D) and features_BF.dtype == torch.float32
    quarters = [tokens_BTHWD[:, :, y : y + 2, x : x + 2].mean((1, 2, 3)) for y in (0, 2) for x in (0, 2)]
    assert torch.allclose(features_BF, torch.cat(quarters, 1), atol=1e-2)
    upside_down = describe(tokens_BTHWD.flip(2).reshape(3, -1, D), grid=4)
    assert torch.allclose(upside_down[:, : 2 * D], features_BF[:, 2 * D :], atol=1e-2), "where on the picture matters"
    assert describe(torch.ones(1, 9, D), grid=3).isfinite().all(), "a grid without a middle line"


def test_novelty_is_the_distance_in_units_of_the_limit(tiny_checkpoint):
    model = load(tiny_checkpoint)
    tokens_1ND = model.encode_frames(frames())
    distance = float(model.modules["familiarity"](tokens_1ND))
    assert distance > 0 and model.novelty(tokens_1ND) == pytest.approx(distance / FAMILIAR_DISTANCE)
    model.config = dataclasses.replace(model.config, calibration={"familiar_distance": distance / 2})
    assert model.novelty(tokens_1ND) == pytest.approx(2.0)
    model.config = dataclasses.replace(model.config, calibration={})
    assert model.novelty(tokens_1ND) == 0.0, "without a limit nobody can judge"


def test_watching_gives_what_embedding_gives(tiny_checkpoint):
    model, queries = load(tiny_checkpoint), ["Is the lamp on?", ""]
    vectors_QD, novelty = model.watch(frames(), queries)
    assert np.array_equal(vectors_QD, model.embed_queries(frames(), queries))
    assert novelty == model.novelty(model.encode_frames(frames())) and isinstance(novelty, float)


def test_bf16_measures_in_full_precision(tiny_checkpoint):
    exact, rounded = load(tiny_checkpoint), load(tiny_checkpoint, "torch-bf16")
    tokens_1ND = exact.encode_frames(frames())
    assert rounded.novelty(tokens_1ND) == exact.novelty(tokens_1ND)


def test_a_checkpoint_without_the_part_does_not_judge(folder, tmp_path):
    model = load(folder)
    del model.modules["familiarity"]
    model.save_pretrained(tmp_path / "plain")
    plain = load(tmp_path / "plain")
    assert "familiarity" not in plain.modules and not (tmp_path / "plain" / "familiarity.safetensors").exists()
    vectors_QD, novelty = plain.watch(frames(), [""])
    assert novelty == 0.0 and vectors_QD.shape == (1, model.dim)
    with pytest.raises(CheckpointError, match="no part familiarity"):
        load(tmp_path / "plain", parts=["familiarity"])


def test_the_part_is_checked_as_all_others_are(folder):
    file = folder / "familiarity.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(CheckpointError, match=r"familiarity.safetensors.*altered"):
        load(folder, parts=["vision", "predictor"])
    assert "familiarity" not in load(folder, parts=["text_decoder"]).modules, "the decoder's node judges no clips and reads none"
