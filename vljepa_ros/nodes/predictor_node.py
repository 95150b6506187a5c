"""Images in; embeddings, transitions, the distance to the next one and their space out; questions about the latest clip answered.

A callback converts an image and pushes the frame; where that makes a clip, the clip goes into a mailbox. The worker's thread owns
the model: it takes the newest clip, embeds it for every standing query, publishes, and feeds query 0 to the transition detector.
Between clips it answers `~/predict` from the latest clip's visual tokens.

The standing queries may change at any time. A clip carries those of the moment when it was made, so that each is answered whole;
with another query 0 a new epoch begins, so that the detector never holds the answers to two questions against each other.

In step mode the callback waits until its clip has been embedded, so that no clip gives way to a newer one and a bag gives the
same every time it is played; the middleware keeps the frames meanwhile.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rclpy.lifecycle import LifecyclePublisher
from torch import Tensor

from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import EmbeddingSpace, SemanticEmbedding, WorldStateDistance, WorldStateTransition
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.camera import Camera
from vljepa_ros.nodes.conversions import (
    distance_to_message,
    embedding_to_message,
    embedding_to_response,
    space_to_message,
    transition_to_message,
)
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.lifecycle import ACTIVE, ManagedNode, run
from vljepa_ros.nodes.loading import load_model
from vljepa_ros.nodes.parameters import NodeParams
from vljepa_ros.nodes.predictor_figures import NEW_QUERY, PredictorFigures
from vljepa_ros.nodes.services import WAITING, Refused
from vljepa_ros.nodes.worker import Turns, Worker
from vljepa_ros.srv import Predict
from vljepa_ros.streaming import Clip, ClipBuffer, ClipParams, Embedding, Frame, Mailbox, TransitionDetector, TransitionParams
from vljepa_ros.streaming.parameters import parameter

WARM_UP = 2  # clips: the first call allocates, the second takes as long as any
LOOK_S = 0.1  # how often a step looks whether somebody still works on it


@dataclass(frozen=True)
class PredictorParams(NodeParams):
    """What the predictor is told beside what every node is."""

    queries: tuple[str, ...] = parameter(
        (), "standing queries, the first drives the transitions; [] asks the checkpoint's own; may be changed at any time",
        live=True,
    )
    image_transport: str = parameter("raw", "raw: `image`; compressed: `image/compressed`", choices=("raw", "compressed"))
    step: bool = parameter(
        False, "each frame waits for its clip, so that none gives way to a newer one: for bags, which then give the same every "
        "time; wants a reliable publisher"
    )
    silence_s: float = parameter(2.0, "seconds without an image after which the camera counts as silent", (0.1, 3600.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.queries)) < len(self.queries):
            raise ValueError(f"queries must differ from each other, got {list(self.queries)}")


@dataclass(frozen=True, eq=False)
class Made:
    """A clip on its way to the worker."""

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


class PredictorNode(ManagedNode):
    """Configure makes model, clip buffer, detector, camera and publishers; activate makes mailbox and worker, and subscribes."""

    def __init__(self, **kwargs) -> None:
        groups = {"": PredictorParams, "clip": ClipParams, "transition": TransitionParams}
        super().__init__("predictor_node", groups, **kwargs)
        self._model: VLJEPA | None = None
        self._queries: tuple[str, ...] = ()
        self._clips: ClipBuffer | None = None
        self._detector: TransitionDetector | None = None
        self._camera: Camera | None = None
        self._inbox: Turns[Made] | None = None
        self._viewed: Viewed | None = None  # the worker's
        self._worker: Worker | None = None
        self._embedding_publisher: LifecyclePublisher | None = None
        self._transition_publisher: LifecyclePublisher | None = None
        self._distance_publisher: LifecyclePublisher | None = None
        self._space_publisher: LifecyclePublisher | None = None
        self._step = False
        self._first_epoch = 0  # of the next clip buffer: epochs count up over the node's life
        self._paused = False  # the clip buffer holds frames of an earlier activation
        self._figures = PredictorFigures()
        self.diagnostics.add("camera", self._report_camera)
        self.diagnostics.add("clips", self._report_clips)
        self.diagnostics.add("model", self._report_model)
        self.requests.add(Predict, "~/predict", self._predict)

    def configure(self) -> None:
        params: PredictorParams = self.parameters.read()
        clip_params: ClipParams = self.parameters.read("clip")
        transition_params: TransitionParams = self.parameters.read("transition")
        self._model = load_model(params, ("vision", "predictor"))
        config = self._model.config
        self.check_live("", params)
        self._queries = self._standing(params.queries)
        self._warm_up()
        self._clips = ClipBuffer(clip_params, config.vision.frames, config.clip_period_s, config.preprocess.image_size)
        self._clips.epoch, self._paused = self._first_epoch, False
        self._detector = TransitionDetector(transition_params)
        self._step = params.step
        self._camera = Camera(
            self, params.image_transport, clip_params.stamp_source == "arrival", self._on_frame, params.silence_s,
            0.0 if params.step else 1 / clip_params.stride_s,  # in steps, frames come as fast as the model takes them
            qos.EVERY_IMAGE if params.step else qos.IMAGES,
        )
        self._embedding_publisher = self.outputs.add(SemanticEmbedding, "~/embedding", qos.RESULTS)
        self._transition_publisher = self.outputs.add(WorldStateTransition, "~/transition", qos.RESULTS)
        self._distance_publisher = self.outputs.add(WorldStateDistance, "~/distance", qos.RESULTS)
        self._space_publisher = self.outputs.add(EmbeddingSpace, "~/space", qos.LATCHED)

    def activate(self) -> None:
        self._publish_space()
        if self._paused:
            self._clips.flush("reactivation")
        self._figures.embeddings.restart()
        self._viewed = None
        self._inbox = Turns(Mailbox(), WAITING)
        self._worker = Worker("predictor worker", self._inbox, self._work, self.requests.on_death)
        self.requests.open(self._inbox)
        self._camera.start()

    def deactivate(self) -> None:
        if self._camera is not None:
            self._camera.stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            self._paused = True
            self._figures.drops["deactivated"] += not self._inbox.stream.empty
            try:
                worker.stop()
            finally:
                self.requests.close("predictor_node was deactivated before it came to this; ask again when it is active")
                self._figures.drops["model_error"] += worker.failures

    def release(self) -> None:
        if self._clips is not None:
            self._first_epoch = self._clips.epoch + self._paused
        self._embedding_publisher = self._transition_publisher = self._distance_publisher = self._space_publisher = None
        self._model = self._clips = self._detector = self._camera = self._inbox = self._viewed = None

    def check_live(self, prefix: str, params: PredictorParams) -> None:
        self._model.check_queries(params.queries)

    def change_live(self) -> None:
        queries, before = self._standing(self.parameters.value("queries")), self._queries
        if queries == before:
            return
        self._queries = queries
        if self.state == ACTIVE:
            if queries[0] != before[0]:
                self._clips.begin_epoch(NEW_QUERY)
            self._publish_space()

    def _standing(self, queries: tuple[str, ...]) -> tuple[str, ...]:
        return queries or (self._model.config.prompts.get("state", ""),)

    def _publish_space(self) -> None:
        model = self._model
        self._space_publisher.publish(space_to_message(model.config, model.space_id, model.sha256, self._queries))

    def _warm_up(self) -> None:
        config = self._model.config
        size = config.preprocess.image_size
        black_THWC = np.zeros((config.vision.frames, size, size, 3), np.uint8)
        for _ in range(WARM_UP):
            started = time.perf_counter()
            self._model.look(black_THWC, self._queries)
        took_ms = (time.perf_counter() - started) * 1e3
        self.get_logger().info(
            f"{config.name}: {took_ms:.0f} ms per clip ({self._model.engine.name}), {len(self._queries)} standing queries, "
            f"space {self._model.space_id}"
        )

    def _on_frame(self, frame: Frame) -> None:
        arrived = time.perf_counter()
        clip = self._clips.push(frame)
        if clip is None:
            return
        made = Made(clip, arrived, self._queries)
        if self._inbox.put(made) is not None:
            self._figures.drops["newer_clip"] += 1
        elif self._step:
            while not made.done.wait(LOOK_S) and not self._inbox.closed:
                pass

    def _work(self, item: Made | Callable[[], None]) -> None:
        """The worker's: a clip, or a request."""
        if callable(item):
            item()
            return
        try:
            self._embed(item.clip, item.arrived, item.queries)
        finally:
            item.done.set()

    def _embed(self, clip: Clip, arrived: float, queries: tuple[str, ...]) -> None:
        """One clip to embeddings, and perhaps a transition.

        The transition goes out before the embedding that showed it. Whoever is behind then still hears of the change before what
        comes after it, and the words for a new state are made of the same embeddings however busy the decoder was.
        """
        started = time.perf_counter()
        seen = self._model.look(clip.frames_THWC, queries)
        self._figures.model_time.add(time.perf_counter() - started)
        self._viewed = Viewed(clip, seen.tokens_1ND, seen.novelty)
        embeddings = [self._embedding(self._viewed, query, vector_D) for query, vector_D in zip(queries, seen.vectors_QD)]
        transition = self._detector.update(embeddings[0])
        if transition is not None:
            self._transition_publisher.publish(transition_to_message(transition))
            self._figures.transitions += 1
        for embedding in embeddings:
            self._embedding_publisher.publish(embedding_to_message(embedding))
        self._figures.latency.add(time.perf_counter() - arrived)
        self._figures.embeddings.tick()
        if self._distance_publisher.get_subscription_count():
            self._distance_publisher.publish(distance_to_message(self._detector.measured(embeddings[0])))

    def _predict(self, request: Predict.Request) -> Predict.Response:
        """The worker's as well: another question about the latest clip."""
        viewed = self._viewed
        if viewed is None:
            raise Refused("there was no clip yet; ask again when ~/embedding speaks (if it never does, /diagnostics says why)")
        self._model.check_queries([request.query])
        vector_D = self._model.predict(viewed.tokens_1ND, [request.query])[0]
        return embedding_to_response(self._embedding(viewed, request.query, vector_D))

    def _embedding(self, viewed: Viewed, query: str, vector_D: np.ndarray) -> Embedding:
        clip = viewed.clip
        return Embedding(
            vector_D=vector_D, stamp_ns=clip.stamp_ns, clip_start_ns=clip.start_ns, epoch=clip.epoch, sequence=clip.sequence,
            space_id=self._model.space_id, query=query, frame_id=clip.frame_id, novelty=viewed.novelty,
        )

    def _report_camera(self, status: Status) -> None:
        if self._camera is not None:
            self._camera.report(status)
        else:
            status.summary = "not configured"

    def _report_clips(self, status: Status) -> None:
        self._figures.report_clips(status, self._clips)

    def _report_model(self, status: Status) -> None:
        self._figures.report_model(status, self._model, self._worker, self._detector)


def main(args: list[str] | None = None) -> None:
    run(PredictorNode, args)


if __name__ == "__main__":
    main()
