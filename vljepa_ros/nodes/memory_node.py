# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings, transitions, texts and pictures in; segments on disk, and answers to "when was it like this".

A callback asks the tracker and puts what is to be written into a queue; the writer's thread owns the file and turns images into
thumbnails, so that a slow disk holds up no callback. Questions are answered by a thread and over a connection of their own
(`recall_service.py`): neither waits for the other.
"""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_ros.memory import (
    Entry,
    MemoryParams,
    Recorder,
    SegmentReader,
    SegmentStore,
    SegmentTracker,
    StoreError,
    Stray,
    VectorIndex,
)
from vljepa_ros.model import VLJEPA
from vljepa_ros.msg import DecodedText as DecodedTextMessage
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.conversions import text_from_message
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.lifecycle import ManagedNode, run
from vljepa_ros.nodes.loading import load_model
from vljepa_ros.nodes.parameters import NodeParams
from vljepa_ros.nodes.pictures import Pictures
from vljepa_ros.nodes.predictor_topics import PredictorTopics
from vljepa_ros.nodes.recall_service import RecallService
from vljepa_ros.nodes.statistics import Durations, Recent
from vljepa_ros.nodes.topics import Input
from vljepa_ros.nodes.worker import RequestQueue, Worker
from vljepa_ros.streaming import Embedding, Transition
from vljepa_ros.streaming.parameters import parameter


@dataclass(frozen=True)
class MemoryNodeParams(NodeParams):
    """What the memory is told beside what every node is."""

    query: str = parameter("", "the standing query whose embeddings are remembered; empty: the checkpoint's own")
    image_transport: str = parameter("raw", "raw: `image`; compressed: `image/compressed`", choices=("raw", "compressed"))
    threads: int = parameter(1, "CPU threads of text encoder and search; 0 leaves it to torch", (0, 256))
    queue: int = parameter(256, "writes that may wait for the disk; beyond, the oldest is given up and counted", (1, 10_000))


class MemoryNode(ManagedNode):
    """Configure opens the file and makes encoder, index and inputs; activate makes tracker, recorder, queue and workers."""

    def __init__(self, **kwargs) -> None:
        super().__init__("memory_node", {"": MemoryNodeParams, "memory": MemoryParams}, **kwargs)
        self._memory_params = MemoryParams()
        self._model: VLJEPA | None = None
        self._query = ""
        self._store: SegmentStore | None = None
        self._reader: SegmentReader | None = None
        self._index: VectorIndex | None = None
        self._topics: PredictorTopics | None = None
        self._text_input: Input | None = None
        self._pictures: Pictures | None = None
        self._tracker: SegmentTracker | None = None
        self._recorder: Recorder | None = None
        self._queue: RequestQueue[tuple[Entry | Stray, np.ndarray | None]] | None = None
        self._worker: Worker | None = None
        self._recall = RecallService(self.requests)
        self._stuck = False  # a writer did not end: the file is its own, and closed when it lets go of it
        self._pictured: int | None = None  # the segment that a picture was last wanted for
        self._texts = 0
        self._last_error = ""
        causes = ("queue_full", "deactivated", "bad_text", "other_query", *Recorder.CAUSES)
        self._drops: Counter[str] = Counter(dict.fromkeys(causes, 0))
        self._write_time = Durations()
        self._recent = Recent()
        self.diagnostics.add("input", self._report_input)
        self.diagnostics.add("memory", self._report_memory)
        self.diagnostics.add("recall", self._recall.report)

    # transitions

    def configure(self) -> None:
        params: MemoryNodeParams = self.parameters.read()
        self._memory_params = keep = self.parameters.read("memory")
        if not keep.path.strip():
            raise ValueError("memory.path must name a file, got ''")
        self._model = load_model(params, ("text_encoder",))
        self._query = params.query or self._model.config.prompts.get("state", "")
        self._model.encode_text([self._query or "warm-up"])
        self._open(keep)
        space_id, dim = self._model.space_id, self._model.dim
        self._topics = PredictorTopics(
            self, space_id, dim, self._query, self._on_embedding, self._on_transition, consequence="nothing is remembered"
        )
        self._text_input = Input(self, DecodedTextMessage, "decoder_node/text", self._on_text, qos.LATCHED)
        self._pictures = Pictures(self, params.image_transport)
        self._recall.open(self._model, self._index, self._reader)

    def _open(self, keep: MemoryParams) -> None:
        started = time.perf_counter()
        self._store = SegmentStore(keep.path, keep.max_mib, keep.max_days)
        self._stuck = False
        self._reader = SegmentReader(self._store.path)
        self._index = VectorIndex(self._model.space_id, self._model.dim)
        self._index.load(self._reader.vectors())
        others = self._store.segments - len(self._index)
        self.get_logger().info(
            f"{self._store.path}: {self._store.segments} segments, read in {time.perf_counter() - started:.1f} s"
            + (f"; {others} of them are of another checkpoint and cannot be recalled with this one" if others else "")
        )

    def activate(self) -> None:
        self._tracker, self._pictured = SegmentTracker(self._query, self._memory_params.update_s), None
        self._recorder = Recorder(self._store, self._index, self._memory_params.thumbnail_width)
        self._queue = RequestQueue(self.parameters.value("queue"))
        self._worker = Worker("memory writer", self._queue, self._write, what="writing")
        self._topics.start()
        self._text_input.start()
        if self._memory_params.thumbnail_width:
            self._pictures.start()
        self._recall.start()

    def deactivate(self) -> None:
        for one in (self._topics, self._text_input):
            if one is not None:
                one.stop()
        try:
            self._recall.stop()
        finally:
            self._stop_writing()
            if self._pictures is not None:
                self._pictures.stop()

    def release(self) -> None:
        self._recall.close()
        store, reader, stuck = self._store, self._reader, self._stuck
        self._model = self._topics = self._text_input = self._pictures = self._store = self._reader = self._index = None
        self._tracker = self._recorder = self._queue = None
        if not stuck:
            for one in (reader, store):
                if one is not None:
                    one.close()

    def _stop_writing(self) -> None:
        """What waits is written, and the segment that goes on ends here."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        left = self._queue.drain()
        left += [(what, self._picture(what)) for what in self._tracker.finish()]
        self._stuck = True
        try:
            worker.stop()
        except TimeoutError:
            self._drops["deactivated"] += len(left)
            raise
        self._stuck = False
        for what, image_HWC in left:
            self._try(what, image_HWC)
        if lost := self._recorder.waiting:
            self._drops["deactivated"] += lost
            self.get_logger().error(f"{lost} segments could not be written and are lost: {self._last_error}")
        self._drops.update(self._recorder.drops)
        self._recorder = None

    # the stream, in callbacks

    def _on_embedding(self, embedding: Embedding) -> None:
        self._put(self._tracker.embedding(embedding))

    def _on_transition(self, transition: Transition) -> None:
        self._put(self._tracker.transition(transition))

    def _on_text(self, message: DecodedTextMessage) -> None:
        self._texts += 1
        try:
            text = text_from_message(message)
        except Exception as error:  # a message may cost itself, never the node
            self._drops["bad_text"] += 1
            self._last_error = f"text: {type(error).__name__}: {error}"
            return
        if text.request.query != self._query:
            self._drops["other_query"] += 1  # an answer to another question says nothing of this state
            return
        self._put(self._tracker.text(text))

    def _put(self, written: Sequence[Entry | Stray]) -> None:
        for what in written:
            if self._queue.put((what, self._picture(what))) is not None:
                self._drops["queue_full"] += 1
        if self._tracker.serial not in (None, self._pictured):
            self._pictured = self._tracker.serial
            self._pictures.want(self._pictured)

    def _picture(self, what: Entry | Stray) -> np.ndarray | None:
        frame = self._pictures.take(what.serial) if isinstance(what, Entry) else None
        return None if frame is None else frame.image_HWC

    def _write(self, item: tuple[Entry | Stray, np.ndarray | None]) -> None:
        """The writer's: one piece of news to disk."""
        started = time.perf_counter()
        self._recorder.take(*item)
        self._write_time.add(time.perf_counter() - started)

    def _try(self, what: Entry | Stray, image_HWC: np.ndarray | None) -> None:
        try:
            self._recorder.take(what, image_HWC)
        except StoreError as error:  # the recorder keeps it, and the next one may bring it along
            self._last_error = str(error)

    # reports

    def _report_input(self, status: Status) -> None:
        if self._topics is None:
            status.summary = "not configured"
            return
        self._topics.report(status)
        status.value("texts", self._texts)
        status.value("text_publishers", self._text_input.publishers)
        if self._text_input.counts["qos_incompatible"]:
            status.error(f"texts on {self._text_input.topic}: {self._text_input.why_silent()}")
        if self._memory_params.thumbnail_width:
            self._pictures.report(status)

    def _report_memory(self, status: Status) -> None:
        store, worker, recorder, queue = self._store, self._worker, self._recorder, self._queue
        if store is None:
            status.summary = "not configured"
            return
        since = recorder.drops if recorder is not None else Counter()
        drops = {cause: count + since[cause] for cause, count in self._drops.items()}
        waiting = (len(queue) if queue is not None else 0) + (recorder.waiting if recorder is not None else 0)
        error = worker.last_error if worker is not None and worker.last_error else self._last_error
        status.hardware_id = str(store.path)
        status.summary = f"{store.segments} segments, {store.bytes / 2**20:.1f} of {store.max_bytes // 2**20} MiB"
        for key, value in (
            ("path", store.path), ("segments", store.segments), ("mib", store.bytes / 2**20), ("waiting", waiting),
            ("last_error", error), *self._write_time.values("write_ms"),
        ):
            status.value(key, value)
        status.counts("dropped", store.dropped)
        status.counts("drops", drops)
        recent = self._recent.look({**drops, "failures": worker.failures if worker is not None else 0})
        if "queue_full" in recent:
            status.warn(f"{drops['queue_full']} writes were given up: the disk is slower than the stream")
        if "write_error" in recent or "deactivated" in recent:
            status.error(f"{drops['write_error'] + drops['deactivated']} segments are lost: {error}")
        for cause in (cause for cause in ("bad_text", "picture", "no_segment") if cause in recent):
            status.warn(f"{drops[cause]} texts or pictures were dropped ({cause}); the last error: {error or 'none'}")
        if worker is not None and worker.problem:
            status.error(worker.problem)
        elif "failures" in recent:
            status.warn(f"a write failed, its segments wait: {error}")


def main(args: list[str] | None = None) -> None:
    run(MemoryNode, args)


if __name__ == "__main__":
    main()
