# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's ear: a node in the demo's own process that writes down what both nodes publish and the camera shows.

Times of arrival are taken in the callback, on the clock that the player stamps with. Spins in a thread of its own.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from vljepa_ros.cli.names import Names
from vljepa_ros.cli.recording import Beat, Heard, Recording, Thumbnail
from vljepa_ros.evaluation.recorded.serialised import picture
from vljepa_ros.streaming import TransitionDetector

THUMBNAIL_HEIGHT = 120  # pixels
THUMBNAIL_PERIOD_S = 0.5
MAX_THUMBNAILS = 1200  # beyond it every second one goes, and they come half as often


class Monitor:
    """Fills `recording` from the moment it is made until `close`. Needs an environment in which rclpy finds the nodes."""

    def __init__(
        self, recording: Recording, names: Names, detector: Callable[[], TransitionDetector] = TransitionDetector
    ) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import qos_profile_sensor_data
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import CompressedImage, Image

        from vljepa_ros.msg import DecodedText, EmbeddingSpace, SemanticEmbedding, WorldStateTransition
        from vljepa_ros.nodes import qos

        self.recording, self.names = recording, names
        self.failure: BaseException | None = None  # what ended the thread, if anything but `close` did
        self._detector = detector()
        self._query: str | None = None  # the first query's embeddings drive the transitions, as in the predictor
        self._thumbnail_period_s, self._thumbnail_due = THUMBNAIL_PERIOD_S, 0.0
        self._image_type = CompressedImage if names.compressed else Image
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("demo_monitor", context=self._context)
        for message, topic, callback, profile in (
            (SemanticEmbedding, names.of_predictor("embedding"), self._on_embedding, qos.RESULTS),
            (WorldStateTransition, names.of_predictor("transition"), self._on_transition, qos.RESULTS),
            (EmbeddingSpace, names.of_predictor("space"), self._on_space, qos.LATCHED),
            (DecodedText, names.of_decoder("text"), self._on_text, qos.LATCHED),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.RESULTS),
        ):
            self.node.create_subscription(message, topic, callback, qos.copy(profile))
        # As bytes: of the camera's frames only two a second are ever looked at.
        self.node.create_subscription(self._image_type, names.image, self._on_image, qos_profile_sensor_data, raw=True)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening. Safe to call twice."""
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        if self._context.ok():
            self.node.destroy_node()
            self._context.try_shutdown()

    def listening(self) -> dict[str, bool]:
        """Which of the two nodes subscribe to what they live on: a managed node does so when it is active."""
        return {
            self.names.predictor: self._subscribes(self.names.predictor, self.names.image),
            self.names.decoder: self._subscribes(self.names.decoder, self.names.of_predictor("embedding")),
        }

    def _subscribes(self, node: str, topic: str) -> bool:
        return any(info.node_name == node for info in self.node.get_subscriptions_info_by_topic(topic))

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        except BaseException as error:  # noqa: BLE001  the demo looks at it and says so
            self.failure = error

    def _on_embedding(self, message) -> None:
        from vljepa_ros.nodes.conversions import embedding_from_message

        received_ns = time.time_ns()
        if self._query is None:
            self._query = message.query
        if message.query != self._query:
            return
        embedding = embedding_from_message(message)
        self._detector.update(embedding)
        self.recording.beats.append(
            Beat(
                embedding.stamp_ns,
                received_ns,
                embedding.epoch,
                embedding.sequence,
                self._detector.distance,
                self._detector.threshold,
            )
        )

    def _on_transition(self, message) -> None:
        from vljepa_ros.nodes.conversions import transition_from_message

        self.recording.transitions.append(Heard(transition_from_message(message), time.time_ns()))

    def _on_text(self, message) -> None:
        from vljepa_ros.nodes.conversions import text_from_message

        self.recording.hear(text_from_message(message), time.time_ns())

    def _on_space(self, message) -> None:
        self.recording.model = f"{message.model} · space {message.space_id[:8]}"
        if message.queries:
            self._query = message.queries[0]

    def _on_diagnostics(self, message) -> None:
        for status in message.status:
            level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            self.recording.levels[status.name] = (level, status.message)
            self.recording.diagnostics[status.name] = {value.key: value.value for value in status.values}

    def _on_image(self, cdr: bytes) -> None:
        now = time.monotonic()
        if now < self._thumbnail_due:
            return
        self._thumbnail_due = now + self._thumbnail_period_s
        image_HWC = picture(cdr, self.names.compressed)
        if image_HWC is None or 0 in image_HWC.shape:
            return
        thumbnails = self.recording.thumbnails
        thumbnails.append(Thumbnail(time.time_ns(), _small(image_HWC)))
        if len(thumbnails) > MAX_THUMBNAILS:
            self.recording.thumbnails = thumbnails[::2]
            self._thumbnail_period_s *= 2


def _small(image_HWC: np.ndarray) -> np.ndarray:
    import cv2

    height, width = image_HWC.shape[:2]
    return cv2.resize(
        image_HWC, (max(1, round(width * THUMBNAIL_HEIGHT / height)), THUMBNAIL_HEIGHT), interpolation=cv2.INTER_AREA
    )
