# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A stream of the tabletop world: one scene, events at irregular times, frames at any rate, exact segments.

Seeded: the same arguments give the same frames. Only `frames` needs MuJoCo and a way to render.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from . import language
from .clutter import clutter
from .events import Script
from .scene import sample_scene
from .state import CHANGING, EVENTS, Event, WorldState

# Events that need a held object are rare because one must be picked up first; these weights bring all kinds near one frequency.
_WEIGHT = {"pick": 3.0, "put_in_drawer": 3.0, "stack": 2.0, "place": 0.7, "drop": 0.7}


@dataclass(frozen=True)
class Segment:
    """The time between two boundaries. `event` is what completed at `start_s` ("start" for the first)."""

    start_s: float
    event: str
    caption: str
    state: str


@dataclass(frozen=True)
class Sensor:
    """What the camera adds: read-out noise (grey levels), shake (metres of the camera), slow exposure drift (relative), one
    gain."""

    noise: float = 2.0
    shake: float = 0.0
    drift: float = 0.0
    gain: float = 1.0


class Stream:
    """`gap_s`: range of the time between two boundaries. `split` as in `sample_scene`. `events=False`: a still scene.

    All streams of the split "busy" and, of every split that is not trained on, about half are busy: cluttered, partly hidden, lit
    and coloured more widely, moved faster and slower, and with attempts that are given up or taken back.
    """

    def __init__(
        self,
        seed: int,
        seconds: float,
        gap_s: tuple[float, float] = (2.0, 10.0),
        split: str = "eval",
        events: bool = True,
        sensor: Sensor | None = None,
        wander: float = 0.8,
    ) -> None:
        if seconds <= 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        # The split is part of the seed: a stream of training and one of evaluation never share their randomness.
        self.rng = np.random.default_rng([seed, sum(split.encode())])
        self.seed, self.seconds, self.split = seed, seconds, split
        self.scene = sample_scene(self.rng, split)
        extras = np.random.default_rng([seed, sum(split.encode()), 3])  # its own: a stream that is not busy stays as it is
        self.busy = split == "busy" or (split != "train" and bool(extras.random() < 0.5))
        if self.busy:
            self.scene = clutter(self.scene, extras, own_table=split != "heldout_texture")
        self.script = Script(self.scene, self.rng, speeds=(0.7, 1.4) if self.busy else (0.85, 1.2))
        gain = (0.75, 1.25) if self.busy else (0.88, 1.12)
        self.sensor = sensor or Sensor(noise=float(self.rng.uniform(0.5, 4.0)), gain=float(self.rng.uniform(*gain)))
        self._counts: Counter[str] = Counter()
        if events:
            self._schedule(gap_s, wander)
        self.events: list[Event] = self.script.events

    def _schedule(self, gap_s: tuple[float, float], wander: float) -> None:
        last = 0.0
        while True:
            completes = last + self.rng.uniform(*gap_s)
            if completes > self.seconds - 0.5:
                return
            # In a long gap the gripper may roam, again and again: motion without a change of state.
            while (room := completes - 2.2 - self.script.free_from) > 1.4 and self.rng.random() < wander:
                if self.busy and room > 1.7 and self.rng.random() < 0.5:
                    self._attempt(self.script.free_from + self.rng.uniform(1.7, min(room, 3.0)))
                else:
                    self.script.do("wander", self.script.free_from + self.rng.uniform(1.4, min(room, 2.6)))
            kinds = [k for k in CHANGING if self.script.options(k)]
            weights = np.array([_WEIGHT.get(k, 1.0) / (1 + self._counts[k]) for k in kinds])
            kind = str(self.rng.choice(kinds, p=weights / weights.sum()))
            options = self.script.options(kind)
            self.script.do(kind, completes, **options[int(self.rng.integers(len(options)))])
            self._counts[kind] += 1
            last = completes

    def _attempt(self, until: float) -> None:
        """Nearly any change, given up; a fall that has begun cannot be taken back."""
        kinds = [k for k in CHANGING if k != "drop" and self.script.options(k)]
        kind = str(self.rng.choice(kinds))
        options = self.script.options(kind)
        self.script.attempt(kind, until, **options[int(self.rng.integers(len(options)))])

    @property
    def segments(self) -> list[Segment]:
        s = self.script
        first = Segment(0.0, "start", "The stream begins.", language.state_text(s.states[0][1], self.scene))
        changes = [e for e in s.events if e.kind in CHANGING]
        return [
            first,
            *(
                Segment(e.end, e.kind, language.caption(e, self.scene), language.state_text(s.state_at(e.end), self.scene))
                for e in changes
            ),
        ]

    def state_at(self, t: float) -> WorldState:
        return self.script.state_at(t)

    def event_at(self, t: float, window: float) -> Event | None:
        """What a clip of `window` seconds that ends at t shows: the event that completed in its last 0.7 s, `nothing` where all
        stood still, a `wander` that fills most of it, and None where no single answer is right (an attempt, say)."""
        inside = [e for e in self.events if e.start < t and e.rest > t - window]
        if not inside:
            return Event("nothing", t, t, t)
        done = [e for e in inside if 0.0 <= t - e.end <= 0.7 and e.kind in CHANGING]
        if done:
            return done[-1]
        roaming = inside[-1]
        if len(inside) == 1 and roaming.kind == "wander" and min(t, roaming.end) - max(t - window, roaming.start) > 0.65 * window:
            return roaming
        return None

    def frames(self, fps: float = 15.0, width: int = 640, height: int = 480) -> Iterator[tuple[float, np.ndarray]]:
        """Yields (seconds, RGB uint8 image of (height, width, 3))."""
        yield from self.frames_at([k / fps for k in range(int(self.seconds * fps))], width, height)

    def frames_at(self, times: Sequence[float], width: int = 640, height: int = 480) -> Iterator[tuple[float, np.ndarray]]:
        """As `frames`, at the given times."""
        with self.camera(width, height) as picture:
            for t in times:
                yield t, picture(t)

    @contextmanager
    def camera(self, width: int = 640, height: int = 480) -> Iterator[Callable[[float], np.ndarray]]:
        """Pictures of single moments (seconds), in any order, each with noise of its own: RGB uint8 (height, width, 3)."""
        from .render import Renderer

        with Renderer(self.scene, width, height) as renderer:
            noise = CameraNoise(self.sensor, self.seed)
            yield lambda t: noise.expose(renderer.image(self.script, t, noise.shake()), t)


class CameraNoise:
    """The sensor's randomness, apart from the world's: frames at another rate show the same world."""

    def __init__(self, sensor: Sensor, seed: int) -> None:
        self._sensor, self._rng = sensor, np.random.default_rng([seed, 77])
        self._phase = self._rng.uniform(0, 2 * np.pi)

    def shake(self) -> np.ndarray:
        return self._rng.normal(0.0, self._sensor.shake, 3)

    def expose(self, image_HWC: np.ndarray, t: float) -> np.ndarray:
        gain = self._sensor.gain * (1 + self._sensor.drift * np.sin(2 * np.pi * t / 20.0 + self._phase))
        noise = self._rng.standard_normal(image_HWC.shape, dtype=np.float32) * self._sensor.noise
        return np.clip(image_HWC * np.float32(gain) + noise, 0, 255).astype(np.uint8)


assert set(language.ACTIONS) == set(EVENTS)
