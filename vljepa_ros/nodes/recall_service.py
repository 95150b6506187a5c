"""The service that asks the memory: a worker of its own with the text encoder, so that no callback waits for an answer."""
from __future__ import annotations

import time

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.service import Service
from rclpy.task import Future

from vljepa_ros.memory import Mode, Question, SegmentReader, StoreError, VectorIndex, ask, recall
from vljepa_ros.model import VLJEPA
from vljepa_ros.nodes.conversions import ns_from_time, recalled_to_message
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.statistics import Durations, Recent
from vljepa_ros.nodes.worker import RequestQueue, Worker
from vljepa_ros.srv import Recall

COUNT = 5  # segments in an answer, unless the question says otherwise
WAITING = 16  # questions

Item = tuple[Recall.Request, Recall.Response, Future]


class RecallService:
    """`~/recall`. There from `open` to `close`; answers from `start` to `stop`, and says so at other times."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._service: Service | None = None
        self._model: VLJEPA | None = None
        self._index: VectorIndex | None = None
        self._reader: SegmentReader | None = None
        self._queue: RequestQueue[Item] | None = None
        self._worker: Worker | None = None
        self._answers = self._refusals = self._failures = 0
        self._duration = Durations()
        self._recent = Recent()

    def open(self, model: VLJEPA, index: VectorIndex, reader: SegmentReader) -> None:
        """From now on `model` and `reader` belong to this service's worker."""
        self._model, self._index, self._reader = model, index, reader
        # In a group of its own: while an answer is computed elsewhere, the node's other callbacks go on.
        self._service = self._node.create_service(
            Recall, "~/recall", self._on_question, callback_group=ReentrantCallbackGroup()
        )

    def start(self) -> None:
        self._queue = RequestQueue(WAITING)
        self._worker = Worker("memory recall", self._queue, self._answer, what="recalling")

    def stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        for _, response, future in self._queue.drain():
            future.set_result(self._refuse(response, "the node was deactivated; ask again when it is active"))
        try:
            worker.stop()
        finally:
            self._failures += worker.failures

    def close(self) -> None:
        service, self._service = self._service, None
        self._model = self._index = self._reader = self._queue = None
        if service is not None:
            self._node.destroy_service(service)

    async def _on_question(self, request: Recall.Request, response: Recall.Response) -> Recall.Response:
        if self._worker is None:
            return self._refuse(response, "the node is not active; activate it, then ask again")
        future = Future(executor=self._node.executor)
        future.add_done_callback(lambda _: None)  # this wakes the executor; it would look at the answer with the next message
        given_up = self._queue.put((request, response, future))
        if given_up is not None:
            given_up[2].set_result(self._refuse(given_up[1], f"more than {WAITING} questions at once; ask again"))
        return await future

    def _answer(self, item: Item) -> None:
        """The worker's: one question."""
        request, response, future = item
        started = time.perf_counter()
        try:
            self._recall(request, response)
            response.seconds = time.perf_counter() - started
            self._answers += 1
            self._duration.add(response.seconds)
        except ValueError as error:  # of the question
            self._refuse(response, str(error))
        except Exception as error:
            self._refuse(response, str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}")
            raise
        finally:
            future.set_result(response)

    def _recall(self, request: Recall.Request, response: Recall.Response) -> None:
        if not request.text.strip():
            raise ValueError("text is empty; give a state in words, as in 'The drawer is open.'")
        modes = [one.value for one in Mode]
        if request.mode not in ("", *modes):
            raise ValueError(f"mode must be one of {', '.join(modes)}, got {request.mode!r}")
        vectors = self._model.encode_text([one for one in (request.text, request.against) if one.strip()])
        since_ns, until_ns = (ns_from_time(one) or None for one in (request.since, request.until))
        question = Question(
            query_D=ask(*vectors), space_id=self._model.space_id, mode=Mode(request.mode or Mode.STATE.value),
            count=request.count or COUNT, since_ns=since_ns, until_ns=until_ns,
        )
        answer = recall(self._index, self._reader, question, request.thumbnails)
        response.success, response.space_id = True, question.space_id
        response.searched, response.skipped = answer.searched, answer.skipped
        response.segments = [recalled_to_message(one) for one in answer.recalled]

    def _refuse(self, response: Recall.Response, why: str) -> Recall.Response:
        self._refusals += 1
        response.success, response.error = False, " ".join(why.split())
        return response

    def report(self, status: Status) -> None:
        worker, index, model = self._worker, self._index, self._model
        failures = self._failures + (worker.failures if worker is not None else 0)
        error = worker.last_error if worker is not None else ""
        status.summary = f"{self._answers} answers" if model is not None else "not configured"
        for key, value in (
            ("answers", self._answers), ("refusals", self._refusals), ("failures", failures), ("last_error", error),
            ("searchable", len(index) if index is not None else 0), ("space_id", model.space_id if model is not None else ""),
            *self._duration.values("recall_ms"),
        ):
            status.value(key, value)
        recent = self._recent.look({"failures": failures})
        if worker is not None and worker.problem:
            status.error(worker.problem)
        elif recent:
            status.warn(f"{failures} questions failed; the last: {error}")
