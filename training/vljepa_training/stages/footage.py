# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Footage that no simulator made, as rows of stages 1 and 2: what the frozen X-Encoder sees in each, computed once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from vljepa_ros.model import ModelConfig, VisionEncoder
from vljepa_ros.model.preprocess import normalise, resize_frame


@dataclass(frozen=True)
class Footage:
    """`features`: float16 (n, N, D). `share`: of a batch."""

    features: np.ndarray
    queries: tuple[str, ...]
    targets: tuple[str, ...]
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"the share of footage in a batch must lie between 0 and 1, got {self.share}")

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """Every target equally often, so that what holds for long does not drown what is short."""
        targets = sorted(set(self.targets))
        wanted = [targets[int(k)] for k in rng.integers(len(targets), size=count)]
        return [int(rng.choice([i for i, text in enumerate(self.targets) if text == one])) for one in wanted]


@torch.no_grad()
def footage(samples: Iterable, vision: VisionEncoder, config: ModelConfig, share: float) -> Footage:
    """Of anything with `frames_THWC`, `query` and `target`: `sources.sample.Sample`, `sources.annotated.Pair`. ValueError."""
    features, queries, targets = [], [], []
    frames, size = config.vision.frames, config.vision.image_size
    for one in samples:
        clip = np.stack([resize_frame(frame, size) for frame in one.frames_THWC])
        if len(clip) not in (1, frames):
            raise ValueError(f"a sample has {len(clip)} frames, the model takes {frames}, or 1 that is repeated")
        clip = np.repeat(clip, frames, 0) if len(clip) == 1 else clip
        with torch.autocast("cpu", torch.bfloat16):
            features.append(vision(normalise(clip, config.preprocess))[0].float().numpy().astype(np.float16))
        queries.append(one.query)
        targets.append(one.target)
    if not features:
        raise ValueError("the footage gives no sample; does any segment have a state or a caption?")
    return Footage(np.stack(features), tuple(queries), tuple(targets), share)
