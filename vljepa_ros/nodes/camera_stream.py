# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera of the predictor: its images, clips, epochs and detector, and its topics, from subscription to publishing.

Without a name its topics are `image` and `~/embedding`, `~/transition`, ...; the camera `front` has `front/image` and
`~/front/embedding`, `~/front/transition`, .... Knows nothing of the model: clips go to `on_clip`, what they gave comes back.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from torch import Tensor

from vljepa_ros.model import ModelConfig
from vljepa_ros.model.vljepa import Seen
from vljepa_ros.msg import EmbeddingSpace, SemanticEmbedding, WorldStateDistance, WorldStateTransition
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.camera import Camera
from vljepa_ros.nodes.conversions import distance_to_message, embedding_to_message, transition_to_message
from vljepa_ros.nodes.predictor_figures import PredictorFigures
from vljepa_ros.nodes.topics import Outputs
from vljepa_ros.streaming import Clip, ClipBuffer, ClipParams, Embedding, Frame, TransitionDetector, TransitionParams


@dataclass(frozen=True, eq=False)
class Made:
    """A clip on its way to the worker."""

    slot: int  # the index of its camera
    clip: Clip
    arrived: float  # perf_counter, its newest frame
    queries: tuple[str, ...]  # that stood when it was made
    done: threading.Event = field(default_factory=threading.Event)  # the worker has had it, whatever came of it


@dataclass(frozen=True, eq=False)
class Viewed:
    """What is kept of the latest clip: whatever else is asked about it costs the Predictor alone."""

    clip: Clip
    tokens_1ND: Tensor
    novelty: float


class CameraStream:
    """Made on configure, for as long as the model is there. Frames come in the executor's thread, `take` in the worker's."""

    def __init__(
        self, name: str, slot: int, figures: PredictorFigures, config: ModelConfig, clip_params: ClipParams,
        transition_params: TransitionParams, on_clip: Callable[[Made], None], queries: Callable[[], tuple[str, ...]],
    ) -> None:
        """`queries`: the standing ones at the moment."""
        self.name, self.slot, self.figures = name, slot, figures
        self.clips = ClipBuffer(clip_params, config.vision.frames, config.clip_period_s, config.preprocess.image_size)
        self.detector = TransitionDetector(transition_params)
        self.camera: Camera | None = None
        self.viewed: Viewed | None = None  # the worker's
        self._on_clip, self._queries = on_clip, queries

    def open(self, node: LifecycleNode, outputs: Outputs, **camera: Any) -> None:
        """Subscription (still closed) and publishers. `camera`: what Camera wants to be told."""
        self.camera = Camera(node, on_frame=self.on_frame, name=self.name, **camera)
        self.embedding_publisher = outputs.add(SemanticEmbedding, self.topic("embedding"), qos.RESULTS)
        self.transition_publisher = outputs.add(WorldStateTransition, self.topic("transition"), qos.RESULTS)
        self.distance_publisher = outputs.add(WorldStateDistance, self.topic("distance"), qos.RESULTS)
        self.space_publisher = outputs.add(EmbeddingSpace, self.topic("space"), qos.LATCHED)

    def topic(self, name: str) -> str:
        return f"~/{self.name}/{name}" if self.name else f"~/{name}"

    def on_frame(self, frame: Frame) -> None:
        arrived = perf_counter()
        clip = self.clips.push(frame)
        if clip is not None:
            self._on_clip(Made(self.slot, clip, arrived, self._queries()))

    def take(self, made: Made, seen: Seen, space_id: str) -> None:
        """What a clip gave, published; and perhaps a transition.

        The transition goes out before the embedding that showed it. Whoever is behind then still hears of the change before what
        comes after it, and the words for a new state are made of the same embeddings however busy the decoder was.
        """
        self.viewed = Viewed(made.clip, seen.tokens_1ND, seen.novelty)
        embeddings = [embedding_of(self.viewed, *pair, space_id) for pair in zip(made.queries, seen.vectors_QD)]
        transition = self.detector.update(embeddings[0])
        if transition is not None:
            self.transition_publisher.publish(transition_to_message(transition))
            self.figures.transitions += 1
        for embedding in embeddings:
            self.embedding_publisher.publish(embedding_to_message(embedding))
        self.figures.latency.add(perf_counter() - made.arrived)
        self.figures.embeddings.tick()
        if self.distance_publisher.get_subscription_count():
            self.distance_publisher.publish(distance_to_message(self.detector.measured(embeddings[0])))


def embedding_of(viewed: Viewed, query: str, vector_D: np.ndarray, space_id: str) -> Embedding:
    clip = viewed.clip
    return Embedding(
        vector_D=vector_D, stamp_ns=clip.stamp_ns, clip_start_ns=clip.start_ns, epoch=clip.epoch, sequence=clip.sequence,
        space_id=space_id, query=query, frame_id=clip.frame_id, novelty=viewed.novelty,
    )


def check_names(names: Sequence[str]) -> None:
    """ValueError names the first camera whose name cannot be part of a topic, or that is there twice."""
    for name in names:
        if not (name.isascii() and name.isidentifier()):
            raise ValueError(f"cameras must be names of letters, digits and _ that begin with no digit, got {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"cameras must differ from each other, got {list(names)}")
    if taken := {"embedding", "transition", "distance", "space", "predict"} & set(names):
        raise ValueError(f"cameras must not be called as the topics are, got {sorted(taken)[0]!r}")
