# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The things that travel along a stream: frame -> clip -> embedding -> transition -> decode request -> text.

All stamps are integer nanoseconds of the camera's clock, never of the machine that computes. All vectors are float32 of norm 1
and belong to exactly one space, named by `space_id`. Knows nothing of ROS and nothing of the network that makes the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np


@dataclass(frozen=True, eq=False)
class Frame:
    """One camera image."""

    stamp_ns: int
    image_HWC: np.ndarray  # uint8, RGB, read-only by convention
    frame_id: str = ""


@dataclass(frozen=True, eq=False)
class Clip:
    """The model's input: frames on the checkpoint's clip period, oldest first, all of one epoch.

    `stamp_ns` is the newest frame's: a clip is causal and never holds a frame later than the stamp it goes out with.
    """

    frames_THWC: np.ndarray  # uint8, RGB, at the model's image size
    stamps_ns: tuple[int, ...]  # one per frame, ascending; repeated where one camera frame serves two clip positions
    epoch: int
    sequence: int  # counts clips from 0 over the stream's whole life, epochs included
    frame_id: str = ""

    @property
    def stamp_ns(self) -> int:
        return self.stamps_ns[-1]

    @property
    def start_ns(self) -> int:
        return self.stamps_ns[0]


@dataclass(frozen=True, eq=False)
class Embedding:
    """What the Predictor says of one clip, for one query."""

    vector_D: np.ndarray  # float32, norm 1
    stamp_ns: int  # of the clip's newest frame
    clip_start_ns: int  # of the clip's oldest frame
    epoch: int
    sequence: int
    space_id: str
    query: str = ""
    frame_id: str = ""
    novelty: float = 0.0  # how foreign the clip is to the checkpoint: above 1, do not trust the vector; 0 where nobody judges


@dataclass(frozen=True, eq=False)
class Transition:
    """The state of the world changed: a segment of the stream ended and another began."""

    stamp_ns: int  # of the embedding at which the change was certain
    boundary_ns: int  # of the first embedding of the new segment
    epoch: int
    segment: int  # index of the segment that begins, counted over the stream's whole life
    segment_start_ns: int  # start of the segment that ended
    distance: float  # Ward merge cost of both segments, in seconds times squared distance
    threshold: float  # the same unit
    space_id: str
    before_D: np.ndarray  # mean embedding of the segment that ended, norm 1
    after_D: np.ndarray  # mean embedding of the new segment so far, norm 1
    frame_id: str = ""


@dataclass(frozen=True)
class Distance:
    """How far an embedding is from ending its segment, as the detector sees it."""

    stamp_ns: int  # of the embedding
    epoch: int
    segment: int  # index of the current segment, counted over the stream's whole life
    segment_start_ns: int
    distance: float  # the latest merge cost, in seconds times squared distance
    threshold: float  # what it has to be above for a transition, the same unit
    frame_id: str = ""


class Trigger(Enum):
    """Why a text was asked for."""

    START = "START"  # the first settled segment of an epoch
    CHANGE = "CHANGE"  # a transition
    MAX_SILENCE = "MAX_SILENCE"  # nothing was said for longer than the policy allows
    REQUEST = "REQUEST"  # somebody asked


@dataclass(frozen=True, eq=False)
class DecodeRequest:
    """A vector worth words: the mean embedding of a settled segment."""

    vector_D: np.ndarray  # float32, norm 1
    stamp_ns: int  # of the newest embedding in the mean
    segment_start_ns: int
    segment: int
    epoch: int
    trigger: Trigger
    space_id: str
    query: str = ""
    frame_id: str = ""
    novelty: float = 0.0  # median of the segment's embeddings, as far as the mean reaches: above 1 where most are foreign

    @property
    def familiar(self) -> bool:
        """Written so that a NaN is foreign."""
        return self.novelty <= 1.0


@dataclass(frozen=True, eq=False)
class DecodedText:
    """The Y-Decoder's words for a `DecodeRequest`."""

    request: DecodeRequest
    text: str
    confidence: float  # 0..1, as calibrated with the checkpoint
    familiar: bool  # False: what the camera shows, or the text, lies outside what the checkpoint was calibrated on
    seconds: float  # time that decoding took
    label: str = ""  # nearest of the labels set, "" without labels
    score: float = 0.0  # cosine similarity to that label
