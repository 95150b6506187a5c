# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""AdamW, or Muon for the matrices inside Transformer blocks and AdamW for everything else, behind one face."""

from __future__ import annotations

from typing import Any

import torch

BETAS = (0.9, 0.98)
KINDS = ("adamw", "muon")


class Optimizers:
    """What the trainer needs of one optimizer, for several: a parameter is in exactly one of them."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        if len(states) != len(self.parts):
            raise ValueError(f"the saved state has {len(states)} optimizers, this run {len(self.parts)}: start in a new folder")
        for part, state in zip(self.parts, states):
            part.load_state_dict(state)


def make(kind: str, groups: list[dict[str, Any]], lr: float) -> Optimizers:
    """`groups` have "params", "weight_decay", "multiplier" and "hidden": true for matrices between hidden states, Muon's.

    Muon's update is scaled to AdamW's usual size, so that one learning rate serves both.
    """
    if kind == "adamw":
        return Optimizers(torch.optim.AdamW(groups, lr=lr, betas=BETAS))
    if kind != "muon":
        raise ValueError(f"optimizer must be adamw or muon, got {kind!r}")
    hidden = [g for g in groups if g.get("hidden")]
    rest = [g for g in groups if not g.get("hidden")]
    parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr=lr, betas=BETAS)] if rest else []
    if hidden:
        parts.append(torch.optim.Muon(hidden, lr=lr, adjust_lr_fn="match_rms_adamw"))
    return Optimizers(*parts)
