# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera of a bag, understood: what a node would have published for it, on one clock that never goes back."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vljepa_ros.cli.recording import Beat, Heard, Recording
from vljepa_ros.cli.replay.prefetch import prefetch
from vljepa_ros.cli.sources import TrueSegment
from vljepa_ros.evaluation.recorded.bag import Message
from vljepa_ros.evaluation.recorded.cameras import Camera
from vljepa_ros.evaluation.recorded.clock import Clock
from vljepa_ros.evaluation.stream import StreamResult, run_clips
from vljepa_ros.streaming import ClipParams, DecodeParams, TransitionParams

NS = 1_000_000_000


@dataclass(frozen=True)
class Settings:
    """What nodes are told by parameters."""

    clip: ClipParams = field(default_factory=ClipParams)
    transition: TransitionParams = field(default_factory=TransitionParams)
    decode: DecodeParams = field(default_factory=DecodeParams)
    query: str | None = None  # the standing query that drives transitions and words; None: the checkpoint's own


@dataclass
class Session:
    """Arrays of one index belong together, one entry per embedding: t_s, result.distances, similarities' rows."""

    camera: Camera
    result: StreamResult
    recording: Recording  # the same, on the clock's line
    clock: Clock
    t_s: np.ndarray
    epochs: np.ndarray
    texts: list[str] = field(default_factory=list)
    similarities_EK: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # cosines: embeddings x texts
    wall_s: float = 0.0

    @property
    def seconds(self) -> float:
        """From the first frame to the last, jumps of the clock left out."""
        return (self.clock.end_ns - self.clock.start_ns) / NS


def understand(
    messages: Iterable[Message], camera: Camera, model: Any, settings: Settings, texts: Sequence[str] = (),
    truth: Callable[[Clock], Sequence[TrueSegment]] | None = None, progress: Callable[[], None] = lambda: None,
) -> Session:
    """Run a camera's messages through the streaming code. `truth` answers on the clock's line."""
    began = time.perf_counter()
    result = StreamResult()
    clips = prefetch(camera.clips(messages, settings.clip, model.config, progress))
    try:
        run_clips(clips, model, result, settings.transition, settings.decode, settings.query)
    finally:
        clips.close()
    result.frames, result.counts = camera.frames, camera.counts
    clock = Clock(camera.spans)
    result.first_ns, result.last_ns = clock.start_ns, clock.end_ns
    vectors_ED = np.stack([one.vector_D for one in result.embeddings]) if result.embeddings else np.zeros((0, model.dim), "f")
    session = Session(
        camera=camera,
        result=result,
        recording=_recording(camera, model, result, clock, None if truth is None else truth(clock)),
        clock=clock,
        t_s=np.array([clock.seconds(one.stamp_ns, one.epoch) for one in result.embeddings]),
        epochs=np.array([one.epoch for one in result.embeddings], int),
        texts=list(texts),
        similarities_EK=vectors_ED @ model.encode_text(list(texts)).T if texts else np.zeros((len(vectors_ED), 0), np.float32),
    )
    session.wall_s = time.perf_counter() - began
    return session


def _recording(camera: Camera, model: Any, result: StreamResult, clock: Clock, truth: Sequence[TrueSegment] | None) -> Recording:
    """What somebody would have heard who is as fast as the stream: texts arrive when they are due."""
    recording = Recording(
        source=camera.topic.name,
        model=model.config.name,
        truth=list(truth or []),
        truth_known=truth is not None,
        start_ns=clock.start_ns,
        end_ns=clock.end_ns,
        published=camera.frames,
    )
    for one, distance, threshold in zip(result.embeddings, result.distances, result.thresholds):
        at_ns = clock.at(one.stamp_ns, one.epoch)
        recording.beats.append(Beat(at_ns, at_ns, one.epoch, one.sequence, distance, threshold))
    for one in result.transitions:
        moved = {name: clock.at(getattr(one, name), one.epoch) for name in ("stamp_ns", "boundary_ns", "segment_start_ns")}
        recording.transitions.append(Heard(replace(one, **moved), moved["stamp_ns"]))
    for one in result.texts:
        request = one.request
        moved = {name: clock.at(getattr(request, name), request.epoch) for name in ("stamp_ns", "segment_start_ns")}
        recording.hear(replace(one, request=replace(request, **moved)), moved["stamp_ns"])
    return recording

