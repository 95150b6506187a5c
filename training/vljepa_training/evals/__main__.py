"""`python -m vljepa_training.evals tabletop --checkpoint NAME --seed N --json FILE`: every figure of a checkpoint, on fresh
worlds."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from vljepa_ros.model import VLJEPA

from .clips import draw_clips, evaluate_clips
from .streams import run_still, run_streams, score_streams


def tabletop(args: argparse.Namespace) -> dict:
    from ..tabletop.render import can_render

    if why := can_render():
        sys.exit(
            f"the tabletop evaluation renders its worlds: {why}. Install EGL (Debian: libegl1 libgl1-mesa-dri) or set MUJOCO_GL."
        )
    model = VLJEPA.from_pretrained(args.checkpoint)
    report = {"checkpoint": args.checkpoint, "sha256": model.sha256, "seed": args.seed}
    if "clips" in args.only:
        clips = draw_clips(args.seed, args.per_class, image_size=model.config.preprocess.image_size)
        report |= evaluate_clips(model, clips)
        again = evaluate_clips(model, clips[:: max(1, len(clips) // 140)], held_out_phrasing=True)
        report["held_out_phrasing"] = {k: again[k] for k in ("action_top1", "vqa_acc", "caption_action_acc")}
    if "streams" in args.only:
        runs = run_streams(model, args.seed, args.streams, args.seconds)
        report["streams"] = score_streams(runs, 1.0)
        report["streams_half_second"] = score_streams(runs, 0.5)
    if "still" in args.only:
        report["still"] = run_still(model, args.seed)
    return report


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.evals", description=__doc__.splitlines()[0])
    parser.add_argument("benchmark", choices=["tabletop"])
    parser.add_argument("--checkpoint", default="tabletop", help="a folder, or the name of a bundled checkpoint")
    parser.add_argument("--seed", type=int, default=1, help="of the worlds; any seed is unseen")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument("--per-class", type=int, default=30, help="clips of every kind of event")
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0, help="of every stream")
    parser.add_argument("--only", nargs="+", default=["clips", "streams", "still"], choices=["clips", "streams", "still"])
    args = parser.parse_args(argv)
    report = tabletop(args)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(report, indent=1))
    for key in (
        "action_top1",
        "action_worst",
        "vqa_acc",
        "lamp_static_acc",
        "caption_action_acc",
        "state_sentences_right",
        "streams",
        "still",
    ):
        if key in report:
            print(key, json.dumps(report[key]))


if __name__ == "__main__":
    main()
