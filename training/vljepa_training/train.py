# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m vljepa_training.train RECIPE`: run a recipe's stages, each resumed where it was left, and write the checkpoint
folder. Recipes of the paper's size run on one process or, started by torchrun, on many (`joint_run.py`)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from vljepa_ros.model.checkpoint import CheckpointError, read_manifest, resolve

from .cost import print_recipe
from .joint_data import JointData
from .joint_recipes import JOINT_RECIPES
from .joint_run import JointRun
from .ranks import joined, rank, world
from .recipes import RECIPES
from .settings import changed
from .sources.listing import read_listing
from .tabletop_run import Run


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.train", description=__doc__.splitlines()[0])
    recipes = parser.add_subparsers(dest="recipe", metavar="RECIPE", required=True)
    for name, recipe in RECIPES.items():
        _tabletop_arguments(recipes.add_parser(name, help=_told(recipe), description=_told(recipe)))
    for name, recipe in JOINT_RECIPES.items():
        _joint_arguments(recipes.add_parser(name, help=_told(recipe), description=_told(recipe)))
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    args.run(args)


def _told(recipe: Callable) -> str:
    return recipe.__doc__.split("\n\n")[0].replace("\n", " ")


def _common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="logs and training state (default: runs)")
    parser.add_argument("--out", type=Path, help="checkpoint folder (default: RUNS/RECIPE/checkpoint)")
    parser.add_argument("--workers", type=int, default=2, help="processes that render or read (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="torch threads, 0 = torch's own choice")


def _tabletop_arguments(parser: argparse.ArgumentParser) -> None:
    _common_arguments(parser)
    parser.add_argument(
        "--data", type=Path, default=Path("data/tabletop"), help="rendered streams, made where missing (default: data/tabletop)"
    )
    parser.add_argument(
        "--bags", nargs=2, action="append", type=Path, metavar=("BAG", "SEGMENTS"), help="an annotated bag for stage 2"
    )
    parser.add_argument("--bags-share", type=float, default=0.2, help="of every batch of stage 2 (default: %(default)s)")
    parser.set_defaults(run=_tabletop)


def _joint_arguments(parser: argparse.ArgumentParser) -> None:
    _common_arguments(parser)
    parser.add_argument("--begin", required=True, metavar="CHECKPOINT", help="from `vljepa import parts`, or of a recipe before")
    parser.add_argument("--sources", type=Path, required=True, metavar="FILE", help="which data, as in config/sources.yaml")
    parser.add_argument("--held", type=int, default=512, help="held-out rows that choose the best weights (default: %(default)s)")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="a text per line: the Y-Decoder is trained on them at the end")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PHASE.FIELD=VALUE", help="another value, as in '*.parallel=fsdp2'"
    )
    parser.set_defaults(run=_joint)


def _tabletop(args: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = RECIPES[args.recipe]()
    run = Run(recipe, args.runs, args.data, args.workers, args.bags, args.bags_share)
    run.all(args.out or args.runs / recipe.name / "checkpoint")


class Mistake(ValueError):
    """Something that was given cannot be used: one line, and nothing has been trained yet."""


@contextmanager
def _mistakes() -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, CheckpointError) as error:
        raise Mistake(" ".join(str(error).split())) from error


def _joint(args: argparse.Namespace) -> None:
    with _mistakes():
        recipe, sources = changed(JOINT_RECIPES[args.recipe](), args.set), read_listing(args.sources)
        if int(os.environ.get("RANK", 0)) == 0:
            model = read_manifest(resolve(args.begin)).config  # its parts may be others than the published ones
            print_recipe(replace(recipe, model=model), int(os.environ.get("WORLD_SIZE", 1)), workers=args.workers)
    with joined() as device:
        logging.basicConfig(level=logging.WARNING if rank() else logging.INFO, format="%(message)s")
        with _mistakes():
            run = JointRun(recipe, args.begin, JointData(sources, args.workers, args.held), args.runs, device, args.texts)
        run.all(args.out or args.runs / recipe.name / "checkpoint")
        several = world() > 1
    if several:
        sys.stdout.flush()
        os._exit(0)  # all is written; gloo's threads now and then abort the interpreter's own end


if __name__ == "__main__":
    try:
        main()
    except Mistake as mistake:
        sys.exit(f"train: {mistake}" if int(os.environ.get("RANK", 0)) == 0 else 1)
