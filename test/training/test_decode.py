# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Y-Decoder's noise: predictions miss in their own directions, and it must have met those."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vljepa_ros.model.random_checkpoint import make_tiny
from vljepa_training.stages.decode import DecodeTask, Lines, Residuals
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
    noise = task(model, Residuals(one)).batch(0)["noise"].numpy()
    of_residuals = (noise[:, :3] == 0).all(1) & (noise[:, 4:] == 0).all(1)
    assert of_residuals.sum() == 20 and (noise[of_residuals, 3] >= 0).all()
    lengths = np.linalg.norm(noise[~of_residuals], axis=1)
    assert 0 < lengths.min() and 0.25 * 0.5 < lengths.mean() < 1.5 * 0.5, "the residuals' mean length is 0.5"


def test_residuals_are_mixed_in_pairs_so_that_none_is_met_twice(model):
    two = np.zeros((2, model.dim), np.float32)
    two[0, 3] = two[1, 5] = 0.6
    noise = task(model, Residuals(two), batch=400).batch(0)["noise"].numpy()[::2]
    assert not np.delete(noise, (3, 5), axis=1).any() and (noise >= 0).all()
    assert len({round(float(n[3] / max(n[5], 1e-9)), 4) for n in noise if n[3] and n[5]}) > 80
    assert np.linalg.norm(noise, axis=1).max() < 1.5 * 0.6 * 2**0.5


def test_residuals_that_belong_to_texts_stand_at_their_own_and_the_last_of_them_choose_the_weights(model):
    texts = [f"The cup {k} is full." for k in range(40)]
    own = np.zeros((40, model.dim), np.float32)
    own[:, 3] = np.linspace(0.1, 0.5, 40)
    one = task(model, Residuals(own, texts, held=2), batch=30)
    decode = model.tokenizers["text"].decode
    met = set()
    for step in range(40):
        batch = one.batch(step)
        for row in range(0, 30, 3):
            said = decode(batch["ids"][row][batch["mask"][row]].tolist()).strip()
            assert said == decode(batch["out"][row][batch["out_mask"][row]].tolist()).strip()
            assert torch.equal(batch["noise"][row], torch.from_numpy(own[texts.index(said)]))
            met.add(said)
        assert not any(decode(r[m].tolist()).strip() in texts for r, m in zip(batch["ids"][1::3], batch["mask"][1::3]))
    assert met == set(texts[:38]), "the held ones are never trained on"
    decoded = []
    one._exact = lambda texts, noise: decoded.append((texts, noise)) or 0.0
    one.evaluate()
    assert decoded[0][1] is None and set(decoded[1][0]) == set(texts[38:]) and (decoded[1][1][:, 3] >= own[38, 3]).all()


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


def test_the_loss_by_length_is_that_of_the_whole_batch(model):
    one = task(model, 0.5, batch=12)
    batch = one.batch(2)
    loss, metrics = one.loss(batch)
    with torch.no_grad():
        vectors = F.normalize(model.modules["text_encoder"](batch["ids"], batch["mask"]), dim=-1)
        logits = one.module(F.normalize(vectors + batch["noise"], dim=-1), batch["out"])[:, :-1]
    target, counted = batch["out"][:, 1:], batch["out_mask"][:, 1:]
    assert loss.item() == pytest.approx(F.cross_entropy(logits[counted], target[counted]).item(), abs=1e-5)
    assert metrics["token_acc"] == pytest.approx((logits.argmax(-1) == target)[counted].float().mean().item())


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
