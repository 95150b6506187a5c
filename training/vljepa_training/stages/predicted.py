# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the Predictor says of clips that it was not trained on, beside the texts that are true of them: by so much it misses.

Nobody knows the misses but from such clips. On those that it was trained on the Predictor misses less, and a Y-Decoder that met
only those misses would trust it too much.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from vljepa_ros.model.preprocess import normalise

from ..tabletop.samples import TabletopStore, augment

KINDS = ("state", "caption", "detail")  # of every clip, where it has them; one question beside them


@torch.no_grad()
def predictions(
    encoder: nn.Module,
    predict: Callable[[Tensor, list[str]], Tensor],
    preprocess,
    store: TabletopStore,
    clips: np.ndarray,
    file: Path,
    seed: int = 0,
) -> tuple[list[str], np.ndarray]:
    """(texts in their canonical words, predicted embeddings (n, D) of norm 1), stream after stream.

    `predict(visual_BND, queries)`: (B, D) of norm 1. Kept in `file` (.npz) and made once.
    """
    if file.exists():
        kept = np.load(file)
        return json.loads(str(kept["texts"])), kept["vectors"].astype(np.float32)
    texts: list[str] = []
    vectors: list[np.ndarray] = []
    for s in tqdm(range(len(clips)), desc="predictions", unit="stream", mininterval=2.0):
        rng = np.random.default_rng([seed, s])
        frames = torch.cat([normalise(augment(store.clip(s, int(k)), rng), preprocess) for k in clips[s]])
        with torch.autocast("cpu", torch.bfloat16):
            visual = encoder(frames)
        asked = [(i, *pair) for i, k in enumerate(clips[s]) for pair in _asked(store, s, int(k), rng)]
        for start in range(0, len(asked), 64):
            rows, queries, said = zip(*asked[start : start + 64])
            vectors.append(predict(visual[list(rows)].float(), list(queries)).numpy().astype(np.float16))
            texts += said
    beside = file.with_suffix(".part.npz")
    np.savez(beside, texts=json.dumps(texts), vectors=np.concatenate(vectors))
    beside.replace(file)
    return texts, np.concatenate(vectors).astype(np.float32)


def _asked(store: TabletopStore, s: int, k: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """(query in any phrasing of training, canonical text)."""
    every = store.pairs(s, k, rng)
    answers = [p for p in every if p[0] not in (*KINDS, "action")]
    chosen = [p for p in every if p[0] in KINDS] + ([answers[int(rng.integers(len(answers)))]] if answers else [])
    return [(query, canonical) for _, query, _, canonical in chosen]
