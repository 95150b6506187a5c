# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tabletop recipe's stages, each resumed where it was left, and the checkpoint folder in the end.

Everything lies under `RUNS/RECIPE`: a folder per stage with log.jsonl, last.pt, best.pt, best.json. Killed at any moment and
started again, it goes on from the last saved step with the same batches.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vljepa_ros.model import VLJEPA, ModelConfig, Predictor, TextDecoder, TextEncoder, Tokenizer, VisionEncoder, train_tokenizer

from .calibrate import calibrate
from .familiarity import fit_familiarity
from .recipes import Recipe
from .sources.annotated import AnnotatedBag
from .stages.align import AlignTask
from .stages.decode import DecodeTask, Residuals
from .stages.features import cache_features, choose_clips, ordinary
from .stages.footage import Footage, footage
from .stages.predicted import predictions
from .stages.text import AnchorTask, TextTask, corpus
from .stages.vision import StillTask, VisionHeads, VisionTask
from .tabletop.dataset import STILLS, render
from .tabletop.samples import StillStore, TabletopStore
from .tabletop.spoken import WorldTexts
from .trainer import train

log = logging.getLogger(__name__)

EXPECTED_RESIDUAL = 0.5  # of a Predictor that is still to be trained
STAGES = ("pictures", "align", "finetune")  # one and two: of Predictor and Y-Encoder
FIRST_STILL = 100_000  # seeds of stills; those of streams begin at 0


class Run:
    """A recipe with its folders. Each stage loads the best weights of the one before."""

    def __init__(
        self, recipe: Recipe, runs: Path, data: Path, workers: int, bags: list[list[Path]] | None = None, share: float = 0.2
    ) -> None:
        """`bags`: annotated ones, each with its segments file, of which `share` of stage 2's batches is made."""
        self.bags, self.share = [(Path(bag), Path(segments)) for bag, segments in bags or []], share
        self.recipe, self.folder, self.data, self.workers = recipe, runs / recipe.name, data, workers
        self.folder.mkdir(parents=True, exist_ok=True)
        self.begin = VLJEPA.from_pretrained(recipe.begin, device="cpu", engine="torch") if recipe.begin else None
        self._remember()

    def _remember(self) -> None:
        """The recipe and what it began with beside what comes of them. ValueError where another checkpoint was begun with."""
        file, sha256 = self.folder / "begin.json", self.begin and self.begin.sha256
        if not file.exists():
            file.write_text(json.dumps({"sha256": sha256}))
        elif (before := json.loads(file.read_text())["sha256"]) != sha256:
            raise ValueError(f"{self.folder} began with the checkpoint {before}, not {sha256}; delete it, or take that one")
        bags, file = [*(str(path) for pair in self.bags for path in pair), self.share], self.folder / "bags.json"
        if self.bags and not file.exists() and (self.folder / "finetune").exists():
            raise ValueError(f"{self.folder} has begun stage 2 without bags; take another folder for --runs")
        if file.exists() and (before := json.loads(file.read_text())) != bags:
            raise ValueError(f"{self.folder} began with the bags {before}, not {bags}; give those, or another folder for --runs")
        if self.bags:
            file.write_text(json.dumps(bags))
        (self.folder / "recipe.json").write_text(json.dumps(asdict(self.recipe), indent=1))

    def all(self, out: Path) -> None:
        r = self.recipe
        torch.manual_seed(0)
        store, vision = self._x_encoder()
        tokenizer, config = self.tokenizer()
        text_encoder = self._began("text_encoder", TextEncoder(config.text_encoder, config.dim))
        self._stage("text", TextTask(text_encoder, tokenizer, config.text_encoder, r.text.batch, r.text.seed))

        decoder = self._began("text_decoder", TextDecoder(config.text_decoder, config.dim))
        spoken = (decoder, text_encoder, tokenizer, tokenizer, config, WorldTexts())
        self._stage("decode", DecodeTask(*spoken, r.decode.batch, EXPECTED_RESIDUAL, r.decode.seed))

        clips = choose_clips(store, r.clips_per_stream, seed=0)
        features = cache_features(vision, config.preprocess, store, clips, self.folder / "features.npy", views=r.views)
        recorded = self._footage(vision, config)
        predictor = self._began("predictor", Predictor(config.predictor, config.vision.hidden_size, config.dim))
        align = None
        for name in STAGES:  # the criterion goes along: its temperature is trained as everything else
            schedule, mixture = getattr(r, name), getattr(r, f"{name}_mixture")
            align = AlignTask(
                *(predictor, text_encoder, tokenizer, tokenizer, config, store, clips, features),
                *(schedule.batch, mixture, schedule.seed, r.held),
                module=align and align.module,
                still=name == "pictures",
                footage=recorded if name == "finetune" else None,
            )
            self._stage(name, align)

        self._stage("anchor", AnchorTask(text_encoder, tokenizer, config.text_encoder, r.anchor.batch, r.anchor.seed))
        residuals = self._residuals(vision, align, config)
        self._stage("settle", DecodeTask(*spoken, r.settle.batch, residuals, r.settle.seed))

        model = VLJEPA(
            config, vision, predictor, text_encoder, decoder, {"query": tokenizer, "text": tokenizer, "decoder": tokenizer}
        )
        model.modules["familiarity"], limit = fit_familiarity(features, r.held, config.vision.grid)
        facts = calibrate(model, align, store, clips, r.held) | limit
        residual = float(np.linalg.norm(residuals.vectors, axis=1).mean())
        model.config = replace(config, calibration={**facts, "residual": residual})
        model.save_pretrained(out)
        log.info("checkpoint written to %s", out)

    def _footage(self, vision: VisionEncoder, config: ModelConfig) -> Footage | None:
        """SourceError for a bag or a segments file that cannot be used; what could not be used of one is logged."""
        if not self.bags:
            return None
        bags = [AnnotatedBag(bag, segments, config) for bag, segments in self.bags]
        for bag in bags:
            for note in bag.notes:
                log.warning("%s: %s", bag.topic.name, note)
        return footage((pair for bag in bags for pair in bag.pairs()), vision, config, self.share)

    def _x_encoder(self) -> tuple[TabletopStore, VisionEncoder]:
        """The rendered streams, and the X-Encoder that was trained on them or begun with, frozen."""
        r = self.recipe
        vision = self._began("vision", VisionEncoder(r.model.vision))
        heads = VisionHeads(vision, r.model.vision.hidden_size)
        # Once the next stage has begun its weights count, and stills fill 2 GB.
        if not self.begin and not (self.folder / "vision" / "best.json").exists():
            stills = range(FIRST_STILL, FIRST_STILL + r.stills)
            render(self.data, stills, self.workers, stills=True)
            images = StillStore(self.data, stills)
            self._stage("images", StillTask(heads, r.model, images, r.images.batch, r.images.seed, STILLS * r.held))
            del images
        streams = {"train": range(r.streams), "busy": range(r.busy)}
        for split, seeds in streams.items():
            render(self.data, seeds, self.workers, split)
        store = TabletopStore(self.data, streams, r.model.vision.frames, held=r.held // 2)
        if not self.begin:
            plain = TabletopStore(self.data, {"train": streams["train"]}, r.model.vision.frames)
            self._stage("vision", VisionTask(heads, r.model, plain, r.vision.batch, r.vision.seed, r.held))
            self._stage("clutter", VisionTask(heads, r.model, store, r.clutter.batch, r.clutter.seed, r.held))
        return store, vision.eval().requires_grad_(False)

    def _began(self, part: str, module: nn.Module) -> nn.Module:
        """`module` with the weights of the same part of the checkpoint that training begins with, where there is one.

        A weight of another shape stays as it was drawn, and is named: a Predictor that takes other blocks of visual tokens has
        another projection of them. ValueError for an X-Encoder that does not fit whole.
        """
        if not self.begin:
            return module
        theirs, ours = self.begin.modules[part].state_dict(), module.state_dict()
        fits = {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape}
        if left := sorted(ours.keys() - fits.keys()):
            if part == "vision":
                raise ValueError(f"{self.recipe.begin} has another X-Encoder than the recipe {self.recipe.name}: {left[0]}")
            log.info("%s begins with random weights in %s", part, ", ".join(left))
        module.load_state_dict(fits, strict=False)
        return module

    def _stage(self, name: str, task) -> None:
        best = train(task, getattr(self.recipe, name), self.folder / name)
        log.info("%s: %s", name, best)

    def tokenizer(self) -> tuple[Tokenizer, ModelConfig]:
        folder = self.folder / "tokenizer"
        if not (folder / "special.json").exists():  # written last
            if self.begin:
                self.begin.tokenizers["text"].save(folder)
            else:
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

    @torch.no_grad()
    def _residuals(self, vision: VisionEncoder, align: AlignTask, config: ModelConfig) -> Residuals:
        """Of states, captions, descriptions and answers, on streams that nothing but the Y-Decoder is trained on. Those of the
        last streams, half of them busy, are held out."""
        r = self.recipe
        streams = {"train": range(r.streams, r.streams + r.unseen), "busy": range(r.busy, r.busy + r.unseen)}
        for split, seeds in streams.items():
            render(self.data, seeds, self.workers, split)
        held = max(1, r.unseen // 20)
        store = TabletopStore(self.data, streams, config.vision.frames, held=held)
        clips = choose_clips(store, r.clips_per_stream, seed=1)[:, : ordinary(r.clips_per_stream)]
        file = self.folder / "predictions.npz"
        made = predictions(vision, align.module.predictor, align.predict_from, config.preprocess, store, clips, file)
        different = list(dict.fromkeys(made.texts))
        vectors = torch.cat([align.encode(different[i : i + 256]) for i in range(0, len(different), 256)]).numpy()
        true = dict(zip(different, vectors))
        residuals = made.vectors - np.stack([true[text] for text in made.texts])
        return Residuals(residuals, made.texts, int((made.streams >= len(clips) - 2 * held).sum()))
