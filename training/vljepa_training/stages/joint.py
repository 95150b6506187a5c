# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stages 1 and 2 at the paper's size: rows of (frames, query, target), the X-Encoder frozen or, in the last phase, trained too.

Knows nothing of where rows come from. Every rank reads its own rows only, so that meanings are numbered by what their texts are.

Shapes: B rows of this rank, T frames, H x W pixels, N visual tokens, C the X-Encoder's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_ros.model import ModelConfig, Tokenizer
from vljepa_ros.model.preprocess import normalise

from .contrastive import Y_ENCODER_MULTIPLIER, AlignModule, Contrastive
from .tokens import query_tokens, text_tokens

Batch = dict[str, Tensor]
EVALUATED = 32  # rows at once


class Row(Protocol):
    query: str  # may be empty
    target: str
    # frames_THWC: uint8 RGB, at the model's size, T of the phase or 1; or features: what the X-Encoder sees in them


class Data(Protocol):
    """`sources.feed.Feed` or `sources.rows.Rows`: this rank's batches by step, and what they go on from (see `trainer.Task`)."""

    def batch(self, step: int) -> Batch: ...

    def data_state(self, step: int) -> Any: ...

    def resume_data(self, step: int, state: Any) -> None: ...

    def report(self) -> str: ...


@dataclass(frozen=True)
class Collate:
    """Rows to a batch. Can be pickled: worker processes do it."""

    tokenizers: dict[str, Tokenizer]
    config: ModelConfig
    frames: int  # of a clip; a picture is repeated to as many
    seen: str = "frames"  # or "features"
    query_free: str = ""  # what is asked where a row has no query

    def __call__(self, rows: Sequence[Row]) -> Batch:
        texts = {text: i for i, text in enumerate(dict.fromkeys(row.target for row in rows))}
        queries = [row.query or self.query_free for row in rows]
        query_ids, query_mask = query_tokens(self.tokenizers["query"], queries, self.config.predictor)
        ids, mask = text_tokens(self.tokenizers["text"], list(texts), self.config.text_encoder)
        return {
            self.seen: self.frames_of(rows) if self.seen == "frames" else _features_of(rows),
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

    def frames_of(self, rows: Sequence[Row]) -> Tensor:
        """uint8 (B, T, H, W, 3). ValueError for a row of another length."""
        for row in rows:
            if len(row.frames_THWC) not in (1, self.frames):
                raise ValueError(f"a row has {len(row.frames_THWC)} frames, {self.frames} are needed, or 1 that is repeated")
        clips = (np.repeat(row.frames_THWC, self.frames // len(row.frames_THWC), 0) for row in rows)
        return torch.from_numpy(np.stack(list(clips)))


def _features_of(rows: Sequence[Row]) -> Tensor:
    return torch.from_numpy(np.stack([row.features for row in rows]))


class JointTask(Contrastive):
    """`held` gives the rows that choose the best weights, always the same and in the same order; never trained on."""

    def __init__(
        self,
        module: AlignModule,
        vision: nn.Module | None,
        collate: Collate,
        data: Data,
        held: Callable[[], Iterable[Row]],
        batch: int,
        multiplier: float = Y_ENCODER_MULTIPLIER,
        vision_multiplier: float = 1.0,
    ) -> None:
        """`vision` is trained, at `vision_multiplier` of the learning rate, where `module` holds it, and frozen where not.
        None where rows have features. `collate`: of the held-out rows. `batch`: rows of all ranks."""
        super().__init__(module, batch, multiplier)
        self.seen = collate.seen
        self.trains_vision = hasattr(module, "vision")
        if self.trains_vision and self.seen == "features":
            raise ValueError("an X-Encoder that is trained needs frames, these rows have features: train without a cache")
        self._vision = module.vision if self.trains_vision else vision and vision.eval().requires_grad_(False)
        self._vision_multiplier = vision_multiplier
        self._collate, self._data, self._held = collate, data, held

    def groups(self) -> list[dict[str, Any]]:
        if not self.trains_vision:
            return super().groups()
        return [*super().groups(), {"params": list(self._vision.parameters()), "multiplier": self._vision_multiplier}]

    def visual(self, batch: Batch) -> Tensor:
        if "features" in batch:
            return batch["features"].float()
        frames_BTCHW = normalise(batch["frames"], self._collate.config.preprocess, batch["frames"].device)
        if self.trains_vision:
            return self._vision(frames_BTCHW).float()
        with torch.no_grad():
            tokens = self._vision(frames_BTCHW)
        # Cached gradients come a second time, and the Predictor's first layer rounds to this anyway.
        kind = tokens.device.type
        batch["features"] = tokens.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else tokens
        return tokens.float()

    def batch(self, step: int) -> Batch:
        return self._data.batch(step)

    def data_state(self, step: int) -> Any:
        return self._data.data_state(step)

    def resume_data(self, step: int, state: Any) -> None:
        self._data.resume_data(step, state)

    def report(self) -> str:
        return self._data.report()

    def held_vectors(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(predicted, target, group) of held-out rows, some at a time, vectors of norm 1."""
        device, held = next(self.module.parameters()).device, iter(self._held())
        while rows := list(islice(held, EVALUATED)):
            batch = {name: value.to(device) for name, value in self._collate(rows).items()}
            predicted, target, _ = self.vectors(batch)
            yield F.normalize(predicted.float(), dim=-1), F.normalize(target.float(), dim=-1), batch["group"]

    def evaluate(self) -> dict[str, float]:
        """Share of held-out rows whose target is nearest among all held-out targets."""
        predicted, target, group = map(torch.cat, zip(*self.held_vectors()))
        found = (predicted @ target.T).argmax(-1)
        top1 = (group[found] == group).float().mean().item()
        return {"score": top1, "top1": top1, "chance": 1 / len(group.unique())}


def meaning(text: str) -> int:
    """The same number on every rank for the same text, whatever its case and spaces."""
    plain = " ".join(text.lower().split())
    return int.from_bytes(blake2b(plain.encode(), digest_size=8).digest(), signed=True)
