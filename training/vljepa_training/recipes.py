"""What is trained, on what, for how long. A recipe is a function that returns a dataclass; another recipe is `replace(that,
...)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vljepa_ros.model import ModelConfig
from vljepa_ros.model import tabletop as tabletop_model

from .tabletop import language
from .trainer import Schedule


@dataclass(frozen=True)
class Recipe:
    """The stages in order: render, images, vision, clutter, tokenizer, text, decode, features, align, finetune, settle,
    calibrate, checkpoint."""

    name: str
    model: ModelConfig  # vocabulary sizes are set from the trained tokenizer
    vocab_size: int
    stills: int  # streams of which a dozen moments are rendered, for the image stage
    streams: int  # rendered training streams of 24 s each
    busy: int  # further ones: cluttered, partly hidden, with attempts that are given up
    held: int  # streams for choosing weights, half of them busy: never trained on
    clips_per_stream: int  # whose features are cached
    views: int  # augmented versions of each of those clips
    images: Schedule
    vision: Schedule
    clutter: Schedule  # the X-Encoder goes on, with the busy streams too
    text: Schedule
    decode: Schedule  # the Y-Decoder, on the embeddings that the Y-Encoder has now
    align: Schedule
    finetune: Schedule
    settle: Schedule  # the Y-Decoder goes on, with the Y-Encoder as it is at last


def tabletop() -> Recipe:
    """The bundled checkpoint: about two hours on two CPU cores."""
    prompts = {"state": language.STATE_PROMPT, "action": language.ACTION_PROMPT, "caption": language.CAPTION_PROMPT}
    return Recipe(
        name="tabletop",
        model=replace(tabletop_model(), prompts=prompts),
        vocab_size=1024,
        stills=3500,
        streams=800,
        busy=600,
        held=40,
        clips_per_stream=32,
        views=1,
        images=Schedule(steps=1000, batch=128, lr=3e-3, warmup=100, optimizer="muon", eval_every=200, save_every=100),
        vision=Schedule(steps=1300, batch=32, lr=2e-3, warmup=100, optimizer="muon", eval_every=300, save_every=250),
        clutter=Schedule(steps=600, batch=32, lr=1.5e-3, warmup=50, optimizer="muon", eval_every=200, save_every=200),
        text=Schedule(steps=500, batch=160, lr=1e-3, warmup=50, eval_every=100, save_every=100),
        align=Schedule(
            steps=250, batch=128, lr=2e-3, warmup=80, decay="constant", optimizer="muon", eval_every=250, save_every=125
        ),
        finetune=Schedule(steps=1000, batch=128, lr=2e-3, warmup=20, optimizer="muon", eval_every=500, save_every=100),
        decode=Schedule(steps=1000, batch=96, lr=2e-3, warmup=100, optimizer="muon", eval_every=500, save_every=200),
        settle=Schedule(steps=500, batch=96, lr=1.5e-3, warmup=20, optimizer="muon", eval_every=250, save_every=100),
    )


def tabletop_ci() -> Recipe:
    """Every stage through the real entry points in a minute: proves the chain, learns next to nothing."""
    full = tabletop()

    def few(schedule: Schedule, steps: int, batch: int) -> Schedule:
        return replace(schedule, steps=steps, batch=batch, warmup=2, eval_every=steps, save_every=max(1, steps // 2))

    return replace(
        full,
        name="tabletop_ci",
        stills=10,
        streams=10,
        busy=6,
        held=4,
        clips_per_stream=10,
        images=few(full.images, 8, 16),
        vision=few(full.vision, 8, 8),
        clutter=few(full.clutter, 4, 8),
        text=few(full.text, 8, 32),
        align=few(full.align, 6, 32),
        finetune=few(full.finetune, 6, 32),
        decode=few(full.decode, 6, 16),
        settle=few(full.settle, 4, 16),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {f.__name__: f for f in (tabletop, tabletop_ci)}
