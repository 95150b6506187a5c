# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the Predictor says of clips that it was not trained on, beside the texts that are true of them: by so much it misses.

Nobody knows the misses but from such clips. On those that it was trained on the Predictor misses less, and a Y-Decoder that met
only those misses would trust it too much.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from vljepa_ros.model.preprocess import normalise

from ..tabletop.samples import TabletopStore, augment

KINDS = ("state", "caption", "detail")  # of every clip, where it has them; one question beside them


class Predictions(NamedTuple):
    """`vectors` (n, D) of norm 1, predicted of what `texts` truly say, in canonical words; stream after stream, `streams` (n,)
    has which."""

    texts: list[str]
    vectors: np.ndarray
    streams: np.ndarray


@torch.no_grad()
def predictions(
    encoder: nn.Module,
    predictor: nn.Module,
    predict: Callable[[Tensor, list[str]], Tensor],
    preprocess,
    store: TabletopStore,
    clips: np.ndarray,
    file: Path,
    seed: int = 0,
) -> Predictions:
    """Of all `clips` (streams, k). `predict(visual_BND, queries)`: (B, D) of norm 1, by `predictor`.

    Kept in `file` (.npz) and not made again for the same predictor and clips.
    """
    key = _key(encoder, predictor, store, clips, seed)
    if file.exists():
        with np.load(file) as kept:
            if str(kept["key"]) == key:
                return Predictions(json.loads(str(kept["texts"])), kept["vectors"].astype(np.float32), kept["streams"])
    texts: list[str] = []
    vectors: list[np.ndarray] = []
    streams: list[int] = []
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
        streams += [s] * len(asked)
    beside = file.with_suffix(".part.npz")
    np.savez(beside, texts=json.dumps(texts), vectors=np.concatenate(vectors), streams=np.array(streams), key=key)
    beside.replace(file)
    return Predictions(texts, np.concatenate(vectors).astype(np.float32), np.array(streams))


def _key(encoder: nn.Module, predictor: nn.Module, store: TabletopStore, clips: np.ndarray, seed: int) -> str:
    """Of everything that predictions follow from but the streams' pictures, which their seeds stand for."""
    digest = hashlib.sha256(json.dumps([[p.name for p in store.paths], seed]).encode())
    digest.update(np.ascontiguousarray(clips).tobytes())
    for weight in (*encoder.state_dict().values(), *predictor.state_dict().values()):
        digest.update(weight.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _asked(store: TabletopStore, s: int, k: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """(query in any phrasing of training, canonical text)."""
    every = store.pairs(s, k, rng)
    answers = [p for p in every if p[0] not in (*KINDS, "action")]
    chosen = [p for p in every if p[0] in KINDS] + ([answers[int(rng.integers(len(answers)))]] if answers else [])
    return [(query, canonical) for _, query, _, canonical in chosen]
