# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that owns a model: takes work from an inbox, one item after another, and never dies in silence. Knows no ROS.

An exception costs its item, but for a device that is lost: that ends the thread, for no later item can fare better.
"""
from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from vljepa_ros.model.device_faults import is_device_lost

log = logging.getLogger(__name__)

T = TypeVar("T")
TOLERATED_FAILURES = 3  # in a row; from then on it is the model that fails, not an item
STUCK_AFTER_S = 10.0


class Inbox(Protocol[T]):
    closed: bool
    empty: bool

    def get(self, timeout: float | None = None) -> T | None: ...
    def close(self) -> None: ...


class RequestQueue(Generic[T]):
    """A short first-in first-out queue. Full, it gives up the oldest item and counts it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def empty(self) -> bool:
        return not self._items

    def put(self, item: T) -> T | None:
        """Never blocks. Returns what had to give way; a closed queue hands `item` itself back."""
        with self._changed:
            if self.closed:
                return item
            dropped = self._items.popleft() if len(self._items) >= self._capacity else None
            self._items.append(item)
            self._changed.notify()
            return dropped

    def get(self, timeout: float | None = None) -> T | None:
        """The oldest item, waiting at most `timeout` seconds. None: nothing came, or the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.closed, timeout)
            return self._items.popleft() if self._items and not self.closed else None

    def close(self) -> None:
        """Wake every waiter with None; what was still waiting stays undone."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def drain(self) -> list[T]:
        """Close, and hand over what was still waiting, oldest first."""
        self.close()
        with self._changed:
            items = list(self._items)
            self._items.clear()
            return items


class Turns(Generic[T]):
    """An inbox with two trays: a stream's items, by the rules of the inbox that holds them, and requests, every one in its order.

    Where both wait they take turns: a request waits for the stream's item under way and no longer, and no number of requests
    costs the stream more than every other turn.
    """

    def __init__(self, stream: Inbox[T], capacity: int) -> None:
        """`stream` has a `put` that never blocks. `capacity`: requests that may wait."""
        self.stream = stream
        self._capacity = capacity
        self._changed = threading.Condition()
        self._requests: deque[Callable[[], None]] = deque()
        self._request_next = True
        self.closed = False

    @property
    def waiting(self) -> int:
        """Requests that nobody has taken yet."""
        return len(self._requests)

    def put(self, item: T) -> T | None:
        """The stream's tray. Never blocks; returns what the stream's inbox returns."""
        with self._changed:
            given_up = self.stream.put(item)
            self._changed.notify()
            return given_up

    def ask(self, request: Callable[[], None], urgent: bool = False) -> bool:
        """The requests' tray. Never blocks; False where it is full (not for an `urgent` one, the node's own) or closed."""
        with self._changed:
            if self.closed or (len(self._requests) >= self._capacity and not urgent):
                return False
            self._requests.append(request)
            self._changed.notify()
            return True

    def get(self, timeout: float | None = None) -> T | Callable[[], None] | None:
        """What is due, waiting at most `timeout` seconds. None: nothing came, or the inbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._requests or not self.stream.empty, timeout)
            if self.closed:
                return None
            if self._requests and (self._request_next or self.stream.empty):
                self._request_next = False
                return self._requests.popleft()
            self._request_next = True
            return self.stream.get(0)

    def close(self) -> None:
        """Wake every waiter with None; what was still waiting stays undone."""
        with self._changed:
            self.closed = True
            self.stream.close()
            self._requests.clear()
            self._changed.notify_all()


class Worker(Generic[T]):
    """Runs `work` on what comes into `inbox`. An exception costs its item and is counted and reported; the next item is tried."""

    def __init__(
        self, name: str, inbox: Inbox[T], work: Callable[[T], None], on_death: Callable[[str], None] = lambda problem: None,
        what: str = "the model", on_device_lost: Callable[[str], None] = lambda problem: None,
    ) -> None:
        """`on_death` hears of the thread's end if nobody wanted it, in that thread: whoever waits for it waits in vain. `what` it
        is that may fail or be stuck, in the words of `problem`. `on_device_lost`: after that, where only a new process helps.
        """
        self.failures = 0  # items that failed
        self.failures_in_a_row = 0
        self.last_error = ""
        self._inbox = inbox
        self._work = work
        self._on_death, self._on_device_lost = on_death, on_device_lost
        self._what = what
        self._busy_since: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def busy(self) -> bool:
        return self._busy_since is not None

    @property
    def failing(self) -> bool:
        """Item after item failed: whatever is wrong does not pass by itself."""
        return self.failures_in_a_row >= TOLERATED_FAILURES

    @property
    def problem(self) -> str:
        """What is wrong with it now, "" where nothing is."""
        busy_since = self._busy_since
        if not self.alive and not self._stopping:
            return f"the worker stopped: {self.last_error}; deactivate and activate the node"
        if self.failing:
            return f"{self._what} failed {self.failures_in_a_row} times in a row: {self.last_error}"
        if busy_since is not None and time.monotonic() - busy_since > STUCK_AFTER_S:
            return f"{self._what} has been busy with one item for {time.monotonic() - busy_since:.0f} s"
        return ""

    def stop(self, timeout_s: float = 30.0) -> None:
        """Let it finish what it is at. Raises TimeoutError where that takes longer; the thread is then left to itself."""
        self._stopping = True
        self._inbox.close()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._thread.name} did not finish within {timeout_s:g} s")

    def _run(self) -> None:
        try:
            while not self._inbox.closed:
                item = self._inbox.get()
                if item is not None:
                    self._try(item)
        except BaseException as error:  # not even SystemExit ends a worker without a word
            self.last_error = " ".join(f"{type(error).__name__}: {error}".split())
            log.error("%s stopped: %s", self._thread.name, self.last_error)
            self._inbox.close()
            if is_device_lost(error):
                problem = f"the device is lost: {self.last_error}; the process ends, start it again (launch does)"
                self._on_death(problem)
                self._on_device_lost(problem)
            else:
                self._on_death(f"the worker stopped: {self.last_error}; deactivate and activate the node")

    def _try(self, item: T) -> None:
        self._busy_since = time.monotonic()
        try:
            self._work(item)
            self.failures_in_a_row = 0
        except Exception as error:
            if is_device_lost(error):
                raise
            if self._stopping:
                return
            self.failures += 1
            self.failures_in_a_row += 1
            self.last_error = " ".join(f"{type(error).__name__}: {error}".split())
            if self.failures_in_a_row <= TOLERATED_FAILURES:  # beyond, /diagnostics goes on saying it, once a second
                told = type(error).__module__.startswith("vljepa_ros")  # our own errors say what is wrong, in one line
                log.error("%s: %s", self._thread.name, self.last_error, exc_info=self.failures == 1 and not told)
        finally:
            self._busy_since = None
