# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded stream through the streaming code, frame by frame and without dropping any: the same input gives the same output.

What the nodes do in threads and processes happens here in one loop, with the same clip buffer, detector and policy. Knows no bag
format: frames come from an iterator.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vljepa_ros.evaluation.pixels import PixelDifference
from vljepa_ros.streaming import (
    Clip,
    ClipBuffer,
    ClipParams,
    DecodedText,
    DecodeParams,
    DecodePolicy,
    DecodeRequest,
    Distance,
    Embedding,
    Frame,
    Transition,
    TransitionDetector,
    TransitionParams,
)

NS = 1_000_000_000


class Model(Protocol):
    """What is needed of `vljepa_ros.model.VLJEPA`."""

    config: object  # vision.frames, clip_period_s, preprocess.image_size, prompts

    @property
    def space_id(self) -> str: ...

    def watch(self, frames_THWC: np.ndarray, queries: Sequence[str]) -> tuple[np.ndarray, float]: ...

    def decode_full(self, vectors: np.ndarray) -> list: ...


@dataclass
class StreamResult:
    """All that a run gave, in stream order. Lists of one index belong together: embeddings, measured, distances, thresholds,
    embed_s."""

    first_ns: int = 0
    last_ns: int = 0
    frames: int = 0
    frame_stamps_ns: list[int] = field(default_factory=list)
    pixel_differences: list[float] = field(default_factory=list)  # one per frame, grey levels
    embeddings: list[Embedding] = field(default_factory=list)
    measured: list[Distance] = field(default_factory=list)  # the detector's view after each embedding; of it, the next two:
    distances: list[float] = field(default_factory=list)  # merge costs
    thresholds: list[float] = field(default_factory=list)
    embed_s: list[float] = field(default_factory=list)  # what each embedding took to compute
    transitions: list[Transition] = field(default_factory=list)
    texts: list[DecodedText] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # the clip buffer's

    def saw(self, stamp_ns: int) -> None:
        """Count a frame."""
        self.first_ns = self.first_ns if self.frames else stamp_ns
        self.last_ns = stamp_ns
        self.frames += 1
        self.frame_stamps_ns.append(stamp_ns)

    @property
    def seconds(self) -> float:
        """From the first frame's stamp to the last one's."""
        return (self.last_ns - self.first_ns) / NS

    @property
    def boundaries_s(self) -> list[float]:
        """Detected boundaries, in seconds since the first frame."""
        return [(one.boundary_ns - self.first_ns) / NS for one in self.transitions]

    def spoken_s(self) -> list[float]:
        """For each transition the stream time (since the first frame) at which its segment's text was due, NaN where it never
        was.

        Computing is not in it: add what embedding and decoding take on the machine in question.
        """
        due = {one.request.segment_start_ns: one.request.stamp_ns for one in reversed(self.texts)}
        return [
            (due[one.boundary_ns] - self.first_ns) / NS if one.boundary_ns in due else float("nan") for one in self.transitions
        ]


def run(
    frames: Iterable[Frame],
    model: Model,
    clip: ClipParams = ClipParams(),
    transition: TransitionParams = TransitionParams(),
    decode: DecodeParams = DecodeParams(),
    query: str | None = None,
    words: bool = True,
) -> StreamResult:
    """Run frames through clips, `model`, transitions and texts. `query`: None is the checkpoint's state prompt. `words=False`: no
    texts.

    Embeddings are cached nowhere: to try detector settings on one run, use `rerun` on its embeddings.
    """
    config = model.config
    buffer = ClipBuffer(clip, config.vision.frames, config.clip_period_s, config.preprocess.image_size)
    pixels, result = PixelDifference(), StreamResult(counts=buffer.counts)

    def clips() -> Iterator[Clip]:
        for frame in frames:
            result.saw(frame.stamp_ns)
            result.pixel_differences.append(pixels.update(frame.image_HWC))
            made = buffer.push(frame)
            if made is not None:
                yield made

    return run_clips(clips(), model, result, transition, decode, query, words)


def run_clips(
    clips: Iterable[Clip],
    model: Model,
    result: StreamResult,
    transition: TransitionParams = TransitionParams(),
    decode: DecodeParams = DecodeParams(),
    query: str | None = None,
    words: bool = True,
) -> StreamResult:
    """Clips through `model`, transitions and texts, into `result`. What is known of frames, whoever makes the clips adds."""
    query = model.config.prompts["state"] if query is None else query
    detector, policy = TransitionDetector(transition), DecodePolicy(decode, query)
    for made in clips:
        began = time.perf_counter()
        vectors_1D, novelty = model.watch(made.frames_THWC, [query])
        result.embed_s.append(time.perf_counter() - began)
        embedding = Embedding(
            vector_D=vectors_1D[0],
            stamp_ns=made.stamp_ns,
            clip_start_ns=made.start_ns,
            epoch=made.epoch,
            sequence=made.sequence,
            space_id=model.space_id,
            query=query,
            frame_id=made.frame_id,
            novelty=novelty,
        )
        request = _understand(embedding, detector, policy, result)
        if words and request is not None:
            result.texts.append(_decode(model, request))
    return result


def rerun(
    embeddings: Iterable[Embedding], transition: TransitionParams = TransitionParams(), decode: DecodeParams = DecodeParams()
) -> tuple[StreamResult, list[DecodeRequest]]:
    """Embeddings of an earlier run through detector and policy: what other settings would have done, in a fraction of the time.

    `first_ns` is the first embedding's stamp; requests are returned undecoded.
    """
    embeddings = list(embeddings)
    detector, policy = TransitionDetector(transition), DecodePolicy(decode)
    result = StreamResult()
    if embeddings:
        result.first_ns, result.last_ns = embeddings[0].stamp_ns, embeddings[-1].stamp_ns
    requests = [_understand(embedding, detector, policy, result) for embedding in embeddings]
    return result, [one for one in requests if one is not None]


def _understand(
    embedding: Embedding, detector: TransitionDetector, policy: DecodePolicy, result: StreamResult
) -> DecodeRequest | None:
    transition = detector.update(embedding)
    result.embeddings.append(embedding)
    result.measured.append(detector.measured(embedding))
    result.distances.append(detector.distance)
    result.thresholds.append(detector.threshold)
    if transition is not None:
        result.transitions.append(transition)
    return policy.update(embedding, transition)


def _decode(model: Model, request: DecodeRequest) -> DecodedText:
    began = time.perf_counter()
    decoded = model.decode_full(request.vector_D[None])[0]
    return DecodedText(
        request=request,
        text=decoded.text,
        confidence=decoded.confidence,
        familiar=decoded.familiar and request.familiar,
        seconds=time.perf_counter() - began,
    )
