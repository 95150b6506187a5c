# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cached gradients against those of the whole batch at once, 8 parts of 32 against 256 rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vljepa_training import losses, parallel
from vljepa_training.gradcache import cached_backward
from vljepa_training.trainer import Schedule, train

ROWS, AT_ONCE, CLOSE = 256, 32, 1e-5


class TwoTowers:
    """Two small networks with dropout, contrasted; the second also encodes negatives that take no gradient."""

    def __init__(self, loss: str = "infonce", dropout: float = 0.0) -> None:
        torch.manual_seed(3)
        one, other = (nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 12)) for _ in range(2))
        self.module = nn.ModuleDict({"one": one, "other": other, "criterion": losses.make(loss)})
        self.sizes: list[int] = []

    def groups(self):
        return [{"params": list(self.module.parameters())}]

    def batch(self, step):
        g = torch.Generator().manual_seed(step)
        x = torch.randn(ROWS, 8, generator=g)
        y = x + 0.1 * torch.randn(ROWS, 8, generator=g)
        return {"x": x, "y": y, "group": torch.arange(ROWS) // 2, "wrong": torch.randn(ROWS // 4, 8, generator=g)}

    def parts(self, batch, rows):
        number = -(-ROWS // rows)
        return [{name: value.tensor_split(number)[k] for name, value in batch.items()} for k in range(number)]

    def vectors(self, part):
        self.sizes.append(len(part["x"]))
        predicted, target = self.module["one"](part["x"]), self.module["other"](part["y"])
        with torch.no_grad():
            return predicted, target, self.module["other"](part["wrong"])

    def contrast(self, vectors, batch):
        group = batch["group"][: len(vectors[2])] + 10_000
        loss, _ = self.module["criterion"](vectors[0], vectors[1], batch["group"], vectors[2], group)
        return loss, {"seen": float(len(vectors[0]))}

    def loss(self, batch):
        return self.contrast(self.vectors(batch), batch)

    def evaluate(self):
        return {"score": -self.loss(self.batch(999))[0].item()}


def gradients(task: TwoTowers, rows: int) -> tuple[float, dict[str, torch.Tensor]]:
    trained = list(task.module.parameters())
    if rows:
        loss, metrics = cached_backward(task, task.batch(0), rows, trained, parallel.make("none", task.module))
        assert metrics == {"seen": ROWS}
    else:
        loss, _ = task.loss(task.batch(0))
        loss.backward()
    return loss.item(), {name: p.grad for name, p in task.module.named_parameters()}


@pytest.mark.parametrize("loss", sorted(losses.LOSSES))
def test_eight_times_32_is_256(loss):
    whole, parts = TwoTowers(loss), TwoTowers(loss)
    at_once, true = gradients(whole, 0)
    in_parts, found = gradients(parts, AT_ONCE)
    assert in_parts == pytest.approx(at_once, rel=CLOSE)
    assert parts.sizes == [AT_ONCE] * 16 and whole.sizes == [ROWS]
    for name, gradient in true.items():
        assert gradient.norm() > 0 and (found[name] - gradient).norm() < CLOSE * gradient.norm(), name


def test_mean_of_the_parts_losses_would_not_be(loss="infonce"):
    """What plain accumulation computes: other negatives, another gradient."""
    _, true = gradients(TwoTowers(loss), 0)
    task = TwoTowers(loss)
    for part in task.parts(task.batch(0), AT_ONCE):
        (task.loss(part)[0] / 8).backward()
    name = "one.0.weight"
    assert (task.module.get_parameter(name).grad - true[name]).norm() > 0.1 * true[name].norm()


def test_dropout_is_the_same_in_both_passes():
    """Else vectors would be pulled along gradients of others."""
    task = TwoTowers(dropout=0.5)
    trained = list(task.module.parameters())
    torch.manual_seed(5)
    cached_backward(task, task.batch(0), AT_ONCE, trained, parallel.make("none", task.module))
    found = {name: p.grad.clone() for name, p in task.module.named_parameters()}
    task.module.zero_grad()
    torch.manual_seed(5)
    vectors = [task.vectors(part) for part in task.parts(task.batch(0), AT_ONCE)]  # draws as the cached first pass did
    task.contrast(tuple(map(torch.cat, zip(*vectors))), task.batch(0))[0].backward()
    for name, p in task.module.named_parameters():
        assert (found[name] - p.grad).norm() < CLOSE * p.grad.norm(), name


def test_the_trainer_takes_large_batches_in_parts(tmp_path):
    schedule = Schedule(steps=3, batch=ROWS, lr=1e-2, warmup=0, bf16=False, eval_every=3, save_every=3)
    whole, parts = TwoTowers(), TwoTowers()
    train(whole, schedule, tmp_path / "whole")
    train(parts, Schedule(**{**schedule.__dict__, "micro": AT_ONCE}), tmp_path / "parts")
    assert parts.sizes[0] == AT_ONCE
    for a, b in zip(whole.module.parameters(), parts.module.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_a_task_that_has_no_parts_is_named(tmp_path):
    class Plain:
        module = nn.Linear(2, 1)

        def groups(self):
            return [{"params": list(self.module.parameters())}]

        def batch(self, step):
            return torch.ones(2, 2)

        def loss(self, batch):
            return self.module(batch).sum(), {}

        def evaluate(self):
            return {"score": 0.0}

    with pytest.raises(ValueError, match="micro is 1.*Plain"):
        train(Plain(), Schedule(steps=1, batch=2, lr=0.1, micro=1), tmp_path)
