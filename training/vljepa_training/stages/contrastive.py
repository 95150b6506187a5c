# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stages 1 and 2 have in common, whatever their clips and texts come from: a batch becomes vectors, vectors become a loss.

The two steps are apart, so that a large batch can be computed in parts (gradcache.py) and over ranks.

Shapes: B rows of this rank, U different texts, M wrong texts, N visual tokens, L text tokens, D shared dimension.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..losses import InfoNCE
from ..ranks import world
from .tokens import encode_by_length

Y_ENCODER_MULTIPLIER = 0.05  # paper section 3.8 (b)


class AlignModule(nn.Module):
    """`vision`: the X-Encoder where it is trained too. `criterion`: one of `losses`; None: InfoNCE."""

    def __init__(
        self,
        predictor: nn.Module,
        text_encoder: nn.Module,
        criterion: nn.Module | None = None,
        vision: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.predictor, self.text_encoder = predictor, text_encoder
        self.criterion = criterion or InfoNCE()
        if vision is not None:
            self.vision = vision.requires_grad_(True)


class Contrastive:
    """A part of a `trainer.Task`, and all of a `gradcache.CacheableTask`. A batch holds, beside what `visual` wants:

    query_ids, query_mask (B, L); ids, mask (U, L); text (B,): which of the U; group (B,): its meaning, numbered alike on all
    ranks; wrong_ids, wrong_mask (at least 1, L), wrong_group (M,): negatives for all rows.
    """

    seen = "visual"  # what `visual` wants

    def __init__(self, module: AlignModule, batch: int, multiplier: float = Y_ENCODER_MULTIPLIER) -> None:
        """`batch`: rows of all ranks. `multiplier`: the Y-Encoder's share of the learning rate; 0 freezes it."""
        if batch % world():
            raise ValueError(f"a batch of {batch} rows cannot be shared by {world()} ranks: take a multiple")
        self.module, self._batch, self._multiplier = module, batch, multiplier

    def groups(self) -> list[dict[str, Any]]:
        m = self.module
        hidden = [p for layer in m.predictor.stack.blocks for p in layer.parameters() if p.ndim == 2]
        return [
            {"params": [*m.predictor.parameters(), *m.criterion.parameters()], "hidden": hidden},
            {"params": list(m.text_encoder.parameters()), "multiplier": self._multiplier},
        ]

    def visual(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, N, C) of the X-Encoder."""
        return batch["visual"].float()

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return self.contrast(self.vectors(batch), batch)

    def vectors(self, part: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Predicted (B, D), targets (B, D), wrong texts (M, D) without a graph."""
        m, wrong = self.module, len(part["wrong_group"])
        predicted = m.predictor(self.visual(part), part["query_ids"], part["query_mask"])
        target = encode_by_length(m.text_encoder, part["ids"], part["mask"])[part["text"]]  # equal texts are encoded once
        if not wrong and world() == 1:
            return predicted, target, target[:0].detach()
        with torch.no_grad():  # wrong texts push predictions away; themselves they stay where the text stage put them
            return predicted, target, encode_by_length(m.text_encoder, part["wrong_ids"], part["wrong_mask"])[:wrong]

    def contrast(self, vectors: tuple[Tensor, Tensor, Tensor], batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        predicted, target, wrong = vectors
        group, criterion = batch["group"], self.module.criterion
        loss, similarity = criterion(predicted, target, group, wrong, batch["wrong_group"])
        metrics = {"top1": (group[similarity.argmax(-1)] == group).float().mean().item()}
        if hasattr(criterion, "log_scale"):
            metrics["scale"] = criterion.log_scale.exp().item()
        return loss, metrics

    def parts(self, batch: dict[str, Tensor], rows: int) -> list[dict[str, Tensor]]:
        """Neighbouring rows; each part's texts are its own rows'."""
        number = -(-len(batch["group"]) // rows)
        return [self._part(batch, k, number) for k in range(number)]

    def _part(self, batch: dict[str, Tensor], k: int, of: int) -> dict[str, Tensor]:
        part = {name: _share(batch[name], k, of) for name in (self.seen, "query_ids", "query_mask", "text", "group")}
        used, part["text"] = part["text"].unique(return_inverse=True)
        part |= {"ids": batch["ids"][used], "mask": batch["mask"][used], "wrong_group": _share(batch["wrong_group"], k, of)}
        for name in ("wrong_ids", "wrong_mask"):
            some = _share(batch[name][: len(batch["wrong_group"])], k, of)
            part[name] = some if len(some) else batch[name][:1]  # encoded and thrown away
        return part


def _share(rows: Tensor, k: int, of: int) -> Tensor:
    return rows[len(rows) * k // of : len(rows) * (k + 1) // of]
