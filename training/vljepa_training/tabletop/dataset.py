# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rendered training streams and stills on disk: frames at the clip rate and, per token, what covers it.

A stream is remade from its seed in a millisecond; only what costs time is stored. `frames.npy` is uint8 (T, S, S, 3),
`cover.npy` uint8 (T, S/16, S/16, 8): the share (of 255) of a patch that each segment class of `render` covers. A still folder
holds
`STILLS` single moments of a stream that is not rendered otherwise, `index.npy` says which: five times the scenes for the price.
Resumable: what is there is kept.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .stream import Sensor, Stream

SIZE, PATCH, CLASSES = 128, 16, 8
FPS = 5.0  # one frame per clip period of the tabletop checkpoint
SECONDS = 24.0
GAP_S = {"train": (1.8, 4.5), "busy": (1.8, 6.5)}  # busy streams need time for what is given up
TEXT_SEEDS = range(1_000_000, 1_100_000)  # of worlds of which nothing but words is made
HELD_TEXT_SEEDS = range(2_000_000, 2_000_040)
STILLS = 12  # moments per still folder


def training_stream(seed: int, split: str = "train") -> Stream:
    """The stream that `seed` stands for in the data set, without its pictures."""
    wander = 0.3 if split == "train" else 0.7
    return Stream(seed, SECONDS, gap_s=GAP_S[split], split=split, sensor=Sensor(noise=0.0), wander=wander)


def render_stream(folder: Path, seed: int, split: str = "train") -> None:
    """Write one whole stream, or nothing."""
    _render(folder, f"{split}_{seed:06d}", training_stream(seed, split), np.arange(int(SECONDS * FPS)))


def render_stills(folder: Path, seed: int, split: str = "train") -> None:
    """Write `STILLS` random moments of one stream, or nothing."""
    moments = np.sort(np.random.default_rng([seed, 9]).choice(int(SECONDS * FPS), STILLS, replace=False))
    _render(folder, f"stills_{split}_{seed:06d}", training_stream(seed, split), moments)


def _render(folder: Path, name: str, stream: Stream, index: np.ndarray) -> None:
    from .render import Renderer

    if (folder / name).exists():
        return
    frames = np.empty((len(index), SIZE, SIZE, 3), np.uint8)
    cover = np.empty((len(index), SIZE // PATCH, SIZE // PATCH, CLASSES), np.uint8)
    # Twice the size, then averaged: what a 480-line camera looks like after the area resize of the robot's preprocessing.
    with Renderer(stream.scene, 2 * SIZE, 2 * SIZE) as renderer:
        for n, k in enumerate(index):
            big = renderer.image(stream.script, k / FPS).astype(np.uint16)
            frames[n] = (big.reshape(SIZE, 2, SIZE, 2, 3).sum((1, 3)) + 2) // 4
            classes = renderer.segments()[::2, ::2]
            blocks = (
                classes.reshape(SIZE // PATCH, PATCH, SIZE // PATCH, PATCH)
                .swapaxes(1, 2)
                .reshape(SIZE // PATCH, SIZE // PATCH, -1)
            )
            cover[n] = [[np.bincount(b, minlength=CLASSES)[:CLASSES] * 255 // PATCH**2 for b in row] for row in blocks]
    beside = folder / f".{name}.{os.getpid()}"
    beside.mkdir(parents=True)
    np.save(beside / "frames.npy", frames)
    np.save(beside / "cover.npy", cover)
    np.save(beside / "index.npy", index)
    beside.rename(folder / name)


def render(folder: Path, seeds: range, workers: int = 2, split: str = "train", stills: bool = False) -> None:
    """Render all `seeds` that are not there yet, in processes, with progress. Raises what the first failing worker raised."""
    folder.mkdir(parents=True, exist_ok=True)
    make, prefix = (render_stills, "stills_") if stills else (render_stream, "")
    missing = [s for s in seeds if not (folder / f"{prefix}{split}_{s:06d}").exists()]
    # Not forked: a child of a process that has drawn, or has worker threads of its own, inherits their locks and waits for ever.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(make, folder, s, split) for s in missing]
        for job in tqdm(as_completed(jobs), total=len(jobs), desc=f"render {prefix}{split}", unit="stream"):
            job.result()
