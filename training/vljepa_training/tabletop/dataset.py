"""Rendered training streams on disk: frames at the clip rate and, per token, what covers it.

A stream is remade from its seed in a millisecond; only what costs time is stored. `frames.npy` is uint8 (T, S, S, 3),
`cover.npy` uint8 (T, S/16, S/16, 8): the share (of 255) of a patch that each segment class of `render` covers. Resumable: a
stream that is there is kept.
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
GAP_S = (1.8, 4.5)


def training_stream(seed: int, split: str = "train") -> Stream:
    """The stream that `seed` stands for in the data set, without its pictures."""
    return Stream(seed, SECONDS, gap_s=GAP_S, split=split, sensor=Sensor(noise=0.0), wander=0.3)


def render_stream(folder: Path, seed: int, split: str = "train") -> None:
    """Write one stream, whole or not at all."""
    from .render import Renderer

    target = folder / f"{split}_{seed:06d}"
    if target.exists():
        return
    stream = training_stream(seed, split)
    n = int(SECONDS * FPS)
    frames = np.empty((n, SIZE, SIZE, 3), np.uint8)
    cover = np.empty((n, SIZE // PATCH, SIZE // PATCH, CLASSES), np.uint8)
    # Twice the size, then averaged: what a 480-line camera looks like after the area resize of the robot's preprocessing.
    with Renderer(stream.scene, 2 * SIZE, 2 * SIZE) as renderer:
        for k in range(n):
            big = renderer.image(stream.script, k / FPS).astype(np.uint16)
            frames[k] = (big.reshape(SIZE, 2, SIZE, 2, 3).sum((1, 3)) + 2) // 4
            classes = renderer.segments()[::2, ::2]
            blocks = (
                classes.reshape(SIZE // PATCH, PATCH, SIZE // PATCH, PATCH)
                .swapaxes(1, 2)
                .reshape(SIZE // PATCH, SIZE // PATCH, -1)
            )
            cover[k] = [[np.bincount(b, minlength=CLASSES)[:CLASSES] * 255 // PATCH**2 for b in row] for row in blocks]
    beside = folder / f".{target.name}.{os.getpid()}"
    beside.mkdir(parents=True)
    np.save(beside / "frames.npy", frames)
    np.save(beside / "cover.npy", cover)
    beside.rename(target)


def render(folder: Path, seeds: range, workers: int = 2, split: str = "train") -> None:
    """Render all `seeds` that are not there yet, in processes, with progress. Raises what the first failing worker raised."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [s for s in seeds if not (folder / f"{split}_{s:06d}").exists()]
    # Not forked: a child of a process that has drawn, or has worker threads of its own, inherits their locks and waits for ever.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(render_stream, folder, s, split) for s in missing]
        for job in tqdm(as_completed(jobs), total=len(jobs), desc=f"render {split}", unit="stream"):
            job.result()
