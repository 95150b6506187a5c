# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clips of rendered training streams, with everything the simulator knows about them.

A clip is (stream, k): the frames up to index k at the clip period. From k = `length` on it is a pair of pictures, before and
after one event, each for half of the clip; from 2 `length` on a single picture, that of index k - 2 `length`, for all of it.
Augmentation is the sensor's: gain, colour cast, noise, a pixel of shake.
Knows nothing of losses or the network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import language, told
from .dataset import FPS, SECONDS, training_stream
from .scene import COLOURS, SHAPES
from .state import CHANGING, EVENTS, Event
from .stream import Stream

WINDOW_S = 1.4  # from the first frame of a clip to its last
SPEED = 0.4  # metres per second that count as 1 in velocity targets
COVER_CHANNELS = len(COLOURS) + len(SHAPES) + 3 + 2  # colour, shape, gripper/tray/lamp cover; held, lying cover
TOKEN_CHANNELS = COVER_CHANNELS + 6  # velocities


# Drawing a clip's worth of normals costs more than the rest of its preparation: clips take random windows of one bank.
_NOISE = np.random.default_rng(0).standard_normal(1 << 20, dtype=np.float32)


class TabletopStore:
    """The streams of a folder made by `dataset.render`, memory-mapped. `seeds`: of every split; those not there yet are left out.

    Whoever trains holds back the last streams: of every split the last `held` stand at the end.
    """

    def __init__(self, folder: Path, seeds: dict[str, range], frames: int = 8, held: int = 0) -> None:
        self.frames = frames
        found = {split: [p for s in wanted if (p := folder / f"{split}_{s:06d}").exists()] for split, wanted in seeds.items()}
        for split, paths in found.items():
            if not paths:
                raise FileNotFoundError(
                    f"no rendered {split} streams of seeds {seeds[split].start}..{seeds[split].stop} in {folder}; "
                    "`python -m vljepa_training.train tabletop` renders them"
                )
        trained = [p for paths in found.values() for p in paths[: len(paths) - held]]
        self.paths = trained + [p for paths in found.values() for p in paths[len(paths) - held :]]
        self.streams = [training_stream(int(seed), split) for split, seed in (p.name.split("_") for p in self.paths)]
        self._pixels = [np.load(p / "frames.npy", mmap_mode="r") for p in self.paths]
        self._cover = [np.load(p / "cover.npy", mmap_mode="r") for p in self.paths]
        self.length = int(SECONDS * FPS)
        self.kinds = np.stack([self._kinds(s) for s in self.streams])  # (streams, length), -1 where no single kind is right
        self._pairs = [picture_pairs(s, self.length) for s in self.streams]

    def _kinds(self, stream: Stream) -> np.ndarray:
        events = [stream.event_at(k / FPS, WINDOW_S) for k in range(self.length)]
        return np.array([EVENTS.index(e.kind) if e else -1 for e in events], np.int8)

    def picture_pairs(self, stream: int) -> range:
        """The k of all pairs of pictures."""
        return range(self.length, self.length + len(self._pairs[stream]))

    def pictures(self) -> range:
        """The k of all single pictures of a stream."""
        return range(2 * self.length, 3 * self.length)

    def clip(self, stream: int, k: int) -> np.ndarray:
        """uint8 (frames, S, S, 3); positions before the stream's start repeat its first frame."""
        if k >= 2 * self.length:
            return np.repeat(self._pixels[stream][[k - 2 * self.length]], self.frames, 0)
        if k >= self.length:
            before, after, _ = self._pairs[stream][k - self.length]
            return np.repeat(self._pixels[stream][[before, after]], self.frames // 2, 0)
        index = np.maximum(np.arange(k - self.frames + 1, k + 1), 0)
        return np.asarray(self._pixels[stream][index])

    def moment(self, stream: int, k: int) -> tuple[float, Event | None]:
        """(time at which the clip ends, the event that it shows: none, where it is a single picture)."""
        if k >= 2 * self.length:
            return (k - 2 * self.length) / FPS, None
        if k >= self.length:
            _, after, event = self._pairs[stream][k - self.length]
            return after / FPS, event
        return k / FPS, self.streams[stream].event_at(k / FPS, WINDOW_S)

    def kind(self, stream: int, k: int) -> int:
        """Index among EVENTS of what the clip shows, or -1."""
        if k < self.length:
            return int(self.kinds[stream, k])
        event = self.moment(stream, k)[1]
        return EVENTS.index(event.kind) if event else -1

    def token_targets(self, stream: int, k: int) -> np.ndarray:
        """float32 (frames/2, h, w, TOKEN_CHANNELS), of the second frame of every tubelet."""
        s, cover = self.streams[stream], self._cover[stream]
        return np.stack(
            [
                np.concatenate([cover_targets(s, cover[i], i / FPS), speed_targets(s, cover[i], i / FPS)], -1)
                for i in np.maximum(np.arange(k - self.frames + 2, k + 1, 2), 0)
            ]
        )

    def facts(self, stream: int, k: int) -> np.ndarray:
        """int64 (4,): event kind or -1, then `state_facts`."""
        return np.concatenate([[int(self.kinds[stream, k])], state_facts(self.streams[stream], k / FPS)])

    def questions(self, stream: int, k: int) -> list[language.Question]:
        """All questions about a clip: about the present, and where it shows an event, about before and after it."""
        return told.questions(self.streams[stream], *self.moment(stream, k))

    def pairs(self, stream: int, k: int, rng: np.random.Generator, only: str | None = None) -> list[told.Pair]:
        """All that this clip can be trained on, in one random phrasing each; `only` of this kind."""
        return told.pairs(self.streams[stream], *self.moment(stream, k), rng, only)


def picture_pairs(stream: Stream, length: int) -> list[tuple[int, int, Event]]:
    """(frame before, frame after, event) of every change that two pictures tell: what was set down and what was dropped look the
    same afterwards."""
    out = []
    for event in stream.events:
        before, after = int(event.start * FPS), int(np.ceil(event.rest * FPS))
        if event.kind in CHANGING and event.kind not in ("place", "drop") and after < length:
            out.append((before, after, event))
    return out


class StillStore:
    """The stills of a folder made by `dataset.render(stills=True)`, in memory (50 kB each). `seeds` that are not there are left
    out."""

    def __init__(self, folder: Path, seeds: range, split: str = "train") -> None:
        paths = [p for s in seeds if (p := folder / f"stills_{split}_{s:06d}").exists()]
        if not paths:
            raise FileNotFoundError(
                f"no {split} stills of seeds {seeds.start}..{seeds.stop} in {folder}; "
                "`python -m vljepa_training.train tabletop` renders them"
            )
        self.images = np.concatenate([np.load(p / "frames.npy") for p in paths])  # (n, S, S, 3)
        targets, facts = [], []
        for path in paths:
            stream = training_stream(int(path.name.split("_")[-1]), split)
            for cover, k in zip(np.load(path / "cover.npy"), np.load(path / "index.npy")):
                targets.append(cover_targets(stream, cover, k / FPS).astype(np.float16))
                facts.append(state_facts(stream, k / FPS))
        self.targets = np.stack(targets)  # float16 (n, h, w, COVER_CHANNELS)
        self.facts = np.stack(facts)  # int64 (n, 3)


def cover_targets(stream: Stream, cover_hwk: np.ndarray, t: float) -> np.ndarray:
    """float32 (h, w, COVER_CHANNELS): the share of each patch that every colour covers, every shape, gripper, tray and lamp, held
    and lying things."""
    cover = cover_hwk.astype(np.float32) / 255
    state = stream.state_at(t)
    colour = np.zeros((*cover.shape[:2], len(COLOURS)), np.float32)
    shape = np.zeros((*cover.shape[:2], len(SHAPES)), np.float32)
    flags = np.zeros((*cover.shape[:2], 2), np.float32)
    for i, spec in enumerate(stream.scene.objects):
        share = cover[..., 4 + i]
        colour[..., list(COLOURS).index(spec.colour)] += share
        shape[..., SHAPES.index(spec.shape)] += share
        flags[..., 0] += share * state.objects[i].held
        flags[..., 1] += share * state.objects[i].lying
    return np.concatenate([colour, shape, cover[..., 1:4], flags], -1)


def speed_targets(stream: Stream, cover_hwk: np.ndarray, t: float) -> np.ndarray:
    """float32 (h, w, 6): velocity of the things and of the gripper in space, by the share of the patch that they cover."""
    cover = cover_hwk.astype(np.float32) / 255
    speed = np.zeros((*cover.shape[:2], 6), np.float32)
    for i, path in enumerate(stream.script.objects):
        moved = (path.at(t) - path.at(t - 0.2))[:3] / 0.2 / SPEED
        speed[..., :3] += cover[..., 4 + i, None] * np.clip(moved, -2, 2).astype(np.float32)
    tip = np.clip((stream.script.tip.at(t) - stream.script.tip.at(t - 0.2)) / 0.2 / SPEED, -2, 2).astype(np.float32)
    speed[..., 3:] = cover[..., 1:2] * tip
    return speed


def state_facts(stream: Stream, t: float) -> np.ndarray:
    """int64 (3,): lamp on, drawer open, something held."""
    state = stream.state_at(t)
    return np.array([state.lamp_on, state.drawer_open, state.held is not None], np.int64)


def augment(frames_THWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What cameras differ in: exposure, white balance, noise, a pixel of shake, mirrored never (left is left)."""
    gain = rng.uniform(0.7, 1.3) * rng.uniform(0.95, 1.05, 3)
    out = frames_THWC * gain.astype(np.float32)
    start = int(rng.integers(len(_NOISE) - out.size))
    out += _NOISE[start : start + out.size].reshape(out.shape) * np.float32(rng.uniform(0, 3))
    if rng.random() < 0.3:
        dy, dx = rng.integers(-3, 4, 2)
        out = np.roll(out, (dy, dx), (1, 2))
    return np.clip(out, 0, 255).astype(np.uint8)
