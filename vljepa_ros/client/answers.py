# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the client gives back: embeddings, matches, answers and words, each with what it is about."""
from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from vljepa_ros.msg import SemanticEmbedding

NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Seen:
    """The predictor's answer to one query about one clip."""

    vector_D: np.ndarray  # float32, norm 1
    space_id: str
    query: str
    stamp_ns: int  # of the clip's newest frame, in the camera's clock
    frame_id: str
    epoch: int
    sequence: int
    novelty: float
    received: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, message: SemanticEmbedding) -> Seen:
        """What a message says, received now."""
        return cls(
            vector_D=np.array(message.vector, np.float32), space_id=message.space_id, query=message.query,
            stamp_ns=message.header.stamp.sec * NS + message.header.stamp.nanosec, frame_id=message.header.frame_id,
            epoch=message.epoch, sequence=message.sequence, novelty=message.novelty,
        )

    @property
    def age_s(self) -> float:
        """Seconds since it arrived here, by this machine's steady clock: clocks that differ and bags that are replayed do not
        matter. It says nothing of the time from the camera to here, which is in /diagnostics."""
        return time.monotonic() - self.received

    @property
    def familiar(self) -> bool:
        """False: the clip is foreign to the checkpoint, and the vector means nothing."""
        return self.novelty <= 1.0


@dataclass(frozen=True, eq=False)
class Match:
    """An embedding that a text was waited for with."""

    score: float  # cosine
    seen: Seen


@dataclass(frozen=True, eq=False)
class Answer:
    """Which candidate answers a question best."""

    best: str
    scores: dict[str, float]  # cosine of every candidate, best first
    seen: Seen  # what it is about: stamp, epoch, novelty

    @property
    def margin(self) -> float:
        """How far the best is ahead of the second, 0 and more; infinite where there is no second."""
        first, *others = self.scores.values()
        return first - others[0] if others else float("inf")


@dataclass(frozen=True)
class Words:
    """The Y-Decoder's words for one vector."""

    text: str
    confidence: float  # 0..1, as calibrated with the checkpoint
    familiar: bool
