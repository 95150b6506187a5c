# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node of the client's own, spun by a thread of the client's own.

So a caller may block wherever it is: in a script that spins nothing, in a thread beside an executor, in a callback of one. What
it waits for is done by another thread, so it cannot wait for itself. Knows nothing of what the messages mean.
"""
from __future__ import annotations

import atexit
import itertools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import rclpy
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from .errors import LAUNCH, Ended, NoAnswer, NotThere, Refused

T = TypeVar("T")

LOOK_S = 0.1  # how often a waiting call looks for what nobody tells it: a shut down context, a service that is gone
GONE_S = 1.0  # a service that is not there for so long has gone; shorter, discovery is at work
REQUESTS = QoSProfile(depth=100)
_numbers = itertools.count()


class Link:
    """Subscriptions, requests and waiting, for callers in any thread. Names are resolved as `node` resolves them."""

    def __init__(self, node: Node) -> None:
        self._outer = node
        self._context = node.context
        self._changed = threading.Condition()
        self._closing = False
        self._later: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._later_thread: threading.Thread | None = None
        # Remappings were applied by the outer node; a second time would rename this one after it.
        self._node = rclpy.create_node(
            f"{node.get_name()}_vljepa_client_{next(_numbers)}", namespace=node.get_namespace(), context=self._context,
            use_global_arguments=False, start_parameter_services=False, enable_rosout=False,
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="vljepa client", daemon=True)

    def start(self) -> None:
        """After everything has been subscribed to."""
        self._thread.start()
        atexit.register(self.close)  # a thread inside the middleware while Python ends takes the process down with it

    def close(self) -> None:
        """Whoever waits gets Ended. A second call does nothing."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        atexit.unregister(self.close)
        self._later.put(None)
        if self._context.ok():
            self._executor.wake()
        for thread in (self._thread, self._later_thread):
            if thread is not None and thread.is_alive() and thread is not threading.current_thread():
                thread.join(5.0)
        self._executor.shutdown()
        self._node.destroy_node()

    # topics

    def topic(self, name: str) -> str:
        return self._outer.resolve_topic_name(name)

    def publishers(self, name: str) -> int:
        return self._node.count_publishers(self.topic(name))

    def subscribe(self, message_type: type, name: str, profile: QoSProfile, take: Callable[[Any], None]) -> None:
        """`take` runs in the client's thread, with the lock of `wait` held; waiting calls look again after it."""

        def on_message(message: Any) -> None:
            with self._changed:
                take(message)
                self._changed.notify_all()

        self._node.create_subscription(message_type, self.topic(name), on_message, profile)

    def later(self, callback: Callable[[], None]) -> None:
        """Run it in a thread that only waits for callbacks: they may block, and ask the client what they like."""
        if self._later_thread is None:
            self._later_thread = threading.Thread(target=self._run_later, name="vljepa client callbacks", daemon=True)
            self._later_thread.start()
        self._later.put(callback)

    # waiting

    def wait(self, look: Callable[[], T], timeout: float | None) -> T | None:
        """The first true value of `look`, None after `timeout` seconds (None: no limit). Raises Ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                if self._closing or not self._context.ok():
                    raise Ended("the client was closed or rclpy shut down while it waited; nothing more comes from it")
                if value := look():
                    return value
                left = LOOK_S if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(min(left, LOOK_S))

    # requests

    def client(self, service_type: type, name: str) -> Client:
        return self._node.create_client(service_type, self._outer.resolve_service_name(name), qos_profile=REQUESTS)

    def call(self, client: Client, request: Any, node_name: str, timeout: float) -> Any:
        """The response, once it says success. Raises NotThere, NoAnswer, Refused, Ended."""
        started = time.monotonic()
        if not self.wait(client.service_is_ready, timeout):
            raise NotThere(f"no service {client.srv_name} within {timeout:g} s; start {node_name}: {LAUNCH}")
        future = client.call_async(request)
        future.add_done_callback(self._notify)
        seen = time.monotonic()  # the service, last

        def look() -> str:
            nonlocal seen
            now = time.monotonic()
            seen = now if client.service_is_ready() else seen
            return "done" if future.done() else "gone" if now - seen > GONE_S else ""

        try:
            outcome = self.wait(look, max(timeout - (time.monotonic() - started), 0.0))
        finally:
            if not future.done():
                client.remove_pending_request(future)
        if outcome == "gone":
            raise NotThere(f"{client.srv_name} went away before it answered; start {node_name} again: {LAUNCH}")
        if outcome is None:
            raise NoAnswer(f"{client.srv_name} did not answer within {timeout:g} s; /diagnostics says what {node_name} is at")
        response = future.result()
        if not response.success:
            raise Refused(response.message)
        return response

    # threads

    def _notify(self, _: Any) -> None:
        with self._changed:
            self._changed.notify_all()

    def _spin(self) -> None:
        while not self._closing and self._context.ok():
            try:
                self._executor.spin_once(timeout_sec=1.0)
            except (ExternalShutdownException, ShutdownException):
                break
            except Exception as error:  # one message may cost itself, never the client
                if self._context.ok():
                    self._outer.get_logger().error(f"vljepa client: {type(error).__name__}: {error}")

    def _run_later(self) -> None:
        while (callback := self._later.get()) is not None:
            try:
                callback()
            except Ended:
                return
            except Exception as error:
                self._outer.get_logger().error(f"a callback of the vljepa client failed: {type(error).__name__}: {error}")
