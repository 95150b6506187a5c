# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The mailbox: newest wins, every replaced item is counted, waiters wake, nothing is lost or doubled between threads."""

from __future__ import annotations

import threading

from vljepa_ros.streaming import Mailbox

LIMIT_S = 20.0


def test_the_newest_item_wins_and_the_replaced_one_is_handed_back():
    box: Mailbox[str] = Mailbox()
    assert box.put("a") is None
    assert box.put("b") == "a"
    assert box.drops == 1
    assert box.get(timeout=0) == "b"
    assert box.put("c") is None and box.drops == 1


def test_get_gives_none_when_nothing_comes_in_time():
    assert Mailbox().get(timeout=0.01) is None


def test_falsy_items_are_items():
    box: Mailbox[int] = Mailbox()
    box.put(0)
    assert box.put(1) == 0 and box.drops == 1
    assert box.get(timeout=0) == 1


def test_a_put_wakes_a_waiting_thread():
    box: Mailbox[str] = Mailbox()
    got: list[str | None] = []
    waiter = threading.Thread(target=lambda: got.append(box.get(timeout=LIMIT_S)))
    waiter.start()
    box.put("hello")
    waiter.join(LIMIT_S)
    assert got == ["hello"] and box.drops == 0


def test_close_wakes_every_waiter_and_refuses_later_items():
    box: Mailbox[str] = Mailbox()
    got: list[str | None] = []
    waiters = [threading.Thread(target=lambda: got.append(box.get(timeout=None))) for _ in range(4)]
    for one in waiters:
        one.start()
    box.close()
    for one in waiters:
        one.join(LIMIT_S)
    assert got == [None] * 4 and box.closed
    assert box.put("late") == "late"
    assert box.get(timeout=LIMIT_S) is None and box.drops == 0


def test_close_throws_away_what_lies_in_the_slot():
    box: Mailbox[str] = Mailbox()
    box.put("stale")
    box.close()
    assert box.get(timeout=0) is None


def test_items_of_many_writers_are_each_taken_or_counted_as_dropped_and_come_in_order():
    box: Mailbox[tuple[int, int]] = Mailbox()
    writers, each = 4, 500
    taken: list[tuple[int, int]] = []
    replaced: list[tuple[int, int]] = []
    lock = threading.Lock()

    def write(who: int) -> None:
        for i in range(each):
            old = box.put((who, i))
            if old is not None:
                with lock:
                    replaced.append(old)

    def read() -> None:
        while (item := box.get(timeout=LIMIT_S)) is not None:
            taken.append(item)

    reader = threading.Thread(target=read)
    reader.start()
    threads = [threading.Thread(target=write, args=(who,)) for who in range(writers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(LIMIT_S)
    last = box.get(timeout=0)  # whoever of the two takes the last one
    box.close()
    reader.join(LIMIT_S)
    everything = sorted(taken + replaced + ([last] if last is not None else []))
    assert everything == sorted((who, i) for who in range(writers) for i in range(each))
    assert box.drops == len(replaced)
    for who in range(writers):
        own = [i for writer, i in taken if writer == who]
        assert own == sorted(own)
