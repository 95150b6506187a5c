# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Engine "auto": the fastest in a short measured warm-up, of those whose embeddings agree with full precision.

Without exported graphs nothing is measured: the engine is the one that the hardware suggests (bf16 where it has it), the same at
every start. It stays unless another one is clearly faster, so that noise in a short measurement seldom makes two starts differ. A
model too large to be held twice while it starts is not measured.

Knows no files: whoever calls it hands over a loader.
"""
from __future__ import annotations

import importlib.util
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..checkpoint import CheckpointError, Manifest
from ..engine import make_engine
from .graphs import GraphError, find
from .onnx import ENGINES as GRAPH_ENGINES

if TYPE_CHECKING:
    from ..vljepa import VLJEPA

AGREES = 0.995  # least cosine with full precision
CLEARLY = 1.15  # times as fast as the suggested engine, or it stays
PROBES = 2  # clips on which engines are held against each other
ROUNDS = 5
SECONDS = 2.0  # of measuring, all engines together; whoever has had a round by then is judged by it
LARGEST = 200 * 2**20  # bytes of weights on disk, vision encoder and predictor together
log = logging.getLogger(__name__)


def fastest(manifest: Manifest, device: str, load: Callable[[str], VLJEPA], graphs: str | Path | None = None) -> str:
    """The engine's name. `load(name)` gives the checkpoint's vision encoder and predictor in that engine.

    Says in the log what was chosen and why, and names what was refused.
    """
    suggested = make_engine(device, "auto").name
    names = candidates(manifest, suggested, graphs)
    if not set(names) & set(GRAPH_ENGINES):
        return suggested
    size = sum(manifest.files[name]["size"] for part in ("vision", "predictor") for name in manifest.weights[part])
    if size > LARGEST:
        log.info("engine: %s, as the hardware suggests; %d MiB of weights are too many to try others", suggested, size >> 20)
        return suggested
    models: dict[str, VLJEPA] = {}
    for name in names:
        try:
            models[name] = load(name)
        except GraphError as error:
            log.warning("engine %s refused: %s", name, error)
    refused = _disagreeing(models)
    for name, cosine in refused.items():
        log.warning("engine %s refused: cosine %.4f with full precision, %.3f wanted", name, cosine, AGREES)
        del models[name]
    taken = measure(models)
    best = decide(taken, suggested)
    log.info("engine: %s (%s)", best, ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in taken.items()))
    return best


def candidates(manifest: Manifest, suggested: str, graphs: str | Path | None) -> list[str]:
    """Full precision first. Graphs that were never exported, or no ONNX Runtime, are no news; damaged ones are."""
    names = list(dict.fromkeys(["torch", suggested]))
    if importlib.util.find_spec("onnxruntime") is None:
        return names
    try:
        found = find(manifest.sha256, graphs)
    except CheckpointError as error:
        log.log(logging.WARNING if graphs else logging.DEBUG, "engines onnx, onnx-int8 refused: %s", error)
        return names
    return names + [name for name, precision in GRAPH_ENGINES.items() if found.has(precision)]


def decide(seconds: dict[str, float], suggested: str) -> str:
    """The suggested engine, or "torch" where it is refused, unless another is clearly faster."""
    stays = suggested if suggested in seconds else "torch"
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds[stays] > CLEARLY * seconds[best] else stays


def measure(models: dict[str, VLJEPA]) -> dict[str, float]:
    """Median seconds per clip with one query; the engines take turns, so that a busy machine slows all alike."""
    taken: dict[str, list[float]] = {name: [] for name in models}
    until = time.monotonic() + SECONDS
    for _ in range(ROUNDS):
        for name, model in models.items():
            clip = probe(model, 0)
            began = time.perf_counter()
            _embed(model, clip)
            taken[name].append(time.perf_counter() - began)
        if time.monotonic() > until:
            break
    return {name: statistics.median(times) for name, times in taken.items()}


class Agreement(NamedTuple):
    """Of one engine with full precision."""

    cosine: float  # the least over all clips
    difference: float  # the largest of any number of the vectors


def agreement(exact: VLJEPA, other: VLJEPA) -> Agreement:
    """Over the probes. Warms the engines up on the way."""
    pairs = [(_embed(exact, clip), _embed(other, clip)) for clip in (probe(exact, seed) for seed in range(PROBES))]
    return Agreement(min(float(a @ b) for a, b in pairs), max(float(np.abs(a - b).max()) for a, b in pairs))


def _disagreeing(models: dict[str, VLJEPA]) -> dict[str, float]:
    """Cosines of the engines that do not reach `AGREES`; -1 for one whose output is not finite."""
    low: dict[str, float] = {}
    for name, model in models.items():
        try:
            cosine = agreement(models["torch"], model).cosine if name != "torch" else 1.0
        except FloatingPointError:
            cosine = -1.0
        if cosine < AGREES:
            low[name] = cosine
    return low


def _embed(model: VLJEPA, clip_THWC: np.ndarray) -> np.ndarray:
    return model.embed(clip_THWC, model.config.prompts.get("state", ""))


def probe(model: VLJEPA, seed: int) -> np.ndarray:
    """A clip with surfaces, edges and motion: uint8 (T, S, S, 3). Noise has none of these, and rounding shows where they are."""
    random = np.random.default_rng(seed)
    frames, size = model.config.vision.frames, model.config.preprocess.image_size
    rows, columns = np.mgrid[0:1:size * 1j, 0:1:size * 1j]
    clip_THWC = np.empty((frames, size, size, 3), np.float32)
    clip_THWC[:] = 90 + 60 * rows[..., None] * random.random(3) + 60 * columns[..., None] * random.random(3)
    for _ in range(4):
        (y, x), (dy, dx) = random.random(2), random.uniform(-0.2, 0.2, 2)
        radius, colour = random.uniform(0.08, 0.2), random.random(3)
        for t in range(frames):
            along = t / max(1, frames - 1)
            clip_THWC[t][np.hypot(rows - y - dy * along, columns - x - dx * along) < radius] = 255 * colour
    return clip_THWC.clip(0, 255).astype(np.uint8)
