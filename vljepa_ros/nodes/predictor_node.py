# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images in; embeddings, transitions, the distance to the next one and their space out; questions about the latest clip answered.

A callback converts an image and pushes the frame; where that makes a clip, the clip goes into a mailbox. The worker's thread owns
the model: it takes the newest clip, embeds it for every standing query, publishes, and feeds query 0 to the transition detector.
Between clips it answers `~/predict` from the latest clip's visual tokens.

The standing queries may change at any time. A clip carries those of the moment when it was made, so that each is answered whole;
with another query 0 a new epoch begins, so that the detector never holds the answers to two questions against each other.

Several cameras (`cameras`) share the model: each has a slot of its own for its newest clip, and what waits goes through in one
batch. Where the device has no room for that, the clips are lost and the next batch is half as large (`batches.py`).

In step mode the callback waits until its clip has been embedded, so that no clip gives way to a newer one and a bag gives the
same every time it is played; the middleware keeps the frames meanwhile.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.device_faults import free, is_out_of_memory
from vljepa_ros.model.vljepa import Seen
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.batches import BatchSize
from vljepa_ros.nodes.camera_stream import CameraStream, Made, check_names, embedding_of
from vljepa_ros.nodes.conversions import embedding_to_response, space_to_message
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.lifecycle import ACTIVE, ManagedNode, run
from vljepa_ros.nodes.loading import load_model
from vljepa_ros.nodes.parameters import NodeParams
from vljepa_ros.nodes.predictor_figures import NEW_QUERY, PredictorFigures
from vljepa_ros.nodes.services import WAITING, Refused
from vljepa_ros.nodes.worker import TOLERATED_FAILURES, Turns, Worker
from vljepa_ros.srv import Predict
from vljepa_ros.streaming import ClipParams, TransitionParams
from vljepa_ros.streaming.mailboxes import Mailboxes
from vljepa_ros.streaming.parameters import parameter

log = logging.getLogger(__name__)

WARM_UP = 2  # clips: the first call allocates, the second takes as long as any
LOOK_S = 0.1  # how often a step looks whether somebody still works on it


@dataclass(frozen=True)
class PredictorParams(NodeParams):
    """What the predictor is told beside what every node is."""

    queries: tuple[str, ...] = parameter(
        (), "standing queries, the first drives the transitions; [] asks the checkpoint's own; may be changed at any time",
        live=True,
    )
    cameras: tuple[str, ...] = parameter(
        (), "names of several cameras on one model: `front` subscribes to front/image and publishes ~/front/embedding, ...; "
        "[]: one camera, `image`"
    )
    image_transport: str = parameter("raw", "raw: `image`; compressed: `image/compressed`", choices=("raw", "compressed"))
    step: bool = parameter(
        False, "each frame waits for its clip, so that none gives way to a newer one: for bags, which then give the same every "
        "time; wants a reliable publisher"
    )
    silence_s: float = parameter(2.0, "seconds without an image after which the camera counts as silent", (0.1, 3600.0))
    start_s: float = parameter(
        15.0, "seconds after activation that a camera nobody publishes yet may take to start before that is an error",
        (0.1, 3600.0),
    )
    frozen_s: float = parameter(3.0, "seconds of one and the same picture after which the camera counts as frozen; 0: never",
                                (0.0, 3600.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.queries)) < len(self.queries):
            raise ValueError(f"queries must differ from each other, got {list(self.queries)}")
        check_names(self.cameras)


class PredictorNode(ManagedNode):
    """Configure makes model, clip buffer, detector, camera and publishers; activate makes mailbox and worker, and subscribes."""

    def __init__(self, **kwargs) -> None:
        groups = {"": PredictorParams, "clip": ClipParams, "transition": TransitionParams}
        super().__init__("predictor_node", groups, **kwargs)
        self._model: VLJEPA | None = None
        self._queries: tuple[str, ...] = ()
        self._streams: list[CameraStream] = []
        self._inbox: Turns[list[Made]] | None = None
        self._batches = BatchSize(1)
        self._worker: Worker | None = None
        self._step = False
        self._first_epochs: dict[str, int] = {}  # of a camera's next clip buffer: epochs count up over the node's life
        self._paused = False  # the clip buffers hold frames of an earlier activation
        self._figures_of: dict[str, PredictorFigures] = {"": PredictorFigures()}  # by camera, over the node's life
        self._own_services: list[Callable[[], None]] = []  # what takes the cameras' own away
        self._add_reports("")
        self.requests.add(Predict, "~/predict", self._predict)

    def configure(self) -> None:
        params: PredictorParams = self.parameters.read()
        clip_params: ClipParams = self.parameters.read("clip")
        transition_params: TransitionParams = self.parameters.read("transition")
        self._model = load_model(params, ("vision", "predictor"))
        self.check_live("", params)
        self._queries = self._standing(params.queries)
        self._warm_up()
        self._step, self._paused = params.step, False
        names = params.cameras or ("",)
        self._batches = BatchSize(len(names))
        self._streams = [self._stream(name, slot, clip_params, transition_params) for slot, name in enumerate(names)]
        for stream in self._streams:
            stream.open(
                self, self.outputs, transport=params.image_transport, arrival_stamps=clip_params.stamp_source == "arrival",
                silence_s=params.silence_s, start_s=params.start_s, frozen_s=params.frozen_s,
                wanted_per_s=0.0 if params.step else 1 / clip_params.stride_s,  # steps: as fast as the model takes them
                profile=qos.EVERY_IMAGE if params.step else qos.IMAGES,
            )
            if stream.name:
                self._own_services.append(
                    self.requests.add(Predict, stream.topic("predict"), partial(self._predict_of, stream.slot))
                )
        if params.cameras:
            self._remove_reports("")
            for name in names:
                self._add_reports(name)

    def _stream(self, name: str, slot: int, clip_params: ClipParams, transition_params: TransitionParams) -> CameraStream:
        figures = self._figures_of.setdefault(name, PredictorFigures())
        stream = CameraStream(
            name, slot, figures, self._model.config, clip_params, transition_params, self._on_clip, lambda: self._queries
        )
        stream.clips.epoch = self._first_epochs.get(name, 0)
        return stream

    def activate(self) -> None:
        self._publish_space()
        for stream in self._streams:
            if self._paused:
                stream.clips.flush("reactivation")
            stream.figures.embeddings.restart()
            stream.viewed = None
        mailboxes: Mailboxes[Made] = Mailboxes(len(self._streams))
        mailboxes.at_once = self._batches.now
        self._inbox = Turns(mailboxes, WAITING)
        self._worker = Worker(
            "predictor worker", self._inbox, self._work, self.requests.on_death, on_device_lost=self.device_lost
        )
        self.requests.open(self._inbox)
        for stream in self._streams:
            stream.camera.start()

    def deactivate(self) -> None:
        for stream in self._streams:
            if stream.camera is not None:
                stream.camera.stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            self._paused = True
            for made in self._inbox.stream.waiting:
                self._streams[made.slot].figures.drops["deactivated"] += 1
            try:
                worker.stop()
            finally:
                self.requests.close("predictor_node was deactivated before it came to this; ask again when it is active")

    def release(self) -> None:
        for stream in self._streams:
            self._first_epochs[stream.name] = stream.clips.epoch + self._paused
            if stream.name:
                self._remove_reports(stream.name)
                self._add_reports("")
        while self._own_services:
            self._own_services.pop()()
        self._model = self._inbox = None
        self._streams = []

    def check_live(self, prefix: str, params: PredictorParams) -> None:
        self._model.check_queries(params.queries)

    def change_live(self) -> None:
        queries, before = self._standing(self.parameters.value("queries")), self._queries
        if queries == before:
            return
        self._queries = queries
        if self.state == ACTIVE:
            if queries[0] != before[0]:
                for stream in self._streams:
                    stream.clips.begin_epoch(NEW_QUERY)
            self._publish_space()

    def _standing(self, queries: tuple[str, ...]) -> tuple[str, ...]:
        return queries or (self._model.config.prompts.get("state", ""),)

    def _publish_space(self) -> None:
        model = self._model
        for stream in self._streams:
            stream.space_publisher.publish(space_to_message(model.config, model.space_id, model.sha256, self._queries))

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

    def _on_clip(self, made: Made) -> None:
        if self._inbox.put(made) is not None:
            self._streams[made.slot].figures.drops["newer_clip"] += 1
        elif self._step:
            while not made.done.wait(LOOK_S) and not self._inbox.closed:
                pass

    def _work(self, item: list[Made] | Callable[[], None]) -> None:
        """The worker's: clips of as many cameras, or a request."""
        if callable(item):
            item()
            return
        try:
            for queries in dict.fromkeys(made.queries for made in item):  # one, but for the moment in which they change
                self._embed([made for made in item if made.queries == queries], queries)
        finally:
            for made in item:
                made.done.set()

    def _embed(self, batch: list[Made], queries: tuple[str, ...]) -> None:
        """Clips to embeddings, each to its camera's topics."""
        started = time.perf_counter()
        streams = [self._streams[made.slot] for made in batch]
        try:
            seen = self._look(batch, queries)
        except Exception as error:
            if is_out_of_memory(error):
                self._on_no_memory(streams, error)
                return
            for stream in streams:
                stream.figures.drops["model_error"] += 1
            raise
        self._batches.worked()
        self._inbox.stream.at_once = self._batches.now
        took_s = time.perf_counter() - started
        for stream, made, one in zip(streams, batch, seen):
            stream.figures.model_time.add(took_s)
            stream.take(made, one, self._model.space_id)

    def _look(self, batch: list[Made], queries: tuple[str, ...]) -> list[Seen]:
        if len(batch) == 1:
            return [self._model.look(batch[0].clip.frames_THWC, queries)]
        return self._model.look_many([made.clip.frames_THWC for made in batch], queries)

    def _on_no_memory(self, streams: list[CameraStream], error: Exception) -> None:
        """The clips are lost; the device gets back what nobody uses, and fewer clips at once from here on."""
        for stream in streams:
            stream.figures.drops["out_of_memory"] += 1
        self._batches.failed(len(streams))
        self._inbox.stream.at_once = self._batches.now
        if self._batches.failures_in_a_row <= TOLERATED_FAILURES:  # beyond, /diagnostics goes on saying it
            log.warning(
                "the device had no room for %d clips at once, they are lost; at most %d from here on: %s", len(streams),
                self._batches.now, " ".join(str(error).split())[:200],
            )
        free(error)

    def _predict(self, request: Predict.Request) -> Predict.Response:
        """The worker's as well: another question about the latest clip."""
        if self._streams[0].name:
            raise Refused(f"there are several cameras; ask one of them, such as {self._streams[0].topic('predict')}")
        return self._predict_of(0, request)

    def _predict_of(self, slot: int, request: Predict.Request) -> Predict.Response:
        stream = self._streams[slot]
        viewed = stream.viewed
        if viewed is None:
            says = stream.topic("embedding")
            raise Refused(f"there was no clip yet; ask again when {says} speaks (if it never does, /diagnostics says why)")
        self._model.check_queries([request.query])
        vector_D = self._model.predict(viewed.tokens_1ND, [request.query])[0]
        return embedding_to_response(embedding_of(viewed, request.query, vector_D, self._model.space_id))

    # diagnostics

    def _add_reports(self, name: str) -> None:
        for what, report in (("camera", self._report_camera), ("clips", self._report_clips), ("model", self._report_model)):
            self.diagnostics.add(f"{what} {name}".strip(), partial(report, name))

    def _remove_reports(self, name: str) -> None:
        for what in ("camera", "clips", "model"):
            self.diagnostics.remove(f"{what} {name}".strip())

    def _of(self, name: str) -> CameraStream | None:
        return next((stream for stream in self._streams if stream.name == name), None)

    def _report_camera(self, name: str, status: Status) -> None:
        stream = self._of(name)
        if stream is not None and stream.camera is not None:
            stream.camera.report(status)
        else:
            status.summary = "not configured"

    def _report_clips(self, name: str, status: Status) -> None:
        stream = self._of(name)
        self._figures_of[name].report_clips(status, stream.clips if stream else None)

    def _report_model(self, name: str, status: Status) -> None:
        stream = self._of(name)
        self._figures_of[name].report_model(
            status, self._model, self._worker, stream.detector if stream else None, self._batches
        )


def main(args: list[str] | None = None) -> None:
    run(PredictorNode, args)


if __name__ == "__main__":
    main()
