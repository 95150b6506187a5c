# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as familiar, from the cached features of stage 1: statistics of the training clips' tokens, a limit from held-out
ones.

`python -m vljepa_training.familiarity CHECKPOINT FEATURES` gives a finished checkpoint the part, in place. FEATURES is the memory
map that the checkpoint's own X-Encoder wrote (`stages/features.py`): another encoder's makes everything foreign.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vljepa_ros.model import VLJEPA, Familiarity
from vljepa_ros.model.familiarity import describe

from .stages.features import ordinary

HELD_QUANTILE = 0.99  # share of held-out clips that are familiar; augmented as they are, they lie further out than plain footage
FLOOR = 1e-5  # of the largest variance: no direction counts for more than its rounding allows
PER_STREAM = 10  # clips of a stream that statistics are made of: more of one stream add little, and reading costs minutes


def fit_familiarity(features: np.ndarray, held: int, grid: int) -> tuple[Familiarity, dict[str, float]]:
    """The part and its limit for `ModelConfig.calibration`.

    `features`: X-Encoder tokens (views, streams, clips, N, D) as `features.cache_features` leaves them, of which pairs of
    pictures are left out; the last `held` streams are for the limit alone. `grid`: the X-Encoder's. As in a checkpoint, the part
    is rounded to fp16 before the limit is measured. ValueError where no stream is left on one side.
    """
    features = features[:, :, : ordinary(features.shape[2])]
    streams = features.shape[1]
    if not 0 < held < streams:
        raise ValueError(f"held must leave streams on both sides, got {held} of {streams}")
    seen_BF, unseen_BF = (
        torch.cat([_described(features[v, s, ::step], grid) for v in range(len(features)) for s in part])
        for part, step in ((range(streams - held), max(1, features.shape[2] // PER_STREAM)), (range(streams - held, streams), 1))
    )
    return fit_described(seen_BF, unseen_BF, features.shape[-1], grid)


def fit_described(seen_BF: torch.Tensor, unseen_BF: torch.Tensor, hidden_size: int, grid: int) -> tuple[Familiarity, dict]:
    """The same from clips of training and held-out ones as `Familiarity` describes them. ValueError for fewer than two clips."""
    familiarity = Familiarity(hidden_size, grid)
    directions = min(familiarity.whiten_FK.shape[1], len(seen_BF) - 1)  # of fewer clips there are no more
    if directions < 1:
        raise ValueError("one clip alone is no training set to be familiar with; give more")
    values_F, vectors_FF = torch.linalg.eigh(torch.cov(seen_BF.double().T))  # ascending
    values_F = values_F.clamp(min=FLOOR * values_F[-1])
    familiarity.mean_F.copy_(seen_BF.double().mean(0).half())
    familiarity.whiten_FK.zero_()
    familiarity.whiten_FK[:, -directions:] = (vectors_FF / values_F.sqrt())[:, -directions:].half().float()
    limit = float(familiarity.distance(unseen_BF).quantile(HELD_QUANTILE))
    return familiarity, {"familiar_distance": limit}


def _described(tokens_CND: np.ndarray, grid: int) -> torch.Tensor:
    """(C, F) of the clips of one stream."""
    return describe(torch.from_numpy(tokens_CND.astype(np.float32)), grid)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vljepa_training.familiarity", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="folder, written anew with the part familiarity")
    parser.add_argument("features", type=Path, help="features.npy of the training that made it")
    parser.add_argument("--held", type=int, default=40, help="last streams that training held out (default: 40)")
    args = parser.parse_args(argv)
    model = VLJEPA.from_pretrained(args.checkpoint, device="cpu", engine="torch")
    features, grid = np.load(args.features, mmap_mode="r"), model.config.vision.grid
    model.modules["familiarity"], limit = fit_familiarity(features, args.held, grid)
    model.config = replace(model.config, calibration=model.config.calibration | limit)
    model.save_pretrained(args.checkpoint)
    print(f"{args.checkpoint}: familiar up to a distance of {limit['familiar_distance']:.3f}")


if __name__ == "__main__":
    main()
