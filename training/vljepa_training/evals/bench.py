# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the parts of an evaluation share: the model, clips drawn once, visual tokens computed once, texts encoded once.

Knows nothing of figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from tqdm import tqdm

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.vljepa import Decoded

from .clips import EvalClip, draw_clips

DECODE_BATCH = 64
FAMILIAR = "familiar"
SPLITS = ("busy", "heldout_pairs", "heldout_camera", "heldout_texture")


@dataclass
class Watched:
    """A clip that the X-Encoder has seen. `group` numbers its stream."""

    clip: EvalClip
    tokens: Tensor  # (1, N, D)
    group: int


class Bench:
    """One checkpoint under evaluation. `per_class`: clips of every kind of event; of the held-out splits a third of that."""

    def __init__(self, model: VLJEPA, seed: int, per_class: int = 30) -> None:
        self.model, self.seed, self.per_class = model, seed, per_class
        self._texts: dict[str, np.ndarray] = {}
        self._clips: dict[str, list[Watched]] = {}
        self._predicted: dict[tuple[str, str], np.ndarray] = {}
        self._decoded: dict[tuple[str, str], list[Decoded]] = {}

    @property
    def image_size(self) -> int:
        return self.model.config.preprocess.image_size

    def clips(self, name: str = FAMILIAR) -> list[Watched]:
        """Of unseen worlds of the kind that training knows, or of those that differ as `scene.sample_scene` says of `name`."""
        if name not in self._clips:
            split, few = ("eval", self.per_class) if name == FAMILIAR else (name, max(1, self.per_class // 3))
            self._clips[name] = self.watch(draw_clips(self.seed, few, split=split, image_size=self.image_size), name)
        return self._clips[name]

    def vectors(self, query: str, name: str = FAMILIAR) -> np.ndarray:
        """(clips, D): what is predicted of each of `clips(name)`; computed once."""
        if (query, name) not in self._predicted:
            bar = tqdm(self.clips(name), desc=f"predict ({name})", unit="clip", mininterval=2.0)
            self._predicted[query, name] = np.stack([self.predict(seen, [query])[0] for seen in bar])
        return self._predicted[query, name]

    def decoded(self, query: str, name: str = FAMILIAR) -> list[Decoded]:
        """What is said of each of `clips(name)`; computed once."""
        if (query, name) not in self._decoded:
            self._decoded[query, name] = self.decode(self.vectors(query, name), name)
        return self._decoded[query, name]

    def decode(self, vectors_ND: np.ndarray, name: str) -> list[Decoded]:
        """Many at a time: a token costs hardly more for fifty texts than for one."""
        parts = np.array_split(vectors_ND, -(-len(vectors_ND) // DECODE_BATCH))
        return [one for part in tqdm(parts, desc=f"decode ({name})", mininterval=2.0) for one in self.model.decode_full(part)]

    def watch(self, clips: list[EvalClip], name: str) -> list[Watched]:
        streams: dict[int, int] = {}
        return [
            Watched(clip, self.model.encode_frames(clip.frames), streams.setdefault(id(clip.stream), len(streams)))
            for clip in tqdm(clips, desc=f"watch ({name})", unit="clip", mininterval=2.0)
        ]

    def encode(self, texts: list[str]) -> np.ndarray:
        """(N, D) of norm 1; every text is encoded once."""
        new = list(dict.fromkeys(t for t in texts if t not in self._texts))
        for start in range(0, len(new), 256):
            part = new[start : start + 256]
            self._texts.update(zip(part, self.model.encode_text(part)))
        return np.stack([self._texts[t] for t in texts])

    def predict(self, seen: Watched, queries: list[str]) -> np.ndarray:
        """(Q, D) of norm 1."""
        return self.model.predict(seen.tokens, queries)

    def choose(self, vector_D: np.ndarray, candidates: list[str] | tuple[str, ...]) -> str:
        """The candidate whose embedding is nearest (paper section 3.2)."""
        return candidates[int((self.encode(list(candidates)) @ vector_D).argmax())]
