# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is trained, on what, for how long. A recipe is a function that returns a dataclass; another recipe is `replace(that,
...)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vljepa_ros.model import ModelConfig
from vljepa_ros.model import tabletop as tabletop_model

from .tabletop import language
from .trainer import Schedule

# How often each kind of query is drawn. A draw of "state" brings several clips of one stream, a quarter of a batch at 0.08.
# States and details are long; a batch of them alone would cost three times as much, most of it in the Y-Encoder.
PICTURES = {"state": 1.0}
DESCRIBE = {"state": 0.08, "action": 0.24, "caption": 0.56, "detail": 0.12}
FINETUNE = {
    "state": 0.07,
    "action": 0.17,
    "caption": 0.20,
    "detail": 0.06,
    "lamp": 0.06,
    "drawer": 0.06,
    "held": 0.07,
    "where": 0.13,
    "colour": 0.09,
    "count": 0.03,
    "before": 0.04,
    "after": 0.02,
}


@dataclass(frozen=True)
class Recipe:
    """The stages in order: render, images, vision, clutter, tokenizer, text, decode, features, pictures, align, finetune,
    anchor, render and predictions (of `unseen` streams), settle, calibrate, checkpoint.

    With `begin`, a checkpoint's X-Encoder and tokenizer are taken as they are (images, vision, clutter, tokenizer are left out),
    and what else of it fits is where training begins."""

    name: str
    model: ModelConfig  # vocabulary sizes are set from the trained tokenizer
    vocab_size: int
    stills: int  # streams of which a dozen moments are rendered, for the image stage
    streams: int  # rendered training streams of 24 s each
    busy: int  # further ones: cluttered, partly hidden, with attempts that are given up
    held: int  # streams for choosing weights, half of them busy: never trained on
    unseen: int  # plain ones and as many busy ones, for the Y-Decoder alone: what the Predictor makes of them; two at least
    clips_per_stream: int  # whose features are cached
    views: int  # augmented versions of each of those clips
    images: Schedule
    vision: Schedule
    clutter: Schedule  # the X-Encoder goes on, with the busy streams too
    text: Schedule
    decode: Schedule  # the Y-Decoder, on the embeddings that the Y-Encoder has now
    pictures: Schedule  # stage 1 on single pictures
    align: Schedule  # stage 1 on pictures and video
    finetune: Schedule  # stage 2
    anchor: Schedule  # the Y-Encoder on texts alone: other phrasings back to where the canonical ones are
    settle: Schedule  # the Y-Decoder goes on, with the Y-Encoder as it is at last
    pictures_mixture: dict[str, float]  # how often each kind of query is drawn
    align_mixture: dict[str, float]
    finetune_mixture: dict[str, float]
    begin: str | None = None  # a checkpoint folder, or the name of a bundled one


def tabletop() -> Recipe:
    """From random weights: hours of training on two CPU cores, and rendering."""
    prompts = {"state": language.STATE_PROMPT, "action": language.ACTION_PROMPT, "caption": language.CAPTION_PROMPT}
    return Recipe(
        name="tabletop",
        model=replace(tabletop_model(), prompts=prompts),
        vocab_size=1024,
        stills=3500,
        streams=800,
        busy=600,
        held=40,
        unseen=250,
        clips_per_stream=32,
        views=1,
        images=Schedule(steps=1000, batch=128, lr=3e-3, warmup=100, optimizer="muon", eval_every=200, save_every=100),
        vision=Schedule(steps=1300, batch=32, lr=2e-3, warmup=100, optimizer="muon", eval_every=300, save_every=250),
        clutter=Schedule(steps=600, batch=32, lr=1.5e-3, warmup=50, optimizer="muon", eval_every=200, save_every=200),
        text=Schedule(steps=1500, batch=160, lr=1e-3, warmup=50, eval_every=250, save_every=125),
        pictures=Schedule(
            steps=100, batch=64, lr=2e-3, warmup=50, decay="constant", optimizer="muon", eval_every=100, save_every=50
        ),
        align=Schedule(
            steps=250, batch=128, lr=2e-3, warmup=80, decay="constant", optimizer="muon", eval_every=250, save_every=125
        ),
        finetune=Schedule(steps=1100, batch=96, lr=2e-3, warmup=20, optimizer="muon", eval_every=500, save_every=100),
        anchor=Schedule(steps=1400, batch=128, lr=5e-4, warmup=30, eval_every=200, save_every=100),
        decode=Schedule(steps=1000, batch=96, lr=2e-3, warmup=100, optimizer="muon", eval_every=500, save_every=200),
        settle=Schedule(steps=4000, batch=96, lr=1.5e-3, warmup=20, optimizer="muon", eval_every=500, save_every=250),
        pictures_mixture=PICTURES,
        align_mixture=DESCRIBE,
        finetune_mixture=FINETUNE,
    )


def tabletop_onward() -> Recipe:
    """From the bundled checkpoint on: other worlds, its X-Encoder as it is, all else trained further. Hours on two cores."""
    full = tabletop()
    return replace(
        full,
        name="tabletop_onward",
        begin="tabletop",
        streams=1000,
        busy=800,
        text=replace(full.text, steps=2000, lr=7e-4, eval_every=200),
        decode=replace(full.decode, steps=400, lr=1.5e-3, eval_every=200),
        align=replace(full.align, steps=150),
        finetune=replace(full.finetune, steps=1800, eval_every=300),
    )


def tabletop_ci() -> Recipe:
    """Every stage through the real entry points in a minute and a half on one core: proves the chain.

    The model is smaller in every part. What needs many worlds (which thing is where) it does not learn; what changes within a
    stream (the lamp) it does, if it is asked for little else.
    """
    full = tabletop()
    m = full.model
    llama = {"hidden_size": 128, "layers": 2, "head_dim": 32, "intermediate_size": 352}
    hub = {**m.text_encoder.hub, "hidden_size": 128, "num_hidden_layers": 1, "intermediate_size": 512}

    def few(schedule: Schedule, steps: int, batch: int, lr: float | None = None) -> Schedule:
        every = {"eval_every": steps, "save_every": max(1, steps // 2)}
        return replace(schedule, steps=steps, batch=batch, lr=lr or schedule.lr, warmup=min(10, steps // 4), **every)

    return replace(
        full,
        name="tabletop_ci",
        model=replace(
            m,
            vision=replace(m.vision, hidden_size=96, layers=3),
            predictor=replace(m.predictor, **llama),
            text_encoder=replace(m.text_encoder, hub=hub),
            text_decoder=replace(m.text_decoder, **llama),
        ),
        stills=24,
        streams=24,
        busy=6,
        held=4,
        unseen=2,
        clips_per_stream=20,
        images=few(full.images, 100, 16),
        vision=few(full.vision, 100, 8),
        clutter=few(full.clutter, 20, 8),
        text=few(full.text, 60, 32, lr=3e-3),
        pictures=few(full.pictures, 5, 16, lr=4e-3),
        align=few(full.align, 10, 32, lr=4e-3),
        finetune=few(full.finetune, 200, 32, lr=4e-3),
        anchor=few(full.anchor, 6, 32),
        decode=few(full.decode, 10, 16),
        settle=few(full.settle, 6, 16),
        finetune_mixture={"lamp": 0.6, "drawer": 0.2, "held": 0.2},
    )


RECIPES: dict[str, Callable[[], Recipe]] = {f.__name__: f for f in (tabletop, tabletop_onward, tabletop_ci)}
