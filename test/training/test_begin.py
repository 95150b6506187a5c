# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A training that begins with a checkpoint: what is taken from it, what is drawn anew, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from vljepa_ros.model import VLJEPA, Predictor, VisionEncoder
from vljepa_ros.model.random_checkpoint import make_tiny
from vljepa_training.recipes import tabletop_ci
from vljepa_training.tabletop_run import Run


@pytest.fixture
def folder(tmp_path):
    make_tiny(tmp_path / "checkpoint", seed=1)
    return tmp_path / "checkpoint"


def load(folder) -> VLJEPA:
    return VLJEPA.from_pretrained(folder, device="cpu", engine="torch")


def run_of(folder, tmp_path, **changes) -> Run:
    recipe = replace(tabletop_ci(), name="small", begin=str(folder), model=load(folder).config, **changes)
    return Run(recipe, tmp_path / "runs", tmp_path / "data", workers=1)


def test_what_fits_is_taken_and_the_rest_is_drawn(folder, tmp_path):
    run, theirs = run_of(folder, tmp_path), load(folder).modules["predictor"]
    config = run.recipe.model
    other = replace(config.predictor, merge_time=1)
    torch.manual_seed(5)
    drawn = Predictor(other, config.vision.hidden_size, config.dim).state_dict()
    torch.manual_seed(5)
    ours = run._began("predictor", Predictor(other, config.vision.hidden_size, config.dim)).state_dict()
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours[name], drawn[name] if name == "vis_proj.weight" else weight), name


def test_an_x_encoder_fits_whole_or_is_refused(folder, tmp_path):
    run = run_of(folder, tmp_path)
    vision = run._began("vision", VisionEncoder(run.recipe.model.vision))
    for name, weight in load(folder).modules["vision"].state_dict().items():
        assert torch.equal(vision.state_dict()[name], weight)
    with pytest.raises(ValueError, match=f"{folder} has another X-Encoder than the recipe small"):
        run._began("vision", VisionEncoder(replace(run.recipe.model.vision, patch_size=4)))


def test_the_tokenizer_is_the_checkpoint_s_and_the_run_remembers_whose(folder, tmp_path):
    run, theirs = run_of(folder, tmp_path), load(folder)
    tokenizer, config = run.tokenizer()
    assert tokenizer.files == theirs.tokenizers["text"].files and config.predictor.vocab_size == tokenizer.vocab_size
    assert json.loads((run.folder / "begin.json").read_text()) == {"sha256": theirs.sha256}
    run_of(folder, tmp_path)  # the same again goes on
    make_tiny(tmp_path / "other", seed=2)
    with pytest.raises(ValueError, match=f"began with the checkpoint {theirs.sha256}"):
        run_of(tmp_path / "other", tmp_path)
