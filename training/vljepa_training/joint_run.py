# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recipe of the paper's size, phase by phase, on one process or on the ranks that torchrun has started.

Everything lies under `RUNS/RECIPE`: a folder per phase as the trainer leaves it, `begin.json` (what it began with and from which
data), `checkpoint/` at the end. Killed at any moment and started again, it goes on from the last saved step with the samples that
would have come.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from vljepa_ros.model import VLJEPA, ModelConfig, Predictor, TextDecoder, TextEncoder, VisionEncoder
from vljepa_ros.model.familiarity import describe
from vljepa_ros.model.preprocess import normalise

from .familiarity import fit_described
from .joint_data import ENCODED, JointData, in_parts
from .joint_recipes import JointRecipe, Phase, criterion, phase_config
from .ranks import everybodys, rank, world
from .settings import DECODE
from .stages.contrastive import AlignModule
from .stages.decode import DecodeTask, Lines, Residuals
from .stages.joint import Collate, JointTask
from .trainer import Schedule, tell_changes, train

log = logging.getLogger(__name__)

FAMILIAR = 2000  # training clips that say what is familiar


class JointRun:
    """`begin`: a checkpoint folder with all parts, from `vljepa import parts` or from a run before."""

    def __init__(
        self, recipe: JointRecipe, begin: str | Path, data: JointData, runs: Path, device: torch.device, texts: Path | None = None
    ) -> None:
        """`texts`: a file with a text per line, on which the Y-Decoder is trained at the end. ValueError, CheckpointError."""
        self.data, self.device = data, device
        self.folder = runs / recipe.name
        self.begin = VLJEPA.from_pretrained(begin, device="cpu", engine="torch")
        self.recipe = replace(recipe, model=self.begin.config)  # its parts may be others than the published ones
        self.texts = None if texts is None else Lines(texts.read_text(encoding="utf-8").splitlines())
        self._check_ranks()
        left = [phase for phase in self.recipe.phases if not self._is_done(phase.name)]
        data.check(left, self.begin.config)
        self._remember(texts)

    def _check_ranks(self) -> None:
        """ValueError now for what would be found out phases later."""
        schedules = {phase.name: phase.schedule for phase in self.recipe.phases}
        if self.texts:
            schedules[DECODE] = self.recipe.decode
        for name, schedule in schedules.items():
            if world() > 1 and schedule.parallel == "none":
                raise ValueError(f"{name} is for one process, and there are {world()} ranks: --set {name}.parallel=ddp")
            if schedule.batch % world():
                raise ValueError(f"{name}'s batch of {schedule.batch} cannot be shared by {world()} ranks: --set {name}.batch=N")
            if world() > 1 and schedule.parallel == "fsdp2" and schedule.optimizer == "muon":
                raise ValueError(f"{name}: muon needs whole matrices, which fsdp2 takes apart: --set {name}.parallel=ddp")
        if self.texts and self.recipe.decode.micro:
            raise ValueError(f"{DECODE} cannot be computed in parts: leave out {DECODE}.micro")
        for phase in self.recipe.phases:
            if 0 < phase.cached < world():
                raise ValueError(f"{phase.name} caches {phase.cached} samples for {world()} ranks: --set {phase.name}.cached=N")

    def _remember(self, texts: Path | None) -> None:
        """ValueError where the folder began with something else."""
        file = self.folder / "begin.json"
        facts = {"checkpoint": self.begin.sha256, "sources": self.data.sha256}
        if texts is not None:
            facts["texts"] = sha256(texts.read_bytes()).hexdigest()
        before = json.loads(file.read_text()) if file.exists() else {}
        if changed := [name for name in before if name in facts and before[name] != facts[name]]:
            name = changed[0]
            raise ValueError(
                f"{self.folder} began with other {name} (sha256 {before[name][:12]}, now {facts[name][:12]}); give those, or "
                "another folder for --runs"
            )
        everybodys(None)  # all have looked before rank 0 writes
        if rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = file.with_suffix(".part")
            beside.write_text(json.dumps(before | facts))
            beside.replace(file)

    def all(self, out: Path) -> None:
        """Every phase, the Y-Decoder where there are texts for it, then the checkpoint folder `out`."""
        for number, phase in enumerate(self.recipe.phases):
            if self._is_done(phase.name):
                tell_changes(self._shared(phase.schedule, phase.name), self.folder / phase.name, "is done")
                continue
            log.info("%s: %s", phase.name, self._phase(number, phase))
            everybodys(None)
        if self.texts and not self._is_done(DECODE):
            log.info("%s: %s", DECODE, self._decode())
            everybodys(None)
        if rank() == 0:
            self.save(out)
        everybodys(None)

    def _is_done(self, name: str) -> bool:
        return (self.folder / name / "best.json").exists()  # written last

    # a phase

    def _phase(self, number: int, phase: Phase) -> dict[str, float]:
        config = self._config(phase)
        parts = self._parts(config, self.recipe.phases[:number])
        vision = parts["vision"].to(self.device)
        module = self._module(parts, vision if phase.train_vision else None)
        collate = self._collate(config)
        held = cache(lambda: list(self.data.held(config, phase.frames)))  # decoded once, and not at every evaluation
        if phase.cached:
            encode = partial(self._encode, vision, config, collate, bf16=phase.schedule.bf16)
            collate = replace(collate, seen="features")
            folder = self.folder / phase.name / "features"
            data, held = self.data.cached(phase, config, encode, collate, folder, _hash(vision))
            vision = vision.cpu()  # nobody needs it any more
        else:
            data = self.data.streamed(phase, config, collate)
        task = JointTask(
            module, vision, collate, data, held, phase.schedule.batch, phase.y_multiplier, phase.vision_multiplier
        )
        try:
            return train(task, self._shared(phase.schedule, phase.name), self.folder / phase.name)
        finally:
            data.close()

    def _module(self, parts: dict[str, nn.Module], vision: nn.Module | None = None) -> AlignModule:
        return AlignModule(parts["predictor"], parts["text_encoder"], parts["criterion"], vision).to(self.device)

    def _shared(self, schedule: Schedule, name: str) -> Schedule:
        """One process has nobody to share with."""
        if world() > 1 or schedule.parallel == "none":
            return schedule
        log.info("%s: one process, nothing is shared out by %s; torchrun starts several", name, schedule.parallel)
        return replace(schedule, parallel="none")

    def _collate(self, config: ModelConfig) -> Collate:
        query_free = self.recipe.knobs["query_free_query"].value
        return Collate(self.begin.tokenizers, config, config.vision.frames, query_free=query_free)

    def _config(self, phase: Phase) -> ModelConfig:
        return phase_config(self.recipe, phase)

    def _parts(self, config: ModelConfig, done: tuple[Phase, ...]) -> dict[str, nn.Module]:
        """New modules on the CPU with the weights that the phases `done` have come to, one after the other."""
        parts: dict[str, nn.Module] = {
            "vision": VisionEncoder(config.vision),
            "predictor": Predictor(config.predictor, config.vision.hidden_size, config.dim),
            "text_encoder": TextEncoder(config.text_encoder, config.dim),
            "criterion": criterion(self.recipe),
        }
        for name, module in parts.items():
            if name in self.begin.modules:
                module.load_state_dict(self.begin.modules[name].state_dict())
        for phase in done:
            saved = self._best(phase.name)
            for name, module in parts.items():
                own = {k.removeprefix(f"{name}."): v for k, v in saved.items() if k.startswith(f"{name}.")}
                if own:  # a frozen X-Encoder is in no phase's file
                    module.load_state_dict(own)
        return parts

    def _best(self, name: str) -> dict[str, Tensor]:
        return torch.load(self.folder / name / "best.pt", map_location="cpu", weights_only=True, mmap=True)["module"]

    @torch.no_grad()
    def _encode(self, vision: nn.Module, config: ModelConfig, collate: Collate, rows: list, bf16: bool = False) -> Tensor:
        """(B, N, C) float32 on the CPU: what the frozen X-Encoder sees in the rows' frames."""
        frames = normalise(collate.frames_of(rows), config.preprocess, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            return vision(frames).float().cpu()

    # after the phases

    def _decode(self) -> dict[str, float]:
        """The Y-Decoder, on texts alone, with the residuals that predictions of held-out rows have now."""
        last = self.recipe.phases[-1]
        config, parts = self._config(last), self._parts(self._config(last), self.recipe.phases)
        collate = self._collate(config)
        module = self._module(parts).eval()
        task = JointTask(
            module, parts["vision"].to(self.device), collate, None, partial(self.data.held, config, last.frames), world()
        )
        with torch.no_grad():
            residuals = torch.cat([(predicted - target).cpu() for predicted, target, _ in task.held_vectors()]).numpy()
        schedule = self._shared(self.recipe.decode, DECODE)
        decoder, tokenizers = self._decoder(config).to(self.device), self.begin.tokenizers
        spoken = DecodeTask(
            decoder, module.text_encoder, tokenizers["text"], tokenizers["decoder"], config, self.texts,
            schedule.batch, Residuals(residuals), schedule.seed,
        )  # fmt: skip
        return train(spoken, schedule, self.folder / DECODE)

    def _decoder(self, config: ModelConfig) -> TextDecoder:
        decoder = TextDecoder(config.text_decoder, config.dim)
        decoder.load_state_dict(self.begin.modules["text_decoder"].state_dict())
        return decoder

    def save(self, out: Path) -> None:
        """The checkpoint folder of what all phases have come to; without texts the Y-Decoder is the one that it began with."""
        last = self.recipe.phases[-1]
        config, parts = self._config(last), self._parts(self._config(last), self.recipe.phases)
        del parts["criterion"]
        parts["text_decoder"] = self._decoder(config)
        if self._is_done(DECODE):
            parts["text_decoder"].load_state_dict(self._best(DECODE))
        # What was measured on the weights before (confidence, what is familiar) is true of those alone.
        parts["familiarity"], limit = self._familiarity(parts["vision"].to(self.device), config, last)
        parts["vision"].cpu()
        model = VLJEPA(replace(config, calibration=limit), **parts, tokenizers=self.begin.tokenizers)
        model.save_pretrained(out)
        log.info("checkpoint written to %s", out)

    def _familiarity(self, vision: nn.Module, config: ModelConfig, phase: Phase) -> tuple[nn.Module, dict[str, float]]:
        collate = self._collate(config)

        def described(samples: Iterator) -> Tensor:
            parts = in_parts(samples, ENCODED)
            return torch.cat([describe(self._encode(vision, config, collate, rows), config.vision.grid) for rows in parts])

        seen, unseen = self.data.drawn(phase, config, FAMILIAR), self.data.held(config, phase.frames)
        return fit_described(described(seen), described(unseen), config.vision.hidden_size, config.vision.grid)


def _hash(module: nn.Module) -> str:
    """Of the weights, whatever device they are on."""
    digest = sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
