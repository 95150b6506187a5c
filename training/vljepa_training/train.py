"""`python -m vljepa_training.train RECIPE`: run a recipe's stages, each resumed where it was left, and write the checkpoint
folder.

Everything lies under `--runs/RECIPE`: a folder per stage with log.jsonl, last.pt, best.pt, best.json. Killed at any moment and
started again, it
goes on from the last saved step with the same batches.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vljepa_ros.model import VLJEPA, ModelConfig, Predictor, TextDecoder, TextEncoder, Tokenizer, VisionEncoder, train_tokenizer

from .calibrate import calibrate
from .familiarity import fit_familiarity
from .recipes import RECIPES, Recipe
from .stages.align import DESCRIBE, FINETUNE, AlignTask, cache_features, choose_clips
from .stages.decode import DecodeTask
from .stages.text import TextTask, corpus
from .stages.vision import StillTask, VisionHeads, VisionTask
from .tabletop import language
from .tabletop.dataset import FPS, STILLS, render
from .tabletop.samples import StillStore, TabletopStore
from .trainer import train

log = logging.getLogger(__name__)

FIRST_STILL = 100_000  # seeds of stills; those of streams begin at 0


class Run:
    """A recipe with its folders. Each stage loads the best weights of the one before."""

    def __init__(self, recipe: Recipe, runs: Path, data: Path, workers: int) -> None:
        self.recipe, self.folder, self.data, self.workers = recipe, runs / recipe.name, data, workers
        self.folder.mkdir(parents=True, exist_ok=True)

    def all(self, out: Path) -> None:
        r = self.recipe
        stills = range(FIRST_STILL, FIRST_STILL + r.stills)
        render(self.data, stills, self.workers, stills=True)
        images = StillStore(self.data, stills)
        torch.manual_seed(0)
        vision = VisionEncoder(r.model.vision)
        heads = VisionHeads(vision, r.model.vision.hidden_size)
        self._stage("images", StillTask(heads, r.model, images, r.images.batch, r.images.seed, STILLS * r.held))
        del images
        render(self.data, range(r.streams), self.workers)
        store = TabletopStore(self.data, range(r.streams), frames=r.model.vision.frames)
        self._stage("vision", VisionTask(heads, r.model, store, r.vision.batch, r.vision.seed, r.held))
        vision.eval().requires_grad_(False)

        tokenizer, config = self._tokenizer()
        text_encoder = TextEncoder(config.text_encoder, config.dim)
        self._stage(
            "text", TextTask(text_encoder, tokenizer, range(r.streams), config.text_encoder, r.text.batch, r.text.seed, r.held)
        )

        clips = choose_clips(store, r.clips_per_stream, seed=0)
        features = cache_features(vision, config.preprocess, store, clips, self.folder / "features.npy", views=r.views)
        predictor = Predictor(config.predictor, config.vision.hidden_size, config.dim)
        parts = (predictor, text_encoder, tokenizer, tokenizer, config, store, clips, features)
        align = AlignTask(*parts, r.align.batch, r.align.seed, r.held, mixture=DESCRIBE)
        self._stage("align", align)
        # The criterion goes along: its temperature is trained in stage 1 as everything else.
        align = AlignTask(*parts, r.finetune.batch, r.finetune.seed, r.held, mixture=FINETUNE, module=align.module)
        self._stage("finetune", align)

        residual = self._residual(align, store, clips)
        decoder = TextDecoder(config.text_decoder, config.dim)
        self._stage(
            "decode",
            DecodeTask(
                decoder, text_encoder, tokenizer, tokenizer, config, store, r.decode.batch, residual, r.decode.seed, r.held
            ),
        )

        model = VLJEPA(
            config, vision, predictor, text_encoder, decoder, {"query": tokenizer, "text": tokenizer, "decoder": tokenizer}
        )
        model.modules["familiarity"], limit = fit_familiarity(features, r.held)
        facts = calibrate(model, align, store, clips, r.held) | limit
        model.config = replace(config, calibration={**facts, "residual": residual})
        model.save_pretrained(out)
        log.info("checkpoint written to %s", out)

    def _stage(self, name: str, task) -> None:
        best = train(task, getattr(self.recipe, name), self.folder / name)
        log.info("%s: %s", name, best)

    def _tokenizer(self) -> tuple[Tokenizer, ModelConfig]:
        folder = self.folder / "tokenizer"
        if not (folder / "tokenizer.json").exists():
            train_tokenizer(corpus(range(min(400, self.recipe.streams))), self.recipe.vocab_size, folder)
        tokenizer = Tokenizer(folder)
        m = self.recipe.model
        size = tokenizer.vocab_size
        config = replace(
            m,
            predictor=replace(m.predictor, vocab_size=size),
            text_decoder=replace(m.text_decoder, vocab_size=size),
            text_encoder=replace(m.text_encoder, hub={**m.text_encoder.hub, "vocab_size": size}),
        )
        return tokenizer, config

    def _residual(self, align: AlignTask, store: TabletopStore, clips: np.ndarray) -> float:
        """Mean length of predicted minus true state embedding on held-out streams: the noise that the decoder must bear."""
        held = range(len(clips) - self.recipe.held, len(clips))
        chosen = [(s, i) for s in held for i in range(0, clips.shape[1], 3)]
        texts = [language.state_text(store.streams[s].state_at(clips[s, i] / FPS), store.streams[s].scene) for s, i in chosen]
        with torch.no_grad():
            predicted = torch.cat(
                [
                    align.predict(chosen[a : a + 64], [language.STATE_PROMPT] * len(chosen[a : a + 64]))
                    for a in range(0, len(chosen), 64)
                ]
            )
            return float((predicted - align.encode(texts)).norm(dim=-1).mean())


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.train", description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="logs and training state (default: runs)")
    parser.add_argument(
        "--data", type=Path, default=Path("data/tabletop"), help="rendered streams, made where missing (default: data/tabletop)"
    )
    parser.add_argument("--out", type=Path, help="checkpoint folder (default: RUNS/RECIPE/checkpoint)")
    parser.add_argument("--workers", type=int, default=2, help="rendering processes")
    parser.add_argument("--threads", type=int, default=0, help="torch threads, 0 = torch's own choice")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    recipe = RECIPES[args.recipe]()
    (args.runs / recipe.name).mkdir(parents=True, exist_ok=True)
    (args.runs / recipe.name / "recipe.json").write_text(
        json.dumps({"model": recipe.model.to_dict(), "streams": recipe.streams}, indent=1)
    )
    Run(recipe, args.runs, args.data, args.workers).all(args.out or args.runs / recipe.name / "checkpoint")


if __name__ == "__main__":
    main()
