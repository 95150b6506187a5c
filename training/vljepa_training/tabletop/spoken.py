# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the Y-Decoder learns to say of the tabletop world: texts of ever new worlds, which need no pictures."""

from __future__ import annotations

import numpy as np

from . import told
from .dataset import HELD_TEXT_SEEDS, SECONDS, TEXT_SEEDS, training_stream
from .samples import WINDOW_S

PER_WORLD = 4  # moments of a world in a batch: which of its things is which must be read, not remembered


class WorldTexts:
    """(heard, said): whatever the phrasing that an embedding stands for, it is decoded into the canonical one.

    States most often, for they are the longest and what the robot says; captions and answers beside them. Half of the texts
    are heard canonically too: near them lie the predictions.
    """

    def draw(self, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        return self._of(TEXT_SEEDS, count, rng)

    def held(self, count: int, rng: np.random.Generator) -> list[str]:
        """Of worlds that are never trained on, as they are said."""
        return [said for _, said in self._of(HELD_TEXT_SEEDS, count, rng)]

    def _of(self, seeds: range, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        out: list[tuple[str, str]] = []
        while len(out) < count:
            stream = training_stream(int(rng.integers(seeds.start, seeds.stop)))
            for t in rng.uniform(0, SECONDS, PER_WORLD):
                pairs = told.pairs(stream, t, stream.event_at(t, WINDOW_S), rng)
                captions = [p for p in pairs if p[0] == "caption"]
                draw = rng.random()
                one = pairs[0] if draw < 0.5 else captions[0] if captions and draw < 0.8 else pairs[int(rng.integers(len(pairs)))]
                out.append((one[3] if rng.random() < 0.5 else one[2], one[3]))
        return out[:count]
