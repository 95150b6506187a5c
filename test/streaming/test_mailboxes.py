# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One slot per camera: the newest of each wins, and who waits has a turn however few are taken at once."""
from __future__ import annotations

import threading
from typing import NamedTuple

from vljepa_ros.streaming.mailboxes import Mailboxes


class Item(NamedTuple):
    slot: int
    number: int


def test_the_newest_of_each_slot_wins_and_all_go_at_once() -> None:
    boxes: Mailboxes[Item] = Mailboxes(3)
    assert boxes.empty and boxes.get(0) is None
    assert [boxes.put(Item(slot, 0)) for slot in (2, 0)] == [None, None] and boxes.put(Item(2, 1)) == Item(2, 0)
    assert boxes.waiting == [Item(0, 0), Item(2, 1)]
    assert boxes.get(0) == [Item(0, 0), Item(2, 1)] and boxes.empty


def test_smaller_batches_take_turns() -> None:
    """Camera 0 always has a clip again when the model is free: the others are served as often."""
    for at_once in (1, 2, 3):
        boxes: Mailboxes[Item] = Mailboxes(4)
        boxes.at_once = at_once
        served = [0] * 4
        for number in range(40):
            for slot in range(4):
                boxes.put(Item(slot, number))
            for item in boxes.get(0):
                assert item.number == number, "never an old clip"
                served[item.slot] += 1
        assert served == [10 * at_once] * 4


def test_a_slot_that_seldom_has_something_does_not_wait_behind_busy_ones() -> None:
    boxes: Mailboxes[Item] = Mailboxes(3)
    boxes.at_once = 1
    boxes.put(Item(0, 0))
    assert boxes.get(0) == [Item(0, 0)]
    for slot in (0, 2):
        boxes.put(Item(slot, 1))
    assert boxes.get(0) == [Item(2, 1)]


def test_closed_they_take_and_give_nothing() -> None:
    boxes: Mailboxes[Item] = Mailboxes(2)
    boxes.put(Item(0, 0))
    timer = threading.Timer(0.05, boxes.close)
    assert boxes.get(0) == [Item(0, 0)]
    timer.start()
    assert boxes.get(60) is None and boxes.put(Item(1, 1)) == Item(1, 1) and boxes.empty
    timer.join()
