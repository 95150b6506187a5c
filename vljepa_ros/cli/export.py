# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa export CHECKPOINT`: graphs for the engines onnx and onnx-int8, made once, where a checkpoint is set up."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint folder, or a bundled one by name")
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="where the graphs go (default: where the engines look by themselves, ~/.cache/vljepa_ros/graphs/<checkpoint>); "
        "nodes find another folder by their parameter `graphs`",
    )  # fmt: skip
    parser.add_argument("--no-int8", action="store_true", help="full precision only")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status. 0: written, and held against torch. 2: not, with one line that says why."""
    from vljepa_ros.model import CheckpointError

    try:
        _export(args)
    except (CheckpointError, ValueError, OSError) as error:
        print(f"vljepa export: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _export(args: argparse.Namespace) -> None:
    from vljepa_ros.model import VLJEPA
    from vljepa_ros.model.engines.choose import AGREES, agreement
    from vljepa_ros.model.engines.export import export_graphs
    from vljepa_ros.model.engines.graphs import PARTS, default_folder
    from vljepa_ros.model.engines.onnx import ENGINES

    model = VLJEPA.from_pretrained(args.checkpoint, device="cpu", engine="torch", parts=PARTS)
    vision, predictor = (model.modules[part] for part in PARTS)
    folder = args.out or default_folder(model.sha256)
    graphs = export_graphs(model.config, vision, predictor, model.sha256, folder, int8=not args.no_int8)
    for name, precision in ENGINES.items():
        if not graphs.has(precision):
            continue
        other = VLJEPA.from_pretrained(args.checkpoint, device="cpu", engine=name, parts=PARTS, graphs=folder)
        agreed = agreement(model, other)
        size = sum(facts["size"] for file, facts in graphs.files.items() if f".{precision}." in file) / 2**20
        verdict = "" if agreed.cosine >= AGREES else f"; below {AGREES}: engine auto will not take it"
        print(f"{name}: {size:.1f} MiB, cosine {agreed.cosine:.5f}, largest difference {agreed.difference:.1e}{verdict}")
    print(f"{graphs.folder}: for the checkpoint {model.sha256[:16]}")
