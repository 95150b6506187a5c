# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A training fed by worker processes, in a process of its own, that can be told to kill itself; with torchrun on several ranks.

    python -c "import fed; fed.main()" FOLDER KILL_AT    # a step of the run FOLDER/killed, on the last rank
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import torch
from source_files import collate
from torch import nn

from vljepa_training import ranks
from vljepa_training.sources.feed import Feed
from vljepa_training.sources.listing import read_listing
from vljepa_training.sources.loader import Loader
from vljepa_training.sources.media import Shape
from vljepa_training.trainer import Schedule, train

STEPS, SAVE_EVERY, BATCH = 12, 4, 4


class Task:
    """How long is the text, from how bright the frames are."""

    def __init__(self, listing: Path, workers: int = 1, kill_at: int = -1) -> None:
        torch.manual_seed(7)
        self.module = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.Linear(16, 1))
        mixture = partial(read_listing(listing).mixture, {"image": 1, "video": 1, "vqa": 1}, Shape(4, 32), 3)
        part = mixture, collate, BATCH // ranks.world(), workers, ranks.rank(), ranks.world()
        self.feed = Feed(lambda step, state: Loader(*part, step, state))
        self.data_state, self.resume_data, self.report = self.feed.data_state, self.feed.resume_data, self.feed.report
        self.kill_at, self.seen = kill_at, []

    def groups(self) -> list[dict]:
        return [{"params": list(self.module.parameters())}]

    def batch(self, step: int) -> dict:
        return self.feed.batch(step) | {"step": torch.tensor(step)}

    def loss(self, batch: dict):
        if int(batch["step"]) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen.append(batch["key"])
        predicted = self.module(batch["frames"].float().mean((2, 3, 4)) / 255)
        return (predicted[:, 0] - batch["length"]).square().mean(), {}

    def evaluate(self) -> dict[str, float]:
        return {"score": -sum(p.square().sum().item() for p in self.module.parameters())}


def run(folder: Path, name: str, kill_at: int = -1, parallel: str = "none") -> list[list[str]]:
    """The keys of each step's rows."""
    schedule = Schedule(
        steps=STEPS, batch=BATCH, lr=1e-2, warmup=2, bf16=False, eval_every=6, save_every=SAVE_EVERY, parallel=parallel
    )
    task = Task(folder / "sources.yaml", workers=1 if parallel == "none" else 0, kill_at=kill_at)
    try:
        train(task, schedule, folder / name)
    finally:
        task.feed.close()
    return task.seen


def main() -> None:
    torch.set_num_threads(1)
    folder, kill_at = Path(sys.argv[1]), int(sys.argv[2])
    with ranks.joined():
        parallel = "none" if ranks.world() == 1 else "ddp"
        if parallel == "ddp":
            run(folder, "whole", parallel=parallel)
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        (folder / f"{'first' if first else 'second'}-{ranks.rank()}").touch()
        run(folder, "killed", kill_at if first and ranks.rank() == ranks.world() - 1 else -1, parallel)
    sys.stdout.flush()
    os._exit(0)  # all is written; gloo's threads now and then abort the interpreter's own end


if __name__ == "__main__":
    main()
