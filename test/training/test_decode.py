# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Y-Decoder's noise: predictions miss in their own directions, and it must have met those."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vljepa_ros.model.random_checkpoint import make_tiny
from vljepa_training.stages.decode import DecodeTask


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("decode") / "checkpoint")


def task(model, residuals, batch: int = 40) -> DecodeTask:
    text = dataclasses.replace(model.config.text_encoder, max_tokens=32)
    config = dataclasses.replace(model.config, text_encoder=text)
    decoder, encoder, tokenizer = model.modules["text_decoder"], model.modules["text_encoder"], model.tokenizers["text"]
    return DecodeTask(decoder, encoder, tokenizer, tokenizer, config, batch, residuals)


def test_half_of_the_noise_is_residuals_and_half_goes_everywhere(model):
    one = np.zeros((7, model.dim), np.float32)
    one[:, 3] = np.linspace(0.2, 0.8, 7)
    noise = task(model, one).batch(0)["noise"].numpy()
    of_residuals = (noise[:, :3] == 0).all(1) & (noise[:, 4:] == 0).all(1)
    assert of_residuals.sum() == 20 and (noise[of_residuals, 3] >= 0).all()
    lengths = np.linalg.norm(noise[~of_residuals], axis=1)
    assert 0 < lengths.min() and 0.25 * 0.5 < lengths.mean() < 1.5 * 0.5, "the residuals' mean length is 0.5"


def test_without_a_predictor_the_expected_length_is_all_there_is(model):
    noise = task(model, 0.5, batch=400).batch(1)["noise"].numpy()
    lengths = np.linalg.norm(noise, axis=1)
    assert 0.3 < lengths.mean() < 0.45 and lengths.max() > 0.6, "0 to 1.5 times 0.5"
    assert np.linalg.matrix_rank(noise) == model.dim


def test_batches_depend_on_the_step_alone_and_the_loss_reaches_the_decoder_only(model):
    one = task(model, 0.5, batch=4)
    for name, value in one.batch(5).items():
        assert torch.equal(value, one.batch(5)[name])
    loss, metrics = one.loss(one.batch(5))
    loss.backward()
    assert 0 <= metrics["token_acc"] <= 1 and all(p.grad is None for p in model.modules["text_encoder"].parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in one.module.parameters())
