# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What answers `~/recall`: a worker of its own with the text encoder, so that neither stream nor writing waits for an answer."""
from __future__ import annotations

from collections.abc import Callable

from vljepa_ros.memory import Mode, Question, SegmentReader, StoreError, VectorIndex, ask, recall
from vljepa_ros.model import VLJEPA
from vljepa_ros.nodes.conversions import ns_from_time, recalled_to_message
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.services import WAITING, Refused, Services
from vljepa_ros.nodes.worker import Turns, Worker
from vljepa_ros.srv import Recall
from vljepa_ros.streaming import Mailbox

COUNT = 5  # segments in an answer, unless the question says otherwise


class RecallService:
    """One of a node's services; it answers from `start` to `stop`, about what `open` handed over."""

    def __init__(self, requests: Services) -> None:
        self._requests = requests
        self._model: VLJEPA | None = None
        self._index: VectorIndex | None = None
        self._reader: SegmentReader | None = None
        self._inbox: Turns | None = None
        self._worker: Worker[Callable[[], None]] | None = None
        requests.add(Recall, "~/recall", self._answer)

    def open(self, model: VLJEPA, index: VectorIndex, reader: SegmentReader) -> None:
        """From now on `model` and `reader` belong to this service's worker."""
        self._model, self._index, self._reader = model, index, reader

    def start(self) -> None:
        self._inbox = Turns(Mailbox(), WAITING)  # requests alone: nothing streams here
        self._worker = Worker("memory recall", self._inbox, lambda request: request(), self._requests.on_death, "recalling")
        self._requests.open(self._inbox)

    def stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            try:
                worker.stop()
            finally:
                self._requests.close("memory_node was deactivated before it came to this; ask again when it is active")

    def close(self) -> None:
        self._model = self._index = self._reader = self._inbox = None

    def _answer(self, request: Recall.Request) -> Recall.Response:
        """The worker's: one question."""
        if not request.text.strip():
            raise Refused("text is empty; give a state in words, as in 'The drawer is open.'")
        modes = [one.value for one in Mode]
        if request.mode not in ("", *modes):
            raise Refused(f"mode must be one of {', '.join(modes)}, got {request.mode!r}")
        texts = [one for one in (request.text, request.against) if one.strip()]
        self._model.check_texts(texts)
        since_ns, until_ns = (ns_from_time(one) or None for one in (request.since, request.until))
        question = Question(
            query_D=ask(*self._model.encode_text(texts)), space_id=self._model.space_id,
            mode=Mode(request.mode or Mode.STATE.value), count=request.count or COUNT, since_ns=since_ns, until_ns=until_ns,
        )
        try:
            answer = recall(self._index, self._reader, question, request.thumbnails)
        except StoreError as error:  # it says itself what is to be done
            raise Refused(str(error)) from error
        return Recall.Response(
            success=True, space_id=question.space_id, searched=answer.searched, skipped=answer.skipped,
            segments=[recalled_to_message(one) for one in answer.recalled],
        )

    def report(self, status: Status) -> None:
        """What can be asked for; questions and answers are in the report of the services."""
        worker, index, model = self._worker, self._index, self._model
        if model is None:
            status.summary = "not configured"
            return
        status.summary = f"{len(index)} finished segments can be recalled"
        status.value("searchable", len(index))
        status.value("space_id", model.space_id)
        if worker is not None and worker.problem:
            status.error(worker.problem)
