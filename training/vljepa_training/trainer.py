# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One loop for all stages: steps, learning rate, log, evaluation, checkpoints that a later start resumes.

A stage is a `Task`; the batch of a step is a function of (seed, step) alone, or of data whose state is saved with the weights, so
that a resumed run sees what an unbroken one would have seen. On several ranks (torchrun) every rank runs this loop with its part
of the batch; rank 0 writes. Knows nothing of what is trained.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from tqdm import tqdm

from . import optimizers, parallel
from .gradcache import cached_backward
from .log import Log, NoLog
from .prefetch import Prefetch
from .ranks import averaged, everybodys, rank, world

logger = logging.getLogger(__name__)


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
    parallel: str = "none"  # or "ddp", "fsdp2": how ranks share the work
    micro: int = 0  # rows of a rank that are computed at once, the others' vectors cached (gradcache.py); 0: all of them

    def __post_init__(self) -> None:
        if self.decay not in ("cosine", "constant"):
            raise ValueError(f"decay must be cosine or constant, got {self.decay!r}")
        if min(self.steps, self.batch, self.eval_every, self.save_every) < 1:
            raise ValueError(f"steps, batch, eval_every and save_every must be >= 1, got {self}")
        if self.micro < 0:
            raise ValueError(f"micro must be >= 0, got {self.micro}")
        if self.optimizer not in optimizers.KINDS:
            raise ValueError(f"optimizer must be {' or '.join(optimizers.KINDS)}, got {self.optimizer!r}")
        if self.parallel not in parallel.ENGINES:
            raise ValueError(f"parallel must be one of {', '.join(parallel.ENGINES)}, got {self.parallel!r}")

    def lr_at(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        if self.decay == "constant":
            return self.lr * warm
        return self.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps))))


class Task(Protocol):
    """What a stage gives the trainer. Where batches come from data that is read on and on, a task also has

    data_state(step)            what this rank's data must go on from so that its next batch is that of `step`, in plain values;
                                asked for when `step` is saved, while batches far behind it may have been made
    resume_data(step, state)    before the first batch, which is that of `step`: go on from `state`. None: there is none, for the
                                run is new, or was saved without it or on another number of ranks
    report()                    how the data was, in lines for people; kept in data.txt when training ends
    """

    module: nn.Module  # everything with state that is trained

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups: "params", optionally "multiplier" (of the learning rate) and "hidden" (those of the params that are
        matrices between hidden states)."""

    def batch(self, step: int) -> Any:
        """The batch of a step, of several ranks this one's part; called from another thread; must depend on these alone."""

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The mean of the ranks' losses is the loss of the whole batch; all ranks' metrics have the same names."""

    def evaluate(self) -> dict[str, float]:
        """Held-out figures; the one under "score" (higher is better) chooses the best weights."""


def train(task: Task, schedule: Schedule, folder: Path) -> dict[str, float]:
    """Run `task` to its last step, from the last checkpoint in `folder` if there is one, and load the best weights. Returns
    their figures.

    Raises FloatingPointError that names the step when the loss is not finite; the last checkpoint stays. All ranks must see
    `folder`.
    """
    if schedule.micro and not hasattr(task, "parts"):
        raise ValueError(f"micro is {schedule.micro}, but {type(task).__name__} cannot be computed in parts: set it to 0")
    folder.mkdir(parents=True, exist_ok=True)
    step, best, done, saved = 0, {"score": -math.inf}, 0.0, _last(folder)
    if saved:
        task.module.load_state_dict(saved["module"])
        step, best, done = saved["step"], saved["best"], saved["seconds"]
    if hasattr(task, "resume_data"):
        task.resume_data(step, _own_data(saved))
    engine = parallel.make(schedule.parallel, task.module, schedule.optimizer)
    device = next(task.module.parameters()).device
    groups = [{"multiplier": 1.0, **g} for g in _split(task.groups(), schedule.weight_decay)]
    optimizer = optimizers.make(schedule.optimizer, groups, schedule.lr)
    if saved:
        tell_changes(schedule, folder)
        engine.load_optimizer(optimizer, saved["optimizer"])
        _set_random(saved["rng"], schedule.seed + step)
    else:
        torch.manual_seed(schedule.seed + rank())
        if rank() == 0:
            (folder / "schedule.json").write_text(json.dumps(asdict(schedule), indent=1))
    started = time.monotonic() - done
    trained = [p for g in groups for p in g["params"]]

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=schedule.bf16)

    def gradients(batch: Any) -> tuple[Tensor, dict[str, float]]:
        if schedule.micro:
            return cached_backward(task, batch, schedule.micro, trained, engine, autocast)
        with engine.accumulating(last=True):
            with autocast():
                loss, metrics = engine.run(task.loss, batch)
            loss.backward()
        return loss.detach(), metrics

    with (
        Prefetch(task.batch, step, schedule.steps) as batches,
        Log(folder, step) if rank() == 0 else NoLog() as log,
        _bar(schedule.steps, step, folder.name) as bar,
    ):
        while step < schedule.steps:
            for group in optimizer.param_groups:
                group["lr"] = schedule.lr_at(step) * group["multiplier"]
            task.module.train()
            batch = tree_map(lambda x: x.to(device) if isinstance(x, Tensor) else x, batches.next())
            optimizer.zero_grad()
            loss, metrics = gradients(batch)
            metrics = averaged({"loss": loss.item(), **metrics})
            if not math.isfinite(metrics["loss"]):
                raise FloatingPointError(
                    f"loss is {metrics['loss']} at step {step} of {folder.name} (batch {step} of seed {schedule.seed}): "
                    f"lower the learning rate ({schedule.lr}) or look at that batch"
                )
            engine.finish_gradients()
            norm = engine.clip(trained, schedule.clip_norm)
            optimizer.step()
            step += 1
            bar.update()
            if step % 20 == 0 or step == schedule.steps:
                row = {
                    "step": step,
                    "loss": metrics.pop("loss"),
                    "grad_norm": norm,
                    "lr": schedule.lr_at(step - 1),
                    "seconds": round(time.monotonic() - started, 1),
                    **metrics,
                }
                log.row(row, "train")
                bar.set_postfix({k: f"{v:.3f}" for k, v in list(row.items())[1:2] + list(metrics.items())[:3]})
            if step % schedule.eval_every == 0 or step == schedule.steps:
                task.module.eval()
                with torch.no_grad():
                    figures = everybodys(engine.run(task.evaluate))[0]  # all ranks choose the same weights
                log.row({"step": step, "eval": figures}, "eval")
                if rank() == 0:
                    bar.write(f"{folder.name} step {step}: " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
                if figures["score"] >= best["score"]:
                    best = {**figures, "step": step}
                    _save(folder / "best.pt", {"module": engine.whole(task.module.state_dict())})
            if step % schedule.save_every == 0 or step == schedule.steps:
                randoms = everybodys(torch.get_rng_state())
                data = {"data": everybodys(task.data_state(step))} if hasattr(task, "data_state") else {}
                _save(
                    folder / "last.pt",
                    {
                        "module": engine.whole(task.module.state_dict()),
                        "optimizer": engine.whole(optimizer.state_dict()),
                        "step": step,
                        "best": best,
                        "seconds": time.monotonic() - started,
                        "rng": randoms[0] if world() == 1 else randoms,
                        **data,
                    },
                )
    if hasattr(task, "report"):
        _report(everybodys(task.report()), folder)
    engine.load_module(torch.load(folder / "best.pt", map_location="cpu", weights_only=True)["module"])
    task.module.eval()
    if rank() == 0:
        (folder / "best.json").write_text(json.dumps(best, indent=1))
    return best


def _last(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint, None where there is none. ValueError where ranks see different ones."""
    file = folder / "last.pt"
    saved = torch.load(file, map_location="cpu", weights_only=True) if file.exists() else None
    steps = everybodys(saved and saved["step"])
    if len(set(steps)) > 1:
        raise ValueError(f"the ranks see checkpoints of the steps {steps} in {folder}: it must be the same files for all of them")
    return saved


def tell_changes(schedule: Schedule, folder: Path, how: str = "goes on") -> None:
    """A warning where `folder` began with another schedule: what was trained until now stays as it is."""
    file = folder / "schedule.json"
    before = json.loads(file.read_text()) if rank() == 0 and file.exists() else {}
    if changed := [f"{k} {before[k]}, now {v}" for k, v in asdict(schedule).items() if k in before and before[k] != v]:
        logger.warning("%s %s, but it began with %s", folder.name, how, "; ".join(changed))


def _own_data(saved: dict[str, Any] | None) -> Any:
    """The state of this rank's data. None where there is none, or those of another number of ranks."""
    states = (saved or {}).get("data", [])
    if len(states) == world():
        return states[rank()]
    if states and rank() == 0:
        logger.warning("saved on %d ranks, now there are %d: the data begins an epoch anew", len(states), world())
    return None


def _report(reports: list[str], folder: Path) -> None:
    if rank():
        return
    text = reports[0] if len(reports) == 1 else "\n".join(f"rank {k}:\n{one}" for k, one in enumerate(reports))
    for line in text.splitlines():
        logger.info("%s: %s", folder.name, line)
    (folder / "data.txt").write_text(text + "\n")


def _set_random(saved: Tensor | list[Tensor], seed: int) -> None:
    """Torch's generator as it was on this rank. Another number of ranks has no such states, and draws dropout anew."""
    states = saved if isinstance(saved, list) else [saved]
    if len(states) == world():
        torch.set_rng_state(states[rank()])
    else:
        torch.manual_seed(seed * world() + rank())


def _bar(steps: int, first: int, name: str) -> tqdm:
    shown = {"desc": name, "unit": "step", "dynamic_ncols": True, "mininterval": 2.0}
    return tqdm(total=steps, initial=first, disable=rank() > 0, **shown)


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
    """Whole or not at all. Rank 0 writes, and no rank goes on before it has."""
    if rank() == 0:
        beside = path.with_suffix(".tmp")
        torch.save(state, beside)
        os.replace(beside, path)
    everybodys(None)
