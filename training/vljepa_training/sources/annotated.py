# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag and its corrected segments as pairs of a clip and a text: what `vljepa annotate` began and a person finished.

    state      for moments of every segment that has one: what is true from its start to the next one's
    caption    for clips that end soon after a segment's start: what happened there

A moment is the end of a clip, as in the node. Times are seconds on one line since the camera's first frame, as the file has them.
The bag is read twice: what its clock did is known only at its end.
"""
from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from vljepa_ros.evaluation.recorded.bag import RecordedBag, choose
from vljepa_ros.evaluation.recorded.cameras import Camera
from vljepa_ros.evaluation.recorded.clock import Clock
from vljepa_ros.evaluation.recorded.truth import read_file
from vljepa_ros.evaluation.recorded.types import SourceError
from vljepa_ros.model import ModelConfig
from vljepa_ros.streaming import Clip, ClipParams

from ..tabletop.language import CAPTION_PROMPT
from .media import Shape
from .sample import BrokenSampleError, Record, Sample, Share, Source

log = logging.getLogger(__name__)
NS = 1_000_000_000
BLOCK = 16  # pairs that are held to be put into another order; of 16 frames at 256 x 256, 3 MiB each
SPARSE = ClipParams(stride_s=60.0)  # to follow the clock, next to no picture has to be decoded


@dataclass(frozen=True)
class Segment:
    """From `start_s` up to `end_s`, the world is in one state."""

    index: int
    start_s: float
    end_s: float
    caption: str
    state: str

    @property
    def begun(self) -> bool:
        """It began with an event, and not with the stream."""
        return self.index > 0


@dataclass(frozen=True)
class Pairing:
    """Which clips become pairs."""

    stride_s: float = 0.5  # between the moments of a segment
    margin_s: float = 0.3  # on both sides of a boundary: no person marks it more exactly
    event_s: float = 0.6  # after a boundary, within which a clip shows what happened

    def __post_init__(self) -> None:
        for name in ("stride_s", "margin_s", "event_s"):
            value = getattr(self, name)
            if not 0 <= value < float("inf") or (name == "stride_s" and value == 0):
                raise ValueError(f"{name} must be {'above' if name == 'stride_s' else 'at least'} 0 s, got {value}")


@dataclass(frozen=True, eq=False)
class Pair:
    """One row of a batch."""

    frames_THWC: np.ndarray  # uint8 RGB, at the checkpoint's size
    query: str
    target: str
    kind: str  # state | caption
    segment: int
    t_s: float


class AnnotatedBag:
    """One camera of a bag with its segments. `notes`: what could not be used, one sentence each."""

    def __init__(self, bag: Path, segments: Path, config: ModelConfig | SimpleNamespace, topic: str | None = None) -> None:
        """`config`: whose clips and prompts. `topic`: which camera; None: the most usual one. SourceError: one line."""
        self.bag = RecordedBag(bag)
        (self.topic,) = choose(self.bag, [topic] if topic else [])
        self.config = config
        read_file(segments, Clock([]))  # a file that is none is said before a long bag is read
        self.bad: Counter[str] = Counter()  # images that the last call of `clips` could not use, by cause
        camera = self._watch(SPARSE)
        if not camera.decoded:
            why = camera.last_bad or "its stamps are all zero or repeat"
            raise SourceError(f"{bag}: none of the {camera.frames} images on {self.topic.name} can be used: {why}")
        self.clock = Clock(camera.spans)
        self.seconds = (self.clock.end_ns - self.clock.start_ns) / NS
        self.segments = self._segments(segments)
        self.notes = [*self.bag.notes, *self._notes(camera)]

    def clips(self, params: ClipParams = ClipParams()) -> Iterator[tuple[float, Clip]]:
        """(seconds since the first frame, clip) in order, as the node makes them."""
        camera = Camera(self.topic)
        self.bad = camera.bad
        for clip in camera.clips(self.bag.messages([self.topic]), params, self.config, lambda: None):
            yield self.clock.seconds(clip.stamp_ns, clip.epoch), clip

    def segment_at(self, t_s: float, margin_s: float = 0.0) -> Segment | None:
        """The segment that a moment lies in, at least `margin_s` from its boundaries; None where it lies in none.

        Neither the stream's beginning nor its end is a boundary.
        """
        index = bisect_right([one.start_s for one in self.segments], t_s) - 1
        if index < 0:
            return None
        one = self.segments[index]
        last = index == len(self.segments) - 1
        inside = (not one.begun or t_s >= one.start_s + margin_s) and (last or t_s < one.end_s - margin_s)
        return one if inside else None

    def pairs(self, pairing: Pairing = Pairing()) -> Iterator[Pair]:
        """By time; every call reads the bag anew, so that nothing but the pairs asked for is held."""
        prompts = self.config.prompts
        state, caption = prompts.get("state", ""), prompts.get("caption", CAPTION_PROMPT)
        state_due: dict[int, float] = {}
        told: set[int] = set()
        for t_s, clip in self.clips():
            event = self.segment_at(t_s)
            if event is not None and event.begun and event.caption and event.index not in told:
                if pairing.event_s / 2 <= t_s - event.start_s <= pairing.event_s:
                    told.add(event.index)
                    yield Pair(clip.frames_THWC, caption, event.caption, "caption", event.index, t_s)
            calm = self.segment_at(t_s, pairing.margin_s)
            if calm is not None and calm.state and t_s >= state_due.get(calm.index, -1.0):
                state_due[calm.index] = t_s + pairing.stride_s
                yield Pair(clip.frames_THWC, state, calm.state, "state", calm.index, t_s)

    def _watch(self, params: ClipParams) -> Camera:
        camera = Camera(self.topic)
        for _ in camera.clips(self.bag.messages([self.topic]), params, self.config, lambda: None):
            pass
        return camera

    def _segments(self, file: Path) -> list[Segment]:
        known = read_file(file, self.clock)
        starts = [(one.start_ns - self.clock.start_ns) / NS for one in known]
        if starts[0] >= self.seconds:
            first = f"its first segment begins at {starts[0]:g} s"
            raise SourceError(f"{file}: {first}, the bag has {self.seconds:.1f} s; is it another bag's?")
        return [
            Segment(k, start, end, _plain(one.caption), _plain(one.state))
            for k, (one, start, end) in enumerate(zip(known, starts, [*starts[1:], max(self.seconds, starts[-1])]))
        ]

    def _notes(self, camera: Camera) -> list[str]:
        out = []
        if camera.lost:
            out.append(f"{camera.lost} of {camera.frames} images cannot be used; the last: {camera.last_bad}")
        if late := sum(one.start_s >= self.seconds for one in self.segments):
            out.append(f"{late} of {len(self.segments)} segments begin after the bag's end at {self.seconds:.1f} s")
        if silent := sum(not one.state for one in self.segments):
            out.append(f"{silent} of {len(self.segments)} segments have no state, and give no such pairs")
        return out


class Annotated(Source):
    """An `AnnotatedBag` as a source. A bag is read from front to back, so that an epoch's order is that of time, neighbouring
    `BLOCK`s of pairs shuffled; to go on in the middle, what lies before is read again. Images that cannot be used are counted as
    broken records, by the first share. ValueError, SourceError.
    """

    def __init__(
        self,
        bag: Path,
        segments: Path,
        shape: Shape,
        state: str = "",
        caption: str = CAPTION_PROMPT,
        topic: str | None = None,
        seed: int = 0,
        share: Share = Share(),
    ) -> None:
        """`state`, `caption`: what is asked for the two kinds of pairs."""
        super().__init__(bag.name, seed, share)
        facts = SimpleNamespace(  # what of a ModelConfig clips and queries depend on
            vision=SimpleNamespace(frames=shape.frames),
            preprocess=SimpleNamespace(image_size=shape.size),
            clip_period_s=shape.period_s,
            prompts={"state": state, "caption": caption},
        )
        self.bag = AnnotatedBag(bag, segments, facts, topic)
        for note in self.bag.notes if share.index == 0 else ():
            log.warning("%s: %s", bag, note)

    def records(self, epoch: int) -> Iterator[Record]:
        rng = np.random.default_rng([self.seed, epoch])
        block: list[Pair] = []
        for k, pair in enumerate(self.bag.pairs()):
            if k % self.share.count == self.share.index:
                block.append(pair)
            if len(block) == BLOCK:
                yield from self._shuffled(block, rng)
                block = []
        yield from self._shuffled(block, rng)
        for k, cause in enumerate(self.bag.bad.elements() if self.share.index == 0 else ()):
            yield f"image {k}", lambda cause=cause: _raise(cause)

    def _shuffled(self, block: list[Pair], rng: np.random.Generator) -> Iterator[Record]:
        for k in rng.permutation(len(block)).tolist():
            one = block[k]
            key = f"{one.kind} at {one.t_s:.3f} s"
            yield key, lambda one=one, key=key: Sample(one.frames_THWC, one.query, one.target, self.name, key)


def _raise(cause: str) -> Sample:
    raise BrokenSampleError(f"bad image ({cause})")


def _plain(text: str) -> str:
    """One line: what a person's YAML has broken over several is one text."""
    return " ".join(text.split())
