# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which clips Predictor and Y-Encoder are trained on, and what the frozen X-Encoder sees in them: computed once, kept on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from vljepa_ros.model.preprocess import normalise

from ..tabletop.samples import TabletopStore, augment


def pictures(per_stream: int) -> int:
    """How many of a stream's chosen clips, from the last, are single pictures."""
    return per_stream // 8


def ordinary(per_stream: int) -> int:
    """How many of a stream's chosen clips, from the first, are clips of video and no pictures or pairs of them."""
    return per_stream - pictures(per_stream) - per_stream // 10


def choose_clips(store: TabletopStore, per_stream: int, seed: int) -> np.ndarray:
    """(streams, per_stream) of k: the end of every event with a random delay, stillness, random moments, pairs of pictures,
    single pictures."""
    rng = np.random.default_rng([seed, 5])
    single = pictures(per_stream)
    out = np.empty((len(store.streams), per_stream), np.int64)
    for s in range(len(store.streams)):
        out[s, per_stream - single :] = np.sort(rng.choice(store.pictures(), single, replace=False))
        pairs = rng.permutation(store.picture_pairs(s))[: per_stream // 10]
        shown = np.flatnonzero(store.kinds[s] >= 0)
        shown = shown[shown >= store.frames - 1]
        n = min(len(shown), int(per_stream * 0.6))
        some = rng.choice(shown, n, replace=False) if n else np.empty(0, np.int64)
        left = np.setdiff1d(np.arange(store.frames - 1, store.length), some)
        rest = rng.choice(left, per_stream - single - n - len(pairs), replace=False)
        out[s, : per_stream - single] = np.sort(np.concatenate([some, rest, pairs.astype(np.int64)]))
    return out


def cache_features(
    encoder: nn.Module, preprocess, store: TabletopStore, clips: np.ndarray, file: Path, seed: int = 0, views: int = 1
) -> np.ndarray:
    """X-Encoder tokens of all chosen clips as a float16 memory map (views, streams, per_stream, N, D), made once and resumable
    by stream."""
    n, d = encoder.cfg.tokens, encoder.cfg.hidden_size
    shape = (views, *clips.shape, n, d)
    progress = file.with_suffix(".json")
    done = json.loads(progress.read_text())["streams"] if progress.exists() and file.exists() else 0
    store_map = np.lib.format.open_memmap(file, "r+" if done else "w+", np.float16, shape)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for s in tqdm(range(done, len(clips)), desc="features", unit="stream", initial=done, total=len(clips), mininterval=2.0):
            rng = np.random.default_rng([seed, s])
            for v in range(views):
                frames = torch.cat([normalise(augment(store.clip(s, int(k)), rng), preprocess) for k in clips[s]])
                store_map[v, s] = encoder(frames).float().numpy().astype(np.float16)
            if (s + 1) % 50 == 0:
                _note(progress, s + 1)
    store_map.flush()
    _note(progress, len(clips))
    return np.lib.format.open_memmap(file, "r")


def _note(progress: Path, streams: int) -> None:
    """Whole or not at all."""
    beside = progress.with_suffix(".part")
    beside.write_text(json.dumps({"streams": streams}))
    beside.replace(progress)
