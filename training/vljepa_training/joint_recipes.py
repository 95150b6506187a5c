# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stages 1 and 2 at the paper's size: which phases, on what, for how long; and on one card of 24 GB.

What the paper says is written into the phases. What it does not say (temperature, optimizer, queries of the query-free stage)
is a knob with our value and the reason; `cost.py` prints them all, with what a recipe costs.
Knows nothing of files: a mixture names groups of the sources file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from vljepa_ros.model import ModelConfig, paper, tiny

from .knobs import KNOBS, SFT_KNOBS, Choice
from .losses import InfoNCE
from .trainer import Schedule


@dataclass(frozen=True)
class Phase:
    """Part of a recipe with clips of one length. Each phase begins with the best weights of the one before."""

    name: str  # of its folder
    frames: int  # of a clip; 1: a picture, repeated until it makes one visual token at each place
    mixture: dict[str, float]  # group of the sources file -> share of the samples
    schedule: Schedule  # its batch is that of all ranks
    y_multiplier: float = 0.05  # the Y-Encoder's share of the learning rate (paper 4.8 (b))
    train_vision: bool = False
    vision_multiplier: float = 1.0
    cached: int = 0  # that many samples are seen once by the frozen X-Encoder, kept on disk, and trained on for many epochs

    def __post_init__(self) -> None:
        if not self.mixture or min(self.mixture.values()) <= 0:
            raise ValueError(f"the mixture of {self.name} must name groups with shares above 0, got {self.mixture}")
        if self.frames < 1 or self.cached < 0 or min(self.y_multiplier, self.vision_multiplier) < 0:
            raise ValueError(f"{self.name}: frames must be >= 1, cached and multipliers >= 0, got {self}")
        if self.train_vision and self.cached:
            raise ValueError(f"{self.name} trains the X-Encoder, whose features cannot be cached: set cached to 0")


@dataclass(frozen=True)
class JointRecipe:
    """A model, its phases in order, and the knobs."""

    name: str
    model: ModelConfig
    phases: tuple[Phase, ...]
    knobs: dict[str, Choice]
    begin: str | None = None  # the recipe whose checkpoint this one begins with; None: the parts' own published weights
    decode: Schedule | None = None  # of the Y-Decoder, where there are texts for it; None: as the knobs say, cosine

    def __post_init__(self) -> None:
        names = [phase.name for phase in self.phases]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"{self.name} needs phases, each with a name of its own, got {names}")
        for phase in self.phases:
            phase_config(self, phase)
        if self.decode is None:
            steps, batch, lr = (self.knobs[f"decode_{name}"].value for name in ("steps", "batch", "lr"))
            parallel = "none" if self.phases[-1].schedule.parallel == "none" else "ddp"  # it is small
            schedule = _schedule(self.knobs, steps, batch, lr, decay="cosine", parallel=parallel)
            object.__setattr__(self, "decode", schedule)


def phase_config(recipe: JointRecipe, phase: Phase) -> ModelConfig:
    """The model with clips of the phase's length. ValueError where the parts do not fit that length."""
    m = recipe.model
    shortest = m.vision.tubelet_size * m.predictor.merge_time
    frames = shortest if phase.frames == 1 else phase.frames
    if frames % shortest:
        raise ValueError(f"{recipe.name}, {phase.name}: frames must be 1 or a multiple of {shortest}, got {phase.frames}")
    return replace(m, vision=replace(m.vision, frames=frames))


def criterion(recipe: JointRecipe) -> nn.Module:
    """The loss with the recipe's temperature."""
    loss = InfoNCE(recipe.knobs["temperature"].value)
    loss.log_scale.requires_grad_(recipe.knobs["learnable_temperature"].value)
    return loss


# What the paper's SFT mixture holds, in millions of samples (section 3.2); how much of stage 1 is replayed it does not say.
SFT_MILLIONS = {"vqa": 25.0, "caption": 2.8, "classification": 1.8}


def sft_mixture(replay: float, of: dict[str, float]) -> dict[str, float]:
    """SFT's groups by their published sizes, and `replay` of everything from stage 1, shared as `of` says."""
    new = {group: (1 - replay) * size / sum(SFT_MILLIONS.values()) for group, size in SFT_MILLIONS.items()}
    return new | {group: replay * share / sum(of.values()) for group, share in of.items()}


def _schedule(knobs: dict[str, Choice], steps: int, batch: int, lr: float = 5e-5, **more: Any) -> Schedule:
    """Stage 1's rate is constant (published). The knobs say the rest."""
    values = {name: knobs[name].value for name in ("optimizer", "weight_decay", "clip_norm", "seed")}
    return Schedule(
        **{
            **dict(steps=steps, batch=batch, lr=lr, warmup=min(knobs["warmup"].value, steps // 10), decay="constant"),
            **dict(bf16=knobs["precision"].value == "bf16", parallel="ddp", eval_every=1000, save_every=500),
            **values,
            **more,
        }
    )


def paper_v2_pretrain() -> JointRecipe:
    """Stage 1 of the paper's second version, 3.3 billion samples; numbers of Action100M's Table 2."""
    knobs = KNOBS
    return JointRecipe(
        "paper_v2_pretrain",
        paper(),
        (
            Phase("image", 1, {"image": 1.0}, _schedule(knobs, 100_000, 24_576)),
            Phase("video", 8, {"video": 1.0}, _schedule(knobs, 60_000, 12_288)),
            Phase(
                *("long_video", 32, {"video": 1.0}, _schedule(knobs, 10_000, 4 * 3_072, micro=8)),
                train_vision=True,
                vision_multiplier=knobs["vision_multiplier"].value,
            ),
        ),
        knobs,
    )


def paper_v2_sft() -> JointRecipe:
    """Stage 2 of the second version: 83k steps of 3,072."""
    knobs = {
        **KNOBS,
        **SFT_KNOBS,
        "sft_frames": Choice(
            32, "as stage 1 ends, to which the X-Encoder is adapted; the published 2.5 days are three times what `cost.py` finds"
        ),
    }
    knobs["sft_mixture"] = Choice(
        sft_mixture(knobs["sft_replay"].value, {"image": 1.0, "video": 1.0}),
        "the groups by their published sizes, and half pictures, half videos of stage 1",
    )
    schedule = _schedule(knobs, 83_000, 3_072, knobs["sft_lr"].value, decay="cosine")
    phase = Phase("sft", knobs["sft_frames"].value, knobs["sft_mixture"].value, schedule)
    return JointRecipe("paper_v2_sft", paper(), (phase,), knobs, begin="paper_v2_pretrain")


def paper_v2_ablation() -> JointRecipe:
    """The paper's ablations (section 4.8): SFT's data, 10k steps of 512, constant rate, without pretraining."""
    sft = paper_v2_sft()
    knobs = {
        **sft.knobs,
        "sft_frames": Choice(16, "the first version's, whose table of ablations the second has unchanged"),
        "ranks": Choice(8, "one node: 512 rows are few for more"),
    }
    schedule = _schedule(knobs, 10_000, 512, knobs["sft_lr"].value, micro=16)
    phase = Phase("sft", knobs["sft_frames"].value, sft.phases[0].mixture, schedule)
    return replace(sft, name="paper_v2_ablation", phases=(phase,), knobs=knobs, begin=None)


def paper_v1_pretrain() -> JointRecipe:
    """Stage 1 of the first version: pictures, then pictures and videos of 16 frames together."""
    knobs = {
        **KNOBS,
        "video_batch": Choice(6_144, "the first version's SFT batch at 16 frames; of stage 1's it says 'two weeks' only"),
        "video_steps": Choice(60_000, "as many as the second version's first phase of videos"),
        "video_images": Choice(0.5, "'joint', without shares: as many pictures as videos"),
    }
    images = knobs["video_images"].value
    schedule = _schedule(knobs, knobs["video_steps"].value, knobs["video_batch"].value)
    return JointRecipe(
        "paper_v1_pretrain",
        paper(),
        (paper_v2_pretrain().phases[0], Phase("video", 16, {"image": images, "video": 1 - images}, schedule)),
        knobs,
    )


def paper_v1_sft() -> JointRecipe:
    """Stage 2 of the first version: 35k steps of 6,144 at 16 frames."""
    sft = paper_v2_sft()
    knobs = {**sft.knobs, "sft_frames": Choice(16, "as stage 1's videos")}
    schedule = _schedule(knobs, 35_000, 6_144, knobs["sft_lr"].value, decay="cosine")
    phase = Phase("sft", knobs["sft_frames"].value, sft.phases[0].mixture, schedule)
    return replace(sft, name="paper_v1_sft", phases=(phase,), knobs=knobs, begin="paper_v1_pretrain")


def _single(knobs: dict[str, Choice]) -> dict[str, Choice]:
    return {
        **knobs,
        "card": Choice("RTX 4090", "24 GB"),
        "ranks": Choice(1, "one card"),
        "warmup": Choice(200, "a tenth of a phase: it has 2,000 steps and not 100,000"),
    }


def single_gpu_pretrain() -> JointRecipe:
    """Stage 1 on one card of 24 GB: the X-Encoder sees each sample once, its features stay on disk."""
    knobs = {
        **_single(KNOBS),
        "image_cached": Choice(500_000, "0.24 TiB of features, ten epochs of them"),
        "video_cached": Choice(250_000, "0.48 TiB of features, six epochs of them"),
    }
    images = _schedule(knobs, 2_500, 2_048, micro=12, parallel="none")
    videos = _schedule(knobs, 1_500, 1_024, micro=3, parallel="none")
    return JointRecipe(
        "single_gpu_pretrain",
        paper(),
        (
            Phase("image", 1, {"image": 1.0}, images, cached=knobs["image_cached"].value),
            Phase("video", 8, {"video": 1.0}, videos, cached=knobs["video_cached"].value),
        ),
        knobs,
    )


def single_gpu_sft() -> JointRecipe:
    """Stage 2 on the same card."""
    sft = paper_v2_sft()
    knobs = {
        **_single(sft.knobs),
        "sft_frames": Choice(8, "as stage 1 on this card: the features of a clip are 2 MiB"),
        "sft_cached": Choice(250_000, "0.48 TiB of features, four epochs of them; those of stage 1 can be deleted"),
    }
    schedule = _schedule(knobs, 2_000, 512, knobs["sft_lr"].value, decay="cosine", micro=3, parallel="none")
    phase = Phase("sft", knobs["sft_frames"].value, sft.phases[0].mixture, schedule, cached=knobs["sft_cached"].value)
    return replace(sft, name="single_gpu_sft", phases=(phase,), knobs=knobs, begin="single_gpu_pretrain")


def tiny_joint() -> JointRecipe:
    """Every kind of phase (pictures, videos from cached features, X-Encoder trained, SFT) with a model 16 wide, in seconds."""
    knobs = {
        **KNOBS,
        **SFT_KNOBS,
        "ranks": Choice(1, "one process"),
        "precision": Choice("fp32", "16 dimensions want no fewer bits"),
    }

    def few(**more: Any) -> Schedule:
        every = {"eval_every": 3, "save_every": 2, "parallel": "none"}
        return _schedule(knobs, 6, 8, 2e-3, **{**every, **more})

    model = tiny()
    return JointRecipe(
        "tiny_joint",
        model,
        (
            Phase("image", 1, {"image": 1.0}, few()),
            Phase("video", 4, {"video": 1.0}, few(micro=4), cached=16),
            Phase(
                *("long_video", 8, {"video": 1.0}, few(micro=4)),
                train_vision=True,
                vision_multiplier=knobs["vision_multiplier"].value,
            ),
            Phase("sft", 4, sft_mixture(knobs["sft_replay"].value, {"image": 1.0, "video": 1.0}), few(decay="cosine")),
        ),
        knobs,
        decode=few(),
    )


JOINT_RECIPES: dict[str, Callable[[], JointRecipe]] = {
    f.__name__: f
    for f in (
        *(paper_v1_pretrain, paper_v1_sft, paper_v2_pretrain, paper_v2_sft, paper_v2_ablation),
        *(single_gpu_pretrain, single_gpu_sft, tiny_joint),
    )
}
