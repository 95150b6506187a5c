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

    def forward(
        self,
        predicted_BD: Tensor,
        target_BD: Tensor,
        group_B: Tensor,
        negative_MD: Tensor | None = None,
        negative_group_M: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`group_B`: int64; rows of one group have targets of one meaning and are no negatives of each other.

        `negative_MD`: targets that belong to no row and should be far from all predictions but those of their own group: the
        opposite of what happened, the wrong answers to a question. Returns the loss and the similarities (B, B) of predictions
        (rows) to targets (columns).
        """
        predicted = F.normalize(predicted_BD.float(), dim=-1)
        target = F.normalize(target_BD.float(), dim=-1)
        similarity = predicted @ target.T
        scale = self.log_scale.exp().clamp(max=MAX_SCALE)
        same = group_B[:, None] == group_B[None, :]
        same.fill_diagonal_(False)
        to_texts = (similarity * scale).masked_fill(same, -torch.inf)
        to_clips = to_texts.T
        if negative_MD is not None and len(negative_MD):
            negative = predicted @ F.normalize(negative_MD.float(), dim=-1).T * scale
            to_texts = torch.cat([to_texts, negative.masked_fill(group_B[:, None] == negative_group_M[None, :], -torch.inf)], 1)
        labels = torch.arange(len(similarity), device=similarity.device)
        return (F.cross_entropy(to_texts, labels) + F.cross_entropy(to_clips, labels)) / 2, similarity
