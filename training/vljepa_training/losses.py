# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What draws a prediction to its target: bidirectional InfoNCE (paper section 2), and others to hold against it (3.8 (c)).

All have one face: `loss, similarity = criterion(predicted_BD, target_BD, group_B, negative_MD, negative_group_M)`. Vectors come
raw. On several ranks each gives its own rows, and the mean of the ranks' losses is the loss of the whole batch: with gradients
averaged over ranks, as DDP and FSDP2 do, the step is that of one process.

Shapes: B rows of this rank, A rows of all ranks, M negatives of this rank, D shared dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ranks import gather_rows, rank, row_counts, world

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
        """`group_B`: int64; rows of one group have targets of one meaning and are no negatives of each other. Ranks must number
        groups alike.

        `negative_MD`: targets that belong to no row and should be far from all predictions but those of their own group: the
        opposite of what happened, the wrong answers to a question. Either all ranks give some, which may be none, or no rank.
        Returns the loss and the similarities (B, B) of this rank's predictions (rows) to its targets (columns).
        """
        predicted = F.normalize(predicted_BD.float(), dim=-1)
        target = F.normalize(target_BD.float(), dim=-1)
        with torch.no_grad():  # of the parameter itself: what is clamped on the way has no gradient and would stay above for good
            self.log_scale.clamp_(max=math.log(MAX_SCALE))
        scale = self.log_scale.exp()
        predicted_AD, target_AD, group_A = gather_rows(predicted), gather_rows(target), gather_rows(group_B)
        first = sum(row_counts(group_B)[: rank()])
        labels = torch.arange(first, first + len(group_B), device=group_B.device)
        same = group_B[:, None] == group_A[None, :]
        same[torch.arange(len(labels), device=labels.device), labels] = False
        similarity = predicted @ target_AD.T
        to_texts = (similarity * scale).masked_fill(same, -torch.inf)
        # On one rank the very same numbers the other way round.
        to_clips = to_texts.T if world() == 1 else (target @ predicted_AD.T * scale).masked_fill(same, -torch.inf)
        if negative_MD is not None:
            negative_AD = gather_rows(F.normalize(negative_MD.float(), dim=-1))
            negative_group_A = gather_rows(negative_group_M)
            negative = predicted @ negative_AD.T * scale
            to_texts = torch.cat([to_texts, negative.masked_fill(group_B[:, None] == negative_group_A[None, :], -torch.inf)], 1)
        loss = (F.cross_entropy(to_texts, labels) + F.cross_entropy(to_clips, labels)) / 2
        return loss * _weight(len(labels), len(group_A)), similarity[:, first : first + len(labels)]


class Distance(nn.Module):
    """How far a prediction is from its target, both of norm 1: 1 - cosine, or the L1 or squared L2 distance; the mean over rows.

    Without negatives nothing keeps targets apart: train it against a frozen Y-Encoder (multiplier 0), as the paper's ablation
    does. With a trained one all vectors become one. `group_B` and negatives say nothing here.
    """

    KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "cosine": lambda p, t: 1 - (p * t).sum(-1),
        "l1": lambda p, t: (p - t).abs().sum(-1),
        "l2": lambda p, t: (p - t).square().sum(-1),
    }

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in self.KINDS:
            raise ValueError(f"a distance is one of {', '.join(self.KINDS)}, got {kind!r}")
        self.kind = kind

    def forward(
        self, predicted_BD: Tensor, target_BD: Tensor, group_B: Tensor, negative_MD: Tensor | None = None, negative_group_M=None
    ) -> tuple[Tensor, Tensor]:
        predicted, target = F.normalize(predicted_BD.float(), dim=-1), F.normalize(target_BD.float(), dim=-1)
        far = self.KINDS[self.kind](predicted, target).mean()
        return far * _weight(len(group_B), sum(row_counts(group_B))), predicted.detach() @ target.detach().T


class SIGReg(nn.Module):
    """Prediction by squared distance, and both sides' vectors held to an isotropic Gaussian (LeJEPA's sketched regularisation).

    A target may be trained without negatives: what would make all vectors one is far from Gaussian. Vectors are not normalised;
    with D dimensions their norm comes to lie about sqrt(D). `sketches` random directions are drawn anew in every step, the same
    on all ranks; along each the Epps-Pulley statistic holds the empirical characteristic function against the standard normal's.
    """

    def __init__(self, weight: float = 0.05, sketches: int = 256, knots: int = 17, reach: float = 3.0) -> None:
        """`weight`: of the regularisation in [0, 1], the rest is the prediction's. `reach`: the largest argument of the
        characteristic function, of which `knots` values are compared."""
        super().__init__()
        if not 0 <= weight <= 1:
            raise ValueError(f"the weight of SIGReg must lie in [0, 1], got {weight}")
        self.weight, self.sketches = weight, sketches
        at_K = torch.linspace(0, reach, knots)
        normal_K = torch.exp(-at_K.square() / 2)
        step = reach / (knots - 1)
        trapezoid_K = torch.full((knots,), 2 * step)  # twice: the integrand is even, and half of the line is summed
        trapezoid_K[[0, -1]] = step
        self.register_buffer("at_K", at_K, persistent=False)
        self.register_buffer("normal_K", normal_K, persistent=False)
        self.register_buffer("window_K", trapezoid_K * normal_K, persistent=False)
        self.register_buffer("drawn", torch.zeros((), dtype=torch.long))  # times; a resumed run draws the next directions

    def forward(
        self, predicted_BD: Tensor, target_BD: Tensor, group_B: Tensor, negative_MD: Tensor | None = None, negative_group_M=None
    ) -> tuple[Tensor, Tensor]:
        """`group_B` and negatives say nothing here."""
        predicted, target = predicted_BD.float(), target_BD.float()
        far = (predicted - target).square().mean() * _weight(len(group_B), sum(row_counts(group_B)))
        generator = torch.Generator().manual_seed(int(self.drawn))
        directions_DS = F.normalize(torch.randn(predicted.shape[1], self.sketches, generator=generator), dim=0).to(predicted)
        if self.training:
            self.drawn += 1
        gaussian = sum(self.statistic(gather_rows(side) @ directions_DS) for side in (predicted, target)) / 2
        similarity = F.normalize(predicted.detach(), dim=-1) @ F.normalize(target.detach(), dim=-1).T
        return (1 - self.weight) * far + self.weight * gaussian, similarity

    def statistic(self, sketched_AS: Tensor) -> Tensor:
        """Mean over directions of A times the weighted squared distance of the characteristic functions: of Gaussian rows
        the same whatever A is, of others growing with it."""
        angle_ASK = sketched_AS[:, :, None] * self.at_K
        off_SK = (angle_ASK.cos().mean(0) - self.normal_K).square() + angle_ASK.sin().mean(0).square()
        return (off_SK @ self.window_K).mean() * len(sketched_AS)


LOSSES: dict[str, Callable[[], nn.Module]] = {
    "infonce": InfoNCE,
    "cosine": lambda: Distance("cosine"),
    "l1": lambda: Distance("l1"),
    "l2": lambda: Distance("l2"),
    "sigreg": SIGReg,
}


def make(name: str, **options: float) -> nn.Module:
    """The loss of that name. `options`: what its class takes. ValueError names what is not known."""
    if name not in LOSSES:
        raise ValueError(f"the loss must be one of {', '.join(LOSSES)}, got {name!r}")
    try:
        return LOSSES[name](**options)
    except TypeError:
        raise ValueError(f"the loss {name} does not know {', '.join(options)}") from None


def _weight(rows: int, of: int) -> float:
    """Of this rank's mean, so that the ranks' mean is the mean over all rows."""
    return rows * world() / of
