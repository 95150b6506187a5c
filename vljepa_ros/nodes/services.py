# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Services whose answers the worker computes: it owns the model, and an executor that waited for it would keep every image out.

A request becomes a `Job` in the worker's inbox and a coroutine that awaits the job's future. rclpy steps a waiting coroutine each
time the executor wakes, so whoever has the answer sets it and wakes the executor; that is allowed from any thread. The services
have a callback group of their own: a waiting coroutine occupies its group, and a node's default group holds the images.

Every request is answered: by the worker, or with a refusal when the tray is full, when the node is not active, when it is
deactivated, when the worker dies, when the process ends.
"""
from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from vljepa_ros.model.device_faults import free, is_device_lost, is_out_of_memory
from vljepa_ros.nodes import qos
from vljepa_ros.nodes.diagnostics import Status
from vljepa_ros.nodes.statistics import Durations, Recent
from vljepa_ros.nodes.worker import Turns

log = logging.getLogger(__name__)

WAITING = 16  # requests that may wait for the worker; a planner that asks faster than it is answered is told so

NO_ROOM = (
    "the device had no room for this request; ask for fewer at once, end what else uses the device, or set device to cpu"
)


class Refused(Exception):
    """A request cannot be answered; one sentence with the remedy, for the response's `message`."""


class Job:
    """One request on its way. The first answer counts, whoever gives it."""

    def __init__(self, service: str, compute: Callable[[Any], Any], request: Any, response_type: type) -> None:
        """`compute` makes the response from the request and may raise; it runs where the job is called, in the worker."""
        self.asked = time.perf_counter()
        self.future = Future()
        self.refused = False
        self._service, self._compute, self._request, self._response_type = service, compute, request, response_type
        self._lock = threading.Lock()

    def __call__(self) -> None:
        problem = "the worker stopped"  # whatever ends the thread below ends it after this has been said
        try:
            if not self.future.done():
                self.answer(self._compute(self._request))
            return
        except (Refused, ValueError) as error:
            problem = str(error)
        except Exception as error:
            if is_out_of_memory(error):
                free(error)
                problem = f"{NO_ROOM} ({error})"
                log.warning("%s: %s", self._service, problem)
                return
            problem = f"the model failed: {type(error).__name__}: {error}; see /diagnostics"
            log.error("%s: %s", self._service, problem, exc_info=True)
            if is_device_lost(error):
                raise  # it is more than this request's matter
        finally:
            self.refuse(problem)

    def answer(self, response: Any) -> None:
        self._finish(response, refused=False)

    def refuse(self, why: str) -> None:
        self._finish(self._response_type(success=False, message=" ".join(why.split())), refused=True)

    def _finish(self, response: Any, refused: bool) -> None:
        with self._lock:
            if not self.future.done():
                self.refused = refused
                response.seconds = time.perf_counter() - self.asked
                self.future.set_result(response)


class Services:
    """The services of one node. They exist for the node's life and compute from `open` to `close`."""

    def __init__(self, node: LifecycleNode, why_closed: Callable[[], str]) -> None:
        """`why_closed`: why there is no worker now, with the remedy."""
        self._node = node
        self._why_closed = why_closed
        self._group = ReentrantCallbackGroup()
        self._inbox: Turns | None = None
        self._death = ""  # what ended the worker
        self._jobs: set[Job] = set()  # not answered yet; only the executor's thread adds and removes
        self._counts: Counter[str] = Counter(answered=0, refused=0)
        self._time, self._recent = Durations(), Recent()
        self._last_refusal = ""

    def add(self, service_type: type, name: str, compute: Callable[[Any], Any]) -> Callable[[], Any]:
        """`compute` as for a Job. Its responses have success, message and seconds. What is returned takes the service away."""
        topic = self._node.resolve_service_name(name)

        async def on_request(request: Any, _: Any) -> Any:
            return await self._answer(Job(topic, compute, request, service_type.Response))

        service = self._node.create_service(
            service_type, name, on_request, qos_profile=qos.copy(qos.REQUESTS), callback_group=self._group
        )
        return lambda: self._node.destroy_service(service)

    def open(self, inbox: Turns) -> None:
        self._inbox, self._death = inbox, ""

    def close(self, why: str) -> None:
        """From here on requests are refused, and those that wait are refused because of `why`."""
        self._inbox = None
        for job in list(self._jobs):
            job.refuse(why)
        self._wake()

    def on_death(self, problem: str) -> None:
        """The worker's last word, in its thread."""
        self._death = problem
        for job in list(self._jobs):
            job.refuse(problem)
        self._wake()

    def answer_last(self, why: str) -> None:
        """`close` where nobody spins any more, not even with a valid context: send the refusals by hand."""
        self.close(why)
        steps = 2 * len(self._jobs) + 2  # a step runs one coroutine
        while self._jobs and steps:
            steps -= 1
            try:
                rclpy.spin_once(self._node, timeout_sec=0)
            except Exception as error:  # the context's end, met after the coroutines had their turn
                log.debug("while the last requests were answered: %s", error)

    async def _answer(self, job: Job) -> Any:
        self._jobs.add(job)
        try:
            if self._inbox is None:
                job.refuse(self._why_closed())
            elif not self._inbox.ask(lambda: self._run(job)):
                job.refuse(self._death or f"{WAITING} requests wait already; ask again when they are answered")
            response = await job.future
        finally:
            self._jobs.discard(job)
        self._count(job, response)
        return response

    def _run(self, job: Job) -> None:
        """The worker's."""
        try:
            job()
        finally:
            self._wake()

    def _count(self, job: Job, response: Any) -> None:
        self._counts["refused" if job.refused else "answered"] += 1
        if job.refused:
            self._last_refusal = response.message
        else:
            self._time.add(response.seconds)

    def _wake(self) -> None:
        executor = self._node.executor
        if executor is not None:
            try:
                executor.wake()
            except Exception as error:  # an executor that is being shut down has nobody to wake
                log.debug("nobody to wake: %s", error)

    def report(self, status: Status) -> None:
        """Requests in, and why they were refused."""
        status.summary = f"{self._counts['answered']} requests answered"
        for key, value in (
            *self._counts.items(), ("waiting", len(self._jobs)), *self._time.values("request_ms"),
            ("last_refusal", self._last_refusal),
        ):
            status.value(key, value)
        if "refused" in self._recent.look(self._counts):
            status.warn(f"{self._counts['refused']} requests were refused; the last: {self._last_refusal}")
