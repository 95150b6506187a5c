# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa import`: weights that others published into a checkpoint folder of ours, without a network and without running code."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_ros.model import VLJEPA


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    parts = kinds.add_parser("parts", help="parts from hub folders, projections and Y-Decoder random: a model to be trained")
    parts.add_argument("--dim", type=int, default=1536, help="of the shared space (default: %(default)s)")
    parts.add_argument("--last-layers", type=int, default=8, metavar="N", help="of the Llama (default: %(default)s)")
    parts.add_argument("--image-size", type=int, metavar="PX", help="side of a frame (default: the X-Encoder's)")
    parts.set_defaults(build=_parts)
    published = kinds.add_parser("open-vljepa", help="a best.pt of open-vljepa with the parts that it was trained from")
    published.add_argument("best", type=Path, metavar="BEST_PT")
    published.set_defaults(build=_open_vljepa)
    for one in (parts, published):
        one.add_argument("--vjepa2", type=Path, required=True, metavar="DIR", help="facebook/vjepa2-*, or V-JEPA 2.1's .pt")
        one.add_argument("--llama", type=Path, required=True, metavar="DIR", help="meta-llama/Llama-3.2-1B")
        one.add_argument("--gemma", type=Path, required=True, metavar="DIR", help="google/embeddinggemma-300m, or another")
        one.add_argument("--decoder", metavar="CHECKPOINT", help="whose Y-Decoder to take; without it a random one")
        one.add_argument("--frames", type=int, help="of a clip (default: 16, or what best.pt says)")
        one.add_argument("--clip-period", type=float, default=0.25, metavar="S", help="between frames (default: %(default)s)")
        one.add_argument("--seed", type=int, default=0, help="of random weights (default: %(default)s)")
        one.add_argument("--out", type=Path, required=True, metavar="DIR", help="the checkpoint folder to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status. 0: written. 2: not, with one line that says why."""
    from vljepa_ros.model import CheckpointError
    from vljepa_ros.model.assemble import parameter_counts

    try:
        model = args.build(args)
        model.save_pretrained(args.out)
    except (CheckpointError, ValueError, OSError) as error:
        print(f"vljepa import: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    for part, (count, _) in parameter_counts(model).items():
        print(f"{part:14} {count / 1e6:9.1f} M parameters")
    print(f"space {model.space_id}, {model.dim} dimensions, clips of {model.config.vision.frames} frames")
    if args.decoder is None:
        print("the Y-Decoder is random: its words mean nothing before it is trained (--decoder takes a trained one)")
    print(f"written to {args.out}; start it with: ros2 launch vljepa_ros vljepa.launch.py checkpoint:={args.out}")
    return 0


def _parts(args: argparse.Namespace) -> VLJEPA:
    from vljepa_ros.model.assemble import assemble

    return assemble(
        args.vjepa2, args.llama, args.gemma, dim=args.dim, last_layers=args.last_layers, frames=args.frames or 16,
        image_size=args.image_size, clip_period_s=args.clip_period, decoder=args.decoder, seed=args.seed,
    )  # fmt: skip


def _open_vljepa(args: argparse.Namespace) -> VLJEPA:
    from vljepa_ros.model.open_vljepa import import_open_vljepa

    return import_open_vljepa(
        args.best, args.vjepa2, args.llama, args.gemma, frames=args.frames, clip_period_s=args.clip_period,
        decoder=args.decoder, seed=args.seed,
    )  # fmt: skip
