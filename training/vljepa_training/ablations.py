# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m vljepa_training.ablations RECIPE`: what stage 1, SFT and the Y-Encoder's learning rate are worth (paper, 3.8).

Every variant trains a Predictor from the same random weights for the same number of steps, on the cached features and from the
text stage's Y-Encoder that `train.py` left in `--runs/RECIPE`. Figures are those of `AlignTask.evaluate` on the held-out
streams after the last step: no variant chooses among its steps. One seed each; a difference within the intervals says nothing.
Resumable: each variant is trained by `trainer.train` in `--runs/RECIPE/ablations/NAME`, and not again once it is finished.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vljepa_ros.model import Predictor, TextEncoder

from .evals.__main__ import write
from .evals.intervals import share
from .log import progress
from .recipes import RECIPES, Recipe
from .stages.align import Y_ENCODER_MULTIPLIER, AlignTask
from .stages.features import choose_clips
from .tabletop.balance import family
from .tabletop.samples import TabletopStore
from .tabletop_run import STAGES, Run
from .trainer import Schedule, train

log = logging.getLogger(__name__)
SEED = 0


@dataclass(frozen=True)
class Variant:
    """`stages`: of a recipe. `multiplier`: the Y-Encoder's share of the learning rate, in all stages; 0 freezes it."""

    stages: tuple[str, ...] = STAGES
    multiplier: float = Y_ENCODER_MULTIPLIER
    scratch: bool = False  # the Y-Encoder begins from random weights and not from the text stage


VARIANTS = {
    "full": Variant(),
    "without stage 1": Variant(stages=("finetune",)),
    "without SFT": Variant(stages=("pictures", "align")),
    "Y-Encoder frozen": Variant(multiplier=0.0),
    "Y-Encoder at 1.0": Variant(multiplier=1.0),
    "Y-Encoder from scratch": Variant(multiplier=1.0, scratch=True),
}


def schedules(recipe: Recipe, variant: Variant, steps: int) -> dict[str, Schedule]:
    """One for each of the variant's stages, `steps` in all; ValueError where that leaves a stage without any.

    The recipe in small: its stages share the steps, and warm up, in its proportion. The last one is always stage 2's schedule (it
    must end where stage 1 may leave off), and the first warms up at least as long as stage 1 (it begins with random weights).
    """
    shares = {stage: getattr(recipe, stage).steps for stage in variant.stages}
    whole = sum(getattr(recipe, stage).steps for stage in STAGES)
    ends = np.rint(np.cumsum(list(shares.values())) / sum(shares.values()) * steps).astype(int)
    lengths = dict(zip(shares, np.diff(ends, prepend=0).tolist()))
    if min(lengths.values()) < 1:
        raise ValueError(f"--steps must leave every stage at least one of them, got {steps} in all: {lengths}")
    out = {}
    for stage, length in lengths.items():
        like = getattr(recipe, stage)
        warmup = max(like.warmup, recipe.align.warmup) if stage == variant.stages[0] else like.warmup
        if stage == variant.stages[-1]:
            like = replace(like, decay=recipe.finetune.decay)
        out[stage] = replace(like, steps=length, warmup=max(1, round(warmup * steps / whole)), eval_every=length)
    return out


class Ablations:
    """What all variants share: recipe, held-out streams, features, tokenizer.

    FileNotFoundError for what `train.py` has not made yet, ValueError for features of other clips.
    """

    def __init__(self, recipe: Recipe, runs: Path, data: Path) -> None:
        self.recipe, self.folder = recipe, runs / recipe.name
        for name in ("tokenizer/tokenizer.json", "text/best.pt", "text/best.json", "features.npy", "features.json"):
            if not (self.folder / name).exists():
                raise FileNotFoundError(
                    f"{self.folder / name} is missing or not finished; `python -m vljepa_training.train {recipe.name}` makes it"
                )
        self.tokenizer, self.config = Run(recipe, runs, data, workers=1).tokenizer()
        streams = {"train": range(recipe.streams), "busy": range(recipe.busy)}
        self.store = TabletopStore(data, streams, recipe.model.vision.frames, held=recipe.held // 2)
        self.clips = choose_clips(self.store, recipe.clips_per_stream, seed=0)
        file = self.folder / "features.npy"
        self.features = np.load(file, mmap_mode="r")
        done, wanted = json.loads(file.with_suffix(".json").read_text())["streams"], self._shape()
        if self.features.shape != wanted or done != len(self.clips):
            raise ValueError(
                f"{file} has {self.features.shape} of {done} streams, the recipe wants {wanted}; let `train` finish, or delete it"
            )
        self.counts = counts(self.store, self.clips, recipe.held)

    def _shape(self) -> tuple[int, ...]:
        vision = self.config.vision
        return (self.recipe.views, *self.clips.shape, vision.tokens, vision.hidden_size)

    def plan(self, name: str, steps: int) -> dict[str, Any]:
        """All that a variant's figures depend on, in JSON's types; two runs of one plan would end alike."""
        variant = VARIANTS[name]
        some = self.features[0, [0, len(self.clips) // 2, -1], 0]  # enough to tell one X-Encoder from another
        plan = {
            "variant": asdict(variant),
            "schedules": {k: asdict(s) for k, s in schedules(self.recipe, variant, steps).items()},
            "mixtures": {k: getattr(self.recipe, f"{k}_mixture") for k in variant.stages},
            "held": self.recipe.held,
            "features": hashlib.sha256(np.ascontiguousarray(some)).hexdigest(),
            "text": hashlib.sha256((self.folder / "text" / "best.pt").read_bytes()).hexdigest(),
        }
        return json.loads(json.dumps(plan))

    def place(self, name: str) -> Path:
        return self.folder / "ablations" / name.lower().replace(" ", "_")

    def finished(self, name: str, steps: int) -> dict[str, Any] | None:
        """The result of a variant that was run to its end by the same plan."""
        file = self.place(name) / "result.json"
        result = json.loads(file.read_text()) if file.exists() else None
        return result if result and result["plan"] == self.plan(name, steps) else None

    def check(self, name: str, steps: int) -> None:
        """ValueError where a variant's folder holds what was begun by another plan."""
        folder, plan = self.place(name), self.plan(name, steps)
        before = json.loads((folder / "plan.json").read_text()) if (folder / "plan.json").exists() else plan
        if other := [k for k in plan if before.get(k) != plan[k]]:
            raise ValueError(f"{folder} was begun with other {', '.join(other)}; delete it, or give the --steps that it had")

    def run(self, name: str, steps: int) -> dict[str, Any]:
        """Train a variant from where it was left, and measure it."""
        variant, folder, plan = VARIANTS[name], self.place(name), self.plan(name, steps)
        write(plan, folder / "plan.json")
        torch.manual_seed(SEED)
        predictor = Predictor(self.config.predictor, self.config.vision.hidden_size, self.config.dim)
        encoder = TextEncoder(self.config.text_encoder, self.config.dim)
        if not variant.scratch:
            saved = torch.load(self.folder / "text" / "best.pt", map_location="cpu", weights_only=True)["module"]
            own = "text_encoder."
            encoder.load_state_dict({k.removeprefix(own): v for k, v in saved.items() if k.startswith(own)})
        # A learning rate of 0 would freeze it too, but after a backward pass for nothing, whose gradient would count in clipping.
        encoder.requires_grad_(variant.multiplier > 0)
        module, best = None, {}
        for stage, schedule in schedules(self.recipe, variant, steps).items():
            task = AlignTask(
                *(predictor, encoder, self.tokenizer, self.tokenizer, self.config, self.store, self.clips, self.features),
                *(schedule.batch, getattr(self.recipe, f"{stage}_mixture"), schedule.seed, self.recipe.held),
                multiplier=variant.multiplier,
                module=module,
                still=stage == "pictures",
            )
            best = train(task, schedule, folder / stage)
            module = task.module
        result = {
            "figures": with_intervals(best, self.counts),
            "steps": {stage: progress(folder / stage)[0] for stage in variant.stages},
            "seconds": round(sum(progress(folder / stage)[1] for stage in variant.stages), 1),
            "plan": plan,
        }
        write(result, folder / "result.json")
        return result


def counts(store: TabletopStore, clips: np.ndarray, held: int) -> dict[str, int]:
    """Of how many answers `AlignTask.evaluate`'s figures are shares: questions to every fourth clip, three states a stream."""
    asked = Counter(
        family(q.kind) for s in range(len(clips) - held, len(clips)) for k in clips[s][::4] for q in store.questions(s, int(k))
    )
    return {"state_r1": 3 * held, **asked}


def with_intervals(figures: dict[str, float], n_of: dict[str, int]) -> dict[str, dict]:
    """Shares with Wilson's interval, which takes the answers of one stream for independent and is narrow for that; means over
    classes as they are, and what is no share of its n."""
    out: dict[str, dict] = {}
    for name, value in figures.items():
        n = n_of.get(name, 0)
        right = round(value * n)
        if name not in ("score", "step"):
            out[name] = share([True] * right + [False] * (n - right)) if n and abs(value * n - right) < 1e-6 else {"value": value}
    return out


def table(variants: dict[str, dict]) -> str:
    """Markdown: a row for every variant, the last row how many answers."""
    names = list(dict.fromkeys(name for result in variants.values() for name in result["figures"]))
    n_of = {k: f.get("n", "") for result in variants.values() for k, f in result["figures"].items()}

    def cell(figure: dict | None) -> str:
        if figure is None:
            return ""
        span = f" ({figure['low']:.2f} to {figure['high']:.2f})" if "low" in figure else ""
        return f"{figure['value']:.3f}{span}"

    def row(cells: Sequence[object]) -> str:
        return f"| {' | '.join(map(str, cells))} |"

    lines = [row(["variant", "steps", *names]), row(["---"] * (len(names) + 2))]
    for variant, result in variants.items():
        steps = " + ".join(map(str, result["steps"].values()))
        lines.append(row([variant, steps, *(cell(result["figures"].get(name)) for name in names)]))
    return "\n".join([*lines, row(["n", "", *(n_of[name] for name in names)])])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.ablations", description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where `train` left features and text (default: runs)")
    parser.add_argument("--data", type=Path, default=Path("data/tabletop"), help="rendered streams (default: data/tabletop)")
    parser.add_argument("--steps", type=int, required=True, help="of every variant, in all its stages together")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes, anew after every variant")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=VARIANTS, help=f"of {', '.join(VARIANTS)}; without it all")
    parser.add_argument("--threads", type=int, default=0, help="torch threads, 0 = torch's own choice")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        shared = Ablations(RECIPES[args.recipe](), args.runs, args.data)
        done = {name: result for name in VARIANTS if (result := shared.finished(name, args.steps))}
        wanted = [name for name in args.only or VARIANTS if name not in done]
        for name in wanted:
            shared.check(name, args.steps)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    facts = {"recipe": args.recipe, "steps": args.steps, "seed": SEED, "held": shared.recipe.held}
    write(facts | {"variants": done}, args.json)
    for name in wanted:
        log.info("variant %s", name)
        done[name] = shared.run(name, args.steps)
        write(facts | {"variants": {k: done[k] for k in VARIANTS if k in done}}, args.json)
    print(table({k: done[k] for k in VARIANTS if k in done}))


if __name__ == "__main__":
    main()
