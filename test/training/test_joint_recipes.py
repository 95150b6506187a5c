# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recipes of the paper's size: the published numbers, knobs that are used or say where they are fixed, phases that fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import vljepa_training
from vljepa_ros import model
from vljepa_ros.model import Predictor, VisionEncoder, paper, tiny
from vljepa_training import losses
from vljepa_training.joint_recipes import JOINT_RECIPES, Choice, JointRecipe, Phase, criterion, phase_config
from vljepa_training.trainer import Schedule

TRAINING = Path(vljepa_training.__file__).parent
UNDISCLOSED = {  # of the paper: optimisation, queries, pooling, sampling, finetuning
    *("temperature", "learnable_temperature", "optimizer", "weight_decay", "warmup", "query_free_query"),
    *("pooling", "y_pooling", "frame_sampling", "label_template", "y_decoder", "seed"),
}


def samples(recipe: JointRecipe) -> float:
    return sum(phase.schedule.steps * phase.schedule.batch for phase in recipe.phases)


@pytest.mark.parametrize("name", JOINT_RECIPES)
def test_names_beginnings_and_reasons(name):
    recipe = JOINT_RECIPES[name]()
    assert recipe.name == name
    assert recipe.begin is None or recipe.begin in JOINT_RECIPES
    assert recipe.knobs.keys() >= UNDISCLOSED | {"query_tokens", "target_tokens", "card", "ranks"}
    if name.endswith("sft"):
        assert recipe.begin or name == "tiny_joint"
        assert recipe.knobs.keys() >= {"sft_lr", "sft_frames", "sft_mixture", "sft_replay"}
    for knob, choice in recipe.knobs.items():
        assert len(choice.reason.split()) > 1, f"{knob} has no reason"
    for phase in recipe.phases:
        assert sum(phase.mixture.values()) == pytest.approx(1)
        assert phase.schedule.batch % recipe.knobs["ranks"].value == 0


def test_the_published_numbers():
    v2, v1 = JOINT_RECIPES["paper_v2_pretrain"](), JOINT_RECIPES["paper_v1_pretrain"]()
    assert [(p.frames, p.schedule.steps, p.schedule.batch, p.train_vision) for p in v2.phases] == [
        (1, 100_000, 24_576, False),
        (8, 60_000, 12_288, False),
        (32, 10_000, 12_288, True),
    ]
    assert samples(v2) == pytest.approx(3.3e9, rel=0.01)
    assert [p.frames for p in v1.phases] == [1, 16] and set(v1.phases[1].mixture) == {"image", "video"}
    for recipe in (v1, v2):
        assert {(p.schedule.lr, p.schedule.decay) for p in recipe.phases} == {(5e-5, "constant")}
        assert {p.y_multiplier for p in recipe.phases} == {0.05}
    (sft,), (earlier,) = (JOINT_RECIPES[f"paper_{v}_sft"]().phases for v in ("v2", "v1"))
    assert (sft.schedule.steps, sft.schedule.batch, sft.schedule.decay) == (83_000, 3_072, "cosine")
    assert (earlier.schedule.steps, earlier.schedule.batch) == (35_000, 6_144)
    assert sft.mixture["vqa"] / sft.mixture["caption"] == pytest.approx(25 / 2.8)
    assert sft.mixture["caption"] / sft.mixture["classification"] == pytest.approx(2.8 / 1.8)
    ablation = JOINT_RECIPES["paper_v2_ablation"]()
    schedule = ablation.phases[0].schedule
    assert (schedule.steps, schedule.batch, schedule.decay, ablation.begin) == (10_000, 512, "constant", None)


def test_all_but_the_tiny_one_have_the_published_model():
    assert all(make().model == (tiny() if name == "tiny_joint" else paper()) for name, make in JOINT_RECIPES.items())


@pytest.mark.parametrize("name", JOINT_RECIPES)
def test_what_is_said_of_schedules_is_in_them(name):
    recipe = JOINT_RECIPES[name]()
    value = {knob: choice.value for knob, choice in recipe.knobs.items()}
    for phase in recipe.phases:
        s = phase.schedule
        assert (s.optimizer, s.weight_decay, s.clip_norm, s.seed) == tuple(
            value[knob] for knob in ("optimizer", "weight_decay", "clip_norm", "seed")
        )
        assert s.warmup == min(value["warmup"], s.steps // 10) and s.bf16 == (value["precision"] == "bf16")
        assert phase.vision_multiplier == (value["vision_multiplier"] if phase.train_vision else 1.0)
    if recipe.begin or name == "paper_v2_ablation":
        (phase,) = recipe.phases
        assert (phase.schedule.lr, phase.frames) == (value["sft_lr"], value["sft_frames"])
        assert phase.mixture == value["sft_mixture"]
        assert phase.mixture["image"] + phase.mixture["video"] == pytest.approx(value["sft_replay"])


@pytest.mark.parametrize("learnable", [True, False])
def test_the_loss_has_the_recipes_temperature(learnable):
    recipe = JOINT_RECIPES["tiny_joint"]()
    knobs = recipe.knobs | {"temperature": Choice(0.02, "another"), "learnable_temperature": Choice(learnable, "another")}
    loss = criterion(replace(recipe, knobs=knobs))
    assert loss.log_scale.exp().item() == pytest.approx(50) and loss.log_scale.requires_grad == learnable
    assert criterion(recipe).log_scale.exp().item() == pytest.approx(1 / 0.07)


def test_where_a_knob_is_said_to_be_fixed_there_is_something():
    """A file of the training, something of the model, or of the losses."""
    places = set()
    for make in JOINT_RECIPES.values():
        for choice in make().knobs.values():
            places |= set(re.findall(r"fixed in ([\w./]+)", choice.reason))
    assert len(places) >= 6
    for place in places:
        if place.endswith(".py"):
            assert (TRAINING / place).is_file(), place
        else:
            head, *rest = place.split(".")
            found = losses if head == "losses" else getattr(model, head)
            for name in rest:
                found = getattr(found, name)


@pytest.mark.parametrize("name", JOINT_RECIPES)
def test_clips_of_every_phase_fit_the_model(name):
    recipe = JOINT_RECIPES[name]()
    for phase in recipe.phases:
        config = phase_config(recipe, phase)
        per_tubelet = config.vision.grid**2
        assert config.vision.frames == (phase.frames if phase.frames > 1 else 2 * config.predictor.merge_time)
        assert config.vision.tokens == config.vision.frames // 2 * per_tubelet
        if phase.frames == 1 and name != "tiny_joint":
            assert config.vision.tokens == 256


@torch.inference_mode()
def test_one_model_takes_the_clips_of_all_tiny_phases():
    recipe = JOINT_RECIPES["tiny_joint"]()
    first = recipe.model
    vision, predictor = VisionEncoder(first.vision), Predictor(first.predictor, first.vision.hidden_size, first.dim)
    seen = []
    for phase in recipe.phases:
        config = phase_config(recipe, phase)
        tokens = vision(torch.randn(1, config.vision.frames, 3, config.vision.image_size, config.vision.image_size))
        assert tokens.shape[1] == config.vision.tokens
        assert predictor(tokens, torch.ones(1, 3, dtype=torch.long)).shape == (1, config.dim)
        seen.append(config.vision.tokens)
    assert len(set(seen)) == 2


def test_tiny_has_every_kind_of_phase():
    phases = JOINT_RECIPES["tiny_joint"]().phases
    kinds = (lambda p: p.frames == 1, lambda p: p.cached, lambda p: p.train_vision, lambda p: p.schedule.micro)
    assert all(any(kind(p) for p in phases) for kind in kinds)
    assert {"vqa", "caption", "classification", "image", "video"} <= {group for p in phases for group in p.mixture}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mixture": {}}, "mixture of it"),
        ({"mixture": {"image": 0.0}}, "above 0.*image"),
        ({"frames": 0}, "frames must be >= 1"),
        ({"cached": -1}, "cached"),
        ({"y_multiplier": -0.1}, "multipliers"),
        ({"cached": 5, "train_vision": True}, "set cached to 0"),
    ],
)
def test_phases_that_cannot_be_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Phase(**{"name": "it", "frames": 4, "mixture": {"image": 1.0}, "schedule": Schedule(1, 1, 1e-3), **wrong})


def test_recipes_that_cannot_be_are_refused():
    recipe = JOINT_RECIPES["tiny_joint"]()
    with pytest.raises(ValueError, match=r"names? of its own.*\['image', 'image'\]"):
        replace(recipe, phases=(recipe.phases[0],) * 2)
    with pytest.raises(ValueError, match="needs phases"):
        replace(recipe, phases=())
    with pytest.raises(ValueError, match="tiny_joint, video: frames must be 1 or a multiple of 4, got 6"):
        replace(recipe, phases=(replace(recipe.phases[1], frames=6),))
