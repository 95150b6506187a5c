# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Y-Decoder's noise: predictions miss in their own directions, and it must have met those."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vljepa_ros.model.random_checkpoint import make_tiny
from vljepa_training.stages.decode import DecodeTask, Lines
from vljepa_training.tabletop.spoken import WorldTexts


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("decode") / "checkpoint")


def task(model, residuals, batch: int = 40, texts=None) -> DecodeTask:
    text = dataclasses.replace(model.config.text_encoder, max_tokens=32)
    config = dataclasses.replace(model.config, text_encoder=text)
    decoder, encoder, tokenizer = model.modules["text_decoder"], model.modules["text_encoder"], model.tokenizers["text"]
    return DecodeTask(decoder, encoder, tokenizer, tokenizer, config, texts or WorldTexts(), batch, residuals)


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


def test_listed_texts_are_trained_on_or_held_and_never_both(model):
    texts = Lines([f"the cup  {k} is full" for k in range(30)] + ["the cup 3 is full", " "], held=10)
    held, rng = texts.held(99, np.random.default_rng(0)), np.random.default_rng(0)
    drawn = {said for _ in range(20) for _, said in texts.draw(40, rng)}
    assert held == [f"the cup {k} is full" for k in range(20, 30)]
    assert drawn == {f"the cup {k} is full" for k in range(20)}
    one = task(model, 0.5, 4, texts)
    assert torch.isfinite(one.loss(one.batch(0))[0])
    assert 0 <= one.evaluate()["exact"] <= 1


def test_too_few_listed_texts_are_refused():
    with pytest.raises(ValueError, match="there are 2 different texts, more than 5"):
        Lines(["a cup", "a  cup", "a lamp"], held=5)
