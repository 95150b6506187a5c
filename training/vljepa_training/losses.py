"""Bidirectional InfoNCE (paper section 2), with equal targets taken out of each other's negatives."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_SCALE = 100.0  # of the learnable logit scale, as in CLIP


class InfoNCE(nn.Module):
    """Learnable temperature from 1/0.07, clamped to a scale of 100. Vectors come raw and are normalised here."""

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    def forward(self, predicted_BD: Tensor, target_BD: Tensor, group_B: Tensor) -> tuple[Tensor, Tensor]:
        """`group_B`: int64; rows of one group have the same target text and are no negatives of each other.

        Returns the loss and the similarities (B, B) of predictions (rows) to targets (columns).
        """
        predicted = F.normalize(predicted_BD.float(), dim=-1)
        target = F.normalize(target_BD.float(), dim=-1)
        similarity = predicted @ target.T
        logits = similarity * self.log_scale.exp().clamp(max=MAX_SCALE)
        same = group_B[:, None] == group_B[None, :]
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, -torch.inf)
        labels = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2, similarity
