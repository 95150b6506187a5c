# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop: an interrupted run ends with the very weights of an unbroken one; what is not finite stops it by name."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from vljepa_training.trainer import Schedule, train


class Regression:
    """Learns y = x . w; can be told to fail at a step."""

    def __init__(self, fail_at: int = -1, nan_at: int = -1) -> None:
        torch.manual_seed(7)
        self.module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1))
        self.fail_at, self.nan_at = fail_at, nan_at

    def groups(self):
        return [{"params": list(self.module[0].parameters())}, {"params": list(self.module[2].parameters()), "multiplier": 0.05}]

    def batch(self, step):
        if step == self.fail_at:
            raise RuntimeError("killed here")
        g = torch.Generator().manual_seed(step)
        x = torch.randn(16, 4, generator=g)
        return (x * float("nan") if step == self.nan_at else x), x.sum(1, keepdim=True)

    def loss(self, batch):
        x, y = batch
        return (self.module(x) - y).square().mean(), {"x": 1.0}

    def evaluate(self):
        x, y = self.batch(10_000)
        return {"score": -(self.module(x) - y).square().mean().item()}


SCHEDULE = Schedule(steps=30, batch=16, lr=1e-2, warmup=3, eval_every=10, save_every=7, bf16=False)


def test_resumed_equals_unbroken(tmp_path):
    whole, broken = Regression(), Regression(fail_at=18)
    best = train(whole, SCHEDULE, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed here"):
        train(broken, SCHEDULE, tmp_path / "broken")
    resumed = Regression()
    again = train(resumed, SCHEDULE, tmp_path / "broken")
    assert again == best
    for a, b in zip(whole.module.state_dict().values(), resumed.module.state_dict().values()):
        assert torch.equal(a, b)
    last = [torch.load(tmp_path / n / "last.pt", weights_only=True)["module"] for n in ("whole", "broken")]
    assert all(torch.equal(last[0][k], last[1][k]) for k in last[0])


def test_another_schedule_than_it_began_with_is_said(tmp_path, caplog):
    with pytest.raises(RuntimeError, match="killed here"):
        train(Regression(fail_at=18), SCHEDULE, tmp_path)
    train(Regression(), SCHEDULE, tmp_path)
    assert "it began with" not in caplog.text
    train(Regression(), replace(SCHEDULE, batch=8, lr=1e-3), tmp_path)
    assert "goes on, but it began with batch 16, now 8; lr 0.01, now 0.001" in caplog.text


def test_multiplier_scales_the_learning_rate(tmp_path):
    task = Regression()
    before = [p.detach().clone() for p in task.module.parameters()]
    train(
        task, Schedule(steps=1, batch=16, lr=1e-2, warmup=0, weight_decay=0.0, eval_every=1, save_every=1, bf16=False), tmp_path
    )
    moved = [(p - b).abs().max().item() for p, b in zip(task.module.parameters(), before)]
    assert moved[2] == pytest.approx(0.05 * moved[0], rel=0.05)


def test_a_loss_that_is_not_finite_names_step_and_remedy(tmp_path):
    with pytest.raises(FloatingPointError, match="step 12.*learning rate"):
        train(Regression(nan_at=12), SCHEDULE, tmp_path)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 7


def test_the_log_holds_losses_and_figures(tmp_path):
    train(Regression(), SCHEDULE, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows if "eval" in r] == [10, 20, 30]
    assert {"loss", "grad_norm", "lr", "seconds"} <= set(next(r for r in rows if "loss" in r))


@pytest.mark.parametrize("wrong", [{"decay": "linear"}, {"steps": 0}, {"batch": 0}])
def test_bad_schedules_are_refused(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        Schedule(**{"steps": 1, "batch": 1, "lr": 1e-3, **wrong})


def test_tensorboard_shows_the_same_numbers(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(Regression(), SCHEDULE, tmp_path)
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(e.step, e.value) for e in board.Scalars("eval/score")] == [
        (r["step"], pytest.approx(r["eval"]["score"])) for r in rows if "eval" in r
    ]
    assert [e.value for e in board.Scalars("train/loss")] == pytest.approx([r["loss"] for r in rows if "loss" in r])


class Hidden(Regression):
    """Its first matrix may go to Muon."""

    def groups(self):
        return [{"params": list(self.module.parameters()), "hidden": [self.module[0].weight]}]


def test_muon_takes_the_hidden_matrices_alone_and_resumes(tmp_path):
    schedule = replace(SCHEDULE, optimizer="muon")
    whole, broken, resumed = Hidden(), Hidden(), Hidden()
    broken.fail_at = 18
    train(whole, schedule, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed here"):
        train(broken, schedule, tmp_path / "broken")
    train(resumed, schedule, tmp_path / "broken")
    last = [torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "broken")]
    assert all(torch.equal(last[0]["module"][k], last[1]["module"][k]) for k in last[0]["module"])
    adamw, muon = last[0]["optimizer"]
    assert len(adamw["state"]) == 3 and len(muon["state"]) == 1

    class Plain(Hidden):
        groups = Regression.groups

    plain = Plain()
    train(plain, schedule, tmp_path / "plain")
    assert not torch.equal(plain.module[0].weight, whole.module[0].weight)


def test_an_unknown_optimizer_is_named(tmp_path):
    with pytest.raises(ValueError, match="adamw or muon.*'sgd'"):
        train(Regression(), replace(SCHEDULE, optimizer="sgd"), tmp_path)


class Counting(Regression):
    """Its data counts: a batch is that of the number read so far, whatever the step."""

    def __init__(self, fail_at: int = -1) -> None:
        super().__init__(fail_at)
        self.read, self.resumed, self.ahead = 0, [], []

    def batch(self, step):
        self.read += 1
        return super().batch(step) if step == self.fail_at else super().batch(self.read)

    def evaluate(self):
        return {"score": -sum(p.square().sum().item() for p in self.module.parameters())}

    def data_state(self, step):
        limit = time.monotonic() + 60
        while self.read == step < SCHEDULE.steps and time.monotonic() < limit:  # until something is ahead
            time.sleep(0.01)
        self.ahead.append(self.read - step)
        return {"read": step}

    def resume_data(self, step, state):
        self.resumed.append((step, state))
        self.read = state["read"] if state else 0

    def report(self):
        return f"3 of {self.read} skipped"


def test_data_goes_on_from_the_step_that_was_saved_not_from_what_was_made_ahead(tmp_path, caplog):
    whole, broken, resumed = Counting(), Counting(fail_at=18), Counting()
    with caplog.at_level("INFO"):
        train(whole, SCHEDULE, tmp_path / "whole")
    assert whole.resumed == [(0, None)] and all(n > 0 for n in whole.ahead[:-1])
    with pytest.raises(RuntimeError, match="killed here"):
        train(broken, SCHEDULE, tmp_path / "broken")
    assert torch.load(tmp_path / "broken" / "last.pt", weights_only=True)["data"] == [{"read": 14}]
    train(resumed, SCHEDULE, tmp_path / "broken")
    assert resumed.resumed == [(14, {"read": 14})]
    for a, b in zip(whole.module.state_dict().values(), resumed.module.state_dict().values()):
        assert torch.equal(a, b)
    assert (tmp_path / "whole" / "data.txt").read_text() == "3 of 30 skipped\n" and "whole: 3 of 30 skipped" in caplog.text


@pytest.mark.parametrize("left", [None, [], [{"read": 7}, {"read": 7}]])
def test_data_whose_state_is_missing_or_of_other_ranks_is_told_so(tmp_path, left, caplog):
    with pytest.raises(RuntimeError, match="killed here"):
        train(Counting(fail_at=9), SCHEDULE, tmp_path)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    saved.pop("data")
    torch.save(saved if left is None else saved | {"data": left}, tmp_path / "last.pt")
    task = Counting()
    train(task, SCHEDULE, tmp_path)
    assert task.resumed == [(7, None)]
    assert ("saved on 2 ranks, now there are 1: the data begins an epoch anew" in caplog.text) == bool(left)
