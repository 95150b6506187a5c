# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that owns a model: goes on after exceptions, says so, and says when it cannot."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from vljepa_ros.nodes import worker as worker_module
from vljepa_ros.nodes.worker import RequestQueue, Turns, Worker
from vljepa_ros.streaming import Mailbox

Until = Callable[..., Any]


def test_requests_keep_their_order_and_the_oldest_gives_way() -> None:
    queue: RequestQueue[int] = RequestQueue(3)
    assert [queue.put(item) for item in range(5)] == [None, None, None, 0, 1]
    assert [queue.get(0) for _ in range(4)] == [2, 3, 4, None]


def test_a_closed_queue_takes_and_gives_nothing() -> None:
    queue: RequestQueue[int] = RequestQueue(3)
    queue.put(1)
    queue.close()
    assert queue.get() is None and queue.put(2) == 2


def test_a_drained_queue_hands_over_what_waits() -> None:
    queue: RequestQueue[int] = RequestQueue(9)
    for item in range(3):
        queue.put(item)
    assert queue.get() == 0 and queue.drain() == [1, 2]
    assert queue.closed and queue.get() is None and queue.put(3) == 3 and queue.drain() == []


def test_stream_and_requests_take_turns() -> None:
    inbox: Turns[str] = Turns(RequestQueue(9), 3)
    requests = [lambda: None for _ in range(4)]
    assert [inbox.ask(one) for one in requests] == [True, True, True, False] and inbox.waiting == 3
    for item in "abc":
        inbox.put(item)
    assert [inbox.get(0) for _ in range(7)] == [requests[0], "a", requests[1], "b", requests[2], "c", None]
    inbox.put("d")
    inbox.put("e")
    assert [inbox.get(0) for _ in range(3)] == ["d", "e", None], "alone, either goes on"
    assert inbox.ask(requests[0]) and inbox.ask(requests[1]) and [inbox.get(0), inbox.get(0)] == requests[:2]


def test_the_node_s_own_request_finds_room_in_a_full_tray() -> None:
    inbox: Turns[str] = Turns(Mailbox(), 1)
    first, second = (lambda: None), (lambda: None)
    assert inbox.ask(first) and not inbox.ask(second) and inbox.ask(second, urgent=True)
    assert [inbox.get(0), inbox.get(0)] == [first, second]


def test_the_stream_keeps_the_rules_of_its_own_inbox() -> None:
    inbox: Turns[str] = Turns(Mailbox(), 1)
    assert [inbox.put(item) for item in "abc"] == [None, "a", "b"] and inbox.get(0) == "c"
    inbox.put("d")
    inbox.close()
    assert inbox.put("e") == "e" and not inbox.ask(lambda: None) and not inbox.ask(lambda: None, urgent=True)
    assert inbox.get() is None


@pytest.mark.parametrize("tray", ["put", "ask"])
def test_either_tray_wakes_who_waits(tray: str) -> None:
    inbox: Turns[Any] = Turns(Mailbox(), 1)
    timer = threading.Timer(0.05, lambda: getattr(inbox, tray)(print))
    timer.start()
    assert inbox.get(60) is print
    timer.join()


def test_it_goes_on_after_an_exception(wait_until: Until) -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 1:
            raise RuntimeError("out of\nmemory")
        done.append(item)

    queue: RequestQueue[int] = RequestQueue(9)
    worker = Worker("test", queue, work)
    for item in range(3):
        queue.put(item)
    wait_until(lambda: done == [0, 2], what="the items around the bad one")
    assert worker.failures == 1 and worker.last_error == "RuntimeError: out of memory" and worker.problem == ""
    worker.stop()
    assert not worker.alive and worker.problem == ""


def test_repeated_failure_is_a_problem_until_something_succeeds(wait_until: Until) -> None:
    broken = True

    def work(item: int) -> None:
        if broken:
            raise ValueError("weights are gone")

    queue: RequestQueue[int] = RequestQueue(99)
    worker = Worker("test", queue, work)
    for item in range(20):
        queue.put(item)
    wait_until(lambda: worker.failures == 20, what="twenty failures")
    assert worker.alive and worker.failing and "20 times" in worker.problem and "weights are gone" in worker.problem
    broken = False
    queue.put(0)
    wait_until(lambda: not worker.problem, what="recovery")
    worker.stop()


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_what_ends_it_is_named(wait_until: Until, end: type[BaseException]) -> None:
    def work(item: int) -> None:
        raise end("enough")

    queue: RequestQueue[int] = RequestQueue(9)
    heard: list[str] = []
    worker = Worker("test", queue, work, heard.append)
    queue.put(0)
    wait_until(lambda: not worker.alive, what="its end")
    assert "stopped" in worker.problem and end.__name__ in worker.problem
    assert heard == [worker.problem] and queue.put(1) == 1, "nothing is taken that nobody will do"
    worker.stop()


def test_one_item_that_never_ends_is_named_and_stop_does_not_wait_for_ever(
    wait_until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "STUCK_AFTER_S", 0.01)
    release = threading.Event()
    queue: RequestQueue[int] = RequestQueue(9)
    worker = Worker("test", queue, lambda item: release.wait(30))
    queue.put(0)
    wait_until(lambda: "busy" in worker.problem, what="the complaint")
    with pytest.raises(TimeoutError, match="test did not finish"):
        worker.stop(timeout_s=0.05)
    release.set()
    wait_until(lambda: not worker.alive, what="its end")
