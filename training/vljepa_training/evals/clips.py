# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out tabletop clips, drawn so that all events are equally frequent. Rendered at camera size and prepared as on the robot.

Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from vljepa_ros.model.preprocess import resize_frame

from ..tabletop import language
from ..tabletop.samples import WINDOW_S
from ..tabletop.state import EVENTS, Event
from ..tabletop.stream import Stream

FRAMES = 8
SECONDS = 40.0


@dataclass
class EvalClip:
    """`t`: the moment of its last frame. `event`: what it shows."""

    frames: np.ndarray  # uint8 (8, S, S, 3)
    stream: Stream
    t: float
    event: Event

    @property
    def state(self):
        return self.stream.state_at(self.t)

    @property
    def scene(self):
        return self.stream.scene

    @property
    def kind(self) -> str:
        return self.event.kind

    def questions(self) -> tuple[list[language.Question], list[language.Question]]:
        """(about the present, about before and after the event)."""
        now = language.questions(self.state, self.scene)
        return now, language.event_questions(self.stream.state_at(self.event.start), self.state, self.scene)


def draw_clips(
    seed: int,
    per_class: int,
    split: str = "eval",
    image_size: int = 128,
    kinds: Sequence[str] = EVENTS,
    distinct: Callable[[EvalClip], Hashable] | None = None,
    salt: int = 0,
) -> list[EvalClip]:
    """`per_class` clips of each of `kinds`, no two of one event, from as many streams as it takes.

    `distinct`: no two clips share this. `salt`: other worlds of the same seed.
    """
    rng = np.random.default_rng([seed, 11, salt])
    count = dict.fromkeys(kinds, 0)
    out: list[EvalClip] = []
    taken: set[Hashable] = set()
    number = 0
    with tqdm(total=per_class * len(count), desc=f"clips ({split})", unit="clip", mininterval=2.0) as bar:
        while min(count.values()) < per_class:
            stream = Stream(seed * 100_003 + 10_000 * salt + number, SECONDS, gap_s=(2.0, 6.0), split=split)
            number += 1
            chosen: list[EvalClip] = []
            for t, event in _moments(stream, rng):
                shown = stream.event_at(t, WINDOW_S)
                if (
                    t > WINDOW_S
                    and shown is not None
                    and shown.kind == event.kind
                    and count.get(event.kind, per_class) < per_class
                ):
                    clip = EvalClip(np.empty(0), stream, t, event)
                    if distinct is not None:
                        if distinct(clip) in taken:
                            continue
                        taken.add(distinct(clip))
                    count[event.kind] += 1
                    chosen.append(clip)
            if not chosen:
                continue
            moments = [t for clip in chosen for t in np.linspace(clip.t - WINDOW_S, clip.t, FRAMES)]
            frames = [resize_frame(image, image_size) for _, image in stream.frames_at(moments)]
            for j, clip in enumerate(chosen):
                clip.frames = np.stack(frames[j * FRAMES : (j + 1) * FRAMES])
            out += chosen
            bar.update(len(chosen))
    return out


def _moments(stream: Stream, rng: np.random.Generator) -> list[tuple[float, Event]]:
    """When to look: shortly after every event, and once where nothing happens."""
    out = [(e.end + rng.uniform(0.0, 0.6) if e.kind != "wander" else e.end, e) for e in stream.events]
    still = [
        (float(t), e)
        for t in rng.uniform(WINDOW_S, SECONDS, 12)
        if (e := stream.event_at(float(t), WINDOW_S)) and e.kind == "nothing"
    ]
    return out + still[:1]
