# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stages 1 and 2 at the paper's size: rows of (frames, query, target), the X-Encoder frozen or, in the last phase, trained too.

Knows nothing of where rows come from. Every rank reads its own rows only, so that meanings are numbered by what their texts are.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_ros.model import ModelConfig, Tokenizer
from vljepa_ros.model.preprocess import normalise

from ..order import Order
from ..ranks import mine
from .contrastive import Y_ENCODER_MULTIPLIER, AlignModule, Contrastive
from .tokens import query_tokens, text_tokens


class Row(Protocol):
    frames_THWC: np.ndarray  # uint8 RGB, at the checkpoint's size and number of frames
    query: str  # may be empty
    target: str


class JointTask(Contrastive):
    """`rows` in the order of (seed, step); the last `held` of them choose the best weights and are never trained on."""

    seen = "frames"

    def __init__(
        self,
        module: AlignModule,
        vision: nn.Module,
        tokenizers: dict[str, Tokenizer],
        config: ModelConfig,
        rows: Sequence[Row],
        batch: int,
        held: int,
        seed: int = 0,
        multiplier: float = Y_ENCODER_MULTIPLIER,
        vision_multiplier: float = 1.0,
    ) -> None:
        """`vision` is trained, at `vision_multiplier` of the learning rate, where `module` holds it, and frozen where not."""
        super().__init__(module, batch, multiplier)
        if not 0 < held < len(rows):
            raise ValueError(f"held must leave rows on both sides, got {held} of {len(rows)} rows")
        self.trains_vision = hasattr(module, "vision")
        self._vision = module.vision if self.trains_vision else vision.eval().requires_grad_(False)
        self._vision_multiplier = vision_multiplier
        self._tokenizers, self._config, self._rows = tokenizers, config, rows
        self._order = Order(len(rows) - held, batch, seed)
        self._held = range(len(rows) - held, len(rows))

    def groups(self) -> list[dict[str, Any]]:
        vision = {"params": list(self._vision.parameters()), "multiplier": self._vision_multiplier}
        return [*super().groups(), *([vision] if self.trains_vision else [])]

    def visual(self, batch: dict[str, Tensor]) -> Tensor:
        frames_BTCHW = normalise(batch["frames"], self._config.preprocess, batch["frames"].device)
        with torch.set_grad_enabled(self.trains_vision and torch.is_grad_enabled()):
            return self._vision(frames_BTCHW).float()

    def batch(self, step: int) -> dict[str, Tensor]:
        return self._collate([self._rows[i] for i in mine(self._order.at(step))])

    def _collate(self, rows: list[Row]) -> dict[str, Tensor]:
        texts = {text: i for i, text in enumerate(dict.fromkeys(row.target for row in rows))}
        query_ids, query_mask = query_tokens(self._tokenizers["query"], [row.query for row in rows], self._config.predictor)
        ids, mask = text_tokens(self._tokenizers["text"], list(texts), self._config.text_encoder)
        return {
            "frames": torch.from_numpy(np.stack([row.frames_THWC for row in rows])),
            "query_ids": query_ids,
            "query_mask": query_mask,
            "ids": ids,
            "mask": mask,
            "text": torch.tensor([texts[row.target] for row in rows]),
            "group": torch.tensor([meaning(row.target) for row in rows]),
            "wrong_ids": ids[:1],
            "wrong_mask": mask[:1],
            "wrong_group": torch.zeros(0, dtype=torch.long),
        }

    def evaluate(self) -> dict[str, float]:
        """Share of held-out rows whose target is nearest among all held-out targets."""
        device = next(self.module.parameters()).device
        predicted, target, group = [], [], []
        for start in range(0, len(self._held), 32):
            batch = self._collate([self._rows[i] for i in self._held[start : start + 32]])
            batch = {name: value.to(device) for name, value in batch.items()}
            p, t, _ = self.vectors(batch)
            predicted.append(F.normalize(p, dim=-1))
            target.append(F.normalize(t, dim=-1))
            group.append(batch["group"])
        group = torch.cat(group)
        found = (torch.cat(predicted) @ torch.cat(target).T).argmax(-1)
        top1 = (group[found] == group).float().mean().item()
        return {"score": top1, "top1": top1, "chance": 1 / len(group.unique())}


def meaning(text: str) -> int:
    """The same number on every rank for the same text, whatever its case and spaces."""
    plain = " ".join(text.lower().split())
    return int.from_bytes(blake2b(plain.encode(), digest_size=8).digest(), signed=True)
