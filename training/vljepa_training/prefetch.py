# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The next batches, made in a thread while the current one is trained on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any


class Prefetch:
    """The batches of steps `first` up to `last`, `ahead` at the most. An error in the thread is raised where it is awaited."""

    def __init__(self, make: Callable[[int], Any], first: int, last: int, ahead: int = 3) -> None:
        self._queue: queue.Queue = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(make, first, last), daemon=True)

    def _run(self, make: Callable[[int], Any], first: int, last: int) -> None:
        for step in range(first, last):
            try:
                item = (make(step), None)
            except Exception as error:  # handed over, raised in `next`
                item = (None, error)
            while not self._stop.is_set():
                try:
                    self._queue.put(item, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if self._stop.is_set() or item[1] is not None:
                return

    def next(self) -> Any:
        batch, error = self._queue.get()
        if error is not None:
            raise error
        return batch

    def __enter__(self) -> Prefetch:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()
