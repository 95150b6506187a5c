# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One slot per camera before one model: the newest of each wins, and each has its turn however few are taken at once."""
from __future__ import annotations

import threading
from typing import Generic, Protocol, TypeVar


class Addressed(Protocol):
    slot: int


T = TypeVar("T", bound=Addressed)


class Mailboxes(Generic[T]):
    """`count` one-slot queues, by an item's `slot`, for any number of threads. `put` never blocks; `get` gives a batch."""

    def __init__(self, count: int) -> None:
        self.at_once = count  # items per batch at most; may be changed at any time, below 1 counts as 1
        self.closed = False
        self._changed = threading.Condition()
        self._items: list[T | None] = [None] * count
        self._next = 0  # the slot whose turn it is: behind the one that was served last

    @property
    def empty(self) -> bool:
        return not self.waiting

    @property
    def waiting(self) -> list[T]:
        """What nobody has taken yet."""
        with self._changed:
            return [item for item in self._items if item is not None]

    def put(self, item: T) -> T | None:
        """Leave `item` in its slot; return what it replaced. Closed, they hand `item` itself back."""
        with self._changed:
            if self.closed:
                return item
            replaced, self._items[item.slot] = self._items[item.slot], item
            self._changed.notify()
            return replaced

    def get(self, timeout: float | None = None) -> list[T] | None:
        """Up to `at_once` items of as many slots, in turns, waiting at most `timeout` seconds. None: nothing came, or closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or any(item is not None for item in self._items), timeout)
            taken: list[T] = []
            count, first = len(self._items), self._next
            for slot in ((first + offset) % count for offset in range(count)):
                item = self._items[slot]
                if item is None:
                    continue
                taken.append(item)
                self._items[slot], self._next = None, (slot + 1) % count
                if len(taken) >= self.at_once:
                    break
            return taken or None

    def close(self) -> None:
        """Wake every waiter with None. What is still waiting is thrown away."""
        with self._changed:
            self.closed = True
            self._items = [None] * len(self._items)
            self._changed.notify_all()
