"""Embeddings and transitions in; words out, once per segment.

A callback asks the policy; a request for words goes into a short queue. The worker's thread owns the decoder, so slow words never
hold up a callback. A request that finds the queue full pushes out the oldest, which is counted.
"""
from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from rclpy.lifecycle import LifecyclePublisher

from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import DecodedText as DecodedTextMessage
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.conversions import text_to_message
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.lifecycle import ManagedNode, run
from vljepa_ros.nodes.loading import load_model
from vljepa_ros.nodes.parameters import NodeParams
from vljepa_ros.nodes.predictor_topics import PredictorTopics
from vljepa_ros.nodes.statistics import Durations, Recent
from vljepa_ros.nodes.worker import RequestQueue, Worker
from vljepa_ros.streaming import DecodedText, DecodeParams, DecodePolicy, DecodeRequest, Embedding, Transition
from vljepa_ros.streaming.parameters import parameter


@dataclass(frozen=True)
class DecoderParams(NodeParams):
    """What the decoder is told beside what every node is."""

    query: str = parameter("", "the standing query whose embeddings are put into words; empty: the checkpoint's own")
    labels: tuple[str, ...] = parameter((), "names to choose from: the nearest goes with every text; [] for none")
    queue: int = parameter(8, "texts that may wait; beyond, the oldest is given up and counted", (1, 1000))


class DecoderNode(ManagedNode):
    """Configure makes decoder, labels, topics and publisher; activate makes policy, queue and worker."""

    def __init__(self, **kwargs) -> None:
        super().__init__("decoder_node", {"": DecoderParams, "decode": DecodeParams}, **kwargs)
        self._decode_params = DecodeParams()
        self._labels: tuple[str, ...] = ()
        self._labels_ND: np.ndarray | None = None
        self._model: VLJEPA | None = None
        self._query = ""
        self._topics: PredictorTopics | None = None
        self._policy: DecodePolicy | None = None
        self._queue: RequestQueue[tuple[DecodeRequest, float]] | None = None
        self._worker: Worker | None = None
        self._publisher: LifecyclePublisher | None = None
        self._texts = 0
        self._decode_time, self._latency = Durations(), Durations()
        self._drops: Counter[str] = Counter(queue_full=0, deactivated=0, decode_error=0)
        self._recent = Recent()
        self.diagnostics.add("input", self._report_input)
        self.diagnostics.add("texts", self._report_texts)

    def configure(self) -> None:
        params: DecoderParams = self.parameters.read()
        self._decode_params = self.parameters.read("decode")
        if "" in params.labels:
            raise ValueError(f"labels must not be empty texts, got {list(params.labels)}")
        self._model = load_model(params, ("text_decoder", "text_encoder") if params.labels else ("text_decoder",))
        self._labels = params.labels
        self._labels_ND = self._model.encode_text(params.labels) if params.labels else None
        self._query = params.query or self._model.config.prompts.get("state", "")
        self._warm_up()
        self._topics = PredictorTopics(
            self, self._model.space_id, self._model.dim, self._query, self._on_embedding, self._on_transition
        )
        self._publisher = self.outputs.add(DecodedTextMessage, "~/text", qos.LATCHED)

    def activate(self) -> None:
        self._policy = DecodePolicy(self._decode_params, self._query)
        self._queue = RequestQueue(self.parameters.value("queue"))
        self._worker = Worker("decoder worker", self._queue, self._speak)
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
                self._drops["decode_error"] += worker.failures

    def release(self) -> None:
        self._publisher = self._model = self._labels_ND = self._topics = self._policy = self._queue = None

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
        if request is not None and self._queue.put((request, time.perf_counter())) is not None:
            self._drops["queue_full"] += 1

    def _speak(self, item: tuple[DecodeRequest, float]) -> None:
        """The worker's: one request to words."""
        request, asked = item
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
        if self._labels_ND is None:
            return "", 0.0
        cosines_N = self._labels_ND @ vector_D
        return self._labels[int(cosines_N.argmax())], float(cosines_N.max())

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
        if worker is not None and worker.problem:
            status.error(worker.problem)
        elif "decode_error" in recent:
            status.warn(f"decoding failed {drops['decode_error']} times; the last: {error}")


def main(args: list[str] | None = None) -> None:
    run(DecoderNode, args)


if __name__ == "__main__":
    main()
