# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m vljepa_training.selective --checkpoint NAME --seed N --json FILE --figure FILE`: what selective decoding is worth.

Draws long tabletop streams, embeds them, and asks of clocks, offline clustering and the robot's own detector how much they say at
how many decodes per second (`evals/selective.py`). Embeddings and texts are kept in a folder beside the report: a run that is
ended goes on where it was, and a second one with another figure takes a minute.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path

from vljepa_ros.evaluation.selective import sweep
from vljepa_ros.evaluation.tradeoff import MATCHINGS
from vljepa_ros.model import VLJEPA, CheckpointError

from .evals.__main__ import write
from .evals.recordings import Recordings, Worlds
from .evals.selective import MEASURES, decide, references, report, score
from .evals.selective_figure import draw

FORMATS = (".png", ".svg", ".pdf")


def study(checkpoint: str, worlds: Worlds, count: int, folder: Path) -> dict:
    """Every figure of a checkpoint on the first `count` streams of `worlds`. ValueError where `folder` holds others."""
    model = VLJEPA.from_pretrained(checkpoint)
    began = time.monotonic()
    recordings = Recordings(model, worlds, folder)
    recorded = recordings.watch(count)
    streams = [worlds.stream(number) for number in range(count)]
    watched = time.monotonic()
    true = references(streams, recorded)
    ways = decide(recorded, sweep())
    score(ways, true, recordings.say)
    return {
        "checkpoint": checkpoint,
        "sha256": model.sha256,
        "worlds": asdict(worlds),
        "streams": count,
        "busy": sum(stream.busy for stream in streams),
        **report(ways, true, [one.seconds for one in recorded]),
        "took_s": {"embed": round(watched - began, 1), "rest": round(time.monotonic() - watched, 1)},
    }


def main(argv: list[str] | None = None) -> None:
    from .tabletop.render import can_render

    parser = argparse.ArgumentParser(prog="python -m vljepa_training.selective", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="tabletop", help="a folder, or the name of a bundled checkpoint")
    parser.add_argument("--seed", type=int, default=1, help="of the worlds; any seed is unseen")
    parser.add_argument("--streams", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=180.0, help="of every stream")
    parser.add_argument("--gap", type=float, nargs=2, default=(2.0, 10.0), metavar="S", help="seconds between boundaries")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes; embeddings go into a folder beside it")
    parser.add_argument("--figure", type=Path, help=f"where the curves go, {', '.join(FORMATS)}")
    args = parser.parse_args(argv)
    if args.streams < 1:
        parser.error(f"--streams must be at least 1, got {args.streams}")
    if args.figure and args.figure.suffix not in FORMATS:
        parser.error(f"--figure must end in one of {', '.join(FORMATS)}, got {args.figure}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if why := can_render():
        sys.exit(f"the study renders its worlds: {why}. Install EGL (Debian: libegl1 libgl1-mesa-dri) or set MUJOCO_GL.")
    folder = args.json.with_name(f"{args.json.stem}_streams")
    try:
        found = study(args.checkpoint, Worlds(args.seed, args.seconds, tuple(args.gap)), args.streams, folder)
    except (ValueError, CheckpointError) as error:
        sys.exit(str(error))
    write(found, args.json)
    if args.figure:
        draw(found, args.figure)
    for matching in MATCHINGS:
        for measure in MEASURES:
            for reduction in found[matching][measure]["reduction"].values():
                print(f"{matching}, {measure}: {reduction['in_words']}")
            for other, gaps in found[matching][measure]["online_against"].items():
                print(f"{matching}, {measure}: online against {other}: {', '.join(map(gap_in_words, gaps))}")


def gap_in_words(against: dict) -> str:
    """ "+3 % (-1 to 7) at 0.35 per s": an entry of `Curves.against`."""
    gap, rate = against["gap"], f"at {against['decodes_per_s']:.2g} per s"
    if gap["value"] is None:
        return f"no setting {rate}"
    return f"{100 * gap['value']:+.0f} % ({100 * gap['low']:.0f} to {100 * gap['high']:.0f}) {rate}"


if __name__ == "__main__":
    main()
