"""One loop for all stages: steps, learning rate, log, evaluation, checkpoints that a later start resumes.

A stage is a `Task`; the batch of a step is a function of (seed, step) alone, so a resumed run sees what an unbroken one would
have seen.
Knows nothing of what is trained.
"""

from __future__ import annotations

import json
import math
import os
import queue
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import optimizers
from .log import Log


@dataclass(frozen=True)
class Schedule:
    """How long, how fast, and by which optimizer."""

    steps: int
    batch: int
    lr: float
    warmup: int = 200
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    decay: str = "cosine"  # or "constant"
    optimizer: str = "adamw"  # or "muon", for the matrices that a task calls hidden
    bf16: bool = True
    eval_every: int = 500
    save_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if self.decay not in ("cosine", "constant"):
            raise ValueError(f"decay must be cosine or constant, got {self.decay!r}")
        if min(self.steps, self.batch, self.eval_every, self.save_every) < 1:
            raise ValueError(f"steps, batch, eval_every and save_every must be >= 1, got {self}")

    def lr_at(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        if self.decay == "constant":
            return self.lr * warm
        return self.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps))))


class Task(Protocol):
    """What a stage gives the trainer."""

    module: nn.Module  # everything with state that is trained

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups: "params", optionally "multiplier" (of the learning rate) and "hidden" (those of the params that are
        matrices between hidden states)."""

    def batch(self, step: int) -> Any:
        """The batch of a step; called from another thread; must depend on the step alone."""

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, float]]: ...

    def evaluate(self) -> dict[str, float]:
        """Held-out figures; the one under "score" (higher is better) chooses the best weights."""


def train(task: Task, schedule: Schedule, folder: Path) -> dict[str, float]:
    """Run `task` to its last step, from the last checkpoint in `folder` if there is one, and load the best weights. Returns
    their figures.

    Raises FloatingPointError that names the step when the loss is not finite; the last checkpoint stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = [{"multiplier": 1.0, **g} for g in _split(task.groups(), schedule.weight_decay)]
    optimizer = optimizers.make(schedule.optimizer, groups, schedule.lr)
    step, best, done = 0, {"score": -math.inf}, 0.0
    if (folder / "last.pt").exists():
        saved = torch.load(folder / "last.pt", map_location="cpu", weights_only=True)
        task.module.load_state_dict(saved["module"])
        optimizer.load_state_dict(saved["optimizer"])
        step, best, done = saved["step"], saved["best"], saved["seconds"]
        torch.set_rng_state(saved["rng"])
    else:
        torch.manual_seed(schedule.seed)
        (folder / "schedule.json").write_text(json.dumps(asdict(schedule), indent=1))
    started = time.monotonic() - done
    trained = [p for g in groups for p in g["params"]]
    with (
        _Prefetch(task.batch, step, schedule.steps) as batches,
        Log(folder, step) as log,
        tqdm(total=schedule.steps, initial=step, desc=folder.name, unit="step", dynamic_ncols=True, mininterval=2.0) as bar,
    ):
        while step < schedule.steps:
            for group in optimizer.param_groups:
                group["lr"] = schedule.lr_at(step) * group["multiplier"]
            task.module.train()
            batch = batches.next()
            with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bf16):
                loss, metrics = task.loss(batch)
            if not math.isfinite(loss.item()):
                raise FloatingPointError(
                    f"loss is {loss.item()} at step {step} of {folder.name} (batch {step} of seed {schedule.seed}): "
                    f"lower the learning rate ({schedule.lr}) or look at that batch"
                )
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(trained, schedule.clip_norm)
            optimizer.step()
            step += 1
            bar.update()
            if step % 20 == 0 or step == schedule.steps:
                row = {
                    "step": step,
                    "loss": loss.item(),
                    "grad_norm": float(norm),
                    "lr": schedule.lr_at(step - 1),
                    "seconds": round(time.monotonic() - started, 1),
                    **metrics,
                }
                log.row(row, "train")
                bar.set_postfix({k: f"{v:.3f}" for k, v in list(row.items())[1:2] + list(metrics.items())[:3]})
            if step % schedule.eval_every == 0 or step == schedule.steps:
                task.module.eval()
                with torch.no_grad():
                    figures = task.evaluate()
                log.row({"step": step, "eval": figures}, "eval")
                bar.write(f"{folder.name} step {step}: " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
                if figures["score"] >= best["score"]:
                    best = {**figures, "step": step}
                    _save(folder / "best.pt", {"module": task.module.state_dict()})
            if step % schedule.save_every == 0 or step == schedule.steps:
                _save(
                    folder / "last.pt",
                    {
                        "module": task.module.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "step": step,
                        "best": best,
                        "seconds": time.monotonic() - started,
                        "rng": torch.get_rng_state(),
                    },
                )
    task.module.load_state_dict(torch.load(folder / "best.pt", map_location="cpu", weights_only=True)["module"])
    task.module.eval()
    (folder / "best.json").write_text(json.dumps(best, indent=1))
    return best


def _split(groups: list[dict[str, Any]], decay: float) -> list[dict[str, Any]]:
    """Gains, biases and other vectors are not decayed; a group's "hidden" parameters become a group of their own."""
    out = []
    for g in groups:
        hidden = {id(p) for p in g.get("hidden", ())}
        params = [p for p in g["params"] if p.requires_grad]
        matrices = [p for p in params if p.ndim >= 2]
        for chosen, facts in (
            ([p for p in matrices if id(p) not in hidden], {"weight_decay": decay, "hidden": False}),
            ([p for p in matrices if id(p) in hidden], {"weight_decay": decay, "hidden": True}),
            ([p for p in params if p.ndim < 2], {"weight_decay": 0.0, "hidden": False}),
        ):
            if chosen:
                out.append({**g, "params": chosen, **facts})
    return out


def _save(path: Path, state: dict[str, Any]) -> None:
    beside = path.with_suffix(".tmp")
    torch.save(state, beside)
    os.replace(beside, path)


class _Prefetch:
    """Makes the next batches in a thread while the current one is trained on. An error in the thread is raised where it is
    awaited."""

    def __init__(self, make, first: int, last: int, ahead: int = 3) -> None:
        self._queue: queue.Queue = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(make, first, last), daemon=True)

    def _run(self, make, first: int, last: int) -> None:
        for step in range(first, last):
            try:
                item = (make(step), None)
            except Exception as error:  # handed over, raised in `next`
                item = (None, error)
            while not self._stop.is_set():
                try:
                    self._queue.put(item, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if self._stop.is_set() or item[1] is not None:
                return

    def next(self):
        batch, error = self._queue.get()
        if error is not None:
            raise error
        return batch

    def __enter__(self) -> _Prefetch:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()
