# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic streams of embeddings with known boundaries: what a model's embeddings do, without a model.

States are unit vectors that stand still between events; around an event's completion the embedding glides to the next state,
along an arc that bulges out, and is half way when the event completes: so do the embeddings of a trained model, measured on the
tabletop world (the middle of the glide lies within 0.05 s of completion in the median; a glide takes 0.1 to 1.1 s). On top:
sensor noise that overlapping clips share, white noise, a slow AR(1) drift, short excursions that change nothing, flips of a
picture that slowly brightens and darkens, an uneven rate, lost embeddings.

`python -m vljepa_ros.evaluation.synthetic` prints F1, delay and false alarms of the detector's defaults on each kind of stream:
the first thing to run after a change to the detector, and no substitute for real embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from vljepa_ros.evaluation.boundaries import match
from vljepa_ros.streaming import Embedding, Transition, TransitionDetector, TransitionParams

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS


@dataclass(frozen=True)
class Kind:
    """One kind of stream. Angles in radians: how far noise of that sort moves a unit vector, root mean square."""

    seconds: float = 60.0
    gap_s: tuple[float, float] | None = (2.0, 10.0)  # between boundaries; None: nothing ever happens
    glide_s: tuple[float, float] = (0.4, 1.2)
    change: tuple[float, float] = (0.5, 1.2)  # angle between successive states
    bulge: float = 0.3  # how far the way between two states bulges out, as a share of the change
    flip: float = 0.0  # distance of the two readings between which a still picture flips as its exposure drifts
    flip_s: float = 20.0  # period of that drift
    excursions_per_s: float = 0.0
    excursion: float = 0.3
    white: float = 0.08
    shared: float = 0.12  # noise of the camera's frames, seen by all clips that hold them
    drift: float = 0.08
    drift_s: float = 4.0
    noise_dims: int = 64  # noise of a trained model lives in few directions
    dim: int = 64
    rate_hz: float = 10.0
    jitter: float = 0.1  # of the interval
    lost: float = 0.0
    lost_bursts_per_s: float = 0.0  # each 0.5 s
    clip_s: float = 1.4


@dataclass(frozen=True)
class SyntheticStream:
    embeddings: list[Embedding]
    truth_s: list[float]  # seconds since the first possible embedding
    seconds: float


def make(kind: Kind, seed: int) -> SyntheticStream:
    """A stream of this kind; equal seeds give equal streams."""
    rng = np.random.default_rng(seed)
    truth_s, starts_s, ends_s, states, bulges = [], [], [], [_unit(rng.normal(size=kind.dim))], []
    clock = 0.0
    while kind.gap_s is not None:
        gap = rng.uniform(*kind.gap_s)
        clock += gap
        if clock > kind.seconds - 1.0:
            break
        truth_s.append(clock)
        half = min(rng.uniform(*kind.glide_s), gap - 0.1) / 2
        starts_s.append(clock - half)
        ends_s.append(clock + half)
        angle = rng.uniform(*kind.change)
        states.append(_turn(states[-1], rng, angle))
        bulges.append(angle * kind.bulge * _unit(rng.normal(size=kind.dim)))
    stamps = _stamps(kind, rng)
    clean = np.stack([_clean(t, starts_s, ends_s, states, bulges) for t in stamps])
    noisy = clean + _noise(kind, stamps, rng) + _excursions(kind, stamps, rng) + _flips(kind, stamps, rng)
    vectors = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    keep = _kept(kind, stamps, rng)
    embeddings = [
        Embedding(
            vector_D=vectors[i].astype(np.float32),
            stamp_ns=START_NS + round(stamps[i] * NS),
            clip_start_ns=START_NS + round((stamps[i] - kind.clip_s) * NS),
            epoch=0,
            sequence=i,
            space_id="synthetic",
        )
        for i in np.flatnonzero(keep)
    ]
    return SyntheticStream(embeddings, truth_s, kind.seconds)


def _stamps(kind: Kind, rng: np.random.Generator) -> np.ndarray:
    regular = np.arange(0.0, kind.seconds, 1.0 / kind.rate_hz)
    return regular + rng.uniform(-0.5, 0.5, size=len(regular)) * kind.jitter / kind.rate_hz + 1.0 / kind.rate_hz


def _kept(kind: Kind, stamps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    keep = rng.random(len(stamps)) >= kind.lost
    for at in rng.uniform(0, kind.seconds, size=rng.poisson(kind.lost_bursts_per_s * kind.seconds)):
        keep &= ~((stamps >= at) & (stamps < at + 0.5))
    return keep


def _clean(t: float, starts_s: list, ends_s: list, states: list, bulges: list) -> np.ndarray:
    index = int(np.searchsorted(starts_s, t, side="right"))
    if index == 0 or t >= ends_s[index - 1]:
        return states[index]
    x = (t - starts_s[index - 1]) / (ends_s[index - 1] - starts_s[index - 1])
    way = x * x * (3 - 2 * x)
    return _unit((1 - way) * states[index - 1] + way * states[index] + np.sin(np.pi * x) * bulges[index - 1])


def _noise(kind: Kind, stamps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    basis = np.linalg.qr(rng.normal(size=(kind.dim, kind.noise_dims)))[0].T / np.sqrt(kind.noise_dims)
    count = len(stamps)
    white = rng.normal(size=(count, kind.noise_dims))
    frames_s = 0.2  # clip positions; consecutive clips of one phase share all but one of them
    frames = rng.normal(size=(int(kind.seconds / frames_s) + 20, kind.noise_dims))
    positions = round(kind.clip_s / frames_s) + 1
    shared = np.stack([frames[int(t / frames_s) : int(t / frames_s) + positions].mean(0) for t in stamps]) * np.sqrt(positions)
    drift = np.zeros((count, kind.noise_dims))
    drift[0] = rng.normal(size=kind.noise_dims)
    for i in range(1, count):
        keep = np.exp(-(stamps[i] - stamps[i - 1]) / kind.drift_s)
        drift[i] = keep * drift[i - 1] + np.sqrt(1 - keep**2) * rng.normal(size=kind.noise_dims)
    return (kind.white * white + kind.shared * shared + kind.drift * drift) @ basis


def _excursions(kind: Kind, stamps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    moved = np.zeros((len(stamps), kind.dim))
    for at in rng.uniform(0, kind.seconds, size=rng.poisson(kind.excursions_per_s * kind.seconds)):
        x = np.clip((stamps - at) / rng.uniform(0.5, 1.2), 0.0, 1.0)
        moved += np.outer(np.sin(np.pi * x), kind.excursion * _unit(rng.normal(size=kind.dim)))
    return moved


def _flips(kind: Kind, stamps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    exposure = np.sin(2 * np.pi * (stamps / kind.flip_s + rng.random()))
    return np.outer(kind.flip / (1 + np.exp(-20 * (exposure - 0.3))), _unit(rng.normal(size=kind.dim)))


def _turn(state_D: np.ndarray, rng: np.random.Generator, angle: float) -> np.ndarray:
    side = rng.normal(size=len(state_D))
    side = _unit(side - (side @ state_D) * state_D)
    return np.cos(angle) * state_D + np.sin(angle) * side


def _unit(vector_D: np.ndarray) -> np.ndarray:
    return vector_D / np.linalg.norm(vector_D)


USUAL = Kind()
KINDS: dict[str, Kind] = {
    "usual": USUAL,
    "quiet": replace(USUAL, white=0.005, shared=0.005, drift=0.01),
    "noiseless": replace(USUAL, white=0.0, shared=0.0, drift=0.0),
    "noisy": replace(USUAL, white=0.2, shared=0.25, drift=0.15),
    "few noise directions": replace(USUAL, noise_dims=6),
    "strong drift": replace(USUAL, drift=0.25, noise_dims=16),
    "small changes": replace(USUAL, change=(0.35, 0.5), white=0.03, shared=0.05, drift=0.03),
    "straight ways": replace(USUAL, bulge=0.0),
    "wide ways": replace(USUAL, bulge=0.8),
    "quick events": replace(USUAL, glide_s=(0.0, 0.2)),
    "slow events": replace(USUAL, glide_s=(2.0, 3.0), gap_s=(4.0, 10.0)),
    "excursions": replace(USUAL, excursions_per_s=0.15),
    "5 Hz": replace(USUAL, rate_hz=5.0),
    "30 Hz": replace(USUAL, rate_hz=30.0),
    "a third lost, bursts": replace(USUAL, lost=0.33, lost_bursts_per_s=0.1),
    "still, quiet": replace(USUAL, gap_s=None, white=0.01, shared=0.01, drift=0.01),
    "still": replace(USUAL, gap_s=None),
    "still, noisy": replace(USUAL, gap_s=None, white=0.2, shared=0.3, drift=0.15),
    "still, few directions": replace(USUAL, gap_s=None, noise_dims=4, shared=0.15),
    "still, strong drift": replace(USUAL, gap_s=None, drift=0.25, noise_dims=8),
    "still, exposure drifts": replace(USUAL, gap_s=None, white=0.005, shared=0.01, drift=0.02, flip=0.37),
    "still, very noisy": replace(USUAL, gap_s=None, white=0.4, shared=0.5, drift=0.3, noise_dims=32),
}


def detect(embeddings: list[Embedding], params: TransitionParams) -> Iterator[Transition]:
    detector = TransitionDetector(params)
    for embedding in embeddings:
        transition = detector.update(embedding)
        if transition is not None:
            yield transition


@dataclass(frozen=True)
class Score:
    precision: float
    recall: float
    f1: float
    delay_s_median: float
    delay_s_p95: float
    error_s_median: float  # detected boundary minus true one
    false_per_min: float


def score(kind: Kind, params: TransitionParams = TransitionParams(), seeds: range = range(20), tolerance_s: float = 1.0) -> Score:
    """The detector on some streams of one kind, pooled."""
    hits = detected = true = 0
    delays, errors = [], []
    for seed in seeds:
        stream = make(kind, seed)
        transitions = list(detect(stream.embeddings, params))
        boundaries = [(one.boundary_ns - START_NS) / NS for one in transitions]
        pairs = match(stream.truth_s, boundaries, tolerance_s)
        delays += [(transitions[j].stamp_ns - START_NS) / NS - stream.truth_s[i] for i, j in pairs]
        errors += [boundaries[j] - stream.truth_s[i] for i, j in pairs]
        hits, detected, true = hits + len(pairs), detected + len(boundaries), true + len(stream.truth_s)
    return Score(
        precision=hits / detected if detected else 1.0,
        recall=hits / true if true else 1.0,
        f1=2 * hits / (detected + true) if detected + true else 1.0,
        delay_s_median=float(np.median(delays)) if delays else 0.0,
        delay_s_p95=float(np.quantile(delays, 0.95)) if delays else 0.0,
        error_s_median=float(np.median(errors)) if errors else 0.0,
        false_per_min=(detected - hits) / (len(seeds) * kind.seconds / 60.0),
    )


def main() -> None:
    print(f"{'stream':24s} {'prec':>5s} {'recall':>6s} {'F1':>5s} {'delay':>6s} {'p95':>6s} {'error':>6s} {'false/min':>9s}")
    for name, kind in KINDS.items():
        s = score(kind)
        print(
            f"{name:24s} {s.precision:5.2f} {s.recall:6.2f} {s.f1:5.2f} {s.delay_s_median:6.2f} {s.delay_s_p95:6.2f} "
            f"{s.error_s_median:6.2f} {s.false_per_min:9.2f}"
        )


if __name__ == "__main__":
    main()
