# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""InfoNCE against the plain formula, and what equal targets do to it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vljepa_training.losses import InfoNCE


def test_equals_the_formula_both_ways():
    torch.manual_seed(0)
    p, t = torch.randn(6, 8), torch.randn(6, 8)
    loss, similarity = InfoNCE(0.1)(p, t, torch.arange(6))
    s = F.normalize(p, dim=-1) @ F.normalize(t, dim=-1).T
    rows = -(s / 0.1).log_softmax(1).diagonal().mean()
    columns = -(s / 0.1).log_softmax(0).diagonal().mean()
    torch.testing.assert_close(loss, (rows + columns) / 2)
    torch.testing.assert_close(similarity, s)


def test_equal_targets_are_no_negatives_of_each_other():
    torch.manual_seed(0)
    p, t = torch.randn(4, 8), torch.randn(3, 8)
    group = torch.tensor([0, 1, 2, 2])
    loss, _ = InfoNCE()(p, t[group], group)
    p2 = p.clone().requires_grad_()
    InfoNCE()(p2, t[group], group)[0].backward()
    # Moving a prediction towards the target that it shares with another row must not raise that other row's loss.
    logits = (F.normalize(p, dim=-1) @ F.normalize(t[group], dim=-1).T) / 0.07
    logits[2, 3] = logits[3, 2] = -torch.inf
    expected = (-logits.log_softmax(1).diagonal().mean() - logits.log_softmax(0).diagonal().mean()) / 2
    torch.testing.assert_close(loss, expected)
    assert p2.grad.isfinite().all() and p2.grad.abs().sum() > 0


def test_temperature_is_learnt_and_clamped():
    criterion = InfoNCE()
    p = torch.randn(4, 8)
    criterion(p, p, torch.arange(4))[0].backward()
    assert criterion.log_scale.grad.abs() > 0
    with torch.no_grad():
        criterion.log_scale.fill_(50.0)
    criterion.log_scale.grad = None
    loss = criterion(p, torch.randn(4, 8), torch.arange(4))[0]
    loss.backward()
    assert loss.isfinite() and criterion.log_scale.exp().item() == pytest.approx(100)
    assert criterion.log_scale.grad.abs() > 0, "it must find its way down again"


def test_wrong_texts_push_their_clips_away_but_not_those_that_they_are_right_for():
    torch.manual_seed(0)
    p, t, n = torch.randn(4, 8), torch.randn(4, 8), torch.randn(2, 8)
    plain, _ = InfoNCE(0.1)(p, t, torch.arange(4))
    loss, similarity = InfoNCE(0.1)(p, t, torch.arange(4), n, torch.tensor([2, 9]))  # the first is what row 2 says
    extra = F.normalize(p, dim=-1) @ F.normalize(n, dim=-1).T
    extra[2, 0] = -torch.inf
    rows = -(torch.cat([similarity, extra], 1) / 0.1).log_softmax(1)[:, :4].diagonal().mean()
    columns = -(similarity / 0.1).log_softmax(0).diagonal().mean()
    torch.testing.assert_close(loss, (rows + columns) / 2)
    assert loss > plain
    torch.testing.assert_close(InfoNCE(0.1)(p, t, torch.arange(4), n[:0], torch.empty(0, dtype=torch.long))[0], plain)
