# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Anchoring the Y-Encoder: phrasings come to their canonical text, which stays."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from vljepa_ros.model import TextEncoder, train_tokenizer
from vljepa_ros.model.presets import tiny
from vljepa_training.stages.text import AnchorTask, TextTask, corpus
from vljepa_training.trainer import Schedule, train


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    tokenizer = train_tokenizer(corpus(range(2)), 300, tmp_path_factory.mktemp("anchor") / "tokenizer")
    config = tiny(tokenizer.vocab_size).text_encoder
    config = dataclasses.replace(config, max_tokens=48, hub={**config.hub, "max_position_embeddings": 48})
    torch.manual_seed(0)
    return TextEncoder(config, 16), tokenizer, config


def test_canonical_texts_stay_and_other_phrasings_come_to_them(made, tmp_path):
    encoder, tokenizer, config = made
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    task = AnchorTask(encoder, tokenizer, config, batch=24)
    batch = task.batch(1_000)  # none of those that it is trained on

    def measured() -> tuple[float, float]:
        with torch.no_grad():
            loss, metrics = task.loss(batch)
        return loss.item() - task.HOLD * metrics["moved"], metrics["moved"]

    apart, moved = measured()
    assert moved < 1e-6
    train(task, Schedule(steps=60, batch=24, lr=5e-3, warmup=5, bf16=False, eval_every=60, save_every=60), tmp_path)
    assert any((v - before[k]).abs().sum() > 0 for k, v in encoder.state_dict().items())
    apart_after, moved = measured()
    assert apart_after < apart - 0.2, "told from the other canonical texts"
    assert 0 < moved < 0.02, "and those have hardly moved"
    figures = task.evaluate()
    assert 0 < figures["moved"] < 0.02
    free = figures["top1"] + figures["paraphrase"] - figures["hardest_other"]
    assert figures["score"] == pytest.approx(free - task.HOLD * figures["moved"])


def test_its_batches_pair_a_phrasing_with_the_canonical_text_and_the_text_stage_s_with_another(made):
    encoder, tokenizer, config = made
    anchored, free = (kind(encoder, tokenizer, config, batch=30) for kind in (AnchorTask, TextTask))
    batches = [task.batch(3) for task in (anchored, free)]
    texts = [[tokenizer.decode(row[mask].tolist()) for row, mask in zip(b["ids"], b["mask"])] for b in batches]
    half = len(texts[0]) // 2
    assert texts[0][:half] == texts[1][:half] and texts[0][half:] != texts[1][half:]
    canonical = {t for t in texts[0][half:]}
    assert "The lamp is on." in canonical or "The lamp is off." in canonical or "The drawer is open." in canonical
