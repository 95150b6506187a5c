# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera and understanding in; the annotated picture and numbers for plots out, for people.

Callbacks keep a board of what is known; a frame that is due goes with a look at it into a mailbox, and the worker's thread draws.
The camera is subscribed to only while somebody watches the picture, so that a view that nobody looks at costs next to nothing.
"""
from __future__ import annotations

import time
from dataclasses import dataclass

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecyclePublisher
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.model import checkpoint
from vljepa_ros.msg import DecodedText as DecodedTextMessage
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.camera import Camera
from vljepa_ros.nodes.comparison import Comparison
from vljepa_ros.nodes.conversions import frame_to_compressed_image, frame_to_image, text_from_message
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.lifecycle import ACTIVE, ManagedNode, run
from vljepa_ros.nodes.parameters import NodeParams
from vljepa_ros.nodes.predictor_topics import SILENCE_S, PredictorTopics
from vljepa_ros.nodes.scalars import Scalars, slugs
from vljepa_ros.nodes.topics import Input
from vljepa_ros.nodes.view_figures import ViewFigures
from vljepa_ros.nodes.worker import Worker
from vljepa_ros.streaming import DecodedText, Distance, Embedding, Frame, Mailbox, Transition
from vljepa_ros.streaming.parameters import parameter
from vljepa_ros.viewing.annotate import annotate
from vljepa_ros.viewing.fonts import Fonts
from vljepa_ros.viewing.understanding import Board, Understanding

LOOK_S = 0.2  # how often it looks whether somebody watches
CAMERA_SILENCE_S = 2.0
NUMBERS = ("distance", "threshold", "novelty", "confidence")
MOST_TEXTS = 32


@dataclass(frozen=True)
class ViewParams(NodeParams):
    """What the view is told beside what every node is; `engine`, `device` and `threads` are for the texts."""

    texts: tuple[str, ...] = parameter(
        (), "texts to hold the stream against, a bar and a topic each; [] for none; may be changed at any time", live=True
    )
    query: str = parameter("", "the standing query that drives the transitions and is viewed; empty: the checkpoint's own")
    image_transport: str = parameter("raw", "raw: `image`; compressed: `image/compressed`", choices=("raw", "compressed"))
    rate_hz: float = parameter(10.0, "pictures per second at most", (0.1, 100.0))
    history_s: float = parameter(20.0, "seconds of the detector's distance that are shown", (1.0, 3600.0))
    jpeg_quality: int = parameter(85, "of the compressed picture", (1, 100))
    font: str = parameter("", "a .ttf or .otf file for letters that DejaVu Sans lacks, such as Chinese; empty: DejaVu Sans")

    def __post_init__(self) -> None:
        super().__post_init__()
        if blank := [text for text in self.texts if not text.strip()]:
            raise ValueError(f"texts must say something, got {blank[0]!r} in {list(self.texts)}")
        if len(set(self.texts)) < len(self.texts):
            raise ValueError(f"texts must differ from each other, got {list(self.texts)}")
        if len(self.texts) > MOST_TEXTS:
            raise ValueError(f"texts must be {MOST_TEXTS} at most, got {len(self.texts)}")


class ViewNode(ManagedNode):
    """Configure makes texts' vectors, topics, camera and publishers; activate makes board, mailbox and worker, and subscribes."""

    def __init__(self, **kwargs) -> None:
        super().__init__("view_node", {"": ViewParams}, **kwargs)
        self._params = ViewParams()
        self._fonts: Fonts | None = None
        self._query = ""
        self._comparison: Comparison | None = None
        self._topics: PredictorTopics | None = None
        self._texts: Input | None = None
        self._camera: Camera | None = None
        self._scalars: Scalars | None = None
        self._slugs: dict[str, str] = {}  # text -> name of its topic
        self._image_publisher: LifecyclePublisher | None = None
        self._compressed_publisher: LifecyclePublisher | None = None
        self._board = Board()
        self._newest: Embedding | None = None
        self._words: DecodedText | None = None
        self._heard_at = 0.0  # monotonic time of the newest embedding of use, or of the start
        self._mailbox: Mailbox[tuple[Frame, Understanding]] | None = None
        self._worker: Worker | None = None
        self._watch: Timer | None = None
        self._watched = False
        self._due = 0.0  # monotonic time from which on the next frame is drawn
        self._figures = ViewFigures()
        self.diagnostics.add("camera", self._report_camera)
        self.diagnostics.add("input", self._report_input)
        self.diagnostics.add("pictures", self._report_pictures)

    def configure(self) -> None:
        self._params = params = self.parameters.read()
        manifest = checkpoint.read_manifest(checkpoint.resolve(params.checkpoint))
        self._query = params.query or manifest.config.prompts.get("state", "")
        self._fonts = Fonts(params.font)
        self._comparison = Comparison(params)
        self.check_live("", params)
        self._comparison.prepare(params.texts)
        self._topics = PredictorTopics(
            self, manifest.space_id, manifest.config.dim, self._query, self._on_embedding, self._on_transition, self._on_distance,
            consequence="nothing of it is shown",
        )
        self._texts = Input(self, DecodedTextMessage, "decoder_node/text", self._on_text, qos.LATCHED)
        self._camera = Camera(self, params.image_transport, False, self._on_frame, CAMERA_SILENCE_S, wanted_per_s=0.0)
        self._image_publisher = self.outputs.add(Image, "~/image", qos.PICTURES)
        self._compressed_publisher = self.outputs.add(CompressedImage, "~/image/compressed", qos.PICTURES)
        self._scalars = Scalars(self.outputs)
        self._name(params.texts)

    def activate(self) -> None:
        self._board = Board(self._params.history_s)
        self._newest = self._words = None
        self._heard_at = time.monotonic()
        self._figures.drawn.restart()
        self._mailbox = Mailbox()
        self._worker = Worker("view worker", self._mailbox, self._draw, what="drawing")
        self._comparison.start()
        self._topics.start()
        self._texts.start()
        self._watch = self.create_timer(LOOK_S, self._look_for_watchers, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def deactivate(self) -> None:
        if self._watch is not None:
            self.destroy_timer(self._watch)
            self._watch = None
        self._watched = False
        for one in (self._camera, self._texts, self._topics):
            if one is not None:
                one.stop()
        worker, self._worker = self._worker, None
        try:
            if worker is not None:
                worker.stop()
        finally:
            self._figures.drops["draw_error"] += worker.failures if worker is not None else 0
            if self._comparison is not None:
                self._comparison.stop()

    def release(self) -> None:
        self._fonts = self._comparison = self._topics = self._texts = self._camera = self._scalars = None
        self._image_publisher = self._compressed_publisher = self._mailbox = None

    def check_live(self, prefix: str, params: ViewParams) -> None:
        self._comparison.check(params.texts)

    def change_live(self) -> None:
        texts = self.parameters.value("texts")
        self._name(texts)
        self._comparison.set(texts)

    def _name(self, texts: tuple[str, ...]) -> None:
        """A topic for every text."""
        self._slugs = {text: f"similarity/{slug}" for text, slug in zip(texts, slugs(texts))}
        self._scalars.set((*NUMBERS, *self._slugs.values()), active=self.state == ACTIVE)

    # what is known

    def _on_embedding(self, embedding: Embedding) -> None:
        if embedding.query != self._query:
            return
        self._newest, self._heard_at = embedding, time.monotonic()
        self._board.embed(embedding)
        self._scalars.tell("novelty", embedding.novelty)
        if self._words is not None:
            self._scalars.tell("confidence", self._words.confidence)
        if any(self._scalars.heard(name) for name in self._slugs.values()):
            for text, cosine in self._comparison.cosines(embedding.vector_D):
                if cosine is not None:
                    self._scalars.tell(self._slugs[text], cosine)

    def _on_distance(self, distance: Distance) -> None:
        self._board.measure(distance)
        self._scalars.tell("distance", distance.distance)
        self._scalars.tell("threshold", distance.threshold)

    def _on_transition(self, transition: Transition) -> None:
        self._board.change(transition)

    def _on_text(self, message: DecodedTextMessage) -> None:
        try:
            text = text_from_message(message)
        except ValueError:  # a trigger that this version does not know
            self._figures.drops["bad_text"] += 1
            return
        if text.request.query == self._query:
            self._words = text
            self._board.say(text)

    # pictures

    def _look_for_watchers(self) -> None:
        """Subscribe to the camera when the first one comes, and no longer than the last one stays."""
        watched = any(one.get_subscription_count() for one in (self._image_publisher, self._compressed_publisher))
        if watched and not self._watched:
            self._due = 0.0
            self._camera.start()
        elif self._watched and not watched:
            self._camera.stop()
        self._watched = watched

    def _on_frame(self, frame: Frame) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        period_s = 1 / self._params.rate_hz
        self._due = period_s + (self._due if now - self._due < period_s else now)  # in step with the clock, not with the frames
        if self._newest is not None:
            self._board.compare(self._comparison.cosines(self._newest.vector_D))
        silent_s = now - self._heard_at
        note = f"no embedding for {silent_s:.0f} s" if silent_s >= SILENCE_S else ""
        if self._mailbox.put((frame, self._board.look(note))) is not None:
            self._figures.drops["newer_frame"] += 1

    def _draw(self, item: tuple[Frame, Understanding]) -> None:
        """The worker's: one picture, for whom it is there."""
        frame, known = item
        raw, compressed = (one.get_subscription_count() for one in (self._image_publisher, self._compressed_publisher))
        if not raw and not compressed:
            return
        started = time.perf_counter()
        drawn = Frame(frame.stamp_ns, annotate(frame.image_HWC, known, self._fonts), frame.frame_id)
        if raw:
            self._image_publisher.publish(frame_to_image(drawn))
        if compressed:
            self._compressed_publisher.publish(frame_to_compressed_image(drawn, self._params.jpeg_quality))
        self._figures.drawn.tick()
        self._figures.draw_time.add(time.perf_counter() - started)

    # reports

    def _report_camera(self, status: Status) -> None:
        if self._camera is None:
            status.summary = "not configured"
            return
        self._camera.report(status)
        status.value("watched", self._watched)
        if not self._watched:
            status.summary = "nobody watches the picture, so the camera is left alone"

    def _report_input(self, status: Status) -> None:
        if self._topics is not None:
            self._topics.report(status)
        else:
            status.summary = "not configured"

    def _report_pictures(self, status: Status) -> None:
        self._figures.report(status, self._comparison, self._worker)


def main(args: list[str] | None = None) -> None:
    run(ViewNode, args)


if __name__ == "__main__":
    main()
