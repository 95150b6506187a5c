# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What ranks compute for test_ranks.py, which starts this file with torchrun and, for the same on one rank, loads it."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from vljepa_ros.model import Predictor, TextEncoder, Tokenizer, VisionEncoder, tiny, train_tokenizer
from vljepa_training import losses, parallel, ranks
from vljepa_training.gradcache import cached_backward
from vljepa_training.sources.rows import Rows
from vljepa_training.stages.contrastive import AlignModule
from vljepa_training.stages.joint import Collate, JointTask, meaning
from vljepa_training.stages.tokens import text_tokens
from vljepa_training.trainer import Schedule, train

STEPS, SAVE_EVERY, KILL_AT = 9, 3, 4  # killed in the fifth step, two after the checkpoint that it goes on from
WRONG = ("the door is ajar", "nothing moved", "text 3")  # three for two ranks, and one that is right for a row
# engine, rows at once, loss
COMPUTED = [(kind, micro, "infonce") for kind in ("ddp", "fsdp2") for micro in (0, 3)]
COMPUTED += [("ddp", 0, "sigreg"), ("fsdp2", 3, "l1")]


@dataclass(frozen=True, eq=False)
class Row:
    frames_THWC: np.ndarray
    query: str
    target: str


def rows(number: int) -> list[Row]:
    """Noise; every fifth says what its neighbour says."""
    rng = np.random.default_rng(0)
    out = []
    for i in range(number):
        text = f"text {i - (i % 5 == 4)}" + " and more of it" * (i % 3)
        out.append(Row(rng.integers(256, size=(4, 32, 32, 3), dtype=np.uint8), "what is it?"[: 3 + i % 8], text))
    return out


class Task(JointTask):
    """With wrong texts; can be told to kill its process."""

    kill_at = -1
    calls = 0

    def batch(self, step):
        batch = super().batch(step)
        own = ranks.mine(list(WRONG))
        known = self._collate
        batch["wrong_ids"], batch["wrong_mask"] = text_tokens(known.tokenizers["text"], own, known.config.text_encoder)
        batch["wrong_group"] = torch.tensor([meaning(text) for text in own])
        return batch | {"step": torch.tensor([step] * len(batch["group"]))}

    def loss(self, batch):
        if int(batch["step"][0]) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(batch)


def task(tokenizer: Tokenizer, batch: int = 12, loss: str = "infonce", dropout: float = 0.0, vision: bool = True) -> Task:
    """The same weights on every rank and at every call."""
    torch.manual_seed(1)
    config = tiny(tokenizer.vocab_size)
    hub = {**config.text_encoder.hub, "hidden_dropout_prob": dropout}
    config = replace(config, text_encoder=replace(config.text_encoder, hub=hub))
    encoder = VisionEncoder(config.vision)
    parts = Predictor(config.predictor, 16, config.dim), TextEncoder(config.text_encoder, config.dim)
    module = AlignModule(*parts, losses.make(loss), encoder if vision else None)
    collate = Collate({"query": tokenizer, "text": tokenizer}, config, config.vision.frames)
    every = rows(40)
    return Task(module, encoder, collate, Rows(every[:32], collate, batch), lambda: every[32:], batch)


def gradients(task: Task, kind: str, micro: int) -> dict[str, torch.Tensor]:
    """Whole gradients of the first batch by parameter, and the loss."""
    engine = parallel.make(kind, task.module)
    trained = [p for p in task.module.parameters() if p.requires_grad]
    batch = task.batch(0)
    if micro:
        loss, _ = cached_backward(task, batch, micro, trained, engine)
    else:
        with engine.accumulating(last=True):
            loss, _ = engine.run(task.loss, batch)
            loss.backward()
    engine.finish_gradients()
    found = {name: engine.whole(p.grad) for name, p in task.module.named_parameters() if p.grad is not None}
    return found | {"loss": torch.tensor(ranks.averaged({"loss": loss.item()})["loss"])}


def trained(tokenizer: Tokenizer, kind: str, folder: Path, micro: int = 0, kill: bool = False) -> dict[str, torch.Tensor]:
    schedule = Schedule(
        steps=STEPS, batch=12, lr=3e-3, warmup=2, bf16=False, eval_every=4, save_every=SAVE_EVERY, parallel=kind, micro=micro
    )
    one = task(tokenizer, dropout=0.1)
    one.kill_at = KILL_AT if kill else -1
    train(one, schedule, folder)
    return torch.load(folder / "last.pt", weights_only=True)["module"]


def save(value, file: Path) -> None:
    if ranks.rank() == 0:
        torch.save(value, file)


def main(what: str, folder: Path) -> None:
    tokenizer = Tokenizer(folder / "tokenizer")
    if what == "compute":
        for kind, micro, loss in COMPUTED:
            save(gradients(task(tokenizer, loss=loss), kind, micro), folder / f"{kind}-{micro}-{loss}.pt")
        for kind in ("ddp", "fsdp2"):
            trained(tokenizer, kind, folder / f"whole-{kind}")
        ranks.summed_part = lambda parts: parts[ranks.rank()].clone()  # what a backward cut to the local slice does
        save(gradients(task(tokenizer), "ddp", 0), folder / "cut.pt")
    else:  # killed once with each engine: the first start of all ends in the first run, the second in the second
        attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
        for k, kind in enumerate(("ddp", "fsdp2")):
            trained(tokenizer, kind, folder / f"killed-{kind}", kill=attempt == k and ranks.rank() == 1)
        save(attempt, folder / "attempts.pt")


def make_tokenizer(folder: Path) -> Tokenizer:
    return train_tokenizer([row.target + row.query for row in rows(40)] + list(WRONG), 300, folder / "tokenizer")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with ranks.joined():
        main(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # all is written; gloo's threads now and then abort the interpreter's own end
