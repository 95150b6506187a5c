# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings and transitions in; words out, once per segment. Between vectors and texts it translates for others, too.

A callback asks the policy; a request for words goes into a short queue. The worker's thread owns the decoder, so slow words never
hold up a callback. A request that finds the queue full pushes out the oldest, which is counted. Between texts the worker answers
`~/encode_text` and `~/decode_text`. A text that the device has no room for is lost, counted and said; the next one is tried.
"""
from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rclpy.lifecycle import LifecyclePublisher

from vljepa_ros.model import VLJEPA, CheckpointError
from vljepa_ros.model.device_faults import free, is_out_of_memory
from vljepa_ros.msg import DecodedText as DecodedTextMessage
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.conversions import decoded_to_response, text_to_message, vectors_from_request, vectors_to_response
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.lifecycle import ManagedNode, run
from vljepa_ros.nodes.loading import load_model
from vljepa_ros.nodes.parameters import NodeParams
from vljepa_ros.nodes.predictor_topics import PredictorTopics
from vljepa_ros.nodes.services import WAITING, Refused
from vljepa_ros.nodes.statistics import Durations, Recent
from vljepa_ros.nodes.worker import TOLERATED_FAILURES, RequestQueue, Turns, Worker
from vljepa_ros.srv import DecodeText, EncodeText
from vljepa_ros.streaming import DecodedText, DecodeParams, DecodePolicy, DecodeRequest, Embedding, Transition
from vljepa_ros.streaming.parameters import parameter

log = logging.getLogger(__name__)

# What one request may cost the words that wait behind it: about half a second each on a busy core.
MAX_TEXTS, MAX_CHARACTERS = 64, 4096  # per request of ~/encode_text; characters per text
MAX_VECTORS = 64  # per request of ~/decode_text


@dataclass(frozen=True)
class DecoderParams(NodeParams):
    """What the decoder is told beside what every node is."""

    query: str = parameter("", "the standing query whose embeddings are put into words; empty: the checkpoint's own")
    labels: tuple[str, ...] = parameter(
        (), "names to choose from: the nearest goes with every text; [] for none; may be changed at any time", live=True
    )
    text_encoder: bool = parameter(True, "load the Y-Encoder, for ~/encode_text and labels; false saves its memory")
    queue: int = parameter(8, "texts that may wait; beyond, the oldest is given up and counted", (1, 1000))

    def __post_init__(self) -> None:
        super().__post_init__()
        if "" in self.labels:
            raise ValueError(f"labels must not be empty texts, got {list(self.labels)}")


class DecoderNode(ManagedNode):
    """Configure makes decoder, labels, topics and publisher; activate makes policy, queue and worker."""

    def __init__(self, **kwargs) -> None:
        super().__init__("decoder_node", {"": DecoderParams, "decode": DecodeParams}, **kwargs)
        self._decode_params = DecodeParams()
        self._labels: tuple[tuple[str, ...], np.ndarray] | None = None  # and where they lie, (N, D); the worker's, None for none
        self._model: VLJEPA | None = None
        self._query = ""
        self._topics: PredictorTopics | None = None
        self._policy: DecodePolicy | None = None
        self._queue: RequestQueue[tuple[DecodeRequest, float]] | None = None
        self._inbox: Turns[tuple[DecodeRequest, float]] | None = None
        self._worker: Worker | None = None
        self._publisher: LifecyclePublisher | None = None
        self._texts = 0
        self._decode_time, self._latency = Durations(), Durations()
        self._drops: Counter[str] = Counter(queue_full=0, deactivated=0, decode_error=0, out_of_memory=0)
        self._no_room_in_a_row = 0  # texts that the device had no room for
        self._recent = Recent()
        self.diagnostics.add("input", self._report_input)
        self.diagnostics.add("texts", self._report_texts)
        self.requests.add(EncodeText, "~/encode_text", self._encode_text)
        self.requests.add(DecodeText, "~/decode_text", self._decode_text)

    def configure(self) -> None:
        params: DecoderParams = self.parameters.read()
        self._decode_params = self.parameters.read("decode")
        self._model = self._load(params)
        self.check_live("", params)
        self._place_labels(params.labels)
        self._query = params.query or self._model.config.prompts.get("state", "")
        self._warm_up()
        self._topics = PredictorTopics(
            self, self._model.space_id, self._model.dim, self._query, self._on_embedding, self._on_transition
        )
        self._publisher = self.outputs.add(DecodedTextMessage, "~/text", qos.LATCHED)

    def activate(self) -> None:
        self._policy = DecodePolicy(self._decode_params, self._query)
        self._queue = RequestQueue(self.parameters.value("queue"))
        self._inbox = Turns(self._queue, WAITING)
        self._worker = Worker(
            "decoder worker", self._inbox, self._work, self.requests.on_death, on_device_lost=self.device_lost
        )
        self.requests.open(self._inbox)
        self._topics.start()

    def deactivate(self) -> None:
        if self._topics is not None:
            self._topics.stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            self._drops["deactivated"] += len(self._queue)
            try:
                worker.stop()
            finally:
                self.requests.close("decoder_node was deactivated before it came to this; ask again when it is active")
                self._drops["decode_error"] += worker.failures

    def release(self) -> None:
        self._publisher = self._model = self._labels = self._topics = self._policy = self._queue = self._inbox = None

    def check_live(self, prefix: str, params: DecoderParams) -> None:
        if prefix == "" and params.labels:
            if "text_encoder" not in self._model.modules:
                raise ValueError("labels need the Y-Encoder: set text_encoder to true and configure the node again")
            try:
                self._model.check_texts(params.labels)
            except ValueError as error:
                raise ValueError(f"labels: {error}") from None

    def change_live(self) -> None:
        """The worker's to do where there is one, for the model is its own."""
        labels = self.parameters.value("labels")
        if self._worker is None or not self._inbox.ask(lambda: self._place_labels(labels), urgent=True):
            self._place_labels(labels)

    def _load(self, params: DecoderParams) -> VLJEPA:
        parts = ("text_decoder", "text_encoder") if params.text_encoder or params.labels else ("text_decoder",)
        try:
            return load_model(params, parts)
        except CheckpointError as error:
            if "has no part text_encoder" not in str(error) or params.labels:
                raise
            raise ValueError(f"{error}; or set text_encoder to false, if nobody needs ~/encode_text") from None

    def _place_labels(self, labels: tuple[str, ...]) -> None:
        self._labels = None  # should there be no room for the new ones, no text goes with an old one
        if labels:
            self._labels = labels, self._model.encode_text(labels)

    def _warm_up(self) -> None:
        started = time.perf_counter()
        self._model.decode(np.full(self._model.dim, self._model.dim**-0.5, np.float32))
        took_ms = (time.perf_counter() - started) * 1e3
        self.get_logger().info(f"{self._model.config.name}: {took_ms:.0f} ms for the first text, space {self._model.space_id}")

    def _on_embedding(self, embedding: Embedding) -> None:
        self._ask(self._policy.update(embedding))

    def _on_transition(self, transition: Transition) -> None:
        self._ask(self._policy.update(transition=transition))

    def _ask(self, request: DecodeRequest | None) -> None:
        if request is not None and self._inbox.put((request, time.perf_counter())) is not None:
            self._drops["queue_full"] += 1

    def _work(self, item: tuple[DecodeRequest, float] | Callable[[], None]) -> None:
        """The worker's: words for the stream, or somebody's request."""
        if callable(item):
            item()
            return
        try:
            self._speak(*item)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._on_no_memory(error)
        else:
            self._no_room_in_a_row = 0

    def _on_no_memory(self, error: Exception) -> None:
        """The text is lost; the device gets back what nobody uses."""
        self._drops["out_of_memory"] += 1
        self._no_room_in_a_row += 1
        if self._no_room_in_a_row <= TOLERATED_FAILURES:  # beyond, /diagnostics goes on saying it
            log.warning("the device had no room for a text, it is lost: %s", " ".join(str(error).split())[:200])
        free(error)

    def _speak(self, request: DecodeRequest, asked: float) -> None:
        started = time.perf_counter()
        decoded = self._model.decode_full(request.vector_D)[0]
        label, score = self._nearest_label(request.vector_D)
        seconds = time.perf_counter() - started
        self._publisher.publish(text_to_message(
            DecodedText(request, decoded.text, decoded.confidence, decoded.familiar and request.familiar, seconds, label, score)
        ))
        self._texts += 1
        self._decode_time.add(seconds)
        self._latency.add(time.perf_counter() - asked)

    def _nearest_label(self, vector_D: np.ndarray) -> tuple[str, float]:
        if self._labels is None:
            return "", 0.0
        labels, labels_ND = self._labels
        cosines_N = labels_ND @ vector_D
        return labels[int(cosines_N.argmax())], float(cosines_N.max())

    def _encode_text(self, request: EncodeText.Request) -> EncodeText.Response:
        """The worker's as well."""
        if "text_encoder" not in self._model.modules:
            raise Refused("text_encoder is false, so this node cannot place texts; set it to true and configure the node again")
        if not 1 <= len(request.texts) <= MAX_TEXTS:
            raise Refused(f"texts must be 1 to {MAX_TEXTS}, got {len(request.texts)}; ask in several requests")
        for index, text in enumerate(request.texts):
            if len(text) > MAX_CHARACTERS:
                raise Refused(f"texts[{index}] has {len(text)} characters, more than {MAX_CHARACTERS}; shorten it")
        self._model.check_texts(request.texts)
        return vectors_to_response(self._model.encode_text(request.texts), self._model.space_id)

    def _decode_text(self, request: DecodeText.Request) -> DecodeText.Response:
        """The worker's as well."""
        model = self._model
        if request.space_id != model.space_id:
            theirs = request.space_id or "(none)"
            raise Refused(
                f"the vectors are of space {theirs}, this decoder's checkpoint makes words of {model.space_id}; "
                "give both nodes the same checkpoint"
            )
        vectors_ND = vectors_from_request(request, model.dim)
        if not 1 <= len(vectors_ND) <= MAX_VECTORS:
            raise Refused(f"vectors must be 1 to {MAX_VECTORS}, got {len(vectors_ND)}; ask in several requests")
        return decoded_to_response(model.decode_full(vectors_ND))

    def _report_input(self, status: Status) -> None:
        if self._topics is not None:
            self._topics.report(status)
        else:
            status.summary = "not configured"

    def _report_texts(self, status: Status) -> None:
        worker, model = self._worker, self._model
        drops = self._drops.copy()
        drops["decode_error"] += worker.failures if worker is not None else 0
        error = worker.last_error if worker is not None else ""
        for key, value in (
            ("texts", self._texts), ("waiting", len(self._queue) if self._queue is not None else 0), ("last_error", error),
            *self._decode_time.values("decode_ms"), *self._latency.values("latency_ms"),
        ):
            status.value(key, value)
        status.counts("drops", drops)
        if model is None:
            status.summary = "not configured"
            return
        status.hardware_id = model.config.name
        status.value("space_id", model.space_id)
        status.summary = f"{self._texts} texts"
        recent = self._recent.look(drops)
        if "queue_full" in recent:
            status.warn(f"{drops['queue_full']} texts were given up: decoding is slower than the stream asks for it")
        if self._no_room_in_a_row >= TOLERATED_FAILURES:
            status.error(
                f"the device has no room for a text ({self._no_room_in_a_row} times in a row): end what else uses it, or set "
                "device to cpu, or take a smaller checkpoint"
            )
        elif "out_of_memory" in recent:
            status.warn(
                f"the device had no room for {drops['out_of_memory']} texts, which are lost; free its memory or set device to cpu"
            )
        if worker is not None and worker.problem:
            status.error(worker.problem)
        elif "decode_error" in recent:
            status.warn(f"decoding failed {drops['decode_error']} times; the last: {error}")


def main(args: list[str] | None = None) -> None:
    run(DecoderNode, args)


if __name__ == "__main__":
    main()
