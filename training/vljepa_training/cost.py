# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a recipe of `joint_recipes` costs, before anything is bought: `python -m vljepa_training.cost RECIPE`.

Prints the configuration, the knobs with their reasons, parameters per part, FLOPs and memory of every phase. Parameters, FLOPs
and bytes are those of the real modules (footprint.py). Days are an estimate: FLOPs over what a card reaches of its peak, where
reading data, collectives and evaluation cost nothing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from vljepa_ros.model import ModelConfig

from .footprint import Footprint
from .joint_recipes import JOINT_RECIPES, JointRecipe, Phase, phase_config
from .parallel import blocks
from .part_footprints import PARTS, Sizes, contrast, measured, modules
from .settings import changed
from .sources.loader import AHEAD

UTILISATION = 0.4  # of a card's peak; what large Transformers reach on many cards lies about there
FP32, FP16, BF16 = 4, 2, 2  # bytes
GB = 1e9
BATCHES = 5  # of a rank in main memory: one in use, three that wait, one in the making (trainer.py)
WORKER_BATCHES = AHEAD + 2  # of each reading process beside them: made ahead, and frames and rows that one is being made of


@dataclass(frozen=True)
class Card:
    flops_per_s: float  # bf16 with fp32 sums, without sparsity, as its maker gives it
    memory: float  # bytes


CARDS = {
    "H200": Card(989e12, 141e9),
    "H100": Card(989e12, 80e9),
    "A100": Card(312e12, 80e9),
    "RTX 4090": Card(165e12, 24 * 2**30),
    "RTX 3090": Card(71e12, 24 * 2**30),
}


@dataclass(frozen=True)
class PhaseCost:
    """Of one phase. Bytes are of one rank."""

    phase: Phase
    ranks: int
    rows: int  # that a rank computes at once
    visual_tokens: int  # of a sample, as the X-Encoder gives them
    trained: dict[str, int]  # parameters by part
    frozen: dict[str, int]
    sample_flops: dict[str, int]  # of one sample of a step, by part and pass
    features_flops: int  # of all cached features, once
    memory: dict[str, int]  # bytes at the peak, by what holds them
    disk: int  # bytes of cached features, of all ranks together

    @property
    def samples(self) -> int:
        return self.phase.schedule.steps * self.phase.schedule.batch

    @property
    def flops(self) -> int:
        """Of the whole phase, all ranks together."""
        return sum(self.sample_flops.values()) * self.samples + self.features_flops

    @property
    def bytes(self) -> int:
        """Of one rank, at the peak."""
        return sum(self.memory.values())

    def card_days(self, flops_per_s: float) -> float:
        """`flops_per_s`: what is reached on one card."""
        return self.flops / flops_per_s / 86400


def phase_cost(recipe: JointRecipe, phase: Phase, ranks: int) -> PhaseCost:
    """ValueError for fewer ranks than one, or more than rows."""
    schedule, config = phase.schedule, phase_config(recipe, phase)
    if not 1 <= ranks <= schedule.batch:
        raise ValueError(f"ranks must be 1 to {schedule.batch}, the batch of {recipe.name}'s {phase.name}, got {ranks}")
    trains = {"vision": phase.train_vision, "predictor": True, "text_encoder": phase.y_multiplier > 0}
    share = -(-schedule.batch // ranks)
    rows = min(schedule.micro or share, share)
    sizes = Sizes(rows, recipe.knobs["query_tokens"].value, recipe.knobs["target_tokens"].value, schedule.bf16)
    at_once = {part: measured(config, part, trains, sizes) for part in PARTS}
    parts = modules(config)
    trained = {part: _count(parts[part], trained=True) * trains[part] for part in PARTS}
    return PhaseCost(
        phase=phase,
        ranks=ranks,
        rows=rows,
        visual_tokens=config.vision.tokens,
        trained=trained,
        frozen={part: _count(parts[part]) - trained[part] for part in PARTS},
        sample_flops=_sample_flops(phase, trains, at_once, rows),
        features_flops=phase.cached * at_once["vision"].forward // rows,
        memory=_state(phase, parts, trained, ranks) | _passing(phase, config, trains, at_once, rows, ranks),
        disk=phase.cached * config.vision.tokens * config.vision.hidden_size * FP16,
    )


def _sample_flops(phase: Phase, trains: dict[str, bool], at_once: dict[str, Footprint], rows: int) -> dict[str, int]:
    """Cached gradients compute every vector twice, from the frames on, or from the frozen X-Encoder's tokens."""
    out = {}
    for part, name in PARTS.items():
        if part == "vision" and phase.cached:
            continue
        out[f"{name}, forward"] = at_once[part].forward // rows
        if phase.schedule.micro and (part != "vision" or trains[part]):  # tokens of a frozen one are kept for the second pass
            out[f"{name}, forward for cached gradients"] = at_once[part].forward // rows
        if trains[part]:
            out[f"{name}, backward"] = at_once[part].backward // rows
    return out


def _state(phase: Phase, parts: dict[str, nn.Module], trained: dict[str, int], ranks: int) -> dict[str, int]:
    """What stays from step to step: exact. All of it is fp32; autocast casts as it goes."""
    schedule, number = phase.schedule, sum(trained.values())
    of = ranks if schedule.parallel == "fsdp2" else 1
    inside = [part for part in PARTS if part != "vision" or phase.train_vision]  # what the engine wraps
    beside = 0 if phase.train_vision or phase.cached else _count(parts["vision"])
    hidden = sum(p.numel() for p in parts["predictor"].stack.blocks.parameters() if p.ndim == 2)
    moments = 2 * number - (hidden if schedule.optimizer == "muon" else 0)  # AdamW has two, Muon one
    out = {
        "weights": FP32 * (-(-sum(_count(parts[part]) for part in inside) // of) + beside),
        "gradients": FP32 * -(-number // of),
        "optimizer": FP32 * -(-moments // of),
    }
    if schedule.parallel == "ddp":
        out["gradients again, in DDP's buckets"] = FP32 * number
    if schedule.parallel == "fsdp2":
        out["gathered by FSDP2"] = FP32 * sum(_gathered(parts[part]) for part in inside)
    return out


def _passing(
    phase: Phase, config: ModelConfig, trains: dict[str, bool], at_once: dict[str, Footprint], rows: int, ranks: int
) -> dict[str, int]:
    """What comes and goes in a step, where most of it is there: in backward, or in the loss or the frozen X-Encoder."""
    tokens = config.vision.tokens * config.vision.hidden_size
    pixels = config.vision.frames * 3 * config.vision.image_size**2
    graph = [at_once[part] for part in PARTS if trains[part]]
    kept = sum(one.saved for one in graph)
    above = max(one.peak - one.saved for one in graph)
    if not phase.cached and not phase.train_vision:  # runs before the others keep anything
        above = max(above, at_once["vision"].peak - kept)
    batch = phase.schedule.batch
    loss = contrast(batch, config.dim).peak // ranks + (4 * FP32 * batch * config.dim if ranks > 1 else 0)
    above = max(above, loss - kept) if phase.schedule.micro else above + loss
    kept_tokens = 0  # of the frozen X-Encoder, for the second pass of cached gradients
    if phase.schedule.micro and not phase.cached and not phase.train_vision:
        kept_tokens = -(-batch // ranks) * tokens * (BF16 if phase.schedule.bf16 else FP32)
    return {
        "batch": -(-batch // ranks) * (FP16 * tokens if phase.cached else pixels),
        "frames and visual tokens in fp32": FP32 * rows * (tokens + (0 if phase.cached else pixels)),
        "visual tokens kept for the second pass": kept_tokens,
        "kept for backward": kept,
        "what comes and goes": above,
    }


def _count(module: nn.Module, trained: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)


def _gathered(module: nn.Module) -> int:
    """Parameters that a rank has whole at one time: those of no block, of a block, and of the next, fetched meanwhile."""
    every = [_count(block) for block in blocks(module)]
    return _count(module) - sum(every) + sum(sorted(every)[-2:])


def costs(recipe: JointRecipe, ranks: int | None = None) -> list[PhaseCost]:
    """Of all phases. `ranks`: others than the recipe's."""
    ranks = recipe.knobs["ranks"].value if ranks is None else ranks
    return [phase_cost(recipe, phase, ranks) for phase in recipe.phases]


def print_recipe(
    recipe: JointRecipe,
    ranks: int | None = None,
    card: Card | None = None,
    utilisation: float = UTILISATION,
    workers: int = 2,
) -> list[PhaseCost]:
    """Everything about a recipe, for people, on standard output; what it printed of costs. `card`: None: the recipe's.
    `workers`: reading processes of each rank."""
    card = card or CARDS[recipe.knobs["card"].value]
    print(recipe.name + (f", begins with {recipe.begin}'s checkpoint" if recipe.begin else ""))
    for part in ("vision", "predictor", "text_encoder"):
        facts = getattr(recipe.model, part).to_dict()
        facts = {k: v for k, v in {**facts, **facts.get("hub", {})}.items() if not isinstance(v, dict | list) and k != "frames"}
        print(f"  {PARTS[part]}: " + ", ".join(f"{k} {v}" for k, v in facts.items()))
    print(f"  shared space: {recipe.model.dim} dimensions\n\nwhat the paper does not say")
    for name, choice in recipe.knobs.items():
        value = {k: round(v, 3) for k, v in choice.value.items()} if isinstance(choice.value, dict) else choice.value
        print(f"  {name} = {value!r}: {choice.reason}")
    found = costs(recipe, ranks)
    for cost in found:
        _print_phase(cost, card, utilisation, workers)
    days = sum(cost.card_days(card.flops_per_s * utilisation) for cost in found)
    print(
        f"\naltogether {sum(c.samples for c in found):.4g} samples, {sum(c.flops for c in found):.3g} FLOPs: an estimate of "
        f"{days:.3g} card-days, {days / found[0].ranks:.3g} days on {found[0].ranks}, at {utilisation:.0%} of "
        f"{card.flops_per_s / 1e12:.4g} TFLOP/s"
    )
    return found


def _print_phase(cost: PhaseCost, card: Card, utilisation: float, workers: int) -> None:
    p, s = cost.phase, cost.phase.schedule
    print(f"\nphase {p.name}: " + ", ".join(f"{share:.3g} {group}" for group, share in p.mixture.items()))
    x_encoder = f"at {p.vision_multiplier}" if p.train_vision else "frozen"
    print(f"  {p.frames} frames, {cost.visual_tokens} visual tokens", end="")
    print(f"; of the learning rate: Y-Encoder at {p.y_multiplier}, X-Encoder {x_encoder}")
    print(f"  {', '.join(f'{name} {value}' for name, value in asdict(s).items())}")
    print(f"  {cost.samples:.4g} samples, {cost.samples * cost.visual_tokens:.3g} visual tokens")
    for part, name in PARTS.items():
        print(f"  {name:10} {cost.trained[part] / 1e6:8.2f} M trained, {cost.frozen[part] / 1e6:8.2f} M frozen")
    for name, flops in cost.sample_flops.items():
        print(f"  {flops / 1e9:10.1f} GFLOP per sample: {name}")
    step = sum(cost.sample_flops.values()) * s.batch
    print(f"  {step / 1e12:10.4g} TFLOP per step of {s.batch}, {cost.flops:.3g} FLOPs in all", end="")
    print(f", {cost.features_flops:.3g} of them for features" if p.cached else "")
    print(f"  an estimate of {cost.card_days(card.flops_per_s * utilisation):.3g} card-days")
    for name, size in cost.memory.items():
        print(f"  {size / 1e9:10.2f} GB {name}")
    print(
        f"  {cost.bytes / 1e9:10.2f} GB per rank, {cost.rows} rows at once: {cost.bytes / card.memory:.0%} of the card's", end=""
    )
    print("" if cost.bytes < card.memory else "; it does not fit: fewer rows at once (micro), more ranks, or fsdp2")
    batches = BATCHES + (0 if p.cached else workers * WORKER_BATCHES)
    ahead = f"for batches that are made ahead{'' if p.cached else f', with {workers} workers'}"
    print(f"  {batches * cost.memory['batch'] / GB:10.2f} GB of main memory per rank {ahead}")
    if p.cached:
        print(f"  {cost.disk / 1e9:10.4g} GB of features on disk, {p.cached} samples, {cost.samples / p.cached:.3g} epochs")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.cost", description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=sorted(JOINT_RECIPES))
    parser.add_argument("--ranks", type=int, help="cards (default: the recipe's)")
    parser.add_argument("--set", action="append", default=[], metavar="PHASE.FIELD=VALUE", help="as for train")
    parser.add_argument("--card", choices=sorted(CARDS), help="default: the recipe's")
    parser.add_argument("--flops-per-s", type=float, help="of a card, peak (default: its maker's figure)")
    parser.add_argument("--utilisation", type=float, default=UTILISATION, help="of that peak (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="reading processes of each rank (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="the same for programs")
    args = parser.parse_args(argv)
    try:
        recipe = changed(JOINT_RECIPES[args.recipe](), args.set)
    except ValueError as error:
        parser.error(str(error))
    card = CARDS[args.card or recipe.knobs["card"].value]
    card = replace(card, flops_per_s=args.flops_per_s or card.flops_per_s)
    try:
        found = print_recipe(recipe, args.ranks, card, args.utilisation, workers=args.workers)
    except ValueError as error:
        parser.error(str(error))
    if args.json:
        args.json.write_text(json.dumps(_for_programs(recipe, found, card, args.utilisation), indent=1))


def _for_programs(recipe: JointRecipe, found: list[PhaseCost], card: Card, utilisation: float) -> dict[str, Any]:
    reached = card.flops_per_s * utilisation
    derived = [
        {"samples": c.samples, "flops": c.flops, "bytes": c.bytes, "card_days_estimate": c.card_days(reached)} for c in found
    ]
    return {
        "recipe": asdict(recipe),
        "card": asdict(card),
        "utilisation": utilisation,
        "phases": [asdict(cost) | more for cost, more in zip(found, derived)],
    }


if __name__ == "__main__":
    main()
