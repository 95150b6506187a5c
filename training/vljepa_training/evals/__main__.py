# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m vljepa_training.evals tabletop --checkpoint NAME --seed N --json FILE`: every figure of a checkpoint, on fresh
worlds.

The report is written after every part, so that a run that is ended keeps what it has.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from vljepa_ros.model import VLJEPA

from .actions import evaluate_actions, evaluate_paraphrases
from .answers import evaluate_answers
from .bench import Bench
from .captions import evaluate_captions
from .confidence import evaluate_confidence
from .foreign import evaluate_foreign
from .opposites import evaluate_opposites
from .retrieval import POOL, evaluate_retrieval
from .splits import evaluate_splits
from .streams import run_still, run_streams, score_streams
from .worldprediction import evaluate_worldprediction

log = logging.getLogger(__name__)
GROUPS = {"clips": ["actions", "answers", "captions", "confidence", "paraphrases"]}  # those that look at the same clips
HEADLINES = (
    *("action_top1", "action_worst", "retrieval_r1_500", "vqa_acc", "vqa_blind", "lamp_toggled_acc", "lamp_static_acc"),
    *("drawer_toggled_acc", "drawer_static_acc", "colour_acc", "colour_heldout_acc", "paraphrase_drop", "worldprediction_acc"),
    *("caption_action_acc", "cider_d", "cider_d_oracle", "cider_d_retrieval", "state_sentences_right"),
    *("y_opposite_below_paraphrase", "confidence_ece", "foreign_flagged", "streams", "still"),
)


def parts(bench: Bench, args: argparse.Namespace) -> dict[str, Callable[[], dict]]:
    """What can be evaluated, by name, in the order of the report."""

    def streams() -> dict:
        runs = run_streams(bench.model, args.seed, args.streams, args.seconds)
        some = {"busy": [r for r in runs if r[0].busy], "plain": [r for r in runs if not r[0].busy]}
        return {
            "streams": score_streams(runs, 1.0),
            "streams_half_second": score_streams(runs, 0.5),
            **{f"streams_{name}": score_streams(part, 1.0) for name, part in some.items() if part},
        }

    return {
        "actions": lambda: evaluate_actions(bench),
        "paraphrases": lambda: evaluate_paraphrases(bench),
        "answers": lambda: evaluate_answers(bench),
        "captions": lambda: evaluate_captions(bench),
        "confidence": lambda: evaluate_confidence(bench),
        "retrieval": lambda: evaluate_retrieval(bench, args.pool),
        "worldprediction": lambda: evaluate_worldprediction(bench, args.riddles),
        "opposites": lambda: evaluate_opposites(bench),
        "splits": lambda: evaluate_splits(bench),
        "streams": streams,
        "still": lambda: {"still": run_still(bench.model, args.seed)},
        "foreign": lambda: evaluate_foreign(bench.model, args.videos),
    }


def tabletop(args: argparse.Namespace) -> dict:
    from ..tabletop.render import can_render

    if why := can_render():
        sys.exit(
            f"the tabletop evaluation renders its worlds: {why}. Install EGL (Debian: libegl1 libgl1-mesa-dri) or set MUJOCO_GL."
        )
    bench = Bench(VLJEPA.from_pretrained(args.checkpoint, engine=args.engine), args.seed, args.per_class)
    known = parts(bench, args)
    wanted = set(known) if args.only is None else {part for name in args.only for part in GROUPS.get(name, [name])}
    if not args.videos:
        wanted.discard("foreign")  # nothing of it can be rendered
    engine = bench.model.engine.name
    report = {"checkpoint": args.checkpoint, "sha256": bench.model.sha256, "engine": engine, "seed": args.seed, "seconds": {}}
    for name in (n for n in known if n in wanted):
        began = time.monotonic()
        log.info("part %s", name)
        report |= known[name]()
        report["seconds"][name] = round(time.monotonic() - began, 1)
        write(report, args.json)
    return report


def write(report: dict, file: Path) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.part")
    beside.write_text(json.dumps(report, indent=1))
    beside.replace(file)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.evals", description=__doc__.splitlines()[0])
    parser.add_argument("benchmark", choices=["tabletop"])
    parser.add_argument("--checkpoint", default="tabletop", help="a folder, or the name of a bundled checkpoint")
    parser.add_argument("--engine", default="auto", help="what computes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the worlds; any seed is unseen")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument(
        "--per-class", type=int, default=30, help="clips of every kind of event; a third of it for held-out worlds"
    )
    parser.add_argument("--pool", type=int, default=POOL, help="clips among which text finds its own")
    parser.add_argument("--riddles", type=int, default=20, help="of WorldPrediction, for every kind of event")
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0, help="of every stream")
    parser.add_argument("--videos", nargs="+", type=Path, default=[], help="footage from elsewhere, for the part foreign")
    names = [*parts(None, None), *GROUPS]  # type: ignore[arg-type]
    parser.add_argument("--only", nargs="+", metavar="PART", choices=names, help=f"of {', '.join(names)}; without it all")
    args = parser.parse_args(argv)
    if "foreign" in (args.only or []) and not args.videos:
        parser.error("the part foreign looks at real footage: name some with --videos")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    report = tabletop(args)
    for key in HEADLINES:
        if key in report:
            print(key, json.dumps(report[key]))


if __name__ == "__main__":
    main()
