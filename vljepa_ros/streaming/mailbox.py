# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One slot between a camera that never waits and a model that takes its time: the newest wins, replaced ones are counted."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A one-slot queue for any number of threads. `put` never blocks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._full = False
        self._closed = False
        self._drops = 0

    @property
    def drops(self) -> int:
        """Items that were replaced before anybody took them."""
        with self._changed:
            return self._drops

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed

    @property
    def empty(self) -> bool:
        with self._changed:
            return not self._full

    def put(self, item: T) -> T | None:
        """Leave `item`; return what it replaced (None where the slot was empty). A closed mailbox hands `item` itself back,
        uncounted."""
        with self._changed:
            if self._closed:
                return item
            replaced = self._item if self._full else None
            self._drops += self._full
            self._item, self._full = item, True
            self._changed.notify()
            return replaced

    def get(self, timeout: float | None = None) -> T | None:
        """Take the item, waiting at most `timeout` seconds (None: without limit). None: nothing came, or the mailbox is
        closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._full or self._closed, timeout)
            item, self._item, self._full = self._item, None, False
            return item

    def close(self) -> None:
        """Wake every waiter with None. An item still in the slot is thrown away: after `close` nobody is meant to compute."""
        with self._changed:
            self._closed = True
            self._item, self._full = None, False
            self._changed.notify_all()
